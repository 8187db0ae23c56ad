//! Services beside the decisions: the head of the log outside its volume, orders about keys, reading the log, policy packs, uninstalling,
//! who the webhook configurations belong to, events.
//!
//! None of them decides anything. Each can fail without an admission answer changing.

pub mod events;
pub mod heads;
pub mod key_orders;
pub mod owner;
pub mod packs;
pub mod reading;
pub mod uninstall;

mod call;
#[cfg(test)]
pub(crate) mod fake;

pub use call::CallError;
