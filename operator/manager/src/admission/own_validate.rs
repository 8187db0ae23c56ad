//! Judging our own kinds after all mutation: the receipt must verify over the final object, what needs other objects is
//! checked here, and the version is recorded before the API server stores it.

use jiff::{SignedDuration, Timestamp};
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Covers, SubjectKind};
use placet_api::dataset::DatasetSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::scalar::{DateTime, Moment, SshPublicKey};
use placet_api::testreport::TestReportSpec;
use placet_evidence::{ACTOR, Operation};
use placet_gate::gates::authors::authors;
use placet_gate::object::{Object, Record, Stamp, is_ending, place_of};
use placet_gate::signed::SignerKey;
use placet_gate::stamp::StampText;
use placet_gate::time;
use placet_gate::world::World;
use serde_json::Value;

use super::Admission;
use super::own_mutate::{annotation, blocks};
use super::own_subject::{self, Live};
use super::review::{Answer, Request};
use super::{own_policy, own_reject, own_report, own_restore, own_role};
use crate::quota::{self, Version};
use crate::registers;

/// Judges a CREATE, UPDATE or DELETE of one of our kinds.
pub async fn answer(a: &Admission, request: &Request) -> Answer {
    if request.operation == "DELETE" {
        return delete(a, request).await;
    }
    let object = &request.object;
    // Nothing is asked of an object that is on its way out.
    if is_ending(object) {
        return Answer::allow();
    }
    if let Some(owners) = new_owners(object, request.old()) {
        return Answer::invalid(format!(
            "metadata.ownerReferences: wanted none, since the garbage collector would delete the object with its owner \
             without anybody being asked, found {owners}; leave them out"
        ));
    }
    let (record, names) = match a.state.reading.read(object) {
        Ok(read) => read,
        Err(error) => return Answer::invalid(error.to_string()),
    };
    let before = request.old().and_then(|old| a.state.reading.read(old).ok()).map(|(record, _)| record);
    let unchanged = request.old().is_some_and(|old| old.get("spec") == object.get("spec"));
    let stamp: Option<StampText> =
        annotation(object, placet_api::keys::STAMP).and_then(|s| serde_json::from_str(s).ok());
    let Some(stamp) = stamp else {
        return Answer::forbid(
            "the object carries no stamp: the mutating webhook own.mutate.placet.dev was not called; see that its configuration is in place",
        );
    };
    if let Stamp::Invalid { why } = record.stamp
        && !request.dry()
    {
        return Answer::forbid(format!(
            "the stamp of who wrote this does not hold ({why}): another mutating webhook changed the spec after it was stamped, or the stamp; see that none does"
        ));
    }
    let at = stamp.editors.last().map_or(stamp.created_at, |e| e.at);
    let mut answer = Answer::allow();
    // What somebody decides was judged when they did, and is judged again by each decision that reads it: what it is about
    // may be restored after it.
    let decided = matches!(record.kind, Kind::Approval | Kind::RiskAcceptance)
        && request.operation == "CREATE"
        && stamp.restored.is_some();
    if record.kind.authored()
        && let Err(why) = super::signed::author(a, object, request.old(), a.state.now())
    {
        return Answer::forbid(why);
    }
    if !unchanged && !decided {
        let subject = own_subject::of_decision(record.kind, object.get("spec").unwrap_or(&Value::Null));
        let live = match subject {
            Some(subject) => own_subject::look(a, &request.namespace, &subject).await,
            None => Ok(Live::default()),
        };
        let live = match live {
            Ok(live) => live,
            Err(answer) => return answer,
        };
        match judge(a, request, &record, &stamp, at, &live) {
            Ok(warnings) => {
                let waits = crate::guard::warning(a, object, &stamp);
                answer.warnings = waits.into_iter().chain(warnings).collect();
            }
            Err(why) => return Answer::forbid(why),
        }
    }
    let namespace = record.namespace.as_deref().unwrap_or_default();
    let stops = blocks(&record.spec.value(), request.old());
    let exempt = match own_reject::exempt(a, (object, request.old()), &stamp) {
        Ok(exempt) => exempt,
        Err(why) => return Answer::forbid(why),
    };
    if let Err(why) = room(a, request, &record, (unchanged, exempt)) {
        return Answer::forbid(why);
    }
    if request.dry()
        || unchanged
            && before.as_ref().is_some_and(|b| b.stamp == record.stamp && b.signature == record.signature)
    {
        return answer;
    }
    let op = if request.operation == "CREATE" { Operation::Create } else { Operation::Update };
    let user = request.user_info.username.as_str();
    let now = a.state.now();
    if !exempt && !a.ledger.may_write(&record, now) {
        return super::used_up(namespace);
    }
    let others = own_restore::others(a, &record, &stamp, user);
    let mut people = vec![(ACTOR, user)];
    people.extend(others.iter().map(|(field, user)| (*field, user.as_str())));
    match a.ledger.object_of(now, op, &record, &people, before.as_ref()).await {
        Ok(appended) => {
            a.state.coming.admitted(object, stops);
            a.state.learn(names);
            super::signed::seen(a, &record, now);
            answer.audit.insert("record", appended.index.to_string());
            answer
        }
        Err(error) => super::unwritable(&error),
    }
}

