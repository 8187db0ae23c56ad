//! A real Kubernetes control plane for Placet's demo, scenarios and benches.
//!
//! [`Cluster`] starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK as processes on free
//! loopback ports, with a certificate authority and people of its own. KWOK simulates nodes; one more node is *ours*
//! and runs containers of our own image as real processes under their pod's service account.
//!
//! Everything runs under a supervisor process (`placet-cluster serve`) that holds the reading end of a pipe: when the
//! process that owns the [`Cluster`] ends in whatever way, `kill -9` included, the pipe closes and the supervisor ends
//! every process and removes the directory. Should the supervisor itself be killed, the kernel ends its children
//! (parent death signal), and the next start removes the directory.

mod binaries;
mod cluster;
mod component;
mod error;
mod files;
mod http_probe;
mod kubeconfig;
mod layout;
mod mounts;
mod node;
mod outcome;
mod people;
mod pki;
pub mod placet;
mod process;
mod protocol;
mod scenario;
mod shared;
mod supervisor;
mod toolchain;

pub use cluster::{Cluster, Did, Options, Output};
pub use component::Component;
pub use error::{Error, Result};
pub use mounts::Mount;
pub use node::{REAL_NODE, REAL_NODE_LABEL, REAL_NODE_VALUES};
pub use outcome::{SKIPPED_FILE, record_skip};
pub use people::{PEOPLE, Person, person};
pub use process::exec_guarded;
pub use protocol::PodSignal;
pub use scenario::{SOON, eventually};
pub use shared::{own_images, shared_cluster};
pub use supervisor::{Config, reap, serve};
pub use toolchain::Toolchain;
