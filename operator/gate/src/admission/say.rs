//! The answers and their words.

use std::borrow::Cow;
use std::fmt::Write as _;

use placet_api::keys::{HOLD_GATE, RELEASE};
use placet_api::modelrelease::GateVerdict;

use super::judge::PLATFORM;
use super::{Answer, Effect, Facts, Mode, Operation, Request, Subject, Workload};
use crate::decision::{Cleared, Decision, Lapse};
use crate::finding::{Finding, Gate, GateOutcome, Reason};
use crate::gates::Outcome;
use crate::render::{self, COLUMN, Names, Words};
use crate::visible;

/// Findings that a denial shows, at most. Nobody reads more at once; the command in its last line shows the rest.
const MOST_SHOWN: usize = 64;
/// Bytes of a denial without its first and last line, at most.
const MOST_BYTES: usize = 16 << 10;
/// Characters of one of its lines, at most: as much as a status has room for.
const MOST_OF_LINE: usize = 2048;

/// How a workload names a release, and what else would do.
pub(super) fn name_a_release(kind: Workload, namespace: &str) -> String {
    let places = match kind {
        Workload::Pod => "metadata.labels".to_owned(),
        Workload::CronJob => "metadata.labels, spec.jobTemplate.metadata.labels and \
                              spec.jobTemplate.spec.template.metadata.labels"
            .to_owned(),
        other => format!("metadata.labels and {}metadata.labels", other.template_path()),
    };
    format!("set {RELEASE}: NAME in {places} (kubectl get mr -n {namespace})")
}

/// The last line of an answer; `labelled` if it says before how a release is named.
fn last_line(
    effect: Effect,
    request: &Request<'_>,
    subject: &Subject,
    facts: &Facts<'_>,
    labelled: bool,
) -> String {
    let Some(release) = &subject.release else {
        let ask = format!(
            "where no model runs, ask the {PLATFORM} for the image in platformImages: kubectl explain \
             releasepolicy.spec.platformImages"
        );
        return if labelled {
            ask
        } else {
            format!("{}; or, {ask}", name_a_release(subject.kind, request.namespace))
        };
    };
    // What is in the way is then the workload itself, of which the release's answer knows nothing.
    if facts.decision.is_none_or(|decision| decision.cleared != Cleared::True) {
        render::why_line(request.namespace, release)
    } else if effect == Effect::Hold && subject.is_pod() && is_name(&subject.name) {
        render::why_pod_line(request.namespace, &subject.name)
    } else {
        render::again_line(request.namespace)
    }
}

/// Whether a name is one: a pod that is being created may have none yet.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}