/// Whether a namespace has room for a version, or what was found, wanted, and how to mend it.
fn room(
    a: &Admission,
    request: &Request,
    record: &Record,
    (unchanged, exempt): (bool, bool),
) -> Result<(), String> {
    let (object, old) = (&request.object, request.old());
    let namespace = record.namespace.as_deref().unwrap_or_default();
    if !unchanged && record.kind.namespaced() && !exempt {
        let remembered = a.state.world().remembered_bytes(namespace);
        let held = a.state.quota.remembering(namespace, remembered);
        held.map_err(|why| why + &quota::too_large(object).unwrap_or_default())?;
    }
    let version = Version { object, old, exempt };
    a.state.quota.admit(record.kind, namespace, &record.name, version, a.state.now(), request.dry())
}

/// Owners that an object names and its old version does not, in words.
fn new_owners(object: &Value, old: Option<&Value>) -> Option<String> {
    let owners = |o: &Value| o.pointer("/metadata/ownerReferences").and_then(Value::as_array).cloned();
    let before = old.and_then(owners).unwrap_or_default();
    let new: Vec<String> = owners(object)
        .unwrap_or_default()
        .iter()
        .filter(|o| !before.contains(o))
        .map(|o| {
            let text = |key: &str| o.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("{} {}", text("kind"), text("name"))
        })
        .collect();
    (!new.is_empty()).then(|| new.join(", "))
}

/// What needs other objects or the clock. Gives warnings, or why it is refused.
fn judge(
    a: &Admission,
    request: &Request,
    record: &Record,
    stamp: &StampText,
    at: Timestamp,
    live: &Live,
) -> Result<Vec<String>, String> {
    let spec = request.object.get("spec").unwrap_or(&Value::Null);
    dates(record.kind, spec, at)?;
    let world = a.state.world();
    let namespace = record.namespace.as_deref().unwrap_or_default();
    match record.kind {
        Kind::Approval => approval(a, &world, namespace, spec, stamp, live),
        Kind::RiskAcceptance => acceptance(a, &world, namespace, spec, stamp, live),
        Kind::TrustedSigner => trusted_signer(&world, record, spec),
        Kind::TestReport => {
            drop(world);
            report(spec).map(|()| own_report::warnings(a, spec, stamp))
        }
        Kind::Dataset => dataset(spec).map(|()| Vec::new()),
        Kind::ReleasePolicy => own_policy::judge(&world, &Object::new(record.clone(), true)),
        _ => Ok(Vec::new()),
    }
}

/// A typed moment, if there is one, with its text.
fn a_day<'a>(path: &str, typed: Option<&'a Value>) -> Result<Option<(&'a str, Timestamp)>, String> {
    let Some(text) = typed.and_then(Value::as_str) else { return Ok(None) };
    let parsed = Moment::new(text).ok().as_ref().and_then(time::moment);
    let moment = parsed.ok_or_else(|| format!("{path}: wanted a day that exists, found {text}"))?;
    Ok(Some((text, moment)))
}

