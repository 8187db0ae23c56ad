//! What is said over the supervisor's control socket: one JSON line each way.

use serde::{Deserialize, Serialize};

use crate::component::Component;

/// A signal for a pod's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSignal {
    /// Ends it at once, as a crash or the out-of-memory killer does.
    Kill,
    /// Asks it to end.
    Term,
    /// Stops it where it is: it hangs, and its sockets stay open.
    Stop,
    /// Lets a stopped one go on.
    Cont,
}

impl From<PodSignal> for rustix::process::Signal {
    fn from(signal: PodSignal) -> Self {
        match signal {
            PodSignal::Kill => Self::KILL,
            PodSignal::Term => Self::TERM,
            PodSignal::Stop => Self::STOP,
            PodSignal::Cont => Self::CONT,
        }
    }
}

/// A request to the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub(crate) enum Request {
    /// Kill a component and leave it dead.
    Kill { component: Component },
    /// Start a component that is dead and wait until it is ready.
    Start { component: Component },
    /// Which components run.
    Status,
    /// Signal the processes of a pod on our node.
    SignalPod { namespace: String, name: String, container: Option<String>, signal: PodSignal },
    /// Stop everything.
    Shutdown,
}

/// The supervisor's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// Done.
    Done,
    /// The state of each component, one line each.
    Status(Vec<String>),
    /// Not done, and why.
    Failed(String),
}

/// What the supervisor tells on its standard output until the cluster is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// What it is doing.
    Progress(String),
    /// The cluster can be used.
    Ready,
    /// It cannot be started.
    Failed(String),
}

/// The facts about a running cluster, in `cluster.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// Process id of the supervisor.
    pub(crate) supervisor: u32,
    /// The API server's address.
    pub(crate) server: String,
    /// Where the built tools are.
    pub(crate) tools: std::path::PathBuf,
    /// The third byte of the addresses 10.244.x.y and 127.244.x.y of pods on our node.
    pub(crate) pod_net: u8,
    /// The directories of the binaries that pods run; for PATH, so that `kubectl placet` works.
    pub(crate) binaries: Vec<std::path::PathBuf>,
}
