//! Which controls lower a risk now: those of the catalogue of its domain, or that a policy lists; excluded by no policy;
//! Implemented, by somebody, since a day that has come; and each object of their evidence counts.

use placet_api::approval::{ApprovalDecision, Covers, SubjectKind};
use placet_api::impactassessment::{EvidenceRef, ImpactAssessmentSpec, RiskControl, RiskDomain};
use placet_api::testreport::TestReportSpec;

use super::approvals::{self, Wanted};
use super::{Context, authors, risk_acceptance, tests};
use crate::object::Object;
use crate::risk::{self, Doubt, Rated, Score, ScoreError};

/// The levels of an assessment's risks as its controls count now.
pub fn settle(
    cx: &Context<'_>,
    spec: &ImpactAssessmentSpec,
    rated: &[Result<Rated, ScoreError>],
) -> Vec<Result<Score, ScoreError>> {
    let both = rated.iter().zip(&spec.risks);
    both.map(|(rated, risk)| {
        Ok(rated.as_ref().map_err(Clone::clone)?.settle(risk, |c| counts(cx, risk.domain, c)))
    })
    .collect()
}

/// Whether a control lowers a risk of a domain now.
///
/// # Errors
/// Why it does not.
pub fn counts(cx: &Context<'_>, domain: RiskDomain, control: &RiskControl) -> Result<(), Doubt> {
    let doubt = |why: String, about: Vec<String>| Doubt { about, ..Doubt::new(control, why) };
    let since = risk::implemented(control)?;
    if !cx.now.reached(since) {
        let why = format!("works from {} on only", since.strftime("%Y-%m-%d"));
        return Err(doubt(why, vec![since.to_string()]));
    }
    let cited = control.control.as_str();
    let rules = cx.requirements.map(|r| &r.register);
    if let Some(excluded) = rules.and_then(|r| r.excluded.get(cited)) {
        let policies: Vec<String> = excluded.keys().cloned().collect();
        let said: Vec<String> = excluded.iter().map(|(policy, why)| format!("{policy}: {why}")).collect();
        return Err(doubt(format!("is excluded by policy ({})", said.join("; ")), policies));
    }
    if !rules.is_some_and(|r| r.also_accepted.contains(&(cited.to_owned(), domain))) {
        risk::in_catalogue(domain, control)?;
    }
    for evidence in control.evidence.iter().flatten() {
        let at = format!("{}/{}", evidence.kind, evidence.name);
        shows(cx, evidence).map_err(|(why, mut about)| {
            about.insert(0, evidence.name.to_string());
            doubt(format!("has evidence that does not count: {at} {why}"), about)
        })?;
    }
    Ok(())
}

/// Why an object shows nothing, and what the words name.
type Why = (String, Vec<String>);

fn why(text: impl Into<String>) -> Why {
    (text.into(), Vec::new())
}

/// Whether an object that is named as evidence counts now.
fn shows(cx: &Context<'_>, evidence: &EvidenceRef) -> Result<(), Why> {
    match evidence.kind.as_str() {
        "TestReport" => report(cx, evidence),
        "Approval" => approval(cx, evidence),
        "RiskAcceptance" => acceptance(cx, evidence),
        _ => Err(why(
            "is not known yet as evidence: this version knows TestReport, Approval and RiskAcceptance",
        )),
    }
}

/// An object that exists, was written through the webhook and is understood; and is the one that is meant.
fn holds<S>(evidence: &EvidenceRef, found: Option<&Object<S>>) -> Result<(), Why> {
    let object = found.ok_or_else(|| why("is not there"))?;
    if let Some(problem) = object.problem() {
        return Err(why(format!("does not count: {problem}")));
    }
    match &evidence.digest {
        Some(wanted) if wanted.as_str() != object.digest() => Err((
            format!("has another content than {}", super::assessment::short(wanted)),
            vec![wanted.to_string(), object.digest().to_owned()],
        )),
        _ => Ok(()),
    }
}

/// A report counts that nobody superseded and that neither fails a test of its type which the policies ask for nor is too old
/// for it.
fn report(cx: &Context<'_>, evidence: &EvidenceRef) -> Result<(), Why> {
    let all = || cx.snapshot.reports.iter().chain(&cx.snapshot.proofs);
    let found = all().find(|r| r.live && r.name() == evidence.name.as_str()).map(AsRef::as_ref);
    holds(evidence, found)?;
    let Some((report, spec)) = found.and_then(|r| Some((r, r.spec.as_ref().ok()?))) else { return Ok(()) };
    // Deleted ones take part, and whoever wrote them: what somebody said is wrong is no evidence before it is settled.
    let supersedes = |by: &&std::sync::Arc<Object<TestReportSpec>>| {
        let says = by.spec.as_ref().ok().and_then(|s| s.supersedes.as_ref());
        by.name() != report.name()
            && by.standing().is_some()
            && says.is_some_and(|s| s.reports.iter().any(|r| r.as_str() == report.name()))
    };
    if let Some(by) = all().find(supersedes) {
        return Err((format!("is superseded by {}", by.name()), vec![by.name().to_owned()]));
    }
    tests::shows(cx, report, spec).map_err(|text| (text, vec![report.digest().to_owned()]))
}

