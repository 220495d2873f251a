{{/* What the two Services have in common. */}}
{{- define "sparkler.serviceSpec" -}}
{{- with .Values.service -}}
{{- with .trafficDistribution }}
trafficDistribution: {{ . }}
{{- end }}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}
selector:
  {{- include "sparkler.selector" . | nindent 2 }}
{{- end -}}
