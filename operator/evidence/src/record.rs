//! Records: the leaves of the log. A leaf is the exact bytes of a compact JSON text; nobody serialises it again.

mod bounds;
mod payload;
mod personal;
mod roles;
mod stamps;

pub use bounds::MOST_POLICIES;
pub use payload::*;
pub use personal::{ACTOR, CREATOR, Commitment, HOLDER, Opening, Personal, SIGNER, commit};
pub use roles::{MOST_WORDS, RoleStanding, Word};
pub use stamps::{KeyDistrust, KeyRotate, Stamped};

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::hash::{Digest, TreeHash, leaf_hash};

/// The longest leaf that the log takes, in bytes. The format's hard limit is [`crate::tile::MAX_ENTRY`]; half of it
/// leaves room for fields of later versions.
pub const MAX_RECORD: usize = 32 * 1024;
/// Version of the record format that this crate writes.
pub const RECORD_VERSION: u8 = 1;

/// What a record is about. The chain of `prev` links runs per subject, so a subject that lives longer than one pod
/// (the release, the owner of pods) makes the better chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Kind as in the API, for instance `ModelRelease`; `Log` for what concerns the log itself.
    pub kind: String,
    /// Namespace; absent for cluster kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Content digest of the subject at that time, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Subject {
    /// A subject in a namespace, without a digest.
    pub fn new(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            digest: None,
        }
    }

    /// The log itself as a subject.
    pub fn log() -> Self {
        Self::new("Log", None, "log")
    }

    /// 16 bytes that stand for kind, namespace and name: the key of the `prev` chain.
    pub(crate) fn chain_key(&self) -> [u8; 16] {
        let namespace = self.namespace.as_deref().unwrap_or("");
        let text = format!("{}\0{namespace}\0{}", self.kind, self.name);
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..16]);
        key
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// When a record was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordTime {
    /// Wall clock of the operator, UTC.
    pub wall: Timestamp,
}

/// A record as read from a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Unique id (UUID version 7: 48 bits of Unix milliseconds, then random).
    pub id: String,
    /// Position in the log: equal to the leaf's index, so that a missing record shows.
    pub seq: u64,
    /// Leaf hash of the last record about the same subject; `None` for its first.
    pub prev: Option<TreeHash>,
    /// When it was made.
    pub time: RecordTime,
    /// Uid of the cluster's `kube-system` namespace: names the cluster.
    pub cluster: String,
    /// What it is about.
    pub subject: Subject,
    /// Salted commitments to personal values; their openings are kept beside the log and can be erased.
    pub personal: Vec<Commitment>,
    /// Digests of stored objects that this record rests on; each is in the object store, and so is what a list among
    /// them names ([`crate::inputs`]).
    pub cites: Vec<Digest>,
    /// What happened.
    pub payload: Payload,
}

impl Record {
    /// Whether the record commits to who did what it tells. Records of what was found afterwards do not.
    pub fn has_actor(&self) -> bool {
        self.personal.iter().any(|c| c.field == ACTOR)
    }
}

/// The leaf's layout. `body` depends on `kind`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    v: u8,
    kind: Kind,
    id: String,
    seq: u64,
    prev: Option<TreeHash>,
    time: RecordTime,
    cluster: String,
    subject: Subject,
    #[serde(default)]
    personal: Vec<Commitment>,
    #[serde(default)]
    cites: Vec<Digest>,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// A leaf that is not a record of this version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON that was wanted: malformed, an unknown or repeated field, an unknown kind.
    #[error("not a record of version {RECORD_VERSION}: {0}")]
    Json(String),
    /// Another version.
    #[error("wanted a record of version {RECORD_VERSION}, found version {0}; a newer placet reads it")]
    Version(u8),
    /// Too long.
    #[error("a record has at most {MAX_RECORD} bytes, found {0}; store its bulk as objects and cite them")]
    TooLong(usize),
    /// Two personal values of one type.
    #[error("two personal values of type {0:?} in one record; a type stands once")]
    RepeatedPersonal(String),
    /// The type of a personal value is malformed.
    #[error("the type of a personal value has lower-case letters, digits, dots and dashes, found {0:?}")]
    PersonalType(String),
    /// No randomness.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

