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

{{/* The labels of an object: (dict "root" $ "own" {…}). Of two with one name the
     object's own stands, and those of the selector always do: Helm 4 refuses a map
     that has a name twice. */}}
{{- define "sparkler.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $usual := dict "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" $chart -}}
{{- $selector := include "sparkler.selector" .root | fromYaml -}}
{{- merge (dict) $selector (.own | default dict) .root.Values.commonLabels $usual | toYaml -}}
{{- end -}}

{{/* The metadata of an object: (dict "root" $ "name" "…" "suffix" "…" "labels" {…}
     "annotations" {…}), all but root as needed. */}}
{{- define "sparkler.metadataOf" -}}
name: {{ .name | default (include "sparkler.fullname" .root) }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "sparkler.labels" (dict "root" .root "own" .labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "sparkler.metadata" -}}
{{- include "sparkler.metadataOf" (dict "root" .) -}}
{{- end -}}

{{- define "sparkler.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "sparkler.fullname" .) "default") -}}
{{- end -}}

{{- define "sparkler.image" -}}
{{- $repository := required "image.repository: say where you keep the image that deploy/Containerfile builds" .Values.image.repository -}}
{{- $global := .Values.global | default dict -}}
{{- with $global.imageRegistry | default .Values.image.registry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Pull secrets, by name or as references, those of global included. */}}
{{- define "sparkler.imagePullSecrets" -}}
{{- $global := .Values.global | default dict -}}
{{- $names := list -}}
{{- range concat .Values.imagePullSecrets ($global.imagePullSecrets | default list) -}}
{{- $names = append $names (kindIs "map" . | ternary . (dict "name" .)) -}}
{{- end -}}
{{- with $names | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* A security context, without ids where OpenShift chooses them. */}}
{{- define "sparkler.securityContext" -}}
{{- $context := deepCopy .context -}}
{{- $has := .root.Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- if or (eq .root.Values.openshift "always") (and $has (eq .root.Values.openshift "auto")) -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* The host and the port of a URL, as "host:port" of which the port may be
     missing: what stands between the scheme, a user and the path. */}}
{{- define "sparkler.authority" -}}
{{- regexReplaceAll "^.*@" (regexReplaceAll "[/?].*$" (regexReplaceAll "^[^:]+://" . "") "") "" -}}
{{- end -}}

{{/* Ports of an egress rule: those that are given, or those of the URL's hosts,
     or a default for each host without one. */}}
{{- define "sparkler.egressPorts" -}}
{{- $ports := .given -}}
{{- if not $ports -}}
{{- range splitList "," (include "sparkler.authority" .url) -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default $.usual | int) -}}
{{- end -}}
{{- $ports = concat $ports (.further | default list) -}}
{{- end -}}
ports:
  {{- range $ports | uniq }}
  - port: {{ int . }}
    protocol: TCP
  {{- end }}
{{- end -}}

{{- define "sparkler.providerHost" -}}
{{- regexReplaceAll ":[0-9]+$" (include "sparkler.authority" .Values.provider.baseUrl) "" -}}
{{- end -}}

{{- define "sparkler.providerPorts" -}}
{{- $usual := hasPrefix "https" .Values.provider.baseUrl | ternary 443 80 -}}
{{- include "sparkler.egressPorts" (dict "given" .Values.networkPolicy.provider.ports "url" .Values.provider.baseUrl "usual" $usual) -}}
{{- end -}}

{{/* kubelet's gRPC probes speak no TLS: then health has a port of its own. */}}
{{- define "sparkler.probePort" -}}
{{- eq .Values.transport.mode "plainText" | ternary 50051 50052 -}}
{{- end -}}

{{/* What a pod may take to stop: the two limits of the drain, a second for the
     farewell, one for what hangs, five for telemetry, and five to spare. */}}
{{- define "sparkler.terminationSeconds" -}}
{{- add .Values.drain.preDrainDelaySeconds .Values.drain.limitSeconds 12 -}}
{{- end -}}

{{/* Whether helm test has a pod: it must be able to pass for a caller. */}}
{{- define "sparkler.hasCheck" -}}
{{- with .Values -}}
{{- if and .test.enabled (or .test.tokenSecretName (not .callers.secretName)) (or .test.certificateSecretName (ne .transport.mode "mtls")) -}}
true
{{- end -}}
{{- end -}}
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
{{- if regexMatch "://[^/@]*:[^/@]*@" .redis.url -}}
{{- fail "redis.url: a password does not belong in values; name the Secret that holds it in redis.passwordSecretName" -}}
{{- end -}}
{{- if and (eq .autoscaling.mode "keda") (not .autoscaling.prometheusAddress) -}}
{{- fail "autoscaling.prometheusAddress: KEDA needs the Prometheus to query" -}}
{{- end -}}
{{- if gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas: must not be above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .certificate.enabled (not .certificate.issuerRef.name) -}}
{{- fail "certificate.issuerRef.name: name the issuer that signs the workers' certificate" -}}
{{- end -}}
{{- if and .certificate.enabled (eq .transport.mode "plainText") -}}
{{- fail "certificate.enabled: workers that speak plain text show no certificate; set transport.mode to tls or mtls, or leave it out" -}}
{{- end -}}
{{- if and .grpcRoute.enabled (not .grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.parentRefs: name the Gateway that the route belongs to" -}}
{{- end -}}
{{- if and .monitoring.serviceMonitor.enabled .monitoring.podMonitor.enabled -}}
{{- fail "monitoring.podMonitor.enabled: with monitoring.serviceMonitor every worker would be scraped twice; choose one" -}}
{{- end -}}
{{- end -}}
{{- end -}}
