{{/* The name of every object of the operator: <release>-operator. */}}
{{- define "kaito.name" -}}
{{- printf "%s-operator" (.Release.Name | trunc 53 | trimSuffix "-") -}}
{{- end -}}

{{/* What the operator's pods are selected by. It can never change. */}}
{{- define "kaito.selector" -}}
app.kubernetes.io/name: kaito-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kaito.labels" -}}
{{ include "kaito.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A full reference of one image: the digest wins over the tag. */}}
{{- define "kaito.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag }}
{{- end -}}
{{- end -}}
