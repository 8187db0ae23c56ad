//! Gate *approvals*: enough distinct people per required role, bound to the digest that the role covers. The release's
//! creator and listed developers do not count; a Reject by a holder of a required role blocks; changed content voids.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Covers, SubjectKind};
use placet_api::common::Level;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::releasepolicy::{ApprovalWhen, Proof};

use super::authors::{authors, known, unsigned};
use super::controls::Controls;
use super::counted::{Cause, WhyNot};
use super::entitled::{as_asked, eligible, entitled};
use super::rejects::{Answer, Given, Reject, When, answered, no_reject, of_nobody, taken_back};
use super::{Context, Outcome, early};

pub use super::counted::Tally;
use crate::digest::changed_fields;
use crate::evidence::{self, Changes};
use crate::finding::{Gate, Reason};
use crate::object::{Object, Standing};
use crate::people::Person;
use crate::policy::{Approvals, Requirements};
use crate::time;

const GATE: Gate = Gate::Approvals;

/// Rejects of nobody that are named for a role.
const NAMED: usize = 5;

/// What approvals are counted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Kind of the subject.
    pub kind: SubjectKind,
    /// Its name.
    pub name: &'a str,
    /// Its uid: an approval is of one object, not of whatever bears its name later.
    pub uid: &'a str,
    /// What the digest covers.
    pub covers: Covers,
    /// The digest that counts.
    pub digest: &'a str,
    /// Other digests of the subject as it is now: a Reject may name any of them.
    pub also: &'a [&'a str],
    /// The role, or any.
    pub role: Option<&'a str>,
    /// Whether approvals are asked for; otherwise only Rejects are looked for, and what answers them.
    pub asks: bool,
}

impl Wanted<'_> {
    /// Whether a digest is one of the subject as it is now.
    fn is_now(&self, digest: &str) -> bool {
        digest == self.digest || self.also.contains(&digest)
    }
}

/// Counts approvals for a subject. People in `excluded` do not count; `term` gives when an approval ends by policy.
pub fn tally(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    excluded: &[Person],
    term: Option<&Requirements>,
) -> Tally {
    tally_proven(cx, wanted, excluded, term, None)
}

/// The same, of those that are proven in this way at least.
pub fn tally_proven(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    excluded: &[Person],
    term: Option<&Requirements>,
    proof: Option<Proof>,
) -> Tally {
    let excluded = Excluded::new(cx, excluded);
    tally_without(cx, wanted, &excluded, (term, proof))
}

/// People who do not count, each by the name that stands for all of theirs.
struct Excluded<'a>(BTreeSet<&'a Person>);

impl<'a> Excluded<'a> {
    fn new(cx: &Context<'a>, people: &'a [Person]) -> Self {
        Self(people.iter().map(|p| cx.requirements.map_or(p, |r| r.same(p))).collect())
    }
}

