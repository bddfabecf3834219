{{/* What the objects share: names, labels, the image, the rendered coven.toml. */}}

{{- define "coven.name" -}}
{{- printf "%s-coven" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* coven.selector (list . "node"): what a role's pods have in common for ever. */}}
{{- define "coven.selector" -}}
app.kubernetes.io/name: coven
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "coven.labels" -}}
{{ include "coven.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "coven.image" -}}
{{- $image := .Values.image -}}
{{- if $image.registry }}{{ $image.registry }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{/* The Secret with a role's certificate; empty if links are plain. coven.tls (list . "node") */}}
{{- define "coven.tls" -}}
{{- $top := index . 0 -}}
{{- $role := index . 1 -}}
{{- if eq $top.Values.tls.mode "generated" -}}{{ include "coven.name" $top }}-{{ $role }}-tls
{{- else if eq $top.Values.tls.mode "existing" -}}{{ (index $top.Values.tls $role).existingSecret }}
{{- end -}}
{{- end -}}

{{/* A value in TOML, on one line. JSON's strings are strings of TOML. YAML gives numbers as floats: those are whole here. */}}
{{- define "coven.toml.value" -}}
{{- if kindIs "string" . -}}{{ toJson . }}
{{- else if kindIs "bool" . -}}{{ . }}
{{- else if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "coven.toml.value" $item }}{{ end }}]
{{- else if kindIs "map" . -}}
{ {{ range $i, $key := keys . | sortAlpha }}{{ if $i }}, {{ end }}{{ $key }} = {{ include "coven.toml.value" (get $ $key) }}{{ end }} }
{{- else -}}{{ int64 . }}
{{- end -}}
{{- end -}}

{{- define "coven.toml.table" -}}
{{- range $key := keys . | sortAlpha }}
{{ $key }} = {{ include "coven.toml.value" (get $ $key) }}
{{- end }}
{{- end -}}

{{/* The configuration: what the values say, and what is the chart's own. coven.config (list . "node"|"front"|"all") */}}
{{- define "coven.config" -}}
{{- $top := index . 0 -}}
{{- $role := index . 1 -}}
{{- $config := deepCopy $top.Values.config -}}
{{- $any := ternary "[::]" "0.0.0.0" (eq $top.Values.ipFamily "IPv6") -}}
{{- $http := dict "listen" (print $any ":8088") -}}
{{- if $top.Values.admin.existingSecret -}}
{{- $_ := set $http "admin-token-file" "/etc/coven/admin/token" -}}
{{- end -}}
{{- $_ := set $config "http" $http -}}
{{- if eq $role "all" -}}
{{- $_ := set $config "store" (mergeOverwrite (dict) ($config.store | default dict) (dict "url" "sqlite:/var/lib/coven/coven.db")) -}}
{{- else -}}
{{- $cluster := dict "listen" (print $any ":7400") -}}
{{- if eq $top.Values.tls.mode "plain" -}}
{{- $_ := set $cluster "plain" true -}}
{{- else -}}
{{- $_ := set $cluster "ca" "/etc/coven/tls/ca.crt" -}}
{{- $_ := set $cluster "cert" "/etc/coven/tls/tls.crt" -}}
{{- $_ := set $cluster "key" "/etc/coven/tls/tls.key" -}}
{{- end -}}
{{- $_ := set $config "cluster" $cluster -}}
{{- end -}}
# Made by the chart from its values.
role = {{ $role | quote }}
{{- range $key := keys $config | sortAlpha }}
{{- $value := get $config $key }}
{{- if kindIs "slice" $value }}
{{- range $value }}

[[{{ $key }}]]
{{- include "coven.toml.table" . }}
{{- end }}
{{- else if kindIs "map" $value }}

[{{ $key }}]
{{- include "coven.toml.table" $value }}
{{- end }}
{{- end }}
{{ end -}}
