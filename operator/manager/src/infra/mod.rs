//! Plumbing that knows nothing of releases, gates or evidence: watching the API server, telling the time, serving
//! TLS, keeping certificates and keys, electing a leader, owning tasks.
//!
//! Everything here takes plain strings and JSON. What an object *means* is decided elsewhere.

pub mod backoff;
pub mod cabundle;
pub mod client;
pub mod clock;
pub mod door;
pub mod freshness;
pub mod health;
pub mod lease;
pub mod pki;
pub mod pki_keeper;
pub mod room;
pub mod secrets;
pub mod server;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod watch;
pub mod watch_list;
pub mod watch_read;

#[cfg(test)]
pub(crate) mod fake_api;