/// One line on everything that is missing.
fn headline(findings: &[Finding], subject: &Subject, facts: &Facts<'_>) -> String {
    let title = subject.title();
    let count = match findings.len() {
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    match (&subject.release, facts.decision) {
        (Some(release), Some(decision)) if decision.cleared == Cleared::True => {
            format!("{release} is cleared, but {title} is not: {count}")
        }
        (Some(release), Some(decision)) if findings.is_empty() => render::headline(release, decision),
        (Some(release), Some(decision)) => {
            format!("{}; {title}: {count}", render::headline(release, decision))
        }
        (Some(release), None) => format!("{release} is not yet known; {title}: {count}"),
        (None, _) if findings.iter().any(|f| f.reason == Reason::NoRelease) => {
            format!("{title} names no release and does not consist of platform images only")
        }
        (None, _) => format!("{title} is not cleared: {count}"),
    }
}

/// Findings of the workload as gates, so that they are shown as a decision's are.
fn gates(findings: &[Finding]) -> Vec<GateOutcome> {
    [Gate::Workload, Gate::Policy]
        .into_iter()
        .map(|gate| {
            let findings: Vec<Finding> = findings.iter().filter(|f| f.gate == gate).cloned().collect();
            let verdict = findings.iter().map(|f| f.verdict).max().unwrap_or(GateVerdict::Met);
            GateOutcome { gate, verdict, findings, notes: Vec::new() }
        })
        .filter(|g| !g.findings.is_empty())
        .collect()
}

/// What the sender should know beside what is missing; `own` if something about the workload itself is.
fn remark(
    effect: Effect,
    own: bool,
    request: &Request<'_>,
    subject: &Subject,
    facts: &Facts<'_>,
) -> Option<String> {
    let title = subject.title();
    let gone = || {
        let release = subject.release.as_deref().unwrap_or_default();
        format!("{release} is withdrawn for good; set {RELEASE} to another release in a new pod template")
    };
    let never = facts.decision.is_some_and(|d| d.findings().any(|f| f.reason == Reason::Withdrawn));
    match effect {
        Effect::Hold if never => Some(format!("{title} is held, and no approval lets it start: {}", gone())),
        Effect::Allow if never => {
            Some(format!("{title} is accepted, and no approval lets its pods start: {}", gone()))
        }
        Effect::Hold if own => Some(format!(
            "{title} is held and starts by itself once its release is cleared and what is said here of {title} is mended"
        )),
        Effect::Hold => Some(format!("{title} is held and starts by itself once cleared")),
        Effect::Allow => Some(format!("{title} is accepted; its pods are held until cleared")),
        Effect::Warn => Some(format!(
            "{title} is accepted: the namespace only warns; with enforce=deny or hold it would not run"
        )),
        Effect::Deny
            if facts.mode == Mode::Hold && subject.is_pod() && request.operation == Operation::Update =>
        {
            Some("a pod can be held at its creation only, so this change is refused".to_owned())
        }
        Effect::Deny | Effect::Audit => None,
    }
}

/// The answer to a request that is not cleared.
pub(super) fn answer(
    effect: Effect,
    findings: Vec<Finding>,
    request: &Request<'_>,
    subject: &Subject,
    facts: &Facts<'_>,
) -> Answer {
    let decision: Option<&Decision> = facts.decision.filter(|_| subject.release.is_some());
    let mut reasons: Vec<Reason> = Vec::new();
    for finding in findings.iter().chain(decision.iter().flat_map(|d| d.findings())) {
        if !reasons.contains(&finding.reason) {
            reasons.push(finding.reason);
        }
    }
    let own = gates(&findings);
    let made = match (decision, facts.words) {
        (Some(decision), None) => Some(Words::of(decision)),
        _ => None,
    };
    let words = made.as_ref().or(facts.words.filter(|_| decision.is_some()));
    let note = facts.mode_note.map(str::to_owned);
    let remark = remark(effect, !findings.is_empty(), request, subject, facts);
    let mut message = String::new();
    let lines = |remark: Option<String>, note: Option<String>| {
        let mut lines = vec![headline(&findings, subject, facts)];
        lines.extend(remark.into_iter().chain(note));
        lines.extend(render::lines(own.iter()));
        lines.extend(words.iter().flat_map(|w| w.lines.iter().cloned()));
        lines.push(last_line(effect, request, subject, facts, false));
        lines
    };
    let (mut warnings, mut denied) = (Vec::new(), Vec::new());
    match effect {
        Effect::Audit => {}
        Effect::Deny => {
            message = headline(&findings, subject, facts);
            message.push_str(&render::body(own.iter()));
            message.push_str(words.map_or("", |w| &w.body));
            for line in remark.iter().chain(&note) {
                let _ = write!(message, "\n{line}");
            }
            let labelled = findings.iter().any(|f| f.reason == Reason::NoRelease);
            let _ = write!(message, "\n{}", last_line(effect, request, subject, facts, labelled));
            denied = lines(remark, note);
        }
        Effect::Allow | Effect::Hold | Effect::Warn => warnings = lines(remark, note),
    }
    Answer { effect, cleared: false, replacement: false, reasons, findings, message, warnings, denied }
}

/// The answer to a request that passes.
pub(super) fn allowed(cleared: bool, facts: &Facts<'_>) -> Answer {
    Answer {
        effect: Effect::Allow,
        cleared,
        replacement: false,
        reasons: Vec::new(),
        findings: Vec::new(),
        message: String::new(),
        warnings: facts.mode_note.map(str::to_owned).into_iter().collect(),
        denied: Vec::new(),
    }
}

/// The answer to a pod that replaces one that was admitted while cleared.
pub(super) fn replaced(subject: &Subject, facts: &Facts<'_>) -> Answer {
    let mut reasons: Vec<Reason> = Vec::new();
    for finding in facts.decision.iter().flat_map(|d| d.findings()) {
        if !reasons.contains(&finding.reason) {
            reasons.push(finding.reason);
        }
    }
    let release = subject.release.as_deref().unwrap_or_default();
    let why = match facts.decision.and_then(|d| d.lapse) {
        Some(Lapse::Expired) => "the clearance has expired",
        _ => "the clearance was taken back, and policy lets replacements start",
    };
    let mut answer = allowed(false, facts);
    answer.replacement = true;
    answer.reasons = reasons;
    answer.warnings.insert(
        0,
        format!("{release} is not cleared: {why}; {} starts as a replacement only", subject.title()),
    );
    answer
}

/// A denial that terminals, events and audit logs have room for: whole findings, as many as are shown; then how many
/// more there are, remarks, and the last line.
fn bounded(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(|line| visible::cut(line, MOST_OF_LINE)).collect();
    let [first, middle @ .., last] = lines.as_slice() else { return lines.concat() };
    // What is not moved in is no finding: remarks on the whole.
    let (findings, remarks): (Vec<_>, Vec<_>) = middle.iter().partition(|line| line.starts_with("  "));
    // Lines on who can do what stand below what is missing, moved in further.
    let below = " ".repeat(COLUMN + 4);
    let blocks: Vec<_> = findings.chunk_by(|_, next| next.starts_with(&below)).collect();
    let mut room = MOST_BYTES;
    let fitting = blocks.iter().take(MOST_SHOWN).take_while(|block| {
        let bytes: usize = block.iter().map(|line| line.len() + 1).sum();
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    });
    // The first is always shown: its lines are cut.
    let count = fitting.count().max(1);
    let mut shown = vec![first.as_ref()];
    for line in blocks.iter().take(count).copied().flatten() {
        shown.push(line);
    }
    let more = blocks.len().saturating_sub(count);
    let more = if more > 0 { format!("  … and {more} more") } else { String::new() };
    shown.extend(Some(more.as_str()).filter(|more| !more.is_empty()));
    for line in remarks {
        shown.push(line);
    }
    shown.push(last);
    shown.join("\n")
}

impl Answer {
    /// The answer over the final object, for the validating webhook: a pod that must be held and carries no hold is
    /// refused. One that carries it, and whose place came free since, waits for that place like any other: a hold comes off
    /// by whoever lifts them only. `subject` is that of the final object.
    #[must_use]
    pub fn in_validation(self, request: &Request<'_>, subject: &Subject, facts: &Facts<'_>) -> Answer {
        let enforces = matches!(facts.mode, Mode::Deny | Mode::Hold);
        if enforces && self.effect == Effect::Allow && self.replacement && subject.gated {
            return Answer { effect: Effect::Hold, ..self };
        }
        if self.effect != Effect::Hold || subject.gated {
            return self;
        }
        let mut own = Outcome { findings: self.findings, notes: Vec::new() };
        own.not_met(
            Gate::Workload,
            Reason::NotHeld,
            subject.title(),
            format!("the scheduling gate {HOLD_GATE}, which Placet sets on a pod that is not cleared"),
            if self.replacement {
                "another pod took the place that was free a moment ago; the controller makes this one anew"
            } else {
                "the pod arrived without it: Placet's mutating webhook was not called, or another one took it off"
            },
            PLATFORM,
            "kubectl get mutatingwebhookconfigurations",
        );
        answer(Effect::Deny, own.findings, request, subject, facts)
    }

    /// The denial with names in place of tokens and, where the answer was recorded, the number of the record; cut at a
    /// whole finding where there are more than anybody would write.
    pub fn message_for(&self, record: Option<u64>, names: &Names) -> String {
        let text = bounded(&render::named(&self.message, names));
        let Some(record) = record.filter(|_| !text.is_empty()) else { return text };
        let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
        format!("{first} (record {record}){rest}")
    }

    /// The warnings with names in place of tokens, cut to what the API server passes on.
    pub fn warnings_for(&self, names: &Names) -> Vec<String> {
        render::fit_warnings(&self.warnings, names)
    }

    /// The first lines as the text of an event on the top owner.
    pub fn event_for(&self, names: &Names) -> String {
        let lines = if self.warnings.is_empty() { &self.denied } else { &self.warnings };
        render::note(&render::fit_warnings(lines, names))
    }
}
