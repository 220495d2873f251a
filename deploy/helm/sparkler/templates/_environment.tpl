{{/* All variables. Of two with one name the one of extraEnv stands: Helm's
     server-side apply refuses a list that has a name twice. */}}
{{- define "sparkler.env" -}}
{{- $own := dict -}}
{{- range .Values.extraEnv -}}
{{- $_ := set $own .name true -}}
{{- end -}}
{{- $all := list -}}
{{- range include "sparkler.environment" . | fromYamlArray -}}
{{- if not (hasKey $own .name) -}}
{{- $all = append $all . -}}
{{- end -}}
{{- end -}}
{{- range concat $all .Values.extraEnv }}
- name: {{ .name }}
  {{- omit . "name" | toYaml | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The worker's settings. Each name is a flag of `sparkler serve`; what is not
     here stays at the worker's own default. */}}
{{- define "sparkler.environment" -}}
{{- with .Values }}
- name: SPARKLER_LISTEN
  value: {{ printf "%s:50051" .transport.listenHost | quote }}
- name: SPARKLER_ADMIN_LISTEN
  value: {{ printf "%s:9464" .transport.listenHost | quote }}
- name: SPARKLER_WORKER_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: SPARKLER_WORKER_THREADS
  value: {{ int64 .workerThreads | quote }}
- name: SPARKLER_LOG_FORMAT
  value: json
- name: SPARKLER_LOG
  value: {{ .log.filter | quote }}
- name: SPARKLER_REFLECTION
  value: {{ .reflection | quote }}
{{- if eq .transport.mode "plainText" }}
- name: SPARKLER_INSECURE
  value: "true"
{{- else }}
- name: SPARKLER_HEALTH_LISTEN
  value: {{ printf "%s:50052" .transport.listenHost | quote }}
- name: SPARKLER_TLS_CERT_FILE
  value: /run/sparkler/tls/tls.crt
- name: SPARKLER_TLS_KEY_FILE
  value: /run/sparkler/tls/tls.key
{{- if eq .transport.mode "mtls" }}
- name: SPARKLER_TLS_CLIENT_CA_FILE
  value: /run/sparkler/client-ca/{{ .transport.clientCaKey }}
{{- end }}
{{- end }}
- name: SPARKLER_MAX_CONNECTION_AGE
  value: {{ .transport.maxConnectionAge | quote }}
- name: SPARKLER_MAX_CONNECTION_AGE_GRACE
  value: {{ .transport.maxConnectionAgeGrace | quote }}
{{- if .callers.secretName }}
- name: SPARKLER_CALLERS_FILE
  value: /run/sparkler/callers/{{ .callers.key }}
{{- end }}
- name: SPARKLER_TRUST_TENANT
  value: {{ .callers.trustTenant | quote }}
{{- if .credentials.secretNames }}
- name: SPARKLER_SECRETS_DIR
  value: /run/sparkler/credentials
{{- end }}
- name: SPARKLER_FIREWORKS_BASE_URL
  value: {{ .provider.baseUrl | quote }}
- name: SPARKLER_MAX_ATTEMPTS
  value: {{ int64 .provider.maxAttempts | quote }}
- name: SPARKLER_EMBEDDINGS_GATHER_WINDOW
  value: {{ .provider.embeddingsGatherWindow | quote }}
{{- if .cache.secretName }}
- name: SPARKLER_CACHE_SECRET_FILE
  value: /run/sparkler/cache/{{ .cache.secretKey }}
{{- end }}
{{- if .cache.otherSecretName }}
- name: SPARKLER_ADDITIONAL_CACHE_SECRET_FILES
  value: /run/sparkler/other-cache/{{ .cache.secretKey }}
{{- end }}
- name: SPARKLER_CACHE_TTL
  value: {{ .cache.ttl | quote }}
- name: SPARKLER_ALLOW_SHARED_CACHE
  value: {{ .cache.allowShared | quote }}
{{- if .redis.url }}
- name: SPARKLER_REDIS_URL
  value: {{ .redis.url | quote }}
{{- if .redis.passwordSecretName }}
- name: SPARKLER_REDIS_PASSWORD_FILE
  value: /run/sparkler/redis/{{ .redis.passwordSecretKey }}
{{- end }}
{{- if .redis.caSecretName }}
- name: SPARKLER_REDIS_CA_FILE
  value: /run/sparkler/redis-ca/{{ .redis.caSecretKey }}
{{- end }}
{{- end }}
- name: SPARKLER_MAX_EXECUTIONS
  value: {{ int64 .admission.maxExecutions | quote }}
{{- if .admission.maxExecutionsPerTenant }}
- name: SPARKLER_MAX_EXECUTIONS_PER_TENANT
  value: {{ int64 .admission.maxExecutionsPerTenant | quote }}
{{- end }}
{{- if .limits }}
- name: SPARKLER_LIMITS_FILE
  value: /run/sparkler/limits/limits.json
{{- end }}
- name: SPARKLER_PRE_DRAIN_DELAY
  value: {{ printf "%ds" (int .drain.preDrainDelaySeconds) | quote }}
- name: SPARKLER_DRAIN_LIMIT
  value: {{ printf "%ds" (int .drain.limitSeconds) | quote }}
{{- end }}
{{- include "sparkler.telemetry" . }}
{{- end -}}

{{/* The names that OpenTelemetry gives these. */}}
{{- define "sparkler.telemetry" }}
{{- with .Values.telemetry }}
{{- if .otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otlpEndpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .otlpProtocol | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .sampleRatio | quote }}
{{- if .headersSecretName }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ .headersSecretName }}
      key: {{ .headersSecretKey }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE_NAME)
{{- end }}
{{- end }}
{{- end -}}
