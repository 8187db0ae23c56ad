//! The Placet operator: what acts.

pub mod infra;
