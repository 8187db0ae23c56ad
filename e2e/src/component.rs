//! The parts of the control plane that a test can kill and start.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// One process of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The store of the API server.
    Etcd,
    /// kube-apiserver.
    #[serde(rename = "kube-apiserver")]
    ApiServer,
    /// kube-controller-manager.
    #[serde(rename = "kube-controller-manager")]
    ControllerManager,
    /// kube-scheduler.
    #[serde(rename = "kube-scheduler")]
    Scheduler,
    /// The simulator of nodes and of the pods on them.
    Kwok,
}

impl Component {
    /// All, in the order in which they start.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kwok];

    /// The name of its binary and of its log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Component {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|component| component.name() == text).ok_or_else(|| {
            Error::unmet(
                format!("one of {}", Self::ALL.map(Self::name).join(", ")),
                format!("{text:?}"),
                "name one of them",
            )
        })
    }
}