/// A typed moment that must not be later than the stamp; a plain date may be the stamp's UTC date or the next.
fn not_later(path: &str, typed: Option<&Value>, at: Timestamp) -> Result<(), String> {
    let Some((text, moment)) = a_day(path, typed)? else { return Ok(()) };
    let slack = if text.len() == 10 { SignedDuration::from_hours(24) } else { SignedDuration::ZERO };
    if moment > at + slack {
        return Err(format!(
            "{path}: wanted a time that has come, found {text}; it is {} now",
            at.strftime("%Y-%m-%dT%H:%M:%SZ")
        ));
    }
    Ok(())
}

/// A typed end that must be later than the stamp.
fn later(path: &str, typed: Option<&Value>, at: Timestamp) -> Result<(), String> {
    let Some(text) = typed.and_then(Value::as_str) else { return Ok(()) };
    let parsed = DateTime::new(text).ok().as_ref().and_then(time::date_time);
    let Some(moment) = parsed else { return Err(format!("{path}: wanted a day that exists, found {text}")) };
    if moment <= at {
        return Err(format!(
            "{path}: wanted a time to come, found {text}; it is {} now",
            at.strftime("%Y-%m-%dT%H:%M:%SZ")
        ));
    }
    Ok(())
}

fn dates(kind: Kind, spec: &Value, at: Timestamp) -> Result<(), String> {
    match kind {
        Kind::AISystem => {
            not_later("spec.oversight.lastDrill", spec.pointer("/oversight/lastDrill"), at)?;
            not_later("spec.derogation.assessedAt", spec.pointer("/derogation/assessedAt"), at)?;
            not_later("spec.designChangedAt", spec.get("designChangedAt"), at)?;
            a_day("spec.placedOnMarketAt", spec.get("placedOnMarketAt")).map(|_| ())
        }
        Kind::ImpactAssessment => not_later("spec.assessedAt", spec.get("assessedAt"), at)
            .and_then(|()| not_later("spec.risksEvaluatedAt", spec.get("risksEvaluatedAt"), at)),
        Kind::TestReport => not_later("spec.ranAt", spec.get("ranAt"), at),
        Kind::Dataset => {
            let of = |field: &str| {
                (format!("spec.provenance.{field}"), spec.pointer(&format!("/provenance/{field}")))
            };
            [of("collectedFrom"), of("collectedUntil")]
                .iter()
                .try_for_each(|(path, day)| not_later(path, *day, at))
        }
        Kind::Approval | Kind::RiskAcceptance => later("spec.expiresAt", spec.get("expiresAt"), at),
        _ => Ok(()),
    }
}

