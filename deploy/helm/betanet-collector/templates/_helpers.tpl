{{- define "betanet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "betanet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "betanet.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "betanet.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "betanet.allocatorName" -}}
{{- printf "%s-allocator" (include "betanet.fullname" .) -}}
{{- end -}}

{{- define "betanet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "betanet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "betanet.allocatorSelectorLabels" -}}
app.kubernetes.io/name: {{ include "betanet.name" . }}-allocator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "betanet.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: betanet-collector
{{- end -}}

{{- define "betanet.labels" -}}
{{ include "betanet.selectorLabels" . }}
{{ include "betanet.commonLabels" . }}
{{- end -}}

{{- define "betanet.allocatorLabels" -}}
{{ include "betanet.allocatorSelectorLabels" . }}
{{ include "betanet.commonLabels" . }}
{{- end -}}

{{- define "betanet.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "betanet.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "betanet.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "betanet.replicas" -}}
{{- if has .Values.mode (list "shards" "allocator") }}{{ .Values.replicas }}{{ else }}1{{ end -}}
{{- end -}}

{{/* Whether the collector reads the list of targets itself. */}}
{{- define "betanet.readsTargets" -}}
{{- if has .Values.mode (list "static" "shards") }}true{{ end -}}
{{- end -}}

{{/* Whether the allocator reads the list of targets. */}}
{{- define "betanet.allocatorReadsTargets" -}}
{{- if and (eq .Values.mode "allocator") (not .Values.allocator.scrapeConfigs) }}true{{ end -}}
{{- end -}}

{{/* The configuration that the chart makes. */}}
{{- define "betanet.madeConfig" -}}
receivers:
  {{ if and .Values.definition (ne .Values.definition "betanet") }}http_json{{ else }}betanet{{ end }}:
    {{- with .Values.definition }}
    definition: {{ . }}
    {{- end }}
    {{- if include "betanet.readsTargets" . }}
    file_sd_configs:
      - files: [/etc/betanet/targets/*.json]
    {{- else if eq .Values.mode "allocator" }}
    http_sd_configs:
      {{- range default (list (dict "job_name" "betanet")) .Values.allocator.scrapeConfigs }}
      - url: http://{{ include "betanet.allocatorName" $ }}/jobs/{{ .job_name | urlquery | replace "+" "%20" }}/targets?collector_id=${env:POD_NAME}
        refresh_interval: {{ $.Values.allocator.refreshInterval }}
      {{- end }}
    {{- else if eq .Values.mode "kubernetes" }}
    kubernetes_sd_configs:
      - role: {{ .Values.kubernetes.role }}
        {{- with .Values.kubernetes.namespaces }}
        namespaces: { names: {{ toJson . }} }
        {{- end }}
        {{- with .Values.kubernetes.selectors }}
        selectors: {{ toJson . }}
        {{- end }}
        {{- with .Values.kubernetes.attachMetadata }}
        attach_metadata: {{ toJson . }}
        {{- end }}
    {{- with .Values.kubernetes.relabelConfigs }}
    relabel_configs: {{ toJson . }}
    {{- end }}
    {{- end }}
    {{- if eq .Values.mode "shards" }}
    shard:
      index: ${env:POD_NAME}
      count: ${env:SHARD_COUNT}
    {{- end }}
    collection_interval: {{ .Values.collectionInterval }}
processors:
  memory_limiter: { check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 20 }
exporters:
  prometheus: { endpoint: "0.0.0.0:{{ .Values.service.port }}" }
extensions:
  health_check: { endpoint: "0.0.0.0:{{ .Values.service.port }}" }
  status_page: { endpoint: "0.0.0.0:{{ .Values.service.port }}" }
  {{- if .Values.persistence.enabled }}
  file_storage: { directory: /var/lib/betanet-collector/queue, create_directory: true }
  {{- end }}
service:
  extensions: [health_check, status_page{{ if .Values.persistence.enabled }}, file_storage{{ end }}]
  pipelines:
    metrics:
      receivers: [{{ if and .Values.definition (ne .Values.definition "betanet") }}http_json{{ else }}betanet{{ end }}]
      processors: [memory_limiter]
      exporters: [prometheus]
  telemetry:
    logs: { encoding: json }
    metrics:
      readers:
        - pull: { exporter: { prometheus: { host: 0.0.0.0, port: {{ .Values.service.telemetryPort }} } } }
{{- end -}}

{{/* That, with `config` over it. */}}
{{- define "betanet.config" -}}
{{- $made := include "betanet.madeConfig" . | fromYaml -}}
{{- if hasKey $made "Error" }}{{ fail (get $made "Error") }}{{ end -}}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.config)) -}}
{{- end -}}

{{/* The rules for the objects of a role. */}}
{{- define "betanet.discoveryRules" -}}
{{- $resources := dict "pod" (list "pods") "service" (list "services") "endpoints" (list "endpoints" "services" "pods") "endpointslice" (list "services" "pods") "node" (list) "ingress" (list) -}}
{{- with get $resources .Values.kubernetes.role }}
- apiGroups: [""]
  resources: {{ toJson . }}
  verbs: [get, list, watch]
{{- end }}
{{- if eq .Values.kubernetes.role "endpointslice" }}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- end }}
{{- if eq .Values.kubernetes.role "ingress" }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}

{{/* What is in no namespace: a ClusterRole is needed for these. */}}
{{- define "betanet.clusterResources" -}}
{{- $attach := .Values.kubernetes.attachMetadata -}}
{{- $resources := list -}}
{{- if or (eq .Values.kubernetes.role "node") $attach.node }}{{ $resources = append $resources "nodes" }}{{ end -}}
{{- if $attach.namespace }}{{ $resources = append $resources "namespaces" }}{{ end -}}
{{- if $resources }}{{ toJson $resources }}{{ end -}}
{{- end -}}
