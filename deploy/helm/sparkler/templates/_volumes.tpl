{{/* What is mounted, as a list of name and Secrets. Whole folders, never a
     subPath: only those follow a Secret that changes. */}}
{{- define "sparkler.mounts" -}}
{{- $mounts := list -}}
{{- with .Values -}}
{{- if ne .transport.mode "plainText" -}}
{{- $mounts = append $mounts (dict "name" "tls" "secrets" (list .transport.secretName)) -}}
{{- end -}}
{{- if eq .transport.mode "mtls" -}}
{{- $mounts = append $mounts (dict "name" "client-ca" "secrets" (list (.transport.clientCaSecretName | default .transport.secretName)) "key" .transport.clientCaKey) -}}
{{- end -}}
{{- if .callers.secretName -}}
{{- $mounts = append $mounts (dict "name" "callers" "secrets" (list .callers.secretName) "key" .callers.key) -}}
{{- end -}}
{{- if .credentials.secretNames -}}
{{- $mounts = append $mounts (dict "name" "credentials" "secrets" .credentials.secretNames) -}}
{{- end -}}
{{- if .cache.secretName -}}
{{- $mounts = append $mounts (dict "name" "cache" "secrets" (list .cache.secretName) "key" .cache.secretKey) -}}
{{- end -}}
{{- if .cache.otherSecretName -}}
{{- $mounts = append $mounts (dict "name" "other-cache" "secrets" (list .cache.otherSecretName) "key" .cache.secretKey) -}}
{{- end -}}
{{- if and .redis.url .redis.passwordSecretName -}}
{{- $mounts = append $mounts (dict "name" "redis" "secrets" (list .redis.passwordSecretName) "key" .redis.passwordSecretKey) -}}
{{- end -}}
{{- if and .redis.url .redis.caSecretName -}}
{{- $mounts = append $mounts (dict "name" "redis-ca" "secrets" (list .redis.caSecretName) "key" .redis.caSecretKey) -}}
{{- end -}}
{{- if .limits -}}
{{- $mounts = append $mounts (dict "name" "limits" "configMap" (printf "%s-limits" (include "sparkler.fullname" $))) -}}
{{- end -}}
{{- end -}}
{{- toJson $mounts -}}
{{- end -}}


{{/* Over hosts and zones as evenly as possible, or as the values say. */}}
{{- define "sparkler.topologySpread" -}}
{{- $selector := dict "matchLabels" (include "sparkler.selector" . | fromYaml) -}}
{{- $constraints := .Values.topologySpreadConstraints -}}
{{- if not $constraints -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $constraints = append $constraints (dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) -}}
{{- end -}}
{{- end -}}
{{- range $constraints }}
- {{ merge (dict) . (dict "labelSelector" $selector) | toYaml | nindent 2 | trim }}
{{- end }}
{{- end -}}