/// An approval counts that somebody entitled gave of what is there now, and who wrote it did not.
fn approval(cx: &Context<'_>, evidence: &EvidenceRef) -> Result<(), Why> {
    let named = |a: &&std::sync::Arc<Object<_>>| a.live && a.name() == evidence.name.as_str();
    let found = cx.snapshot.approvals.iter().find(named).map(AsRef::as_ref);
    if found.is_none() {
        return Err(why(
            "is not there, or not about the system, an assessment of it or an acceptance of its risks",
        ));
    }
    holds(evidence, found)?;
    let Some((approval, spec)) = found.and_then(|a| Some((a, a.spec.as_ref().ok()?))) else { return Ok(()) };
    if spec.decision != ApprovalDecision::Approve {
        return Err(why("is a Reject"));
    }
    let subject = &spec.subject;
    let (uid, digest) = match subject_now(cx, subject.kind, &subject.name, subject.covers) {
        Some(known) => known,
        None if subject.kind == SubjectKind::ModelRelease => {
            return Err(why(
                "is of one release; the assessment is of the system, whatever release is asked about",
            ));
        }
        None => {
            return Err(why(format!(
                "is about {} {}, which is not there",
                subject.kind.as_str(),
                subject.name
            )));
        }
    };
    let wanted = Wanted {
        kind: subject.kind,
        name: &subject.name,
        uid: &uid,
        covers: subject.covers,
        digest: &digest,
        also: &[],
        role: Some(&spec.role),
        asks: true,
    };
    let tally = approvals::tally(cx, &wanted, &wrote(cx), None);
    if let Some((text, about)) = tally.rejected("the same") {
        return Err((format!("does not count: {text}"), about));
    }
    if tally.given.contains(approval.name()) {
        return Ok(());
    }
    let (text, about) = match tally.why_not_of(approval.name()) {
        Some(no) => (no.text.clone(), no.about.clone()),
        None => ("it is about another part of its subject".to_owned(), Vec::new()),
    };
    Err((format!("does not count: {text}"), [digest].into_iter().chain(about).collect()))
}

/// Uid and digest of what an approval is about, as it is now, where the snapshot of any release of the system holds it.
fn subject_now(cx: &Context<'_>, kind: SubjectKind, name: &str, covers: Covers) -> Option<(String, String)> {
    fn of<S>(object: &Object<S>) -> (String, String) {
        (object.record.uid.clone(), object.digest().to_owned())
    }
    let snapshot = cx.snapshot;
    match kind {
        SubjectKind::AISystem => {
            let system = snapshot.system.as_deref().filter(|s| s.name() == name)?;
            let (uid, content) = of(system);
            let digest =
                if covers == Covers::Classification { system.classification.clone()? } else { content };
            Some((uid, digest))
        }
        SubjectKind::ImpactAssessment => {
            snapshot.assessments.iter().find(|a| a.live && a.name() == name).map(|a| of(a))
        }
        SubjectKind::RiskAcceptance => {
            snapshot.acceptances.iter().find(|a| a.live && a.name() == name).map(|a| of(a))
        }
        _ => None,
    }
}

/// Who wrote the system and its assessments: their own word shows nothing.
fn wrote(cx: &Context<'_>) -> Vec<crate::people::Person> {
    let assessments = cx.snapshot.assessments.iter().filter(|a| a.live).filter_map(|a| a.standing());
    let mut out = authors::system_authors(cx.snapshot);
    out.extend(assessments.flat_map(|s| s.authors.clone()));
    out
}

/// An acceptance counts that somebody entitled gave of risks as they are now, and that neither ended nor was withdrawn.
fn acceptance(cx: &Context<'_>, evidence: &EvidenceRef) -> Result<(), Why> {
    let named = |a: &&std::sync::Arc<Object<_>>| a.live && a.name() == evidence.name.as_str();
    let found = cx.snapshot.acceptances.iter().find(named).map(AsRef::as_ref);
    if found.is_none() {
        return Err(why("is not there, or not of risks of this system"));
    }
    holds(evidence, found)?;
    found.map_or(Ok(()), |acceptance| {
        risk_acceptance::stands(cx, acceptance, &wrote(cx))
            .map_err(|no| (format!("does not count: {}", no.text), no.about))
    })
}
