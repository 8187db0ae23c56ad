//! Which controls lower a risk now: those of the catalogue of its domain, or that a policy lists; excluded by no policy;
//! Implemented, by somebody, since a day that has come; and each object of their evidence counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::approval::{ApprovalDecision, Covers, SubjectKind};
use placet_api::common::Class;
use placet_api::impactassessment::{EvidenceRef, ImpactAssessmentSpec, Risk, RiskControl, RiskDomain};
use placet_api::testreport::TestReportSpec;

use super::approvals::{self, Wanted};
use super::counted::{Cause, WhyNot};
use super::{Context, authors, risk_acceptance, tests};
use crate::object::{Object, Standing};
use crate::people::Person;
use crate::risk::{self, Doubt, Rated, Score, ScoreError};

/// Pieces of evidence that are looked at for one assessment at most: each is one object, however often it is named.
const MAX_EVIDENCE: usize = 256;

/// What was found of a piece of evidence, by kind, name and digest.
type Found = BTreeMap<(String, String, Option<String>), Result<(), Why>>;

/// Judges controls. What was found of a piece of evidence is kept: many controls may name the same.
pub struct Controls<'c, 'a> {
    cx: &'c Context<'a>,
    /// Reports that are there, by name.
    reports: BTreeMap<&'a str, &'a Object<TestReportSpec>>,
    /// Names of reports, each with one that supersedes it.
    superseded: BTreeMap<&'a str, &'a str>,
    /// Who wrote the system and its assessments: their own word shows nothing.
    wrote: Vec<Person>,
    /// What nobody is known to have written: then nobody's word is known to be another's.
    unsigned: Option<Why>,
    /// For class High who wrote or develops the release that is asked about.
    develops: Vec<Person>,
    found: RefCell<Found>,
}