impl Record {
    /// Reads a leaf, strictly: unknown fields, repeated fields and unknown kinds are errors.
    pub fn parse(leaf: &[u8]) -> Result<Self, RecordError> {
        if leaf.len() > MAX_RECORD {
            return Err(RecordError::TooLong(leaf.len()));
        }
        let json = |e: serde_json::Error| RecordError::Json(e.to_string());
        let wire: Wire<'_> = serde_json::from_slice(leaf).map_err(json)?;
        if wire.v != RECORD_VERSION {
            return Err(RecordError::Version(wire.v));
        }
        let payload = Payload::parse(wire.kind, wire.body.get()).map_err(json)?;
        Ok(Self {
            id: wire.id,
            seq: wire.seq,
            prev: wire.prev,
            time: wire.time,
            cluster: wire.cluster,
            subject: wire.subject,
            personal: wire.personal,
            cites: wire.cites,
            payload,
        })
    }
}

/// An object to be kept: raw bytes under their digest. Stored once however often it is cited.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    digest: Digest,
    bytes: std::sync::Arc<[u8]>,
}

impl Object {
    /// An object of these bytes; computes their digest.
    pub fn new(bytes: impl Into<std::sync::Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// Its name in the store.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({}, {} bytes)", self.digest, self.bytes.len())
    }
}

/// A record to be appended. The log adds id, sequence number and the link to the subject's last record.
#[derive(Clone, Debug)]
pub struct NewRecord {
    /// When it happened, by the clock that the caller trusts.
    pub wall: Timestamp,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub payload: Payload,
    /// Names, comments and other values of people: only their salted commitments enter the leaf.
    pub personal: Vec<Personal>,
    /// Objects that the record rests on. Those that the log has already are not written again.
    pub objects: Vec<Object>,
}

impl NewRecord {
    /// A record without personal values and objects.
    pub fn new(wall: Timestamp, subject: Subject, payload: Payload) -> Self {
        Self { wall, subject, payload, personal: Vec::new(), objects: Vec::new() }
    }

    /// Says who did what the record tells, by user name.
    #[must_use]
    pub fn with_actor(self, user: &str) -> Self {
        self.with_personal(ACTOR, user)
    }

    /// Adds a personal value, for instance a comment.
    #[must_use]
    pub fn with_personal(mut self, field: &str, value: &str) -> Self {
        self.personal.push(Personal { field: field.to_owned(), value: value.to_owned() });
        self
    }

    /// Adds an object; the record cites it.
    #[must_use]
    pub fn with_object(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }
}

/// A record that is ready but for its place in the log. Made on the caller's thread, so that the one thread that owns
/// the tree only joins strings.
#[derive(Debug)]
pub(crate) struct Prepared {
    id: String,
    head: String,
    /// JSON.
    tail: Vec<u8>,
    pub(crate) chain_key: [u8; 16],
    pub(crate) wall: Timestamp,
    /// What it cites, and what a list that it cites names.
    pub(crate) cites: Vec<Digest>,
    pub(crate) objects: Vec<Object>,
    pub(crate) openings: Vec<Opening>,
}

/// Bytes that the tail of a usual record takes.
const USUAL_TAIL: usize = 1536;

/// The digits of the largest sequence number and a link: what [`Prepared::leaf`] adds at most.
const PLACE_ROOM: usize = 20 + 68;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tail<'a> {
    time: RecordTime,
    cluster: &'a str,
    subject: &'a Subject,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    personal: &'a [Commitment],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cites: &'a [Digest],
    body: &'a Payload,
}

