//! What decides: pure functions from a [`world::Snapshot`] to a [`Decision`]. No clock, no environment, no I/O.
//!
//! Reconciler, webhook, command line and replay call [`evaluate`], and nothing else decides (invariant 1).

pub mod admission;
pub mod asked;
mod canonical;
pub mod cel;
pub mod circumstances;
pub mod class;
pub mod controls;
pub mod decision;
pub mod digest;
pub mod evidence;
pub mod fairness;
pub mod finding;
pub mod gates;
pub mod guard;
pub mod object;
pub mod obligations;
pub mod outcome;
pub mod overview;
pub mod people;
pub mod policy;
pub mod rank;
mod regions;
pub mod register;
pub mod render;
pub mod risk;
pub mod signature;
pub mod signed;
pub mod spec;
pub mod stamp;
pub mod time;
pub mod username;
pub mod visible;
pub mod world;

pub use decision::{Cleared, Decision, evaluate};

/// Name and version of this crate, as records of decisions give it.
pub const ENGINE: &str = concat!("placet-gate/", env!("CARGO_PKG_VERSION"));
