//! What the case runner and the properties share: objects as a case gives them, and the digests that they name.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads its cases from files, and a case that cannot be read fails it"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::asked::Asked;
use placet_gate::evaluate;
use placet_gate::evidence::Evidence;
use placet_gate::object::{Reading, Record, Stamp};
use placet_gate::people::PeopleKey;
use placet_gate::signature::Seen;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, payload_of,
};
use placet_gate::stamp::{Edit, Identity, ReceiptKeys, RoleAnswer, StampProblem, StampText};
use placet_gate::world::{Clock, WasCleared, World};
use serde::Deserialize;
use serde_json::{Value, json};

#[path = "../signed/common.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
pub mod signing;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    pub release: Option<String>,
    #[serde(default)]
    pub policies: Vec<String>,
    /// Releases that were cleared, as they are given.
    #[serde(default)]
    pub cleared: Vec<ClearedOnce>,
    pub objects: Vec<Given>,
}

/// A release that was cleared once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearedOnce {
    pub release: String,
    pub at: Timestamp,
    /// Digest of the content that it had, where that is not the one that is given.
    pub content: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "a case says each of them by name")]
pub struct Given {
    pub by: Option<String>,
    pub at: Option<Timestamp>,
    #[serde(default)]
    pub edited: Vec<Edited>,
    pub holds_role: Option<bool>,
    #[serde(default)]
    pub role_lost: bool,
    #[serde(default)]
    pub deleted: bool,
    #[serde(default)]
    pub behind: bool,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    pub uid: Option<String>,
    pub subject_uid: Option<String>,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub wildcard: bool,
    #[serde(default)]
    pub credential: bool,
    pub signed: Option<SignedBy>,
    pub deleted_at: Option<Timestamp>,
    /// TestReport: roles in which `by` could report.
    #[serde(default)]
    pub reports_as: Vec<String>,
    /// TestReport: what was asked of tests when it was made.
    pub asked: Option<Asked>,
    /// Approval: what the evidence was made of that its digest is said to be of.
    #[serde(skip)]
    pub evidence: Option<Box<Evidence>>,
    pub spec: Value,
}

/// Who signed an Approval or a RiskAcceptance, or something else as its author.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedBy {
    /// Number of the key; a TrustedSigner has it as `key: key N`.
    pub key: u8,
    /// Of whom it was asked whether they hold the role.
    pub user: Option<String>,
    pub issued_at: Option<String>,
    /// What was signed instead of what the object says.
    #[serde(default)]
    pub but: Value,
    /// Whether the signature is of other bytes.
    #[serde(default)]
    pub broken: bool,
    /// The SSH namespace that it was signed in, where that is not the one of the kind.
    pub in_namespace: Option<String>,
    pub seen: Option<SeenAs>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenAs {
    pub at: Timestamp,
    pub name: Option<String>,
    pub subject_uid: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edited {
    pub by: String,
    pub at: Timestamp,
}

pub fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn policy_objects(path: &Path) -> Vec<Given> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_multiple::<Value>(&text)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        .into_iter()
        .map(|v| Given {
            by: Some("platform".into()),
            at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            edited: vec![],
            holds_role: None,
            role_lost: false,
            deleted: false,
            behind: false,
            kind: v["kind"].as_str().unwrap().to_owned(),
            name: v["metadata"]["name"].as_str().unwrap().to_owned(),
            namespace: None,
            uid: None,
            subject_uid: None,
            groups: vec![],
            wildcard: false,
            credential: false,
            signed: None,
            deleted_at: None,
            reports_as: vec![],
            asked: None,
            evidence: None,
            spec: v["spec"].clone(),
        })
        .collect()
}

pub struct Run {
    pub namespace: String,
    pub reading: Reading,
    pub now: Timestamp,
}

/// The moment of properties.
pub fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

impl Run {
    /// Of a namespace without a key that is known, at [`start`].
    pub fn new() -> Self {
        let reading = Reading {
            cluster: "c".into(),
            cluster_name: None,
            keys: ReceiptKeys::new(),
            people: PeopleKey::new(*b"cases"),
        };
        Self { namespace: "lending".into(), reading, now: start() }
    }

    pub fn json(&self, given: &Given) -> Value {
        let kind = Kind::parse(&given.kind).unwrap_or_else(|| panic!("no kind {}", given.kind));
        let uid = given.uid.clone().unwrap_or_else(|| format!("uid-{}-{}", given.kind, given.name));
        let mut metadata = json!({"name": given.name, "uid": uid});
        if kind.namespaced() {
            metadata["namespace"] = given.namespace.clone().unwrap_or_else(|| self.namespace.clone()).into();
        }
        json!({"apiVersion": "placet.dev/v1alpha1", "kind": given.kind, "metadata": metadata, "spec": given.spec})
    }

