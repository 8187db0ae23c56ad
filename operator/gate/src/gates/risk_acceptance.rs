//! Gate *riskAcceptance*: every residual risk above the policy's appetite is covered by acceptances in date, by the roles
//! that are entitled to its level, after those were heard that must be. An acceptance is of a risk by the risk's own digest.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Covers, SubjectKind};
use placet_api::common::Level;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::releasepolicy::Proof;
use placet_api::riskacceptance::{AcceptedRisk, RiskAcceptanceSpec};

use super::approvals::{self, Tally, Wanted};
use super::counted::{self, Cause};
use super::entitled::{eligible, entitled};
use super::{Context, Outcome, authors, early};
use crate::finding::{Gate, Reason};
use crate::object::{Object, Standing};
use crate::people::Person;
use crate::policy::Authority;
use crate::risk::Score;
use crate::signature::proven;
use crate::time;

const GATE: Gate = Gate::RiskAcceptance;

/// Judges the residual risks.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    note_withdrawals(cx);
    let Some(requirements) = cx.requirements else { return cx.requirements_unknown(GATE) };
    let mut out = Outcome::default();
    let Some(appetite) = requirements.appetite else { return out };
    let (Some((assessment, _)), Some(scores)) = (cx.assessment, cx.scores) else {
        if requirements.assessment {
            out.unknown(
                GATE,
                Reason::ScoreNotComputable,
                "",
                "residual risks, from an assessment that counts",
                "the assessment is missing or its scores cannot be computed",
                "system owner",
                "see the gate assessment",
            );
        }
        return out;
    };
    for score in scores.iter().filter(|s| s.residual > appetite) {
        judge(cx, assessment, score, appetite, &mut out);
    }
    out
}

/// Notes which Rejects withdraw an acceptance, whether or not anything else keeps it from counting.
fn note_withdrawals(cx: &Context<'_>) {
    let Some(heard) = cx.heard else { return };
    for reject in &cx.snapshot.approvals {
        let Ok(spec) = &reject.spec else { continue };
        let about =
            spec.decision == ApprovalDecision::Reject && spec.subject.kind == SubjectKind::RiskAcceptance;
        let mut of_name = cx.snapshot.acceptances.iter().filter(|a| a.name() == spec.subject.name.as_str());
        let Some(acceptance) = of_name.next().filter(|_| about) else { continue };
        let withdraws = withdraws(cx, reject, acceptance);
        let why = || super::rejects::no_reject(cx, reject, spec, acceptance.digest());
        heard.note(reject, if withdraws { Ok(()) } else { Err(why()) });
    }
}

fn judge(
    cx: &Context<'_>,
    assessment: &Object<ImpactAssessmentSpec>,
    score: &Score,
    appetite: Level,
    out: &mut Outcome,
) {
    let Some(requirements) = cx.requirements else { return };
    let level = score.residual;
    let risk = Risk { assessment, score, appetite };
    if level == Level::VeryHigh {
        if let Some(heard) = cx.heard {
            let named = |a: &&Arc<Object<RiskAcceptanceSpec>>| names(a, assessment, &score.id).is_some();
            for acceptance in cx.snapshot.acceptances.iter().filter(named) {
                let text = format!("{} is {level} now, which nobody may accept", score.id);
                heard.accepts(acceptance, &score.id, Err(no(Cause::Changed, text)));
            }
        }
        out.not_met(
            GATE,
            reason(score, Reason::RiskNotAcceptable),
            score.id.clone(),
            format!("{} at most High after controls", score.id),
            risk.found(),
            "system owner",
            "treat the risk or withdraw the release; nobody may accept VeryHigh",
        )
        .about([level.to_string()].into_iter().chain(doubts(score)));
        return;
    }
    let Some(authorities) = requirements.authority.get(&level) else {
        out.unknown(
            GATE,
            Reason::AuthorityMissing,
            score.id.clone(),
            format!("a policy that says who may accept {level} (spec.acceptanceAuthority)"),
            format!("{} names nobody; {}", cx.policy_names(), risk.found()),
            "platform team",
            "kubectl edit releasepolicies",
        )
        .about([level.to_string()].into_iter().chain(doubts(score)));
        return;
    };
    authors::known(cx, GATE, &[Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment], out);
    for authority in authorities {
        risk.accepted(cx, authority, out);
    }
}