fn approval(
    a: &Admission,
    world: &World,
    namespace: &str,
    spec: &Value,
    stamp: &StampText,
    live: &Live,
) -> Result<Vec<String>, String> {
    let spec: ApprovalSpec = serde_json::from_value(spec.clone()).map_err(|e| format!("spec: {e}"))?;
    own_role::exists(world, &spec.role)?;
    own_role::stamped(a, world, stamp, spec.signed.is_some())?;
    let subject = &spec.subject;
    crate::guard::counts_here(world, namespace, subject)?;
    beside_a_release(world, namespace, &spec)?;
    let what = format!("{} {}", subject.kind.as_str(), subject.name);
    if subject.kind == SubjectKind::RiskAcceptance && spec.answers.as_ref().is_some_and(|a| !a.is_empty()) {
        return Err(format!(
            "spec.answers: wanted none, since a Reject of a RiskAcceptance withdraws it for good, found an answer to one of {}; \
             whoever may accept the risk accepts it anew: placet accept-risk",
            subject.name
        ));
    }
    let guarded = crate::guard::GUARDED.contains(&subject.kind.kind());
    if live.uid.is_none() && spec.signed.is_some() && !guarded {
        // A robot applies a directory in an order of its own, and dry-runs all of it before it applies anything. The
        // signature says what was decided, and which Rejects it answers, whenever that comes.
        let does = if spec.decision == ApprovalDecision::Reject { "blocks" } else { "counts" };
        return Ok(vec![format!(
            "there is no {what} yet: this {does} once there is one, with the digest that was signed"
        )]);
    }
    let Some(current) = live.digest.as_deref() else {
        return Err(format!(
            "spec.subject: wanted an object in namespace {namespace} whose digest is known, found no {what}"
        ));
    };
    if current != subject.digest.as_str() {
        return Err(format!(
            "spec.subject.digest: {what} has the digest {current} now (covers: {}), found {}; look at what changed, then placet approve writes the digest",
            subject.covers, subject.digest
        ));
    }
    if live.uid != stamp.subject_uid {
        return Err(format!(
            "spec.subject: {what} was created again just now; look at it, then approve again"
        ));
    }
    // What a finding will say to have changed since is what this person approved.
    let seen =
        stamp.evidence.as_deref().filter(|e| subject.covers == Covers::Evidence && e.reports.is_some());
    if seen.is_some_and(|e| e.digest().ok().as_deref() != Some(current)) {
        return Err(format!("spec.subject: {what} changed just now; look at it, then approve again"));
    }
    for name in spec.answers.iter().flatten() {
        let rejects = |s: &ApprovalSpec| {
            let same = s.subject.kind == subject.kind && s.subject.name == subject.name;
            s.decision == ApprovalDecision::Reject && s.role == spec.role && same
        };
        // One that was deleted stays in force, and is answered like any.
        if !world.approvals_named(namespace, name).any(|r| r.spec.as_ref().is_ok_and(rejects)) {
            return Err(format!(
                "spec.answers: wanted Rejects of {what} by {} in namespace {namespace}, found {name}, which is none; \
                 see kubectl get approvals -n {namespace}",
                spec.role
            ));
        }
    }
    let clock = a.state.gate_clock();
    if spec.decision == ApprovalDecision::Reject
        && !crate::subjects::may_reject(world, &clock, namespace, subject, spec.role.as_str())
    {
        return Err(format!(
            "spec.role: wanted a role that a policy asks for, found {}, whose Reject of {what} would block nothing; reject \
             in a role that placet why names",
            spec.role
        ));
    }
    let mut warnings = Vec::new();
    if subject.kind == SubjectKind::ModelRelease && spec.decision == ApprovalDecision::Approve {
        let user = stamp.decider();
        let person = a.state.reading.people.person(user);
        let snapshot = world.snapshot(namespace, &subject.name, a.state.gate_clock());
        if authors(&snapshot).contains(&person) {
            warnings.push(format!("{user} wrote or developed {}, so this approval does not count unless a policy says that authors may approve", subject.name));
        }
    }
    Ok(warnings)
}

fn acceptance(
    a: &Admission,
    world: &World,
    namespace: &str,
    spec: &Value,
    stamp: &StampText,
    live: &Live,
) -> Result<Vec<String>, String> {
    let signed = spec.get("signed").is_some_and(|signed| !signed.is_null());
    own_role::stamped(a, world, stamp, signed)?;
    let name = spec.pointer("/assessment/name").and_then(Value::as_str).unwrap_or_default();
    if signed && live.uid.is_none() {
        // As with approvals: a robot dry-runs all of a directory before it applies any of it.
        return Ok(vec![format!(
            "there is no ImpactAssessment {name} yet: this counts once there is one, with the risks that were signed"
        )]);
    }
    if signed && live.uid != stamp.subject_uid {
        return Err(format!(
            "spec.assessment: {name} was created again just now; look at it, then accept again"
        ));
    }
    let Some(assessment) = world.assessment(namespace, name) else {
        return Err(format!(
            "spec.assessment.name: wanted an ImpactAssessment in namespace {namespace}, found no {name}"
        ));
    };
    let known = assessment.risk_digests();
    for risk in spec["risks"].as_array().into_iter().flatten() {
        let text = |key: &str| risk.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, typed) = (text("id"), text("digest"));
        match known.get(id) {
            Some(now) if now == typed => {}
            Some(now) => {
                return Err(format!(
                    "spec.risks: {id} of {name} has the digest {now} now, found {typed}; look at what changed, then placet accept-risk writes the digest"
                ));
            }
            None => {
                let ids: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(format!("spec.risks: wanted risks of {name} ({}), found {id}", ids.join(", ")));
            }
        }
    }
    Ok(Vec::new())
}

