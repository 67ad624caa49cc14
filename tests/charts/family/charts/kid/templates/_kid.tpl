{{- define "who" }}kid wins{{ end -}}