/// Why a risk is not accepted: where its controls lowered it until their evidence ended, and for no other reason, that is why;
/// controls that never lowered it, as one that is planned, are no other reason.
fn reason(score: &Score, otherwise: Reason) -> Reason {
    let doubts = score.raised.as_deref().unwrap_or_default();
    let ended = doubts.iter().any(|d| d.ended) && doubts.iter().all(|d| d.ended || d.never);
    if ended { Reason::EvidenceExpired } else { otherwise }
}

/// What is named by the words on controls that do not lower a risk.
fn doubts(score: &Score) -> Vec<String> {
    let doubts = score.raised.iter().flatten();
    doubts.flat_map(|d| [&d.control].into_iter().chain(&d.about).cloned()).collect()
}

/// Whether an acceptance counts that is named as evidence: somebody gave it who is entitled to its level and did not write what
/// it rests on, of risks as they are now, and it neither ended nor was withdrawn. Whether its level is enough is not asked,
/// since the levels follow from what the evidence shows.
///
/// # Errors
/// Why it does not count.
pub(super) fn shows(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    wrote: &[Person],
) -> Result<(), No> {
    stands(cx, acceptance, wrote)?;
    let risks = acceptance.spec.iter().flat_map(|spec| &spec.risks);
    if let Some(heard) = cx.heard {
        for risk in risks {
            heard.accepts(acceptance, &risk.id, Ok(()));
        }
    }
    Ok(())
}

/// Whether an acceptance stands, whatever levels are now: somebody entitled gave it of risks as they are now, and it neither
/// ended nor was withdrawn.
///
/// # Errors
/// Why it does not.
pub(super) fn stands(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    wrote: &[Person],
) -> Result<(), No> {
    let (Ok(spec), Some(standing)) = (&acceptance.spec, acceptance.standing()) else {
        return Err(no(Cause::Other, "nobody is known to have given it"));
    };
    let assessment =
        cx.snapshot.assessments.iter().find(|a| a.live && a.name() == spec.assessment.name.as_str());
    let now = assessment.map(|a| a.risk_digests());
    let same =
        |r: &AcceptedRisk| now.and_then(|n| n.get(r.id.as_str())).is_some_and(|d| d == r.digest.as_str());
    if let Some(changed) = spec.risks.iter().find(|r| !same(r)) {
        let about = vec![changed.id.to_string(), changed.digest.to_string()];
        return Err(No {
            about,
            ..no(Cause::Changed, format!("it is for another content of {}", changed.id))
        });
    }
    if let Some(assessment) = assessment.filter(|_| spec.signed.is_some()) {
        of_this_one(cx, assessment, (acceptance, standing))?;
    }
    let standing = &*decided_by(cx, acceptance, spec, standing)?;
    let who = &standing.creator;
    let same = |p: &Person| cx.requirements.map_or(p == who, |r| r.same(p) == r.same(who));
    let about_who = |no: No| No { about: vec![who.to_string()], ..no };
    if wrote.iter().any(same) {
        let text = format!("{who} wrote the system or its assessment");
        return Err(about_who(no(Cause::Author, text)));
    }
    let authorities = cx.requirements.map(|r| r.authority.get(&spec.level));
    if authorities.is_some_and(|a| a.is_none()) {
        return Err(no(Cause::Role, format!("no policy here says who may accept {}", spec.level)));
    }
    for authority in authorities.flatten().into_iter().flatten() {
        may(authority, spec, standing).map_err(about_who)?;
        in_term(cx, acceptance, (spec, standing), authority.max_days)?;
    }
    in_term(cx, acceptance, (spec, standing), None)
}