    /// Puts a signature into an object that is otherwise complete.
    fn sign(&self, given: &Given, by: &SignedBy, object: &mut Value) {
        let issued_at = by.issued_at.clone().unwrap_or_else(|| "2026-11-03T12:00:00Z".into());
        let nonce = "00112233445566778899aabbccddeeff";
        if Kind::parse(&given.kind).is_some_and(Kind::authored) {
            let digest = self.reading.read(object).unwrap().0.digest.unwrap();
            let payload = json!({
                "cluster": self.reading.cluster, "namespace": self.namespace, "nonce": nonce, "issuedAt": issued_at,
                "kind": given.kind, "name": given.name, "digest": digest,
            });
            object["metadata"]["annotations"] =
                json!({placet_api::keys::AUTHOR_SIGNATURE: sealed::<AuthorPayload>(by, payload)});
            return;
        }
        object["spec"]["signed"] = json!({"issuedAt": issued_at, "nonce": nonce});
        let envelope = match given.kind.as_str() {
            "Approval" => self.in_spec::<ApprovalPayload>(Kind::Approval, given, by, object),
            _ => self.in_spec::<RiskAcceptancePayload>(Kind::RiskAcceptance, given, by, object),
        };
        object["spec"]["signed"]["envelope"] = envelope.into();
    }

    fn in_spec<P: Payload>(&self, kind: Kind, given: &Given, by: &SignedBy, object: &Value) -> String {
        let (cluster, namespace) = (&self.reading.cluster, &self.namespace);
        let place = Place { cluster, namespace, kind, name: &given.name };
        let payload: P = payload_of(&object["spec"], place).unwrap();
        sealed::<P>(by, serde_json::to_value(payload).unwrap())
    }

    /// The object with its key and its signature.
    fn whole(&self, given: &Given) -> Value {
        let mut object = self.json(given);
        if let Some(number) = given.spec["key"].as_str().and_then(|k| k.strip_prefix("key ")) {
            let key = signing::key(number.parse().unwrap());
            object["spec"]["key"] = key.public_key().to_openssh().unwrap().into();
        }
        if let Some(by) = &given.signed {
            self.sign(given, by, &mut object);
        }
        object
    }

    pub fn record(&self, given: &Given) -> Record {
        let object = self.whole(given);
        let holds = matches!(given.kind.as_str(), "Approval" | "RiskAcceptance");
        if let Some(by) = &given.by {
            let at = given.at.unwrap_or(self.now - SignedDuration::from_hours(24 * 30));
            let identity = |user: &str| Identity { user: user.to_owned(), ..Identity::default() };
            let mut creator = identity(by);
            creator.groups.clone_from(&given.groups);
            creator.credential = given.credential.then(|| placet_gate::stamp::credential("X509SHA256=1"));
            let stamp = StampText {
                editors: given.edited.iter().map(|e| Edit { by: identity(&e.by), at: e.at }).collect(),
                subject_uid: given.subject_uid.clone(),
                evidence: given.evidence.clone(),
                reports: given
                    .reports_as
                    .iter()
                    .map(|name| RoleAnswer {
                        name: name.clone(),
                        user: None,
                        allowed: true,
                        wildcard: given.wildcard,
                        at,
                    })
                    .collect(),
                asked: given.asked.clone().map(Box::new),
                role: holds.then(|| RoleAnswer {
                    name: given.spec["role"].as_str().unwrap_or_default().to_owned(),
                    user: given.signed.as_ref().and_then(|s| s.user.clone()),
                    allowed: given.holds_role.unwrap_or(true),
                    wildcard: given.wildcard,
                    at,
                }),
                ..StampText::new(creator, at)
            };
            let mut record = self.reading.read_assuming(&object, &stamp).unwrap().0;
            if let Stamp::Valid(standing) = &mut record.stamp {
                standing.role_lost = given.role_lost;
            }
            if given.behind {
                record.stamp = Stamp::Invalid { why: StampProblem::SpecChanged };
            }
            record
        } else {
            let record = self.reading.read(&object).unwrap().0;
            assert_eq!(record.stamp, Stamp::Invalid { why: StampProblem::NeverSeen });
            record
        }
    }

    /// A release of `objects` was cleared once.
    pub fn was_cleared(&self, world: &mut World, objects: &[Given], once: &ClearedOnce) {
        let given = objects.iter().find(|o| o.kind == "ModelRelease" && o.name == once.release);
        let given = given.unwrap_or_else(|| panic!("no release {}", once.release));
        let content = once.content.clone().unwrap_or_else(|| self.record(given).digest.unwrap());
        let release = WasCleared { name: once.release.clone(), content };
        world.was_cleared(&self.namespace, given.spec["system"].as_str().unwrap(), release, once.at);
    }