/// As [`tally_proven`].
fn tally_without(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    excluded: &Excluded<'_>,
    (term, proof): (Option<&Requirements>, Option<Proof>),
) -> Tally {
    let mut out = Tally::default();
    let same = |p: &Person| cx.requirements.map_or_else(|| p.clone(), |r| r.same(p).clone());
    let mut rejects: Vec<Reject<'_>> = Vec::new();
    let mut given: Vec<Given<'_>> = Vec::new();
    let note = |approval: &Object<ApprovalSpec>, spec: &ApprovalSpec, said: Result<(), &WhyNot>| {
        if let Some(heard) = cx.heard.filter(|_| wanted.asks || spec.answers.is_some()) {
            heard.note(approval, said.map_err(Clone::clone));
        }
    };
    for approval in &cx.snapshot.approvals {
        let Ok(spec) = &approval.spec else { continue };
        if spec.subject.kind != wanted.kind
            || spec.subject.name.as_str() != wanted.name
            || wanted.role.is_some_and(|r| r != spec.role.as_str())
        {
            continue;
        }
        let digest = spec.subject.digest.as_str();
        match spec.decision {
            ApprovalDecision::Reject => {
                // A Reject stands for the content that was looked at, whatever part of it the digest covers.
                let trust = cx.snapshot.trust();
                let decider = approval.standing().and_then(|s| trust.decider(&approval.record, spec, s).ok());
                let holds = decider.filter(|s| entitled(cx, s, spec.role.as_str()).is_ok());
                if let Some(standing) = holds.filter(|_| wanted.is_now(digest)) {
                    let by = same(&standing.creator);
                    let at = When::of(&approval.record, standing.created_at);
                    rejects.push(Reject { object: approval, spec, by, at });
                } else {
                    if approval.live && approval.standing().is_none() && out.of_nobody.len() < NAMED {
                        out.of_nobody.push(of_nobody(cx, approval));
                    }
                    let Some(heard) = cx.heard else { continue };
                    heard.note(approval, Err(no_reject(cx, approval, spec, wanted.digest)));
                }
            }
            ApprovalDecision::Approve => match counts(cx, approval, spec, wanted, excluded, (term, proof)) {
                Ok(Some((person, at))) => {
                    let at = When::of(&approval.record, at);
                    given.push(Given { object: approval, spec, by: same(&person), at, whole: true });
                }
                Ok(None) if spec.answers.is_some() && wanted.is_now(digest) => {
                    let own = Wanted { covers: spec.subject.covers, digest, ..*wanted };
                    match counts(cx, approval, spec, &own, excluded, (term, proof)) {
                        Ok(Some((person, at))) => {
                            let at = When::of(&approval.record, at);
                            given.push(Given { object: approval, spec, by: same(&person), at, whole: false });
                        }
                        Ok(None) => {}
                        Err(why) => note(approval, spec, Err(&why)),
                    }
                }
                Ok(None) => {}
                Err(why) => {
                    if let Some(standing) = approval.standing().filter(|_| why.cause == Cause::Ended) {
                        // It was given, and what was given after it rests on it.
                        out.given_since(When::of(&approval.record, standing.created_at));
                    }
                    note(approval, spec, Err(&why));
                    out.why_not.push(why);
                }
            },
        }
    }
    let mut answers: Vec<Answer<'_>> = Vec::new();
    for one in given {
        // What was answered stays answered, whatever becomes of the approval that did.
        answers.push(Answer { spec: one.spec, at: one.at, whole: one.whole });
        let rejected = rejects.iter().find(|reject| reject.takes_back(&one));
        let void = rejected.map(|reject| taken_back(&one, reject)).or_else(|| outdated(cx, &one, wanted));
        if let Some(why) = void {
            note(one.object, one.spec, Err(&why));
            out.why_not.extend(one.whole.then_some(why));
            continue;
        }
        note(one.object, one.spec, Ok(()));
        if one.whole {
            out.counted.insert(one.by);
            out.given.insert(one.object.name().to_owned());
            out.given_since(one.at);
        }
    }
    // While nobody knows who wrote a system or an assessment, nobody is known to be another who answers.
    if !wanted.asks
        && !unsigned(cx, &[wanted.kind.kind()]).is_empty()
        && wanted.kind != SubjectKind::ModelRelease
    {
        answers.clear();
    }
    let stands = |reject: &Reject<'_>| {
        !cx.answered.contains(&reject.object.id)
            && !answers.iter().any(|answer| answer.lifts(reject.object.name(), reject.spec, reject.at))
    };
    if let Some(heard) = cx.heard {
        for reject in &rejects {
            let said = if stands(reject) { Ok(()) } else { Err(answered(reject.object.name())) };
            heard.note(reject.object, said);
        }
    }
    out.rejects = rejects.iter().filter(|r| stands(r)).map(|r| r.object.name().to_owned()).collect();
    out.rejects.sort();
    out.rejects.dedup();
    out
}

/// Why an approval of a release is of before: a residual level fell since, or it was given before the assessment was approved.
/// What it answered stays answered. A signature says nothing of levels, and a robot applies it when it likes, so that levels
/// of the time at which it was applied are not held against it.
fn outdated(cx: &Context<'_>, given: &Given<'_>, wanted: &Wanted<'_>) -> Option<WhyNot> {
    let (name, who) = (given.object.name(), &given.by);
    let standing = given.object.standing().filter(|_| wanted.kind == SubjectKind::ModelRelease)?;
    let then = standing.evidence.as_deref();
    let then = then.filter(|_| wanted.covers == Covers::Evidence && given.spec.signed.is_none());
    if let Some((risk, was, is)) = then.and_then(|then| then.fallen(cx.scores?).next()) {
        let about = [name, risk].map(ToOwned::to_owned).into_iter();
        let about = about.chain([who.to_string(), was.to_string(), is.to_string()]).collect();
        let of = cx.assessment.and_then(|(_, spec)| spec.risks.iter().find(|r| r.id.as_str() == risk));
        let time = of.is_some_and(|of| Controls::new(cx).fell_by_time(of, standing.created_at));
        let (cause, since) = if time {
            (Cause::Ended, ", since a control works that did not then")
        } else {
            (Cause::Changed, "")
        };
        let text =
            format!("{who} approved with the residual risk {risk} at {was}, and it is {is} now{since}");
        return Some(WhyNot { cause, text, about });
    }
    let since = cx.assessed_since.filter(|since| !given.at.after(*since))?;
    Some(super::assessment_approved::too_early(name, who, since))
}