/// Who gave an acceptance, if they held its role and are one whose word counts.
fn decided_by<'s>(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    spec: &RiskAcceptanceSpec,
    standing: &'s Standing,
) -> Result<Cow<'s, Standing>, No> {
    let standing = cx
        .snapshot
        .trust()
        .decider(&acceptance.record, spec, standing)
        .map_err(|void| No { about: void.about, ..no(Cause::Signature, void.text) })?;
    let who = |no: No| No { about: vec![standing.creator.to_string()], ..no };
    entitled(cx, &standing, spec.role.as_str()).map_err(|text| who(no(Cause::Role, text)))?;
    eligible(cx, &standing).map_err(|text| who(no(Cause::Other, text)))?;
    Ok(standing)
}

/// Whether a policy lets the role of an acceptance accept, proven as it was.
fn may(authority: &Authority, spec: &RiskAcceptanceSpec, standing: &Standing) -> Result<(), No> {
    if !authority.roles.contains(spec.role.as_str()) {
        return Err(no(Cause::Role, format!("{} may not accept {}", spec.role, spec.level)));
    }
    proven(authority.proof, standing, spec.into(), ("acceptance", "placet accept-risk"))
        .map_err(|text| no(Cause::Signature, text))
}

/// Whether nobody withdrew an acceptance and its term is not over.
fn in_term(
    cx: &Context<'_>,
    acceptance: &Object<RiskAcceptanceSpec>,
    (spec, standing): (&RiskAcceptanceSpec, &Standing),
    max_days: Option<i32>,
) -> Result<(), No> {
    if let Some(reject) = rejected(cx, acceptance) {
        let text = format!("withdrawn by {reject}");
        return Err(No { about: vec![reject], ..no(Cause::Other, text) });
    }
    let until = time::date_time(&spec.expires_at)
        .ok_or_else(|| no(Cause::Other, format!("there is no day {}", spec.expires_at)))?;
    let ended = |text: String| No { about: vec![spec.expires_at.to_string()], ..no(Cause::Ended, text) };
    if cx.now.reached(until) {
        return Err(ended(format!("ended {}", spec.expires_at)));
    }
    if let Some(days) = max_days
        && cx.now.reached(time::days_after(standing.created_at, days))
    {
        return Err(ended(format!("ended after {days} days, the most that a policy lets it stand")));
    }
    Ok(())
}

/// What an acceptance says of a risk of this assessment; None if it does not name it.
fn names<'a>(
    acceptance: &'a Object<RiskAcceptanceSpec>,
    assessment: &Object<ImpactAssessmentSpec>,
    risk: &str,
) -> Option<&'a AcceptedRisk> {
    let spec = acceptance.spec.as_ref().ok()?;
    let of_assessment = spec.assessment.name.as_str() == assessment.name();
    spec.risks.iter().find(|r| of_assessment && r.id.as_str() == risk)
}

/// A risk above the appetite.
struct Risk<'a> {
    assessment: &'a Object<ImpactAssessmentSpec>,
    score: &'a Score,
    appetite: Level,
}

/// An acceptance that counts.
struct Accepted<'a> {
    object: &'a Object<RiskAcceptanceSpec>,
    role: &'a str,
    by: Person,
    until: String,
}

/// Why acceptances that name a risk do not count.
#[derive(Default)]
struct WhyNot {
    texts: Vec<String>,
    about: Vec<String>,
    ended: bool,
}

/// Why one does not.
type No = counted::WhyNot;

/// Nothing else is named beside the acceptance and who gave it.
fn no(cause: Cause, text: impl Into<String>) -> No {
    No { cause, text: text.into(), about: Vec::new() }
}

