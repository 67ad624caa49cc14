{{- define "outer" }}
{{ include "inner" . }}
{{- end }}
{{- define "inner" }}{{ .Values.absent.field }}{{ end }}
{{- define "forever" }}{{ include "forever" . }}{{ end }}