/// One key stands for one person, and is one that signs.
fn trusted_signer(world: &World, record: &Record, spec: &Value) -> Result<Vec<String>, String> {
    let text = spec.get("key").and_then(Value::as_str).unwrap_or_default();
    let key = SshPublicKey::new(text).map_err(|e| format!("spec.key: {e}"))?;
    SignerKey::parse(&key).map_err(|e| format!("spec.key: {e}"))?;
    let other = world.names(Kind::TrustedSigner).into_iter().find(|(_, name)| {
        *name != record.name && world.signer(name).is_some_and(|s| s.record.key() == record.key())
    });
    if let Some((_, other)) = other {
        return Err(format!(
            "spec.key: wanted a key of its own, since one key stands for one person, found that of the TrustedSigner {other}; \
             give each person a key, or delete {other}, which voids all that its key signed"
        ));
    }
    let roles = spec.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let missing = roles.filter(|role| !world.has_role(role));
    Ok(missing.map(|role| format!("there is no ApprovalRole {role} yet")).collect())
}

/// What is counted in a report fits together: groups sum to its rows, none is there twice, bins rise.
fn report(spec: &Value) -> Result<(), String> {
    // What does not parse is refused by the schema, with every field that is wrong.
    let Ok(spec) = serde_json::from_value::<TestReportSpec>(spec.clone()) else { return Ok(()) };
    placet_gate::gates::tests::check(&spec)
}

/// What a dataset's counts, days and measures say fits together.
fn dataset(spec: &Value) -> Result<(), String> {
    // What does not parse is refused by the schema, with every field that is wrong.
    let Ok(spec) = serde_json::from_value::<DatasetSpec>(spec.clone()) else { return Ok(()) };
    placet_gate::gates::data::check(&spec).map_err(|why| why.text)
}

/// Deleting a Reject, or a report, dataset, assessment or acceptance that a decision has read, is refused while its release
/// exists and is not withdrawn. Everything else may go, and is recorded.
async fn delete(a: &Admission, request: &Request) -> Answer {
    let Some(old) = request.old() else { return Answer::allow() };
    let Ok((kind, namespace, name)) = place_of(old) else { return Answer::allow() };
    let Ok((record, _)) = a.state.read(old) else { return Answer::allow() };
    let namespace = namespace.unwrap_or_default();
    if let Some(release) = read_by(a, kind, &namespace, &name, &record) {
        return Answer::forbid(format!(
            "{kind} {name} was read by the decision on {release}, so it stays while that release exists and is not withdrawn; \
             withdraw the release (kubectl patch mr/{release} -n {namespace} --type merge -p '{{\"spec\":{{\"withdrawn\":true}}}}'), \
             or supersede the object by a new one"
        ));
    }
    let user = request.user_info.username.as_str();
    let kept = (kind == Kind::ReleasePolicy).then(|| crate::guard::keeps(a, &name, user)).flatten();
    if let Some(why) = kept {
        return Answer::forbid(why);
    }
    if request.dry() {
        return Answer::allow();
    }
    let now = a.state.now();
    match a.ledger.object(now, Operation::Delete, &record, Some(user), None).await {
        Ok(_) => {
            if let Some(key) = record.key().filter(|_| kind == Kind::TrustedSigner) {
                a.state.world_mut().key_deleted(key, now);
            }
            Answer::allow()
        }
        Err(error) => super::unwritable(&error),
    }
}