impl Risk<'_> {
    /// What was found of it, in words.
    fn found(&self) -> String {
        let Score { id, residual, arithmetic, .. } = self.score;
        format!("{id} is {residual} after controls ({arithmetic}); the appetite is {}", self.appetite)
    }

    /// Whether acceptances satisfy what one policy asks for; if not, the findings.
    fn accepted(&self, cx: &Context<'_>, authority: &Authority, out: &mut Outcome) {
        let (id, level) = (&self.score.id, self.score.residual);
        let (accepted, why) = self.acceptances(cx, authority);
        let roles: Vec<&str> = authority.roles.iter().map(String::as_str).collect();
        let people: Vec<(&str, &Person)> = accepted.iter().map(|a| (a.role, &a.by)).collect();
        let open = if authority.every { unfilled(&roles, &people) } else { roles.clone() };
        let enough = if authority.every { open.is_empty() } else { !accepted.is_empty() };
        if !enough {
            let who = if authority.every { open.join(" and ") } else { open.join(" or ") };
            let role = open.first().copied().unwrap_or_default();
            // An acceptance that does not count weighs more than evidence that ended before.
            let reason = if why.ended {
                Reason::AcceptanceExpired
            } else if why.texts.is_empty() {
                reason(self.score, Reason::RiskNotAccepted)
            } else {
                Reason::RiskNotAccepted
            };
            let found = [self.found()].into_iter().chain(why.texts).collect::<Vec<_>>().join("; ");
            let different =
                if authority.every && roles.len() > 1 { ", each by a different person" } else { "" };
            out.not_met(
                GATE,
                reason,
                id.clone(),
                format!("{id} accepted at {level} by {who}{different}"),
                found,
                who,
                cx.command(&format!(
                    "placet accept-risk ia/{} {id} --role {role} --until DATE{}",
                    self.assessment.name(),
                    signing(authority.proof)
                )),
            )
            .about(
                [level.to_string()]
                    .into_iter()
                    .chain(open.iter().map(ToString::to_string))
                    .chain(why.about)
                    .chain(doubts(self.score)),
            );
            return;
        }
        let heard = self.all_heard(cx, authority, &accepted, out);
        if heard {
            for one in &accepted {
                out.notes.push(format!("{id} {level} accepted by {} until {}", one.object.name(), one.until));
            }
        }
    }

    /// Acceptances of this risk that count, and why others do not.
    fn acceptances<'a>(&self, cx: &'a Context<'_>, authority: &Authority) -> (Vec<Accepted<'a>>, WhyNot) {
        let (mut accepted, mut why) = (Vec::new(), WhyNot::default());
        for acceptance in &cx.snapshot.acceptances {
            let Ok(spec) = &acceptance.spec else { continue };
            let Some(named) = names(acceptance, self.assessment, &self.score.id) else { continue };
            let counts = self.counts(cx, authority, acceptance, spec, named.digest.as_str());
            if let Some(heard) = cx.heard {
                let said = counts.as_ref().map(drop).map_err(Clone::clone);
                heard.accepts(acceptance, &self.score.id, said);
            }
            match counts {
                Ok((by, until)) => {
                    accepted.push(Accepted { object: acceptance, role: spec.role.as_str(), by, until });
                }
                Err(no) => {
                    let ended = no.cause == Cause::Ended;
                    why.ended |= ended;
                    why.texts.push(format!("{}: {}", acceptance.name(), no.text));
                    why.about.push(acceptance.name().to_owned());
                    why.about.extend(acceptance.standing().map(|s| s.who().to_string()));
                    why.about.extend(rejected(cx, acceptance));
                    why.about.extend(no.about);
                }
            }
        }
        (accepted, why)
    }

    /// Who accepted and until when, or why it does not count.
    fn counts(
        &self,
        cx: &Context<'_>,
        authority: &Authority,
        acceptance: &Object<RiskAcceptanceSpec>,
        spec: &RiskAcceptanceSpec,
        digest: &str,
    ) -> Result<(Person, String), No> {
        let level = self.score.residual;
        let problem = || super::undecided(acceptance, &cx.snapshot.former_acceptances);
        let standing = acceptance.standing().ok_or_else(|| no(Cause::Other, problem()))?;
        if self.assessment.risk_digests().get(&self.score.id).is_none_or(|now| now != digest) {
            return Err(no(
                Cause::Changed,
                "is for another content of the risk: its text, harms or controls changed since",
            ));
        }
        if !authority.roles.contains(spec.role.as_str()) {
            return Err(no(Cause::Role, format!("{} may not accept {level}", spec.role)));
        }
        if spec.signed.is_some() {
            of_this_one(cx, self.assessment, (acceptance, standing))?;
        }
        let standing = &*decided_by(cx, acceptance, spec, standing)?;
        let who = &standing.creator;
        proven(authority.proof, standing, spec.into(), ("acceptance", "placet accept-risk"))
            .map_err(|text| no(Cause::Signature, text))?;
        if spec.level < level {
            return Err(no(Cause::Changed, format!("accepts {} only", spec.level)));
        }
        let same = |a: &Person, b: &Person| cx.requirements.is_some_and(|r| r.same(a) == r.same(b));
        if authors::authors(cx.snapshot).iter().any(|a| same(a, who)) {
            let text =
                "wrote or developed the release, its system or its assessment and cannot accept its risks";
            return Err(no(Cause::Author, format!("{who} {text}")));
        }
        if let Some(role) = approved_as(cx, |p| same(p, who)) {
            let text = format!("{who} approved the release as {role} and cannot accept its risks");
            return Err(no(Cause::Other, text));
        }
        in_term(cx, acceptance, (spec, standing), authority.max_days)?;
        Ok((cx.requirements.map_or(who, |r| r.same(who)).clone(), spec.expires_at.to_string()))
    }

    /// Whether each role that must be was heard on one of the acceptances, by somebody who accepted none of them; where people
    /// count in one role only, each by a person of its own.
    fn all_heard(
        &self,
        cx: &Context<'_>,
        authority: &Authority,
        accepted: &[Accepted<'_>],
        out: &mut Outcome,
    ) -> bool {
        let acceptors: Vec<Person> = accepted.iter().map(|a| a.by.clone()).collect();
        let by_role: Vec<(&str, Tally)> = authority
            .consulted
            .iter()
            .map(|role| (role.as_str(), heard(cx, (role, authority.proof), accepted, &acceptors)))
            .collect();
        let people: Vec<(&str, &Person)> =
            by_role.iter().flat_map(|(role, tally)| tally.counted.iter().map(|who| (*role, who))).collect();
        let roles: Vec<&str> = by_role.iter().map(|(role, _)| *role).collect();
        let of_their_own = cx.requirements.is_some_and(|r| r.one_role_per_person);
        let open = if of_their_own { unfilled(&roles, &people) } else { Vec::new() };
        let (id, name) = (&self.score.id, accepted.first().map(|a| a.object.name()).unwrap_or_default());
        let mut all = true;
        for (role, tally) in &by_role {
            let found = if tally.counted.is_empty() {
                tally.found_or(&format!("nobody of {role} approved {name}"))
            } else if open.contains(role) {
                "whoever was heard in it was heard in another role, and a person counts in one role only"
                    .to_owned()
            } else {
                continue;
            };
            all = false;
            out.not_met(
                GATE,
                Reason::ConsultationMissing,
                format!("{id} {role}"),
                format!("{role} heard on the acceptance of {id}, by somebody who did not accept it"),
                found,
                *role,
                cx.command(&format!("placet approve ra/{name} --role {role}{}", signing(authority.proof))),
            )
            .about([name.to_owned()].into_iter().chain(tally.about()));
        }
        all
    }
}

