//! What acts: caches, controllers, admission webhooks, effects. Decides nothing itself; placet-gate does.
//!
//! ```text
//! stores → state → reconcile ─┬→ ledger   1 evidence
//!                  admission ─┘→ effects  2 holds, status  3 events
//! ```

pub mod access;
pub mod admission;
pub mod affected;
pub mod classes;
pub mod cleared;
pub mod coming;
pub mod conditions;
pub mod config;
pub mod deletions;
pub mod effects;
pub mod guard;
pub mod infra;
pub mod ledger;
pub mod lift;
pub mod memory;
pub mod parents;
pub mod places;
pub mod queue;
pub mod quota;
pub mod receipts;
pub mod reconcile;
pub mod registers;
mod retry;
pub mod roles;
pub mod run;
pub mod services;
pub mod slim;
pub mod state;
pub mod status;
pub mod stores;
pub mod subjects;
pub mod unseen;

#[cfg(test)]
mod basis_tests;
#[cfg(test)]
mod many_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod replica_tests;
#[cfg(test)]
mod systems_tests;
#[cfg(test)]
mod testbed;
