{{/* Executions under way per worker that are aimed at. */}}
{{- define "sparkler.executionsTarget" -}}
{{- div (mul .Values.admission.maxExecutions .Values.autoscaling.targetUtilization) 100 | max 1 -}}
{{- end -}}

{{/* Quickly more, slowly fewer: a worker that goes must first end its streams. */}}
{{- define "sparkler.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - type: Percent
      value: 100
      periodSeconds: 60
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownStabilizationSeconds }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: 120
{{- end -}}
