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

{{/* The full reference of one image, from (list . NAME): the digest wins over the tag. */}}
{{- define "kaito.image" -}}
{{- $name := index . 1 -}}
{{- $image := index (index . 0).Values.images $name -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else if $image.tag -}}
{{ $image.repository }}:{{ $image.tag }}
{{- else -}}
{{ fail (printf "images.%s has neither a tag nor a digest: set one of them" $name) }}
{{- end -}}
{{- end -}}