/// Who approved, if the approval counts; nobody, if it is not about this digest's kind; or why it does not count.
fn counts(
    cx: &Context<'_>,
    approval: &Object<ApprovalSpec>,
    spec: &ApprovalSpec,
    wanted: &Wanted<'_>,
    excluded: &Excluded<'_>,
    (term, proof): (Option<&Requirements>, Option<Proof>),
) -> Result<Option<(Person, Timestamp)>, WhyNot> {
    let name = approval.name();
    let about = || {
        let who = approval.standing().map(|s| s.who().to_string());
        [name.to_owned()].into_iter().chain(who).collect::<Vec<_>>()
    };
    let why = |text: String| WhyNot { cause: Cause::Other, text, about: about() };
    let ended = |text: String, when: Timestamp| {
        let mut about = about();
        about.push(when.to_string());
        WhyNot { cause: Cause::Ended, text, about }
    };
    if !approval.live || spec.subject.covers != wanted.covers {
        return Ok(None);
    }
    let Some(standing) = approval.standing() else {
        return Err(why(of_nobody(cx, approval)));
    };
    let who = standing.who();
    if spec.subject.digest.as_str() != wanted.digest {
        let (then, changes) = changes_since(cx, wanted, spec.subject.digest.as_str(), standing);
        let text = match changes.in_words() {
            fields if !fields.is_empty() => format!("{who} approved {then}; changed since: {fields}"),
            _ => format!(
                "{who} approved {}, the content is {}",
                super::assessment::short(&spec.subject.digest),
                super::assessment::short(wanted.digest)
            ),
        };
        let mut about = about();
        about.extend([spec.subject.digest.to_string(), wanted.digest.to_owned()]);
        about.extend(changes.about);
        return Err(WhyNot { cause: Cause::Changed, text, about });
    }
    if let Some(uid) = standing.subject_uid.as_ref().filter(|uid| *uid != wanted.uid) {
        let mut about = about();
        about.push(uid.clone());
        let text = format!("{who} approved an earlier object of this name, which was deleted since");
        return Err(WhyNot { cause: Cause::Other, text, about });
    }
    if standing.subject_uid.is_none()
        && spec.signed.is_some()
        && early::was_of_another(cx, wanted, cx.snapshot.trust().first_seen(&approval.record, standing))
    {
        let text = format!(
            "{name} was applied for an earlier object of this name, which was deleted since: sign again"
        );
        return Err(why(text));
    }
    let standing = &cx.snapshot.trust().decider(&approval.record, spec, standing).map_err(|void| {
        let about = about().into_iter().chain(void.about).collect();
        WhyNot { cause: Cause::Signature, text: format!("{name} does not count: {}", void.text), about }
    })?;
    let who = &standing.creator;
    let because = |cause: Cause, text: String| WhyNot { cause, ..why(text) };
    entitled(cx, standing, spec.role.as_str()).map_err(|text| because(Cause::Role, text))?;
    eligible(cx, standing).map_err(why)?;
    as_asked(cx, standing, (spec, wanted.covers), wanted.kind, (term, proof)).map_err(why)?;
    if excluded.0.contains(cx.requirements.map_or(who, |r| r.same(who))) {
        let is = match wanted.kind {
            SubjectKind::RiskAcceptance => "accepted the risk",
            _ => "is an author",
        };
        return Err(because(Cause::Author, format!("{who} {is} and does not count")));
    }
    if let Some(expires) = &spec.expires_at {
        let ends =
            time::date_time(expires).ok_or_else(|| why(format!("{name}: there is no day {expires}")))?;
        if cx.now.reached(ends) {
            return Err(ended(format!("{who}'s approval ended {expires}"), ends));
        }
    }
    let days = term.and_then(|r| {
        let used = cx.snapshot.first_use.is_some();
        if used { r.running_days } else { r.first_use_days }
    });
    if let Some(days) = days {
        let ends = time::days_after(standing.created_at, days);
        if cx.now.reached(ends) {
            let what = if cx.snapshot.first_use.is_some() { "" } else { " without a first use" };
            return Err(ended(format!("{who}'s approval ended after {days} days{what}"), ends));
        }
    }
    Ok(Some((who.clone(), standing.created_at)))
}

