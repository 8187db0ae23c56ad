//! One node of the cluster that is ours: containers of our own image run on it as real processes.
//!
//! It is a test harness, not a kubelet. It does what the operator's own pods need: environment, volumes, service
//! account, probes, restarts, termination. What changes a pod's meaning and cannot be done without containers is
//! refused loudly (see [`support`]). Accepted and not enforced: `securityContext`, `resources`, `imagePullPolicy`.

mod addresses;
mod agent;
mod atomic_dir;
mod book;
mod claims;
mod container;
mod environment;
mod heartbeat;
mod kubelet;
mod paths;
mod probe;
mod status;
mod support;
mod volumes;
mod worker;

use std::time::Duration;

pub(crate) use addresses::{PodNet, node_address, process_address};
pub(crate) use agent::{Agent, Parts, RunningPods};
pub(crate) use heartbeat::register;
pub(crate) use volumes::claim_dir;

/// The name of our node.
pub const REAL_NODE: &str = "placet-node";
/// The label (and taint key) of our node, with the value `true`.
pub const REAL_NODE_LABEL: &str = "placet.dev/real-node";
/// Helm values that put a chart's pods on our node.
pub const REAL_NODE_VALUES: &str = "nodeSelector:
  placet.dev/real-node: \"true\"
tolerations:
- key: placet.dev/real-node
  operator: Exists
  effect: NoSchedule
";
/// The user that the node's agent is.
pub(crate) const AGENT_USER: &str = "placet-node";
/// The default storage class.
pub(crate) const STORAGE_CLASS: &str = "placet-local";
/// Its provisioner.
pub(crate) const PROVISIONER: &str = "placet.dev/local";

/// Watches try again at this pace for ever: tests kill the API server and want to go on at once when it is back.
#[derive(Clone, Debug)]
pub(crate) struct SteadyBackoff;

impl Iterator for SteadyBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(250))
    }
}

impl kube::runtime::utils::Backoff for SteadyBackoff {
    fn reset(&mut self) {}
}
