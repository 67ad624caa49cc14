{{- define "who" }}parent wins{{ end -}}