impl Prepared {
    pub(crate) fn new(mut new: NewRecord, cluster: &str) -> Result<Self, RecordError> {
        new.subject.bound();
        new.payload.bound();
        let list = new.payload.list_inputs().map_err(|e| RecordError::Json(e.to_string()))?;
        // All at once: the kernel is asked for each.
        let mut random = vec![0u8; 10 + personal::SALT * new.personal.len()];
        getrandom::fill(&mut random).map_err(|e| RecordError::Random(e.to_string()))?;
        let (for_id, for_salts) = random.split_at(10);
        let id = uuid_v7(new.wall, for_id);
        let (personal, openings) = personal::seal(&new.personal, for_salts)?;
        let mut cites = new.payload.cites();
        let mut listed: HashSet<Digest> = HashSet::new();
        if let Some((list, inputs)) = list {
            new.objects.push(list);
            listed.extend(inputs);
        }
        cites.extend(new.objects.iter().map(Object::digest).filter(|d| !listed.contains(d)));
        let mut seen = HashSet::with_capacity(cites.len());
        cites.retain(|digest| seen.insert(*digest));
        let time = RecordTime { wall: new.wall };
        let tail = Tail {
            time,
            cluster,
            subject: &new.subject,
            personal: &personal,
            cites: &cites,
            body: &new.payload,
        };
        let mut text = Vec::with_capacity(USUAL_TAIL);
        serde_json::to_writer(&mut text, &tail).map_err(|e| RecordError::Json(e.to_string()))?;
        let tail = text;
        let kind = new.payload.kind().as_str();
        let head = format!("{{\"v\":{RECORD_VERSION},\"kind\":\"{kind}\",\"id\":\"{id}\",\"seq\":");
        let len = head.len() + tail.len() + PLACE_ROOM + "\"prev\":,".len();
        if len > MAX_RECORD {
            return Err(RecordError::TooLong(len));
        }
        cites.extend(listed);
        Ok(Self {
            id,
            head,
            tail,
            chain_key: new.subject.chain_key(),
            wall: new.wall,
            cites,
            objects: new.objects,
            openings,
        })
    }

    /// Takes out its objects, where they are more than one frame takes, in parts that are not.
    ///
    /// # Errors
    /// The bytes of an object that no frame takes, or of the rest of the record.
    pub(crate) fn split(&mut self, limit: usize) -> Result<Vec<Vec<Object>>, usize> {
        if self.bound() <= limit {
            return Ok(Vec::new());
        }
        let mut parts: Vec<Vec<Object>> = Vec::new();
        let mut room = 0;
        for object in std::mem::take(&mut self.objects) {
            let bytes = object.bytes().len() + 4;
            if bytes > limit {
                return Err(bytes);
            }
            if let Some(part) = parts.last_mut().filter(|_| bytes <= room) {
                part.push(object);
            } else {
                parts.push(vec![object]);
                room = limit;
            }
            room -= bytes;
        }
        let rest = self.bound();
        if rest > limit { Err(rest) } else { Ok(parts) }
    }

    /// Bytes that its openings take, at most: JSON writes one byte as six where it must.
    pub(crate) fn opened(&self) -> usize {
        self.openings.iter().map(|o| o.value.len() * 6 + 256).sum()
    }

    /// Bytes that the record takes in a frame, at most.
    pub(crate) fn bound(&self) -> usize {
        let openings = self.opened();
        let objects: usize = self.objects.iter().map(|o| o.bytes().len() + 4).sum();
        self.head.len() + self.tail.len() + PLACE_ROOM + 16 + objects + openings
    }

    /// The record's id.
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }

    /// The leaf at a place, and its hash.
    pub(crate) fn leaf(&self, seq: u64, prev: Option<TreeHash>) -> (Vec<u8>, TreeHash) {
        use std::io::Write as _;
        let mut leaf = Vec::with_capacity(self.head.len() + self.tail.len() + PLACE_ROOM + 8);
        leaf.extend_from_slice(self.head.as_bytes());
        // Writing into a vector cannot fail.
        let _ = match prev {
            Some(prev) => write!(leaf, "{seq},\"prev\":\"{prev}\","),
            None => write!(leaf, "{seq},\"prev\":null,"),
        };
        // The tail is a JSON object of its own; its fields continue ours.
        leaf.extend_from_slice(&self.tail[1..]);
        let hash = leaf_hash(&leaf);
        (leaf, hash)
    }
}