    /// Puts an object into a world.
    pub fn add(&self, world: &mut World, given: &Given, remembered: bool) {
        let record = self.record(given);
        if let (Some(seen), Some(envelope)) =
            (given.signed.as_ref().and_then(|s| s.seen.as_ref()), record.envelope())
        {
            let name = seen.name.clone().unwrap_or_else(|| given.name.clone());
            let (namespace, subject_uid) = (self.namespace.clone(), seen.subject_uid.clone());
            world.saw(envelope, Seen { at: seen.at, namespace, name, subject_uid });
        }
        if let (Some(at), Some(key)) = (given.deleted_at, record.key()) {
            world.key_deleted(key, at);
        }
        if remembered || given.deleted { world.remember(record) } else { world.apply(record) }
    }
}

/// The envelope around a payload, as its signer made it or failed to.
fn sealed<P: Payload>(by: &SignedBy, mut payload: Value) -> String {
    merge(&mut payload, &by.but);
    let bytes = serde_json::to_vec(&payload).unwrap();
    let (key, namespace) = (signing::key(by.key), by.in_namespace.as_deref().unwrap_or(P::NAMESPACE));
    let mut envelope = signing::envelope::<P>(&key, namespace, &bytes);
    if by.broken {
        envelope["payload"] = signing::envelope::<P>(&key, namespace, b"other bytes")["payload"].take();
    }
    envelope.to_string()
}

pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Object(t), Value::Object(p)) => {
            for (key, value) in p {
                if value.is_null() {
                    t.remove(key);
                } else {
                    merge(t.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Replaces `content of KIND/NAME` and its like by digests, until none is left (digests may depend on digests).
pub fn resolve(run: &Run, title: &str, objects: &mut [Given], base: &[Given]) {
    for _ in 0..4 {
        let snapshot = objects.to_vec();
        let find = |list: &[Given], what: &str| -> Given {
            let (kind, name) = what.split_once('/').unwrap();
            list.iter()
                .rev()
                .find(|o| o.kind == kind && o.name == name)
                .unwrap_or_else(|| panic!("{title}: no {what}"))
                .clone()
        };
        let digest = |text: &str| -> Option<String> {
            if let Some(what) = text.strip_prefix("content before change of ") {
                return run.reading.read(&run.json(&find(base, what))).unwrap().0.digest.ok();
            }
            if let Some(what) = text.strip_prefix("content of ") {
                let given = find(&snapshot, what);
                // An object that itself still names a digest this way has to be resolved first.
                let open =
                    [" of AISystem/", " of ImpactAssessment/", " of ModelRelease/", " of RiskAcceptance/"];
                if open.iter().any(|o| given.spec.to_string().contains(o)) {
                    return None;
                }
                return run.reading.read(&run.whole(&given)).unwrap().0.digest.ok();
            }
            if let Some((id, what)) =
                text.strip_prefix("risk ").and_then(|t| t.split_once(" of ImpactAssessment/"))
            {
                let g = find(&snapshot, &format!("ImpactAssessment/{what}"));
                return placet_gate::digest::risk(&run.namespace, &g.name, &g.spec, id).unwrap();
            }
            if let Some(what) = text.strip_prefix("classification of ") {
                let g = find(&snapshot, what);
                return placet_gate::digest::classification(&run.namespace, &g.name, &g.spec).ok();
            }
            evidence(run, &snapshot, base, (text, run.now))?.digest().ok()
        };
        for given in objects.iter_mut() {
            let text = given.spec.pointer("/subject/digest").and_then(Value::as_str).unwrap_or_default();
            let at = given.at.unwrap_or(run.now);
            if let Some(parts) = evidence(run, &snapshot, base, (text, at)) {
                given.evidence = Some(Box::new(parts.bounded()));
            }
            walk(&mut given.spec, &digest);
        }
    }
}

/// What the evidence is made of that a text names: `evidence of MR` as the case gives it, `evidence before change of MR` as
/// its base does; with the levels of a moment.
fn evidence(run: &Run, objects: &[Given], base: &[Given], (text, at): (&str, Timestamp)) -> Option<Evidence> {
    let (list, what) = match text.strip_prefix("evidence before change of ") {
        Some(what) => (base, what),
        None => (objects, text.strip_prefix("evidence of ")?),
    };
    let mut world = World::new();
    for given in list {
        run.add(&mut world, given, false);
    }
    let name = what.split_once('/').unwrap().1;
    let clock = Clock::Trusted(at);
    evaluate(&world.snapshot(&run.namespace, name, clock)).shown.evidence
}

pub fn walk(value: &mut Value, digest: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(found) = digest(text) {
                *text = found;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|i| walk(i, digest)),
        Value::Object(map) => map.values_mut().for_each(|i| walk(i, digest)),
        _ => {}
    }
}
