{{/* The prefix of all names: the release's name, which most people call placet. 40 characters leave room for suffixes. */}}
{{- define "placet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "placet.selectorLabels" -}}
app.kubernetes.io/name: placet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "placet.labels" -}}
{{ include "placet.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "placet.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Pod security: the restricted standard. */}}
{{- define "placet.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "placet.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Who and where the operator is; the same for `run` and `uninstall`. */}}
{{- define "placet.env" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: PLACET_SERVICE
  value: {{ include "placet.fullname" . }}
- name: PLACET_RELEASE
  value: {{ include "placet.fullname" . }}
{{- end -}}

{{/* Subjects of a binding: call with an item of `bindings` or `access`. */}}
{{- define "placet.subjects" -}}
{{- range .groups }}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: {{ . | quote }}}
{{- end }}
{{- range .users }}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/*
Namespaces of `access` that do not exist yet, separated by spaces: a role binding into one of them would fail the whole
installation. Without a cluster to ask (`helm template`) none is missing.
*/}}
{{- define "placet.missingNamespaces" -}}
{{- $missing := list -}}
{{- if lookup "v1" "Namespace" "" "kube-system" -}}
{{- range .Values.access -}}
{{- range .namespaces -}}
{{- if not (lookup "v1" "Namespace" "" .) -}}
{{- $missing = append $missing . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- join " " (uniq $missing) -}}
{{- end -}}

{{/*
A cluster has one installation: the kinds, the namespaces' label and the webhooks are the cluster's. Fails when another
release has its webhooks in force, or the account of an operator bound. Without a cluster to ask (`helm template`, and so
Argo CD) nothing is found; there the names of the webhook configurations, which do not depend on the release, collide.
*/}}
{{- define "placet.refuseSecond" -}}
{{- $here := printf "release %s in namespace %s" .Release.Name .Release.Namespace -}}
{{- $others := list -}}
{{- $found := list -}}
{{- range $kind := list "MutatingWebhookConfiguration" "ValidatingWebhookConfiguration" -}}
{{- range (lookup "admissionregistration.k8s.io/v1" $kind "" "").items -}}
{{- $of := printf "release %s in namespace" (dig "labels" "app.kubernetes.io/instance" "unknown" .metadata) -}}
{{- $name := .metadata.name -}}
{{- range .webhooks -}}
{{- $service := .clientConfig.service -}}
{{- if and $service (hasSuffix ".placet.dev" .name) (ne $here (printf "%s %s" $of $service.namespace)) -}}
{{- $others = append $others (printf "%s %s" $of $service.namespace) -}}
{{- $found = append $found (printf "%s %s" $kind $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq "placet" (index $labels "app.kubernetes.io/name" | default "")) (hasSuffix "-operator" .roleRef.name) -}}
{{- $name := .metadata.name -}}
{{- range .subjects -}}
{{- $of := printf "release %s in namespace %s" (index $labels "app.kubernetes.io/instance" | default "") (.namespace | default "") -}}
{{- /* Bindings outlive a namespace that was deleted; its account does not. */}}
{{- if and .namespace (ne $here $of) (lookup "v1" "ServiceAccount" .namespace .name) -}}
{{- $others = append $others $of -}}
{{- $found = append $found (printf "ClusterRoleBinding %s" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $others -}}
{{- $first := first $others | splitList " " -}}
{{- fail (printf "\n\nwanted a cluster without another installation of Placet: kinds, labels and webhooks are the cluster's, and two operators undo each other's work\nfound  %s (%s)\ndo     upgrade that one (helm upgrade %s CHART -n %s), or remove it first (helm uninstall %s -n %s); if nothing but this is left of it, delete what was found\n" (uniq $others | join "; ") (uniq $found | join ", ") (index $first 1) (last $first) (index $first 1) (last $first)) -}}
{{- end -}}
{{- end -}}

{{/*
Webhook configurations go with the release's namespace, also when it is deleted without `helm uninstall`: otherwise they
would refuse pods for good, with nobody to answer. Without a cluster to ask (`helm template`) the operator adds it.
*/}}
{{- define "placet.ownedByNamespace" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace -}}
{{- if $namespace }}
ownerReferences:
- apiVersion: v1
  kind: Namespace
  name: {{ .Release.Namespace }}
  uid: {{ $namespace.metadata.uid }}
{{- end }}
{{- end -}}

{{/* Objects of placet.dev, deleted or changed by the controllers that end a namespace, are let through without us. */}}
{{- define "placet.ownMatchConditions" -}}
- name: not-by-namespace-controller
  expression: request.userInfo.username != "system:serviceaccount:kube-system:namespace-controller"
- name: not-by-garbage-collector
  expression: request.userInfo.username != "system:serviceaccount:kube-system:generic-garbage-collector"
# Both, where a controller manager has no account for each of its controllers.
- name: not-by-controller-manager
  expression: request.userInfo.username != "system:kube-controller-manager"
{{- end -}}

{{/* Namespaces that opted in; a misspelt value counts as deny. */}}
{{- define "placet.enforcingSelector" -}}
matchExpressions:
- {key: placet.dev/enforce, operator: Exists}
- {key: placet.dev/enforce, operator: NotIn, values: [warn, audit]}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace }}]}
{{- end -}}

