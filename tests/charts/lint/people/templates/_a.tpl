{{- define "people.a" }}{{ end }}