/// RFC 9562 version 7; ten random bytes.
fn uuid_v7(wall: Timestamp, random: &[u8]) -> String {
    let millis = u64::try_from(wall.as_millisecond()).unwrap_or(0);
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    for (byte, random) in bytes[6..].iter_mut().zip(random) {
        *byte = *random;
    }
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let h = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall() -> Timestamp {
        "2026-11-21T16:04:37.120394Z".parse().unwrap()
    }

    fn sample() -> NewRecord {
        let payload = Payload::Withdrawal(Withdrawal {
            digest: Digest::of(b"release"),
            stored: Some(Digest::of(b"stored")),
        });
        NewRecord::new(wall(), Subject::new("ModelRelease", Some("credit"), "score-v1"), payload)
            .with_actor("ada@example.test")
            .with_object(Object::new(&b"stored"[..]))
    }

    #[test]
    fn a_leaf_reads_back_as_written() {
        let prepared = Prepared::new(sample(), "cluster-1").unwrap();
        let prev = leaf_hash(b"before");
        let (leaf, hash) = prepared.leaf(42, Some(prev));
        assert_eq!(hash, leaf_hash(&leaf));
        let record = Record::parse(&leaf).unwrap();
        assert_eq!((record.seq, record.prev, record.time.wall), (42, Some(prev), wall()));
        assert_eq!(record.payload, sample().payload);
        assert_eq!(record.cites, [Digest::of(b"stored")]);
        assert_eq!(record.id.len(), 36);
        assert_eq!(&record.id[14..15], "7");
        let text = String::from_utf8(leaf).unwrap();
        assert!(!text.contains("ada@example.test"), "a name in a leaf: {text}");
        let opening = &prepared.openings[0];
        assert_eq!(record.personal[0].commit, commit(&opening.salt, &opening.field, &opening.value));
    }

    #[test]
    fn salts_are_fresh() {
        let one = Prepared::new(sample(), "c").unwrap();
        let two = Prepared::new(sample(), "c").unwrap();
        assert_ne!(one.openings[0].salt, two.openings[0].salt);
        assert_ne!(one.leaf(0, None).0, two.leaf(0, None).0);
    }

    #[test]
    fn parsing_is_strict() {
        let (leaf, _) = Prepared::new(sample(), "c").unwrap().leaf(3, None);
        let text = String::from_utf8(leaf).unwrap();
        assert!(Record::parse(text.as_bytes()).is_ok());
        for (from, to) in [
            ("\"seq\":3", "\"seq\":3,\"seq\":3"),
            ("\"seq\":3", "\"seq\":3,\"more\":1"),
            ("\"seq\":3,", ""),
            ("\"kind\":\"withdrawal\"", "\"kind\":\"withdrawn\""),
            ("\"kind\":\"withdrawal\"", "\"kind\":\"decision\""),
            ("\"v\":1", "\"v\":2"),
            ("\"stored\":", "\"stored\":null,\"stored\":"),
            ("\"stored\":", "\"actor\":\"p-1\",\"stored\":"),
            ("\"name\":\"score-v1\"", "\"name\":\"score-v1\",\"name\":\"x\""),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Record::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
        assert!(Record::parse(format!("{text} x").as_bytes()).is_err());
        assert!(Record::parse(&vec![b' '; MAX_RECORD + 1]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_leaf_is_parsed_or_refused(at in 0usize..900, byte in proptest::prelude::any::<u8>(), cut in 0usize..900) {
            let (mut leaf, _) = Prepared::new(sample(), "c").unwrap().leaf(3, None);
            let len = leaf.len();
            leaf[at % len] = byte;
            let _ = Record::parse(&leaf);
            proptest::prop_assert!(Record::parse(&leaf[..cut % len]).is_err());
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_refused() {
        let mut new = sample();
        new.payload = decision(vec![Digest::of(b"one")]);
        if let Payload::Decision(body) = &mut new.payload {
            body.engine = "n".repeat(MAX_RECORD);
        }
        assert!(matches!(Prepared::new(new, "c"), Err(RecordError::TooLong(_))));
    }

    /// A decision as long as one gets beside its inputs.
    fn decision(snapshot: Vec<Digest>) -> Payload {
        let name = |n: usize| format!("{n:03}{}", "n".repeat(250));
        let gate = |n: usize| GateOutcome {
            gate: format!("gate {n}"),
            verdict: Verdict::NotMet,
            reasons: (0..4).map(|r| format!("ReasonWithALongName{r}")).collect(),
        };
        Payload::Decision(Decision {
            verdict: Verdict::NotMet,
            class: Some("High".into()),
            derived: None,
            gates: (0..7).map(gate).collect(),
            snapshot,
            result: Some(Digest::of(b"result")),
            policies: (0..200).map(|n| PolicyRef { name: name(n), digest: Digest::of(b"policy") }).collect(),
            now: wall(),
            valid_until: Some(wall()),
            engine: "placet-gate/0.1.0".into(),
        })
    }

    #[test]
    fn a_decision_is_recorded_whatever_it_read() {
        for inputs in [0, 1, 64, 65, 205, 5_000] {
            let objects: Vec<Object> =
                (0..inputs).map(|n| Object::new(format!("{{\"n\":{n}}}").into_bytes())).collect();
            let named: Vec<Digest> = objects.iter().map(Object::digest).collect();
            let mut new = NewRecord::new(wall(), sample().subject, decision(named.clone()));
            new.subject.name = "s".repeat(100_000);
            new.objects = objects;
            new.objects.push(Object::new(&b"result"[..]));
            let prepared = Prepared::new(new, "c").unwrap();
            let (leaf, _) = prepared.leaf(u64::MAX, Some(leaf_hash(b"before")));
            let record = Record::parse(&leaf).unwrap();
            assert_eq!(prepared.chain_key, record.subject.chain_key());
            let Payload::Decision(body) = &record.payload else { panic!("{record:?}") };
            assert_eq!(body.policies.len(), MOST_POLICIES);
            assert!(body.snapshot.iter().chain(&body.result).all(|d| record.cites.contains(d)));
            assert_eq!(record.cites.len(), body.snapshot.len() + 1);
            let objects = &prepared.objects;
            let read = |digest: &Digest| -> Result<Vec<u8>, crate::inputs::InputsError> {
                Ok(objects.iter().find(|o| o.digest() == *digest).unwrap().bytes().to_vec())
            };
            assert_eq!(crate::inputs::expand(&body.snapshot, read).unwrap(), named, "{inputs}");
            assert!(named.iter().all(|d| prepared.cites.contains(d)));
        }
    }

    #[test]
    fn objects_that_are_too_many_for_one_frame_go_before() {
        let mut new = sample();
        new.objects.extend((0..9).map(|n| Object::new(vec![n; 300])));
        let whole = new.objects.clone();
        let mut prepared = Prepared::new(new, "c").unwrap();
        assert_eq!(prepared.split(10_000).unwrap(), Vec::<Vec<Object>>::new());
        let parts = prepared.split(2000).unwrap();
        assert!(
            parts.len() > 1
                && parts.iter().all(|p| p.iter().map(|o| o.bytes().len() + 4).sum::<usize>() <= 2000)
        );
        assert_eq!(parts.concat(), whole);
        assert!(prepared.objects.is_empty() && prepared.bound() <= 2000);
        let mut large = Prepared::new(sample().with_object(Object::new(vec![0; 3000])), "c").unwrap();
        assert_eq!(large.split(2000), Err(3004));
    }
}
