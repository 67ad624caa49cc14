{{- define "down" -}}
{{- if gt (int .) 0 -}}{{ . }} {{ include "down" (sub (int .) 1) }}{{- end -}}
{{- end -}}
{{- define "inner" }}<{{ .n }}{{ if .root }}{{ tpl "{{ .Values.port }}" .root }}{{ end }}>{{ end -}}
{{- define "twice" }}first{{ end -}}