/// What was approved, in words, and what changed between it and the subject as it is now.
fn changes_since(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    digest: &str,
    standing: &Standing,
) -> (&'static str, Changes) {
    if wanted.covers == Covers::Evidence {
        let both = standing.evidence.as_deref().zip(cx.evidence);
        let found = both.map(|(then, now)| evidence::changes(then, now, cx.snapshot));
        return ("earlier evidence", found.unwrap_or_default());
    }
    let specs = || {
        let snapshot = cx.snapshot;
        let system = || Some(&snapshot.system.as_ref()?.record.spec);
        match (wanted.kind, wanted.covers) {
            (SubjectKind::ModelRelease, Covers::Content) => {
                let old = snapshot.former.iter().find(|f| f.digest() == digest)?;
                Some((&old.record.spec, &snapshot.release.as_ref()?.record.spec))
            }
            (SubjectKind::AISystem, Covers::Classification) => {
                let mut former = snapshot.former_systems.iter();
                let old = former.find(|f| f.classification.as_deref() == Some(digest))?;
                Some((&old.record.spec, system()?))
            }
            (SubjectKind::AISystem, Covers::Content) => {
                let old = snapshot.former_systems.iter().find(|f| f.digest() == digest)?;
                Some((&old.record.spec, system()?))
            }
            _ => None,
        }
    };
    let fields = specs().map(|(old, new)| changed_fields(&old.value(), &new.value(), 5).join(", "));
    let texts = fields.into_iter().filter(|f| !f.is_empty()).collect();
    ("an earlier content", Changes { texts, about: Vec::new() })
}

/// Roles whose approval is asked for, or may be, and what the digest of each must cover.
pub fn asked(cx: &Context<'_>) -> Vec<(String, Covers)> {
    let rules = cx.requirements.into_iter().flat_map(|r| &r.approvals);
    let asked = rules.filter(|(_, rule)| required(cx, rule) != Some(false));
    asked.map(|((role, _), rule)| (role.clone(), rule.covers)).collect()
}

/// Judges the approvals of the release. `evidence` is the digest that approvals covering Evidence bind; a Reject may name
/// the one that they will bind `after`, too.
pub fn evaluate(cx: &Context<'_>, evidence: Option<&str>, after: Option<&str>) -> Outcome {
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let Some((release, _)) = cx.release else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let all = authors(cx.snapshot);
    let (wrote, nobody) = (Excluded::new(cx, &all), Excluded::new(cx, &[]));
    if !requirements.author_may_approve || requirements.approvals.values().any(|rule| rule.independent) {
        known(cx, GATE, &[Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment], &mut out);
    }
    let mut by_role: Vec<(&str, &Approvals, Tally)> = Vec::new();
    // A Reject in a role that is asked under a condition blocks whether or not that holds: the author who says what the
    // condition is about does not unsay a Reject so.
    let mut not_asked: Vec<(&str, Tally)> = Vec::new();
    for ((role, _), rule) in &requirements.approvals {
        let required = required(cx, rule);
        if required.is_none() {
            out.unknown(
                GATE,
                Reason::ScoreNotComputable,
                role.clone(),
                format!("residual levels, to know whether {role} must approve"),
                "the assessment's scores are not known",
                "system owner",
                "see the gate assessment",
            );
        }
        let digest = match rule.covers {
            Covers::Evidence => evidence.unwrap_or_default(),
            _ => release.digest(),
        };
        let wanted = Wanted {
            kind: SubjectKind::ModelRelease,
            name: release.name(),
            uid: &release.record.uid,
            covers: rule.covers,
            digest,
            also: &[release.digest(), evidence.unwrap_or_default(), after.unwrap_or_default()],
            role: Some(role),
            asks: required == Some(true),
        };
        let excluded = if requirements.author_may_approve && !rule.independent { &nobody } else { &wrote };
        let tally = tally_without(cx, &wanted, excluded, (Some(requirements), None));
        if required == Some(true) {
            by_role.push((role, rule, tally));
        } else {
            not_asked.push((role, tally));
        }
    }
    let asked: BTreeSet<&str> = by_role.iter().map(|(role, ..)| *role).collect();
    for (role, tally) in not_asked.iter().filter(|(role, _)| !asked.contains(role)) {
        rejected(cx, release, (role, tally), &mut out);
    }
    let assigned = assign(&by_role, requirements.one_role_per_person);
    for (i, (role, rule, tally)) in by_role.iter().enumerate() {
        rejected(cx, release, (role, tally), &mut out);
        let have = assigned[i];
        let need = usize::try_from(rule.count).unwrap_or(usize::MAX);
        if have >= need {
            continue;
        }
        let mut found = format!("{have} of {need}");
        if tally.counted.len() > have {
            found.push_str(", since a person counts in one role only");
        }
        tally.explain(&mut found);
        let caused = |cause: Cause| tally.why_not.iter().filter(|w| w.cause == cause).count();
        // Expired only if those whose term ended would have been enough: otherwise something else is missing too.
        let reason = if caused(Cause::Changed) > 0 {
            Reason::ContentChanged
        } else if have + caused(Cause::Ended) >= need {
            Reason::ApprovalExpired
        } else {
            Reason::ApprovalMissing
        };
        out.not_met(
            GATE,
            reason,
            *role,
            format!(
                "{need} approval{} by {role} (covers: {})",
                if need == 1 { "" } else { "s" },
                rule.covers
            ),
            found,
            *role,
            cx.command(&format!("placet approve mr/{} --role {role}", release.name())),
        )
        .about(
            [rule.covers.to_string(), have.to_string(), need.to_string()].into_iter().chain(tally.about()),
        );
    }
    out
}

