//! What runs the YAML cases of policies: `placet policy test` and the tests of placet-gate run the same cases with this code.
//!
//! A case says who wrote what when, and what Placet must answer; `docs/policies.md` has the format. Files are read by whoever
//! runs the cases, so that nothing here does I/O.

mod case;
mod expect;
mod given;
mod place;
mod resolve;
pub mod signing;

use std::path::PathBuf;

pub use case::{Played, is_case, play, title};
pub use given::{Base, ClearedOnce, Edited, Given, SeenAs, SignedBy, policy_objects};
pub use place::{At, merge};
pub use resolve::resolve;

/// A case that cannot be asked: it holds neither yes nor no.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file that cannot be read or understood.
    #[error("{}: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What was wanted and found.
        why: String,
    },
    /// The case wants what cannot be.
    #[error("{0}")]
    Case(String),
}
