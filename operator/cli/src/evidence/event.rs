//! A record as a line of a timeline.

use std::collections::BTreeMap;

use placet_evidence::{
    ACTOR, Admission, ApprovalDecision, CREATOR, Decision, Digest, Effect, HOLDER, ObjectSeen, Operation,
    Payload, Record, RoleStanding, SIGNER, Verdict,
};
use serde::Serialize;

use crate::text::short;

/// Who did what a record tells, by the record's index, from the openings that may be read.
pub type Names = BTreeMap<u64, Who>;

/// People of one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// Who sent it.
    pub actor: Option<String>,
    /// Whose signature it bears, where that is somebody else.
    pub signer: Option<String>,
    /// Who had created what the sender restored.
    pub creator: Option<String>,
    /// Who lost a role, or holds it again.
    pub holder: Option<String>,
}

impl Who {
    /// Takes in an opening.
    pub fn take(&mut self, field: &str, name: String) {
        match field {
            ACTOR => self.actor = Some(name),
            SIGNER => self.signer = Some(name),
            CREATOR => self.creator = Some(name),
            HOLDER => self.holder = Some(name),
            _ => {}
        }
    }

    /// How it came, where its sender does not stand behind it.
    fn way(&self) -> String {
        let sender = self.actor.as_deref().unwrap_or("somebody");
        let signed = if self.signer.is_some() { ", signed" } else { "" };
        match (&self.signer, &self.creator) {
            (None, None) => String::new(),
            (Some(_), None) => format!("{signed}, applied by {sender}"),
            (_, Some(_)) => format!("{signed}, restored by {sender}"),
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Index of the record.
    pub record: u64,
    /// When it was made, to the second.
    pub time: String,
    /// What happened.
    pub what: String,
    /// To what, and by whom.
    pub who: String,
    /// More about it.
    pub detail: String,
}

/// Who did what a record tells, where it says so: by name where the name may be read.
fn person(index: u64, record: &Record, names: &Names) -> String {
    let who = names.get(&index);
    let who =
        who.and_then(|w| w.signer.as_ref().or(w.creator.as_ref()).or(w.actor.as_ref()).or(w.holder.as_ref()));
    match who {
        Some(name) => name.clone(),
        None if record.personal.iter().any(|c| [ACTOR, HOLDER].contains(&c.field.as_str())) => {
            "somebody".into()
        }
        None => String::new(),
    }
}

fn digest(digest: Option<&Digest>) -> String {
    digest.map(|d| short(&d.to_string())).unwrap_or_default()
}

/// The line of a record. `spec` is the stored spec of the object that it is about, where it was read.
pub fn event(index: u64, record: &Record, spec: Option<&serde_json::Value>, names: &Names) -> Event {
    let person = person(index, record, names);
    let by = if person.is_empty() { String::new() } else { format!("by {person}") };
    let (what, who, detail) = match &record.payload {
        Payload::LogStart(s) => {
            let clean = if s.clean { "" } else { ", not closed in good order before" };
            ("log opened".into(), s.software.clone(), format!("{} records found{clean}", s.found))
        }
        Payload::LogStop(s) => ("log closed".into(), s.reason.clone(), String::new()),
        Payload::LogBegin(b) => ("log begun".into(), b.software.clone(), b.because.clone()),
        Payload::Heartbeat(h) => {
            let counts: Vec<String> = h.counts.iter().map(|c| format!("{} {}", c.count, c.what)).collect();
            let refusals: u64 = h.refusals.iter().map(|r| r.count).sum();
            let more = if refusals > 0 { format!(", {refusals} repeated refusals") } else { String::new() };
            ("heartbeat".into(), String::new(), format!("{}{more}", counts.join(", ")))
        }
        Payload::Gap(g) => (format!("GAP ({:?})", g.reason), String::new(), g.detail.clone()),
        Payload::Decision(d) => decision(d),
        Payload::Admission(a) => admission(a, &by),
        Payload::Object(o) => object(o, spec, &person, &by),
        Payload::Approval(a) => {
            let what = match a.decision {
                ApprovalDecision::Approve => "approval counted",
                ApprovalDecision::Reject => "rejection counted",
                ApprovalDecision::Accept => "acceptance counted",
            };
            let who = format!("{person} as {}", a.role);
            (what.into(), who, format!("on {}", digest(Some(&a.subject_digest))))
        }
        Payload::HoldLifted(h) => {
            let what = if h.replacement { "replacement let go" } else { "hold lifted" };
            (what.into(), format!("pod/{}", h.pod), because(h.decision))
        }
        Payload::Withdrawal(w) => {
            ("release withdrawn".into(), by, format!("digest {}", digest(Some(&w.digest))))
        }
        Payload::Enforcement(e) => {
            let show = |v: &Option<String>| v.clone().unwrap_or_else(|| "nothing".into());
            let seen = if e.seen { "" } else { ", found afterwards" };
            ("enforcement".into(), by, format!("{} to {}{seen}", show(&e.before), show(&e.after)))
        }
        Payload::WebhooksRemoved(w) => ("webhooks removed".into(), w.reason.clone(), w.names.join(", ")),
        Payload::PolicyChange(p) => {
            let what = format!("{} {}", kind_word(&record.subject.kind), done(p.op, record.has_actor()));
            (what, join(&record.subject.name, &by), digest_change(p.before.as_ref(), p.after.as_ref()))
        }
        Payload::PolicyEffect(p) => {
            let what = format!(
                "{} {}",
                kind_word(&record.subject.kind),
                if p.after.is_some() { "in force" } else { "no longer in force" }
            );
            let less = if p.loosens { ", asks for less" } else { "" };
            let why = format!("{}{less}", p.because);
            (what, join(&record.subject.name, &why), digest_change(p.before.as_ref(), p.after.as_ref()))
        }
        Payload::RoleStanding(r) => role_standing(r, &format!("{person} as {}", record.subject.name)),
        Payload::Stamp(s) => {
            let what = format!("{} stamped", kind_word(&s.kind));
            (what, join(&s.name, &by), format!("digest {}, receipt key {}", digest(Some(&s.content)), s.key))
        }
        Payload::KeyRotate(k) => ("key replaced".into(), k.purpose.clone(), k.reason.clone()),
        Payload::KeyDistrust(k) => {
            let what = format!("{}, key {} from record {} on", k.purpose, k.key, k.from);
            ("key distrusted".into(), what, k.reason.clone())
        }
        Payload::Redaction(r) => {
            ("opening erased".into(), r.field.clone(), format!("of record {}, ground {}", r.index, r.ground))
        }
    };
    let way = names.get(&index).map(Who::way).unwrap_or_default();
    let detail = if detail.is_empty() { way.trim_start_matches(", ").to_owned() } else { detail + &way };
    Event { record: index, time: crate::text::seconds(record.time.wall), what, who, detail }
}

fn because(decision: Option<u64>) -> String {
    decision.map_or_else(|| "without a decision".into(), |d| format!("decision {d}"))
}

/// Words that are named of those that were said in a role; the number of the others is told.
const NAMED: usize = 3;

fn role_standing(r: &RoleStanding, who: &str) -> (String, String, String) {
    let (what, counts) = if r.lost {
        ("role lost", "may count no more where a policy says so")
    } else {
        ("role held again", "may count again")
    };
    let mut words: Vec<String> = r.words.iter().take(NAMED).map(|w| w.name.clone()).collect();
    let others = r.words.len().saturating_sub(NAMED);
    if others > 0 {
        words.push(format!("{others} more"));
    }
    (what.into(), who.to_owned(), format!("{} {counts}", words.join(", ")))
}

fn decision(d: &Decision) -> (String, String, String) {
    let policies: Vec<String> =
        d.policies.iter().map(|p| format!("{} {}", p.name, digest(Some(&p.digest)))).collect();
    let policies =
        if policies.is_empty() { String::new() } else { format!("policy {}", policies.join(", ")) };
    let open: Vec<&str> =
        d.gates.iter().filter(|g| g.verdict != Verdict::Met).map(|g| g.gate.as_str()).collect();
    match d.verdict {
        Verdict::Met => {
            let until = d
                .valid_until
                .map_or_else(String::new, |t| format!("; to be judged again {}", crate::text::seconds(t)));
            ("cleared".into(), String::new(), format!("{policies}{until}"))
        }
        Verdict::NotMet => ("not cleared".into(), open.join(", "), policies),
        Verdict::Unknown => ("not yet known".into(), open.join(", "), policies),
    }
}

fn admission(a: &Admission, by: &str) -> (String, String, String) {
    let what = match (a.effect, a.kind.as_str()) {
        (Effect::Allow, _) if a.replacement => "replacement admitted",
        (Effect::Allow, _) => "admitted",
        (Effect::Deny, _) => "refused",
        (Effect::Hold, "Pod") => "pod held",
        (Effect::Hold, _) => "admitted, pods held",
        (Effect::Warn, _) => "admitted, warned",
        (Effect::Audit, _) => "admitted, audited",
    };
    let subresource = a.subresource.as_ref().map_or_else(String::new, |s| format!("/{s}"));
    let who = format!("{}/{}{subresource}", a.kind.to_lowercase(), a.name);
    let mut detail = a.reasons.join(", ");
    if let Some(decision) = a.decision {
        detail = join(&detail, &format!("decision {decision}"));
    }
    if a.repeats > 0 {
        detail = join(&detail, &format!("and {} times before without a record", a.repeats));
    }
    (what.into(), join(&who, by), detail)
}

fn object(
    o: &ObjectSeen,
    spec: Option<&serde_json::Value>,
    person: &str,
    by: &str,
) -> (String, String, String) {
    let text = |p: &str| spec.and_then(|s| s.pointer(p)).and_then(serde_json::Value::as_str);
    let unstamped = if o.stamped { "" } else { ", without a valid stamp" };
    let detail = format!("digest {}{unstamped}", digest(Some(&o.content)));
    if matches!(o.op, Operation::Create | Operation::Relist)
        && let Some(role) = text("/role")
    {
        let what = match (o.kind.as_str(), text("/decision")) {
            ("Approval", Some("Reject")) => "rejection",
            ("Approval", _) => "approval",
            _ => "risk acceptance",
        };
        let on = text("/subject/digest").or_else(|| text("/assessment/digest")).map(short);
        let on = on.map_or_else(String::new, |d| format!("on {d}"));
        let about = text("/subject/name").or_else(|| text("/assessment/name")).unwrap_or_default();
        let who = format!("{person} as {role}");
        return (what.into(), who, format!("{} {about} {on}{unstamped}", o.name).trim().to_owned());
    }
    let what = format!("{} {}", kind_word(&o.kind), done(o.op, !by.is_empty()));
    (what, join(&o.name, by), detail)
}

fn kind_word(kind: &str) -> &str {
    match kind {
        "ModelRelease" => "release",
        "AISystem" => "system",
        "ImpactAssessment" => "assessment",
        "TestReport" => "test report",
        "Approval" => "approval",
        "RiskAcceptance" => "risk acceptance",
        "ReleasePolicy" => "policy",
        "ApprovalRole" => "role",
        "TrustedSigner" => "signing key",
        other => other,
    }
}

/// What was done; a deletion that nobody was seen asking for was found afterwards.
fn done(op: Operation, seen: bool) -> &'static str {
    if op == Operation::Delete && !seen { "found gone" } else { op_word(op) }
}

fn op_word(op: Operation) -> &'static str {
    match op {
        Operation::Create => "created",
        Operation::Update => "changed",
        Operation::Delete => "deleted",
        Operation::Connect => "connected",
        Operation::Relist => "found",
    }
}

fn digest_change(before: Option<&Digest>, after: Option<&Digest>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{} to {}", digest(Some(before)), digest(Some(after))),
        (None, Some(after)) => format!("digest {}", digest(Some(after))),
        (Some(before), None) => format!("was {}", digest(Some(before))),
        (None, None) => String::new(),
    }
}

/// Two texts with two spaces between, where both say something.
fn join(a: &str, b: &str) -> String {
    match (a.is_empty(), b.is_empty()) {
        (false, false) => format!("{a}  {b}"),
        _ => format!("{a}{b}"),
    }
}