/// Says which Rejects of the release in a role stand.
fn rejected(
    cx: &Context<'_>,
    release: &Object<ModelReleaseSpec>,
    (role, tally): (&str, &Tally),
    out: &mut Outcome,
) {
    out.notes.extend(tally.of_nobody.iter().map(|why| format!("warning: the Reject {why}")));
    let Some((found, about)) = tally.rejected("this content") else { return };
    let answer = format!("placet approve mr/{} --role {role}{}", release.name(), tally.answering());
    out.not_met(
        GATE,
        Reason::Rejected,
        role,
        format!("no Reject by {role}"),
        found,
        format!("data scientist, or a holder of {role} who answers the Reject"),
        format!("mend what was criticised and release it as a new ModelRelease, or {}", cx.command(&answer)),
    )
    .about(about);
}

/// Whether a conditional approval is asked for; None while it is not known.
fn required(cx: &Context<'_>, rule: &Approvals) -> Option<bool> {
    if rule.always {
        return Some(true);
    }
    let mut known = true;
    for when in &rule.when {
        let holds = match when {
            ApprovalWhen::PersonalData => cx.system.and_then(|(_, s)| s.triggers.as_ref()?.personal_data),
            ApprovalWhen::ResidualHighOrAbove => cx
                .scores
                .map(|scores| scores.iter().any(|s| s.residual >= Level::High))
                .or_else(|| cx.requirements.is_some_and(|r| !r.assessment).then_some(false)),
        };
        match holds {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

/// How many people count for each role. With one role per person, this is the largest assignment of people to the places
/// that roles ask for (augmenting paths), so that a person who holds two roles stands where they are needed.
fn assign(by_role: &[(&str, &Approvals, Tally)], one_role_per_person: bool) -> Vec<usize> {
    if !one_role_per_person {
        return by_role.iter().map(|(_, _, tally)| tally.counted.len()).collect();
    }
    let mut place_of: BTreeMap<&Person, usize> = BTreeMap::new();
    let mut filled = vec![0_usize; by_role.len()];
    for (i, (_, rule, _)) in by_role.iter().enumerate() {
        let need = usize::try_from(rule.count).unwrap_or(usize::MAX);
        while filled[i] < need {
            let mut visited = BTreeSet::new();
            if !augment(by_role, i, &mut place_of, &mut visited) {
                break;
            }
            filled[i] += 1;
        }
    }
    filled
}

/// Finds a person for a place of role `i`, moving others to places that they can fill as well.
fn augment<'a>(
    by_role: &'a [(&str, &Approvals, Tally)],
    i: usize,
    place_of: &mut BTreeMap<&'a Person, usize>,
    visited: &mut BTreeSet<&'a Person>,
) -> bool {
    for person in &by_role[i].2.counted {
        if place_of.get(person) == Some(&i) || !visited.insert(person) {
            continue;
        }
        let free = match place_of.get(person).copied() {
            None => true,
            Some(other) => augment(by_role, other, place_of, visited),
        };
        if free {
            place_of.insert(person, i);
            return true;
        }
    }
    false
}