impl<'c, 'a> Controls<'c, 'a> {
    /// Those of an assessment of the context's system.
    pub fn new(cx: &'c Context<'a>) -> Self {
        let all = || cx.snapshot.reports.iter().chain(&cx.snapshot.proofs).map(AsRef::as_ref);
        // Deleted ones take part, and whoever wrote them: what somebody said is wrong is no evidence before it is settled.
        let superseded =
            all().filter(|by| by.standing().is_some()).flat_map(|by: &'a Object<TestReportSpec>| {
                let says = by.spec.as_ref().ok().and_then(|s| s.supersedes.as_ref());
                let named = says.into_iter().flat_map(|s| &s.reports);
                named.filter(|name| name.as_str() != by.name()).map(|name| (name.as_str(), by.name()))
            });
        Self {
            cx,
            reports: all().filter(|r| r.live).map(|r| (r.name(), r)).collect(),
            superseded: superseded.collect(),
            wrote: wrote(cx),
            unsigned: authors::unsigned(cx, &[Kind::AISystem, Kind::ImpactAssessment])
                .first()
                .map(|one| Why::naming(format!("does not count: {}", one.said(cx)), one.about())),
            develops: if cx.class() == Some(Class::High) {
                authors::authors(cx.snapshot)
            } else {
                Vec::new()
            },
            found: RefCell::default(),
        }
    }

    /// The levels of an assessment's risks as its controls count now.
    pub fn settle(
        &self,
        spec: &ImpactAssessmentSpec,
        rated: &[Result<Rated, ScoreError>],
    ) -> Vec<Result<Score, ScoreError>> {
        let both = rated.iter().zip(&spec.risks);
        both.map(|(rated, risk)| {
            Ok(rated.as_ref().map_err(Clone::clone)?.settle(risk, |c| self.counts(risk.domain, c)))
        })
        .collect()
    }

    /// Whether a control lowers a risk of a domain now.
    ///
    /// # Errors
    /// Why it does not.
    pub fn counts(&self, domain: RiskDomain, control: &RiskControl) -> Result<(), Doubt> {
        let doubt = |why: String, about: Vec<String>| Doubt { about, ..Doubt::new(control, why) };
        let since = risk::implemented(control)?;
        if !self.cx.now.reached(since) {
            let why = format!("works from {} on only", since.strftime("%Y-%m-%d"));
            return Err(doubt(why, vec![since.to_string()]));
        }
        let cited = control.control.as_str();
        let rules = self.cx.requirements.map(|r| &r.register);
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
            self.shows(evidence).map_err(|why| {
                let text = format!("has evidence that does not count: {at} {}", why.text);
                let about = [evidence.name.to_string()].into_iter().chain(why.about).collect();
                Doubt { ended: why.ended, never: false, ..doubt(text, about) }
            })?;
        }
        Ok(())
    }

    /// Whether nothing but time made a risk fall since a moment: each control that lowers it works only since then, and what
    /// shows that it does was there before.
    pub fn fell_by_time(&self, risk: &Risk, moment: Timestamp) -> bool {
        let (cx, there) =
            (self.cx, |standing: Option<&Standing>| standing.is_some_and(|s| s.changed_at <= moment));
        let was_there = |evidence: &EvidenceRef| {
            let name = evidence.name.as_str();
            match evidence.kind.as_str() {
                "TestReport" => self.reports.get(name).is_some_and(|r| there(r.standing())),
                "Approval" => {
                    let all = cx.snapshot.approvals.iter();
                    all.filter(|a| a.live && a.name() == name).any(|a| there(a.standing()))
                }
                _ => cx.snapshot.acceptances.iter().filter(|a| a.name() == name).any(|a| there(a.standing())),
            }
        };
        let lowers = |control: &&RiskControl| self.counts(risk.domain, control).is_ok();
        let mut lowering = risk.controls.iter().flatten().filter(lowers).peekable();
        lowering.peek().is_some()
            && lowering.all(|control| {
                risk::implemented(control).is_ok_and(|since| since > moment)
                    && control.evidence.iter().flatten().all(was_there)
            })
    }

    /// Whether an object that is named as evidence counts now.
    fn shows(&self, evidence: &EvidenceRef) -> Result<(), Why> {
        let digest = evidence.digest.as_ref().map(ToString::to_string);
        let key = (evidence.kind.to_string(), evidence.name.to_string(), digest);
        if let Some(found) = self.found.borrow().get(&key) {
            return found.clone();
        }
        if self.found.borrow().len() >= MAX_EVIDENCE {
            let text =
                format!("is one of more than {MAX_EVIDENCE} pieces of evidence that one assessment names");
            return Err(Why::new(text));
        }
        let found = match (evidence.kind.as_str(), &self.unsigned) {
            ("TestReport", _) => self.report(evidence),
            ("Approval" | "RiskAcceptance", Some(unsigned)) => Err(unsigned.clone()),
            ("Approval", _) => approval(self.cx, evidence, &self.wrote),
            ("RiskAcceptance", _) => acceptance(self.cx, evidence, &self.wrote),
            _ => Err(Why::new(
                "is not known yet as evidence: this version knows TestReport, Approval and RiskAcceptance",
            )),
        };
        self.found.borrow_mut().insert(key, found.clone());
        found
    }

    /// A report counts that nobody superseded, that somebody else made than who wrote the assessment or the system, or develops a
    /// release of class High, and that neither fails a test of its type which the policies ask for, or leaves it open, nor is too
    /// old for it. Of which artefact it is, is not asked: a control is the system's, and its proof may be of any part of it.
    fn report(&self, evidence: &EvidenceRef) -> Result<(), Why> {
        let found = self.reports.get(evidence.name.as_str()).copied();
        holds(evidence, found)?;
        let Some((report, spec)) = found.and_then(|r| Some((r, r.spec.as_ref().ok()?))) else {
            return Ok(());
        };
        if let Some(by) = self.superseded.get(report.name()) {
            return Err(Why::naming(format!("is superseded by {by}"), [(*by).to_owned()]));
        }
        if let Some(why) = self.own_word(report) {
            return Err(why);
        }
        tests::shows(self.cx, report, spec).map_err(|unshown| Why {
            ended: unshown.too_old,
            ..Why::naming(unshown.text, [report.digest().to_owned()])
        })
    }

    /// Why a report is the own word of who is to show something.
    fn own_word(&self, report: &Object<TestReportSpec>) -> Option<Why> {
        let same = |who: &Person| self.cx.requirements.map_or_else(|| who.clone(), |r| r.same(who).clone());
        let made: Vec<Person> = report.standing()?.authors.iter().map(same).collect();
        let one_of = |all: &[Person]| all.iter().map(same).find(|who| made.contains(who));
        let (who, what) = match (one_of(&self.wrote), one_of(&self.develops)) {
            (Some(who), _) => (who, "wrote the assessment or the system"),
            (None, Some(who)) => (who, "wrote or develops this release of class High"),
            (None, None) => return None,
        };
        Some(Why::naming(format!("does not count: it is by {who}, who {what}"), [who.to_string()]))
    }
}

