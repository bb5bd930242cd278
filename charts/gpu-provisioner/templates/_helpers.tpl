{{/* The name of every object of the provisioner: <release>-gpu-provisioner, or the release's own where that says it already. */}}
{{- define "gpu-provisioner.name" -}}
{{- if contains "gpu-provisioner" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-gpu-provisioner" (.Release.Name | trunc 47 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* What the provisioner's pods are selected by. It can never change. */}}
{{- define "gpu-provisioner.selector" -}}
app.kubernetes.io/name: kaito-gpu-provisioner
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gpu-provisioner.labels" -}}
{{ include "gpu-provisioner.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "gpu-provisioner-%s" .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The full reference of the image: the digest wins over the tag. */}}
{{- define "gpu-provisioner.image" -}}
{{- $image := index .Values.images "gpu-provisioner" -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else if $image.tag -}}
{{ $image.repository }}:{{ $image.tag }}
{{- else -}}
{{ fail "images.gpu-provisioner has neither a tag nor a digest: set one of them" }}
{{- end -}}
{{- end -}}

{{/* Refuses values that cannot work, with what to set. */}}
{{- define "gpu-provisioner.check" -}}
{{- if not .Values.provider -}}
{{ fail "provider is not set: say who makes machines, aks or sim" }}
{{- end -}}
{{- if eq .Values.provider "aks" -}}
{{- range list "subscription" "resourceGroup" "cluster" "tenant" "clientID" -}}
{{- if not (index $.Values.aks .) -}}
{{ fail (printf "aks.%s is not set: provider aks needs it, see docs/aks.md" .) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
