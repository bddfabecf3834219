{{/* What the schema does not say, with its reason: refused by template, install and upgrade (helm lint takes no notice). */}}
{{- define "coven.validate" -}}
{{- $url := dig "store" "url" "" .Values.config -}}
{{- if eq .Values.mode "cluster" -}}
{{- if and (not $url) (not .Values.existingSecret) -}}
{{- fail "config.store.url: in mode cluster give the address of Redis here, or as COVEN_STORE__URL in the Secret named by existingSecret" -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.config.upstream) (not .Values.existingSecret) -}}
{{- fail "config.upstream: at least one is needed" -}}
{{- end -}}
{{- $secrets := 0 -}}
{{- range .Values.config.upstream -}}
{{- if not (index . "secret-file") -}}{{- $secrets = add1 $secrets -}}{{- end -}}
{{- end -}}
{{- if and $secrets (not .Values.existingSecret) -}}
{{- fail "existingSecret: the upstreams' component secrets are missing: name a Secret with COVEN_UPSTREAM__0__SECRET and so on, or mount files and set secret-file" -}}
{{- end -}}
{{- range $role := ternary (list "node" "front") (list "single") (eq .Values.mode "cluster") -}}
{{- $values := index $.Values $role -}}
{{- if lt (int $values.terminationGracePeriodSeconds) (add (int $values.preStopSeconds) 20 | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d leaves less than 20 s after preStopSeconds (%d): coven would be killed while it drains" $role (int $values.terminationGracePeriodSeconds) (int $values.preStopSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
