{{- define "sparkler.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sparkler.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sparkler.labels" -}}
{{ include "sparkler.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sparkler.metadata" -}}
name: {{ include "sparkler.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "sparkler.labels" . | nindent 2 }}
{{- end -}}

{{- define "sparkler.image" -}}
{{- $repository := required "image.repository: say where you keep the image that deploy/Containerfile builds" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* kubelet's gRPC probes speak no TLS: then health has a port of its own. */}}
{{- define "sparkler.probePort" -}}
{{- eq .Values.transport.mode "plainText" | ternary 50051 50052 -}}
{{- end -}}

{{/* What a pod may take to stop: the two limits of the drain, a second for the
     farewell, one for what hangs, five for telemetry, and five to spare. */}}
{{- define "sparkler.terminationSeconds" -}}
{{- add .Values.drain.leaveGraceSeconds .Values.drain.limitSeconds 12 -}}
{{- end -}}

{{/* What the schema cannot say, in sentences. */}}
{{- define "sparkler.check" -}}
{{- with .Values -}}
{{- if and (ne .transport.mode "plainText") (not .transport.secretName) -}}
{{- fail "transport.secretName: name the Secret with the certificate, or set transport.mode to plainText" -}}
{{- end -}}
{{- if and .redis.url (not .cache.secretName) -}}
{{- fail "cache.secretName: workers that share a Redis must share the cache secret; name the Secret that holds it" -}}
{{- end -}}
{{- if and .cache.otherSecretName (not .redis.url) -}}
{{- fail "cache.otherSecretName: only workers that share a Redis read what another secret has sealed; set redis.url, or leave it out" -}}
{{- end -}}
{{- if regexMatch "://[^/]*@" .redis.url -}}
{{- fail "redis.url: a password does not belong in values; name the Secret that holds it in redis.passwordSecretName" -}}
{{- end -}}
{{- if and (eq .autoscaling.mode "keda") (not .autoscaling.prometheusAddress) -}}
{{- fail "autoscaling.prometheusAddress: KEDA needs the Prometheus to ask" -}}
{{- end -}}
{{- if gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas: must not be above autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- end -}}
