//! The kinds that people write: one file per kind, no client, no I/O.
//!
//! [`crds`] gives their CustomResourceDefinitions as they are installed; [`Kind`] names them.

#![expect(
    clippy::doc_markdown,
    reason = "these docs are what `kubectl explain` prints: plain words, names without backticks"
)]

pub mod aisystem;
pub mod approval;
pub mod approvalrole;
pub mod common;
pub mod controlrule;
pub mod crd;
pub mod customgate;
pub mod datarule;
pub mod dataset;
pub mod guard;
pub mod impactassessment;
pub mod keys;
pub mod kind;
pub mod lifecycle;
pub mod modelrelease;
pub mod obligation;
pub mod releasepolicy;
pub mod riskacceptance;
pub mod scalar;
pub mod selector;
pub mod separation;
pub mod signed;
pub mod testreport;
pub mod trustedsigner;
pub mod validity;

pub use crd::crds;
pub use kind::Kind;
