//! Objects of a case as the gate reads them: with stamps, signatures and digests.

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_gate::object::{Reading, Record, Stamp};
use placet_gate::signature::Seen;
use placet_gate::signed::{
    ApprovalPayload, AuthorPayload, Payload, Place, RiskAcceptancePayload, payload_of,
};
use placet_gate::stamp::{Edit, Identity, RoleAnswer, StampProblem, StampText};
use placet_gate::world::{WasCleared, World};
use serde_json::{Value, json};

use crate::given::{ClearedOnce, Given, SignedBy};
use crate::{CaseError, signing};

/// Where and when the objects of a case are.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// Namespace of what names none.
    pub namespace: &'a str,
    /// How objects are read.
    pub reading: &'a Reading,
    /// The moment of the decision.
    pub now: Timestamp,
}

fn wrong(given: &Given, why: &impl ToString) -> CaseError {
    CaseError::Case(format!("{}/{}: {}", given.kind, given.name, why.to_string()))
}

impl At<'_> {
    /// The object without its key and its signature.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn json(&self, given: &Given) -> Result<Value, CaseError> {
        let kind = Kind::parse(&given.kind)
            .ok_or_else(|| wrong(given, &"wanted a kind of placet.dev, found another"))?;
        let uid = given.uid.clone().unwrap_or_else(|| format!("uid-{}-{}", given.kind, given.name));
        let mut metadata = json!({"name": given.name, "uid": uid});
        if kind.namespaced() {
            metadata["namespace"] = given.namespace.as_deref().unwrap_or(self.namespace).into();
        }
        Ok(
            json!({"apiVersion": "placet.dev/v1alpha1", "kind": given.kind, "metadata": metadata, "spec": given.spec}),
        )
    }

    /// Puts a signature into an object that is otherwise complete.
    fn sign(&self, given: &Given, by: &SignedBy, object: &mut Value) -> Result<(), CaseError> {
        let issued_at = by.issued_at.clone().unwrap_or_else(|| "2026-11-03T12:00:00Z".into());
        let nonce = "00112233445566778899aabbccddeeff";
        if Kind::parse(&given.kind).is_some_and(Kind::authored) {
            let digest = self.read(given, object)?.digest;
            let digest = digest.map_err(|e| wrong(given, &e))?;
            let payload = json!({
                "cluster": self.reading.cluster, "namespace": self.namespace, "nonce": nonce, "issuedAt": issued_at,
                "kind": given.kind, "name": given.name, "digest": digest,
            });
            object["metadata"]["annotations"] =
                json!({placet_api::keys::AUTHOR_SIGNATURE: sealed::<AuthorPayload>(by, payload)?});
            return Ok(());
        }
        if !object["spec"].is_object() {
            return Err(wrong(given, &"wanted a spec that is an object, to sign it"));
        }
        object["spec"]["signed"] = json!({"issuedAt": issued_at, "nonce": nonce});
        let envelope = match given.kind.as_str() {
            "Approval" => self.in_spec::<ApprovalPayload>(Kind::Approval, given, by, object)?,
            _ => self.in_spec::<RiskAcceptancePayload>(Kind::RiskAcceptance, given, by, object)?,
        };
        object["spec"]["signed"]["envelope"] = envelope.into();
        Ok(())
    }

    fn in_spec<P: Payload>(
        &self,
        kind: Kind,
        given: &Given,
        by: &SignedBy,
        object: &Value,
    ) -> Result<String, CaseError> {
        let cluster = &self.reading.cluster;
        let place = Place { cluster, namespace: self.namespace, kind, name: &given.name };
        let payload: P = payload_of(&object["spec"], place).map_err(|e| wrong(given, &e))?;
        sealed::<P>(by, serde_json::to_value(payload).map_err(|e| wrong(given, &e))?)
    }

    fn read(&self, given: &Given, object: &Value) -> Result<Record, CaseError> {
        Ok(self.reading.read(object).map_err(|e| wrong(given, &e))?.0)
    }

    /// The object with its key and its signature.
    fn whole(&self, given: &Given) -> Result<Value, CaseError> {
        let mut object = self.json(given)?;
        if let Some(number) = given.spec["key"].as_str().and_then(|k| k.strip_prefix("key ")) {
            let number = number.parse().map_err(|e| wrong(given, &format!("key: {e}")))?;
            object["spec"]["key"] = signing::public(number)?.into();
        }
        if let Some(by) = &given.signed {
            self.sign(given, by, &mut object)?;
        }
        Ok(object)
    }

    /// Content digest of the object as it is applied; None if it has none.
    pub(crate) fn digest(&self, given: &Given) -> Result<Option<String>, CaseError> {
        Ok(self.read(given, &self.whole(given)?)?.digest.ok())
    }

    /// The same without key and signature.
    pub(crate) fn bare_digest(&self, given: &Given) -> Result<Option<String>, CaseError> {
        Ok(self.read(given, &self.json(given)?)?.digest.ok())
    }

    /// The object as the gate reads it.
    ///
    /// # Errors
    /// It cannot be made as the case wants it.
    pub fn record(&self, given: &Given) -> Result<Record, CaseError> {
        let object = self.whole(given)?;
        let holds = matches!(given.kind.as_str(), "Approval" | "RiskAcceptance");
        let Some(by) = &given.by else { return self.read(given, &object) };
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
        let mut record = self.reading.read_assuming(&object, &stamp).map_err(|e| wrong(given, &e))?.0;
        if let Stamp::Valid(standing) = &mut record.stamp {
            standing.role_lost = given.role_lost;
        }
        if given.behind {
            record.stamp = Stamp::Invalid { why: StampProblem::SpecChanged };
        }
        Ok(record)
    }

    /// Puts an object into a world.
    ///
    /// # Errors
    /// It cannot be made as the case wants it.
    pub fn add(&self, world: &mut World, given: &Given, remembered: bool) -> Result<(), CaseError> {
        let record = self.record(given)?;
        if let (Some(seen), Some(envelope)) =
            (given.signed.as_ref().and_then(|s| s.seen.as_ref()), record.envelope())
        {
            let name = seen.name.clone().unwrap_or_else(|| given.name.clone());
            let (namespace, subject_uid) = (self.namespace.to_owned(), seen.subject_uid.clone());
            world.saw(envelope, Seen { at: seen.at, namespace, name, subject_uid });
        }
        if let (Some(at), Some(key)) = (given.deleted_at, record.key()) {
            world.key_deleted(key, at);
        }
        if remembered || given.deleted {
            world.remember(record);
        } else {
            world.apply(record);
        }
        Ok(())
    }

    /// A release of `objects` was cleared once.
    ///
    /// # Errors
    /// There is none of this name, or it has no content digest.
    pub fn was_cleared(
        &self,
        world: &mut World,
        objects: &[Given],
        once: &ClearedOnce,
    ) -> Result<(), CaseError> {
        let given = objects.iter().find(|o| o.is("ModelRelease", &once.release));
        let given =
            given.ok_or_else(|| CaseError::Case(format!("cleared: there is no release {}", once.release)))?;
        let content = match &once.content {
            Some(content) => content.clone(),
            None => self.record(given)?.digest.map_err(|e| wrong(given, &e))?,
        };
        let release = WasCleared { name: once.release.clone(), content };
        let system = given.spec["system"].as_str().unwrap_or_default();
        world.was_cleared(self.namespace, system, release, once.at);
        Ok(())
    }
}

/// The envelope around a payload, as its signer made it or failed to.
fn sealed<P: Payload>(by: &SignedBy, mut payload: Value) -> Result<String, CaseError> {
    merge(&mut payload, &by.but);
    let bytes = serde_json::to_vec(&payload).map_err(|e| CaseError::Case(format!("signed: {e}")))?;
    let (key, namespace) = (signing::key(by.key), by.in_namespace.as_deref().unwrap_or(P::NAMESPACE));
    let mut envelope = signing::envelope::<P>(&key, namespace, &bytes)?;
    if by.broken {
        envelope["payload"] = signing::envelope::<P>(&key, namespace, b"other bytes")?["payload"].take();
    }
    Ok(envelope.to_string())
}

/// A JSON merge patch (RFC 7396).
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