/// A signature is used for one assessment, and not for what bears its name later.
fn of_this_one(
    cx: &Context<'_>,
    assessment: &Object<ImpactAssessmentSpec>,
    (acceptance, standing): (&Object<RiskAcceptanceSpec>, &Standing),
) -> Result<(), No> {
    let name = assessment.name();
    let uid = &assessment.record.uid;
    let of_another = match &standing.subject_uid {
        Some(signed_for) => signed_for != uid,
        // It was applied before there was an assessment.
        None => early::was_of_another(
            cx,
            &Wanted {
                kind: SubjectKind::ImpactAssessment,
                name,
                uid,
                covers: Covers::Content,
                digest: assessment.digest(),
                also: &[],
                role: None,
                asks: false,
            },
            cx.snapshot.trust().first_seen(&acceptance.record, standing),
        ),
    };
    if of_another {
        let text = format!("was for an earlier {name}, which was deleted since: sign again");
        let about = [name.to_owned()].into_iter().chain(standing.subject_uid.clone()).collect();
        return Err(No { about, ..no(Cause::Signature, text) });
    }
    Ok(())
}

/// Who was heard in a role, on any of the acceptances.
fn heard(
    cx: &Context<'_>,
    (role, proof): (&str, Option<Proof>),
    accepted: &[Accepted<'_>],
    acceptors: &[Person],
) -> Tally {
    let mut all = Tally::default();
    for one in accepted {
        let wanted = Wanted {
            kind: SubjectKind::RiskAcceptance,
            name: one.object.name(),
            uid: &one.object.record.uid,
            covers: Covers::Content,
            digest: one.object.digest(),
            also: &[],
            role: Some(role),
            asks: true,
        };
        let tally = approvals::tally_proven(cx, &wanted, acceptors, None, proof);
        all.counted.extend(tally.counted);
        all.why_not.extend(tally.why_not);
    }
    all
}

/// What a command needs where a signature is asked for.
fn signing(proof: Option<Proof>) -> &'static str {
    if proof == Some(Proof::Signed) { " --sign-with KEY" } else { "" }
}