/// Why an object shows nothing.
#[derive(Debug, Clone)]
struct Why {
    text: String,
    /// What the words name.
    about: Vec<String>,
    /// Whether it did until a term ended.
    ended: bool,
}

impl Why {
    fn new(text: impl Into<String>) -> Self {
        Self::naming(text, [])
    }

    fn naming(text: impl Into<String>, about: impl IntoIterator<Item = String>) -> Self {
        Self { text: text.into(), about: about.into_iter().collect(), ended: false }
    }
}

impl From<&WhyNot> for Why {
    fn from(no: &WhyNot) -> Self {
        let ended = no.cause == Cause::Ended;
        Self { ended, ..Self::naming(format!("does not count: {}", no.text), no.about.iter().cloned()) }
    }
}

/// An object that exists, was written through the webhook and is understood; and is the one that is meant.
fn holds<S>(evidence: &EvidenceRef, found: Option<&Object<S>>) -> Result<(), Why> {
    let object = found.ok_or_else(|| Why::new("is not there"))?;
    if let Some(problem) = object.problem() {
        return Err(Why::new(format!("does not count: {problem}")));
    }
    match &evidence.digest {
        Some(wanted) if wanted.as_str() != object.digest() => Err(Why::naming(
            format!("has another content than {}", super::assessment::short(wanted)),
            [wanted.to_string(), object.digest().to_owned()],
        )),
        _ => Ok(()),
    }
}