{{- define "placet.watchingSelector" -}}
matchExpressions:
- {key: placet.dev/enforce, operator: In, values: [warn, audit]}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace }}]}
{{- end -}}

{{/* Everything that starts pods, and the ways to change what a pod runs. */}}
{{- define "placet.workloadRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [pods, replicationcontrollers]
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers, pods/status, replicationcontrollers/scale, replicationcontrollers/status]
# A binding's labels become the pod's.
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [pods/binding, bindings]
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [deployments, statefulsets, daemonsets, replicasets]
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [UPDATE]
  resources:
  - deployments/scale
  - statefulsets/scale
  - replicasets/scale
  # With a status the API server stores labels, too.
  - deployments/status
  - statefulsets/status
  - daemonsets/status
  - replicasets/status
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [jobs, cronjobs]
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [jobs/status, cronjobs/status]
{{- end -}}

{{- /*
Which updates are sent at all. Whatever these conditions leave out, the operator lets pass unrecorded; here it passes
with the operator gone, too: scale-down, finalizers, labels of others, whatever is on its way out. They never leave out
more than the operator does.
*/}}
{{- define "placet.workloadMatchConditions" -}}
- name: not-on-its-way-out
  expression: request.operation != 'UPDATE' || !has(oldObject.metadata.deletionTimestamp)
- name: no-binding-without-release
  expression: >-
    request.kind.kind != 'Binding' ||
    (has(object.metadata.labels) && 'placet.dev/release' in object.metadata.labels)
- name: starts-something
  expression: >-
    request.operation != 'UPDATE' ||
    (has(request.subResource) && request.subResource == 'status' ?
      (has(object.metadata.labels) && 'placet.dev/release' in object.metadata.labels ? object.metadata.labels['placet.dev/release'] : '') !=
      (has(oldObject.metadata.labels) && 'placet.dev/release' in oldObject.metadata.labels ? oldObject.metadata.labels['placet.dev/release'] : '')
    : has(request.subResource) && request.subResource == 'scale' ?
      (has(object.spec) && has(object.spec.replicas) ? object.spec.replicas : 0) >
      (has(oldObject.spec) && has(oldObject.spec.replicas) ? oldObject.spec.replicas : 0)
    : request.kind.kind == 'Pod' ?
      object.spec != oldObject.spec ||
      (has(object.metadata.labels) && 'placet.dev/release' in object.metadata.labels ? object.metadata.labels['placet.dev/release'] : '') !=
      (has(oldObject.metadata.labels) && 'placet.dev/release' in oldObject.metadata.labels ? oldObject.metadata.labels['placet.dev/release'] : '')
    : request.kind.kind == 'CronJob' ?
      object.spec.jobTemplate != oldObject.spec.jobTemplate ||
      (has(oldObject.spec.suspend) && oldObject.spec.suspend && !(has(object.spec.suspend) && object.spec.suspend)) ||
      (has(object.metadata.labels) && 'placet.dev/release' in object.metadata.labels ? object.metadata.labels['placet.dev/release'] : '') !=
      (has(oldObject.metadata.labels) && 'placet.dev/release' in oldObject.metadata.labels ? oldObject.metadata.labels['placet.dev/release'] : '')
    : has(object.spec.template) != has(oldObject.spec.template) ||
      (has(object.spec.template) && object.spec.template != oldObject.spec.template) ||
      (has(object.spec.replicas) ? object.spec.replicas : 1) > (has(oldObject.spec.replicas) ? oldObject.spec.replicas : 1) ||
      (has(object.spec.parallelism) ? object.spec.parallelism : 1) > (has(oldObject.spec.parallelism) ? oldObject.spec.parallelism : 1) ||
      (has(oldObject.spec.suspend) && oldObject.spec.suspend && !(has(object.spec.suspend) && object.spec.suspend)) ||
      (has(oldObject.spec.paused) && oldObject.spec.paused && !(has(object.spec.paused) && object.spec.paused)) ||
      (has(object.metadata.labels) && 'placet.dev/release' in object.metadata.labels ? object.metadata.labels['placet.dev/release'] : '') !=
      (has(oldObject.metadata.labels) && 'placet.dev/release' in oldObject.metadata.labels ? oldObject.metadata.labels['placet.dev/release'] : ''))
{{- end -}}

{{- define "placet.client" -}}
service:
  name: {{ include "placet.fullname" . }}
  namespace: {{ .Release.Namespace }}
  port: 8443
{{- end -}}