/// Roles for which no person of their own is left, by the largest assignment of people to roles. `people`: who there is for
/// which role.
fn unfilled<'r>(roles: &[&'r str], people: &[(&str, &Person)]) -> Vec<&'r str> {
    fn place<'a>(
        role: &str,
        people: &[(&'a str, &'a Person)],
        taken: &mut BTreeMap<&'a Person, &'a str>,
        seen: &mut BTreeSet<&'a Person>,
    ) -> bool {
        for &(of, who) in people.iter().filter(|(of, _)| *of == role) {
            if !seen.insert(who) {
                continue;
            }
            let free = match taken.get(who).copied() {
                None => true,
                Some(other) => place(other, people, taken, seen),
            };
            if free {
                taken.insert(who, of);
                return true;
            }
        }
        false
    }
    let mut taken = BTreeMap::new();
    roles.iter().copied().filter(|role| !place(role, people, &mut taken, &mut BTreeSet::new())).collect()
}

/// The role in which somebody approved the release, of those whose approvers cannot accept its risks.
fn approved_as(cx: &Context<'_>, who: impl Fn(&Person) -> bool) -> Option<String> {
    let roles = &cx.requirements?.acceptor_not_approver_as;
    let (release, _) = cx.release?;
    cx.snapshot.approvals.iter().filter(|a| a.live).find_map(|a| {
        let spec = a.spec.as_ref().ok()?;
        let about = spec.decision == ApprovalDecision::Approve
            && spec.subject.kind == SubjectKind::ModelRelease
            && spec.subject.name.as_str() == release.name()
            && roles.contains(spec.role.as_str());
        (about && who(a.standing()?.who())).then(|| spec.role.to_string())
    })
}

/// The name of a Reject whose subject an acceptance is, by somebody who holds the role that it names.
fn rejected(cx: &Context<'_>, acceptance: &Object<RiskAcceptanceSpec>) -> Option<String> {
    let reject = cx.snapshot.approvals.iter().find(|a| withdraws(cx, a, acceptance));
    reject.map(|a| a.name().to_owned())
}

/// Whether a Reject, by somebody who holds the role that it names, withdraws an acceptance.
fn withdraws(
    cx: &Context<'_>,
    reject: &Object<ApprovalSpec>,
    acceptance: &Object<RiskAcceptanceSpec>,
) -> bool {
    let (Ok(spec), Some(standing)) = (&reject.spec, reject.standing()) else { return false };
    let trust = cx.snapshot.trust();
    spec.decision == ApprovalDecision::Reject
        && spec.subject.kind == SubjectKind::RiskAcceptance
        && spec.subject.name.as_str() == acceptance.name()
        && spec.subject.digest.as_str() == acceptance.digest()
        && trust.decider(&reject.record, spec, standing).is_ok_and(|s| entitled(cx, &s, "").is_ok())
}
