{{/* Executions wanted per worker that are aimed at. */}}
{{- define "sparkler.executionsTarget" -}}
{{- div (mul .Values.admission.maxExecutions .Values.autoscaling.targetUtilization) 100 | max 1 -}}
{{- end -}}

{{/* Quickly more, slowly fewer: a worker that goes must first end its streams. */}}
{{- define "sparkler.scalingBehavior" -}}
{{- if .Values.autoscaling.behavior -}}
{{- toYaml .Values.autoscaling.behavior -}}
{{- else -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - type: Percent
      value: 100
      periodSeconds: 60
scaleDown:
  stabilizationWindowSeconds: {{ int .Values.autoscaling.scaleDownStabilizationSeconds }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: 120
{{- end -}}
{{- end -}}

{{/* The number of workers. An autoscaler owns it; but a field that a release no
     longer has goes back to its default, which is one worker. So what runs
     already keeps its number, and only a first install has none. */}}
{{- define "sparkler.replicas" -}}
{{- if eq .Values.autoscaling.mode "none" -}}
replicas: {{ int .Values.replicas }}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "sparkler.fullname" .) -}}
replicas: {{ int .spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}