/// An approval counts that somebody entitled gave of what is there now, and who wrote it did not.
fn approval(cx: &Context<'_>, evidence: &EvidenceRef, wrote: &[Person]) -> Result<(), Why> {
    let named = |a: &&Arc<Object<_>>| a.live && a.name() == evidence.name.as_str();
    let found = cx.snapshot.approvals.iter().find(named).map(AsRef::as_ref);
    if found.is_none() {
        return Err(Why::new(
            "is not there, or not about the system, an assessment of it or an acceptance of its risks",
        ));
    }
    holds(evidence, found)?;
    let Some((approval, spec)) = found.and_then(|a| Some((a, a.spec.as_ref().ok()?))) else { return Ok(()) };
    if spec.decision != ApprovalDecision::Approve {
        return Err(Why::new("is a Reject"));
    }
    let subject = &spec.subject;
    let now = match Now::of(cx, subject.kind, &subject.name, subject.covers) {
        Some(known) => known,
        None if subject.kind == SubjectKind::ModelRelease => {
            return Err(Why::new(
                "is of one release; the assessment is of the system, whatever release is asked about",
            ));
        }
        None => {
            let text = format!("is about {} {}, which is not there", subject.kind.as_str(), subject.name);
            return Err(Why::new(text));
        }
    };
    // Who was heard on an acceptance that ended was heard on nothing that still holds.
    let of_acceptance = subject.kind == SubjectKind::RiskAcceptance;
    let named = |a: &&Arc<Object<_>>| of_acceptance && a.live && a.name() == subject.name.as_str();
    if let Some(acceptance) = cx.snapshot.acceptances.iter().find(named) {
        risk_acceptance::stands(cx, acceptance, wrote).map_err(|no| {
            let why = Why::from(&no);
            let text = format!("is about RiskAcceptance {}, which {}", subject.name, why.text);
            let about = [subject.name.to_string()].into_iter().chain(why.about).collect();
            Why { text, about, ..why }
        })?;
    }
    let also: Vec<&str> = now.also.iter().map(String::as_str).collect();
    let wanted = Wanted {
        kind: subject.kind,
        name: &subject.name,
        uid: &now.uid,
        covers: subject.covers,
        digest: &now.digest,
        also: &also,
        role: Some(&spec.role),
        asks: true,
    };
    let tally = approvals::tally(cx, &wanted, wrote, None);
    if let Some((text, about)) = tally.rejected("the same") {
        return Err(Why::naming(format!("does not count: {text}"), about));
    }
    if tally.given.contains(approval.name()) {
        return Ok(());
    }
    let mut why = tally
        .why_not_of(approval.name())
        .map_or_else(|| Why::new("does not count: it is about another part of its subject"), Why::from);
    why.about.push(now.digest);
    Err(why)
}

/// What an approval is about, as it is now, where the snapshot of any release of the system holds it.
struct Now {
    uid: String,
    digest: String,
    /// The other digest of a system, of its content or of its classification.
    also: Option<String>,
}

impl Now {
    fn of(cx: &Context<'_>, kind: SubjectKind, name: &str, covers: Covers) -> Option<Self> {
        fn is<S>(object: &Object<S>) -> Now {
            Now { uid: object.record.uid.clone(), digest: object.digest().to_owned(), also: None }
        }
        fn live<'o, S>(all: &'o [Arc<Object<S>>], name: &str) -> Option<&'o Object<S>> {
            all.iter().map(AsRef::as_ref).find(|o| o.live && o.name() == name)
        }
        let snapshot = cx.snapshot;
        match kind {
            SubjectKind::AISystem => {
                let system = snapshot.system.as_deref().filter(|s| s.name() == name)?;
                let (content, class) = (is(system), system.classification.clone());
                if covers == Covers::Classification {
                    return Some(Self { digest: class?, also: Some(content.digest), ..is(system) });
                }
                Some(Self { also: class, ..content })
            }
            SubjectKind::ImpactAssessment => live(&snapshot.assessments, name).map(is),
            SubjectKind::RiskAcceptance => live(&snapshot.acceptances, name).map(is),
            _ => None,
        }
    }
}

/// Who wrote the system and its assessments, also those that are gone.
fn wrote(cx: &Context<'_>) -> Vec<Person> {
    let assessments = cx.snapshot.assessments.iter().flat_map(|a| authors::wrote(cx.snapshot, a));
    authors::system_authors(cx.snapshot).into_iter().chain(assessments).collect()
}

/// An acceptance counts that somebody entitled gave of risks as they are now, and that neither ended nor was withdrawn.
fn acceptance(cx: &Context<'_>, evidence: &EvidenceRef, wrote: &[Person]) -> Result<(), Why> {
    let named = |a: &&Arc<Object<_>>| a.live && a.name() == evidence.name.as_str();
    let found = cx.snapshot.acceptances.iter().find(named).map(AsRef::as_ref);
    if found.is_none() {
        return Err(Why::new("is not there, or not of risks of this system"));
    }
    holds(evidence, found)?;
    found.map_or(Ok(()), |acceptance| {
        risk_acceptance::shows(cx, acceptance, wrote).map_err(|no| Why::from(&no))
    })
}
