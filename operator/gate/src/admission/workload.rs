//! The kinds of workloads that are judged, and where each keeps what is judged.

use serde_json::Value;

/// A kind of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Pod, core group.
    Pod,
    /// Deployment, group apps.
    Deployment,
    /// `StatefulSet`, group apps.
    StatefulSet,
    /// `DaemonSet`, group apps.
    DaemonSet,
    /// `ReplicaSet`, group apps.
    ReplicaSet,
    /// `ReplicationController`, core group.
    ReplicationController,
    /// Job, group batch.
    Job,
    /// `CronJob`, group batch.
    CronJob,
}

impl Workload {
    /// All kinds.
    pub const ALL: [Workload; 8] = [
        Workload::Pod,
        Workload::Deployment,
        Workload::StatefulSet,
        Workload::DaemonSet,
        Workload::ReplicaSet,
        Workload::ReplicationController,
        Workload::Job,
        Workload::CronJob,
    ];

    /// The kind by API group and kind, as `request.kind` has them.
    pub fn of_kind(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.group() == group && w.as_str() == kind)
    }

    /// The kind by API group and resource, as `request.resource` has them: for the subresource `scale`, whose kind is
    /// Scale whatever is scaled.
    pub fn of_resource(group: &str, resource: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.group() == group && w.resource() == resource)
    }

    /// Kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Workload::Pod => "Pod",
            Workload::Deployment => "Deployment",
            Workload::StatefulSet => "StatefulSet",
            Workload::DaemonSet => "DaemonSet",
            Workload::ReplicaSet => "ReplicaSet",
            Workload::ReplicationController => "ReplicationController",
            Workload::Job => "Job",
            Workload::CronJob => "CronJob",
        }
    }

    /// API group; empty for the core group.
    pub fn group(self) -> &'static str {
        match self {
            Workload::Pod | Workload::ReplicationController => "",
            Workload::Job | Workload::CronJob => "batch",
            _ => "apps",
        }
    }

    /// Resource, the plural in lower case.
    pub fn resource(self) -> &'static str {
        match self {
            Workload::Pod => "pods",
            Workload::Deployment => "deployments",
            Workload::StatefulSet => "statefulsets",
            Workload::DaemonSet => "daemonsets",
            Workload::ReplicaSet => "replicasets",
            Workload::ReplicationController => "replicationcontrollers",
            Workload::Job => "jobs",
            Workload::CronJob => "cronjobs",
        }
    }

    /// Whether the kind has the subresource `scale`.
    pub fn scales(self) -> bool {
        matches!(
            self,
            Workload::Deployment
                | Workload::StatefulSet
                | Workload::ReplicaSet
                | Workload::ReplicationController
        )
    }

    /// Name of the service account in kube-system whose controller creates this kind's pods.
    pub(super) fn pod_controller(self) -> Option<&'static str> {
        match self {
            Workload::ReplicaSet => Some("replicaset-controller"),
            Workload::ReplicationController => Some("replication-controller"),
            Workload::StatefulSet => Some("statefulset-controller"),
            Workload::DaemonSet => Some("daemon-set-controller"),
            Workload::Job => Some("job-controller"),
            Workload::Pod | Workload::Deployment | Workload::CronJob => None,
        }
    }

    /// Where the pod template lies, as text; empty for a pod, which is its own.
    pub(super) fn template_path(self) -> &'static str {
        match self {
            Workload::Pod => "",
            Workload::CronJob => "spec.jobTemplate.spec.template.",
            _ => "spec.template.",
        }
    }

    /// The pod template (the pod itself for a pod): an object with `metadata` and `spec`.
    pub(super) fn template(self, object: &Value) -> Option<&Value> {
        match self {
            Workload::Pod => Some(object),
            Workload::CronJob => object.get("spec")?.get("jobTemplate")?.get("spec")?.get("template"),
            _ => object.get("spec")?.get("template"),
        }
    }

    /// The spec that counts pods: a `CronJob`'s is its Job template's.
    fn counting_spec(self, object: &Value) -> Option<&Value> {
        match self {
            Workload::CronJob => object.get("spec")?.get("jobTemplate")?.get("spec"),
            _ => object.get("spec"),
        }
    }

    /// How many pods are wanted at once: replicas or parallelism. The API server's default of one counts where nothing
    /// is written; a `DaemonSet` has one per node. None: not a number.
    pub(super) fn replicas(self, object: &Value) -> Option<i64> {
        let field = match self {
            Workload::Pod => return Some(1),
            Workload::DaemonSet => return Some(i64::MAX),
            Workload::Job | Workload::CronJob => "parallelism",
            _ => "replicas",
        };
        match self.counting_spec(object).and_then(|s| s.get(field)) {
            None | Some(Value::Null) => Some(1),
            Some(value) => value.as_i64(),
        }
    }

    /// Whether it is told not to start pods now: a suspended Job or `CronJob`, a paused Deployment.
    pub(super) fn suspended(self, object: &Value) -> bool {
        let is = |spec: Option<&Value>, field: &str| {
            spec.and_then(|s| s.get(field)).and_then(Value::as_bool) == Some(true)
        };
        match self {
            Workload::Deployment => is(object.get("spec"), "paused"),
            Workload::Job => is(object.get("spec"), "suspend"),
            Workload::CronJob => {
                is(object.get("spec"), "suspend") || is(self.counting_spec(object), "suspend")
            }
            _ => false,
        }
    }

    /// Whether its controller deletes pods before it creates their successors, so that a hold would be an outage. For a
    /// Deployment: strategy Recreate, a rolling update without surge, or one that may take all pods away at once.
    pub(super) fn deletes_first(self, object: &Value) -> bool {
        match self {
            Workload::StatefulSet | Workload::DaemonSet => true,
            Workload::Deployment => {
                let strategy = object.get("spec").and_then(|s| s.get("strategy"));
                let recreate =
                    strategy.and_then(|s| s.get("type")).and_then(Value::as_str) == Some("Recreate");
                let rolling = |field: &str| strategy.and_then(|s| s.get("rollingUpdate")?.get(field));
                let no_surge = rolling("maxSurge").is_some_and(|v| match v {
                    Value::String(text) => text.trim_end_matches('%').parse() == Ok(0_u32),
                    number => number.as_i64() == Some(0),
                });
                let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
                // Percentages are of the replicas, rounded down (Kubernetes' intstr for maxUnavailable).
                let all_away = rolling("maxUnavailable").is_some_and(|v| {
                    let away = match v {
                        Value::String(text) => {
                            let percent = text.strip_suffix('%').and_then(|p| p.parse::<i64>().ok());
                            percent.map_or(0, |p| p.saturating_mul(replicas) / 100)
                        }
                        number => number.as_i64().unwrap_or(0),
                    };
                    replicas > 0 && away >= replicas
                });
                recreate || no_surge || all_away
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
