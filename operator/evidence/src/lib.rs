//! What remembers: every decision of Placet, and every answer that governs a workload, is a record in a Merkle log
//! that anybody can verify without trusting the operator.
//!
//! # The log
//! A directory in the C2SP tlog-tiles format:
//!
//! ```text
//! checkpoint          size and root, a signed note (Ed25519)
//! tile/…              hashes and entries (entries are records: compact JSON)
//! objects/<aa>/<hex>  what records cite, each once, under its SHA-256
//! openings/…          values of people with the salts that open the commitments in records; erasable; guarded apart
//! wal/…               what is durable and not yet in the files above; private to the writer
//! old/<n>/…           logs that a successor follows, as they were found
//! ```
//!
//! # Writing
//! ```no_run
//! use std::sync::Arc;
//! use placet_evidence::{Config, FileHeads, Log, LogKey, NewRecord, Object, Payload, Subject, Withdrawal, Digest};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse()?;
//! let config = Config::new("/var/lib/placet/log", "placet.dev/<cluster uid>", "<cluster uid>");
//! let heads = Arc::new(FileHeads::new("/elsewhere"));
//! let log = Log::open(&config, &LogKey::from_seed(&[0; 32]), heads, now)?;
//! let release = Subject::new("ModelRelease", Some("credit"), "score-v1");
//! let object = Object::new(&br#"{"spec":{}}"#[..]);
//! let body = Withdrawal { digest: Digest::of(b"content"), stored: Some(object.digest()) };
//! let record = NewRecord::new(now, release, Payload::Withdrawal(body)).with_object(object);
//! let appended = log.append(record).wait()?; // or .await: durable from here on, effects may follow
//! println!("record {} with leaf {}", appended.index, appended.leaf);
//! # Ok(()) }
//! ```
//!
//! # What holds
//! - An answered append survives a crash and a loss of power: one write and one sync of the write-ahead log come first.
//! - The log never starts from a volume that was emptied, swapped, set back or damaged: [`Log::open`] reads all of it
//!   and compares it with a [`Head`] that is kept elsewhere ([`HeadStore`]).
//! - A failed write or sync ends the log's life in this process ([`AppendError::Poisoned`]).
//! - A record commits to who did it under a fresh salt; names are openings, and openings can be erased ([`Log::erase`]).
//!
//! # Reading
//! [`verify`] checks a published log; [`source`] reads records, objects and openings; [`merkle`] makes and checks
//! proofs over a [`source::TileTree`]; [`published`] names and copies files. None of them needs the writer.
//!
//! # What namespaces may cost
//! [`budget`] decides which refusals are records and which are counts.

pub mod budget;
pub mod hash;
pub mod head;
pub mod inputs;
pub mod log;
pub mod merkle;
pub mod note;
pub mod published;
pub mod record;
pub mod source;
pub mod tile;
pub mod untrusted;
pub mod verify;
pub mod vfs;
mod wal;

pub use hash::{Digest, TreeHash};
pub use head::{FileHeads, Head, HeadError, HeadStore, MemoryHeads};
pub use log::{AppendError, Appended, Config, Health, Log, OpenError, Pending, Usage};
pub use note::{LogKey, VerifierKey};
pub use record::*;
pub use source::Source;
pub use vfs::DirFs;