/// What is said of a system, an assessment or an acceptance decides what is left to ask: a role that each namespace gives to
/// whom it likes says it only where a policy asks it of that role.
fn beside_a_release(world: &World, namespace: &str, spec: &ApprovalSpec) -> Result<(), String> {
    let (subject, role) = (&spec.subject, &spec.role);
    if spec.decision == ApprovalDecision::Reject || crate::access::asked_in(world, role, namespace).is_none()
    {
        return Ok(());
    }
    let asks = |policy: &ReleasePolicySpec| match subject.kind {
        SubjectKind::AISystem => {
            let class = policy.classification.as_ref();
            let asked = class.is_some_and(|c| c.approved_by == *role || c.lowered_by.as_ref() == Some(role));
            asked && subject.covers == Covers::Classification
        }
        SubjectKind::ImpactAssessment => {
            policy.assessment.as_ref().is_some_and(|a| a.approved_by.as_ref() == Some(role))
        }
        SubjectKind::RiskAcceptance => {
            let authorities = policy.acceptance_authority.iter().flatten();
            authorities.flat_map(|a| a.consulted.iter().flatten()).any(|consulted| consulted == role)
        }
        _ => true,
    };
    let mut policies = world.deciding().filter_map(|p| p.spec.as_ref().ok());
    if subject.kind == SubjectKind::ModelRelease || policies.any(asks) {
        return Ok(());
    }
    Err(format!(
        "spec.role: wanted a role of the cluster, or one that a policy asks for this, found {role}, which each namespace gives \
         to whom it likes (scope: Namespace)"
    ))
}

/// The first release, not withdrawn, whose decision reads an object that must not be forgotten.
fn read_by(a: &Admission, kind: Kind, namespace: &str, name: &str, record: &Record) -> Option<String> {
    let reject = record.spec.text("decision").as_deref() == Some("Reject");
    let read = [Kind::TestReport, Kind::Dataset, Kind::ImpactAssessment, Kind::RiskAcceptance];
    let kept = read.contains(&kind)
        || (kind == Kind::Approval
            && (reject || registers::is_evidence(&a.state.world(), kind, namespace, name)));
    if !kept {
        return None;
    }
    let releases = a.state.world().releases_touched(Kind::ModelRelease, Some(namespace));
    releases.into_iter().map(|(_, release)| release).find(|release| {
        let snapshot = a.state.snapshot(namespace, release);
        let withdrawn = snapshot
            .release
            .as_ref()
            .is_none_or(|r| r.spec.as_ref().is_ok_and(|s| s.withdrawn == Some(true)));
        let reads = match kind {
            Kind::TestReport => {
                let mut reads = snapshot.reports.iter().chain(&snapshot.proofs);
                reads.any(|o| o.live && o.name() == name)
            }
            Kind::Dataset => {
                let release = snapshot.release.as_ref().and_then(|r| r.spec.as_ref().ok());
                let judged = |release| {
                    snapshot.datasets.iter().any(|o| o.live && o.name() == name && o.is_of_content(release))
                };
                release.is_some_and(judged)
            }
            Kind::ImpactAssessment => snapshot.assessments.iter().any(|o| o.live && o.name() == name),
            Kind::RiskAcceptance => snapshot.acceptances.iter().any(|o| o.live && o.name() == name),
            // Who takes back what a control names says so by a Reject: without it a risk may rise to what was accepted before.
            _ if !reject => snapshot.assessments.iter().any(|a| {
                let spec = a.spec.as_ref().ok().filter(|_| a.live);
                spec.is_some_and(|spec| registers::names(spec, Kind::Approval, name))
            }),
            _ => {
                let spec = record.spec.value();
                let subject = spec.pointer("/subject/name").and_then(Value::as_str);
                subject == Some(release)
                    || snapshot.system.as_ref().is_some_and(|s| Some(s.name()) == subject)
                    || snapshot.assessments.iter().any(|s| Some(s.name()) == subject)
                    || snapshot.acceptances.iter().any(|s| Some(s.name()) == subject)
            }
        };
        reads && !withdrawn
    })
}

#[cfg(test)]
#[path = "own_validate_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "own_deletions_tests.rs"]
mod deletions;
