{{/* The pod of a role: coven.pod (dict "top" . "role" "node" "values" .Values.node). */}}
{{- define "coven.pod" -}}
{{- $top := .top -}}
{{- $values := .values -}}
{{- $cluster := ne .role "single" -}}
{{- $tls := "" -}}
{{- if $cluster -}}{{- $tls = include "coven.tls" (list $top .role) -}}{{- end -}}
metadata:
  annotations:
    checksum/config: {{ include "coven.config" (list $top (ternary .role "all" $cluster)) | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "coven.labels" (list $top .role) | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "coven.name" $top }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
  {{- with $top.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and $cluster $top.Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "coven.selector" (list $top $.role) | nindent 10 }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml $top.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: coven
      image: {{ include "coven.image" $top }}
      imagePullPolicy: {{ $top.Values.image.pullPolicy }}
      args: [serve, --config, /etc/coven/config/coven.toml]
      env:
        {{- include "coven.env" . | nindent 8 }}
      {{- with $top.Values.existingSecret }}
      envFrom:
        - secretRef:
            name: {{ . }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8088
        {{- if $cluster }}
        - name: link
          containerPort: 7400
        {{- end }}
      {{- include "coven.probes" $top | nindent 6 }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $values.preStopSeconds }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/coven/config
          readOnly: true
        {{- if .volume }}
        - name: data
          mountPath: /var/lib/coven
        {{- end }}
        {{- if $tls }}
        - name: tls
          mountPath: /etc/coven/tls
          readOnly: true
        {{- end }}
        {{- if $top.Values.admin.existingSecret }}
        - name: admin
          mountPath: /etc/coven/admin
          readOnly: true
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "coven.name" $top }}-{{ .role }}
    {{- with $tls }}
    - name: tls
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- with $top.Values.admin }}
    {{- if .existingSecret }}
    - name: admin
      secret:
        secretName: {{ .existingSecret }}
        defaultMode: 0440
        items:
          - key: {{ .key }}
            path: token
    {{- end }}
    {{- end }}
    {{- with .volume }}
    {{- if ne . "claim-template" }}
    - name: data
      {{- if eq . "emptyDir" }}
      emptyDir: {}
      {{- else }}
      persistentVolumeClaim:
        claimName: {{ . }}
      {{- end }}
    {{- end }}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* The address of a pod is new with each start; front-ends learn it from Redis, so it needs no name. */}}
{{- define "coven.env" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- if eq .role "node" }}
- name: POD_IP
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- name: COVEN_CLUSTER__ADVERTISE
  value: {{ ternary "[$(POD_IP)]:7400" "$(POD_IP):7400" (eq .top.Values.ipFamily "IPv6") | quote }}
{{- end }}
{{- with .top.Values.telemetry }}
{{- if .otlpEndpoint }}
- name: K8S_NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otlpEndpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .tracesSampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .tracesSamplerArg | quote }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ $.top.Release.Namespace }},k8s.pod.name=$(POD_NAME),k8s.node.name=$(K8S_NODE_NAME)
{{- end }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Started: the store was opened. Ready: it can serve. Alive: it is not stuck; never about Redis or an XMPP server, or an
outage of those would restart everything. */}}
{{- define "coven.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: http }
  {{- toYaml .Values.probes.startup | nindent 2 }}
readinessProbe:
  httpGet: { path: /readyz, port: http }
  {{- toYaml .Values.probes.readiness | nindent 2 }}
livenessProbe:
  httpGet: { path: /livez, port: http }
  {{- toYaml .Values.probes.liveness | nindent 2 }}
{{- end -}}
