//! The answer to a request.

use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::releasepolicy::ReleasePolicySpec;

use super::image::Reference;
use super::listing::Uses;
use super::subject::{Change, Subject};
use super::{Answer, CONTROLLER_MANAGER, Effect, Facts, ImageUse, Mode, Operation, Request, listing, say};
use crate::decision::{Cleared, Decision};
use crate::finding::{Gate, Reason};
use crate::gates::Outcome;
use crate::policy;

const GATE: Gate = Gate::Workload;
/// Who writes workloads.
pub(super) const AUTHOR: &str = "data scientist";
/// Who writes policies and runs the operator.
pub(super) const PLATFORM: &str = "platform team";

/// Images that one finding lists; beyond, they are counted.
const LISTED: usize = 32;

/// Judges a request. Total: any input gives an answer, and what is not known is not allowed where the mode enforces.
pub fn judge(request: &Request<'_>, subject: &Subject, facts: &Facts<'_>) -> Answer {
    let mut own = Outcome { findings: subject.problems.clone(), notes: Vec::new() };
    let decided = if let Some(release) = &subject.release {
        let decision = with_release(subject, release, request.namespace, facts, &mut own);
        decision.is_some_and(|d| d.cleared == Cleared::True)
    } else {
        without_release(subject, request.namespace, facts, &mut own);
        true
    };
    let cleared = decided && own.findings.is_empty();
    let by_operator = !facts.operator_user.is_empty() && request.user == facts.operator_user;
    if by_operator && subject.changes == [Change::GateRemoved] {
        return say::allowed(cleared, facts);
    }
    if cleared {
        return say::allowed(true, facts);
    }
    let replaces = own.findings.is_empty() && replaces_one(request, subject, facts);
    if replaces && has_a_place(facts) {
        return say::replaced(subject, facts);
    }
    if subject.changes.contains(&Change::GateRemoved) && !by_operator {
        own.not_met(
            GATE,
            Reason::HoldRemoved,
            subject.title(),
            "a hold that Placet lifts once the release is cleared",
            "the request takes it off before",
            AUTHOR,
            "leave spec.schedulingGates as it is: the pod starts by itself once cleared",
        );
    }
    let effect = effect(request, subject, facts, &mut own);
    let answer = say::answer(effect, own.findings, request, subject, facts);
    Answer { replacement: replaces && effect == Effect::Hold, ..answer }
}

/// What happens to a request that is not cleared.
fn effect(request: &Request<'_>, subject: &Subject, facts: &Facts<'_>, own: &mut Outcome) -> Effect {
    match (facts.mode, subject.is_pod(), request.operation) {
        (Mode::Audit, ..) => Effect::Audit,
        (Mode::Warn, ..) => Effect::Warn,
        (Mode::Hold, true, Operation::Create) if subject.node_name => {
            own.not_met(
                GATE,
                Reason::NodeNameSet,
                subject.title(),
                "a pod that can be held until it is cleared: one without spec.nodeName",
                "spec.nodeName is set, and Kubernetes holds no pod that names its node",
                AUTHOR,
                "use spec.nodeSelector or node affinity in place of spec.nodeName",
            );
            Effect::Deny
        }
        (Mode::Hold, true, Operation::Create) => Effect::Hold,
        // A hold is possible at creation only; one that is there still holds.
        (Mode::Hold, true, Operation::Update) if subject.gated => Effect::Hold,
        (Mode::Deny, ..) | (Mode::Hold, true, Operation::Update) => Effect::Deny,
        (Mode::Hold, false, Operation::Update) if subject.rolls_out() && facts.pods_running => {
            own.not_met(
                GATE,
                Reason::HoldWouldStopPods,
                subject.title(),
                "a change to a cleared template while its pods run",
                format!(
                    "the {} deletes its pods before it creates new ones, which would be held: an outage",
                    subject.kind
                ),
                AUTHOR,
                "apply the change again once it is cleared; the pods that run are left alone",
            );
            Effect::Deny
        }
        (Mode::Hold, false, _) => Effect::Allow,
    }
}

/// Judges a workload that names a release; returns the decision, where it can be trusted to be about that release.
fn with_release<'a>(
    subject: &Subject,
    name: &str,
    namespace: &str,
    facts: &Facts<'a>,
    own: &mut Outcome,
) -> Option<&'a Decision> {
    let release = facts.release.filter(|r| {
        r.live && r.name() == name && r.record.namespace.as_deref().is_none_or(|n| n == namespace)
    });
    let spec = release.and_then(|r| r.spec.as_ref().ok());
    // Images of a cleared release need no policy to be looked at.
    let outsider = |image: &ImageUse| {
        let pinned = Reference::parse(&image.image).pinned();
        !pinned.is_some_and(|digest| spec.is_some_and(|s| listing::in_release(s, digest)))
    };
    if subject.images.iter().any(outsider) {
        let class = facts.decision.and_then(|d| d.class);
        let (matched, _) =
            policy::matching(facts.policies.iter().map(AsRef::as_ref), class, facts.namespace_labels);
        let policies: Vec<&ReleasePolicySpec> = matched.iter().filter_map(|p| p.spec.as_ref().ok()).collect();
        for image in &Uses::of(subject.images.iter().filter(|i| outsider(i))) {
            let reference = Reference::parse(image.image());
            if reference.pinned().is_none() {
                not_pinned(own, subject, image, &reference, spec, &policies);
            } else if let Some(spec) = spec
                && !listing::on_platform(&policies, &reference)
            {
                not_listed(own, subject, image, &reference, name, spec, &policies, namespace);
            }
        }
    }
    let decision = facts.decision.filter(|d| d.cleared != Cleared::True || spec.is_some());
    if decision.is_none() {
        own.unknown(
            GATE,
            Reason::StoreNotReady,
            name,
            format!("a decision on ModelRelease {name} in namespace {namespace}"),
            "there is none yet",
            PLATFORM,
            "try again in a moment; if it stays, see the operator's log",
        );
    }
    decision
}

/// Judges a workload that names no release: it may run platform images only.
fn without_release(subject: &Subject, namespace: &str, facts: &Facts<'_>, own: &mut Outcome) {
    // Nothing can be said about images that are not known; the problem says so.
    if subject.images.is_empty() && !subject.problems.is_empty() {
        return;
    }
    let (matched, unclear) =
        policy::matching(facts.policies.iter().map(AsRef::as_ref), None, facts.namespace_labels);
    for policy in &unclear {
        if let Some(problem) = policy.problem() {
            own.problem(Gate::Policy, policy, &problem);
        }
    }
    let policies: Vec<&ReleasePolicySpec> = matched.iter().filter_map(|p| p.spec.as_ref().ok()).collect();
    let mut outsiders: Vec<&str> = Vec::new();
    for image in &Uses::of(subject.images.iter()) {
        let reference = Reference::parse(image.image());
        let fits = if reference.pinned().is_some() {
            listing::on_platform(&policies, &reference)
        } else {
            not_pinned(own, subject, image, &reference, None, &policies);
            listing::repository_on_platform(&policies, &reference)
        };
        if !fits {
            outsiders.push(if image.image().is_empty() { "(no image)" } else { image.image() });
        }
    }
    if matched.is_empty() && unclear.is_empty() {
        own.unknown(
            Gate::Policy,
            Reason::NoPolicy,
            namespace,
            format!("a ReleasePolicy whose namespaceSelector matches {namespace}: it lists platform images"),
            "none matches",
            PLATFORM,
            "kubectl get releasepolicies; apply a policy pack",
        );
    }
    if outsiders.is_empty() && !subject.images.is_empty() {
        return;
    }
    let found = if outsiders.is_empty() {
        "no release is named, and there is no image".to_owned()
    } else {
        outsiders.dedup();
        let shown = outsiders.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
        let more = match outsiders.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("no release is named, and these are not on the platform list: {shown}{more}")
    };
    own.not_met(
        GATE,
        Reason::NoRelease,
        subject.title(),
        "the label placet.dev/release, or platform images only",
        found,
        AUTHOR,
        say::name_a_release(subject.kind, namespace),
    );
}

fn not_pinned(
    own: &mut Outcome,
    subject: &Subject,
    image: &Uses<'_>,
    reference: &Reference<'_>,
    release: Option<&ModelReleaseSpec>,
    policies: &[&ReleasePolicySpec],
) {
    let field = image.fields(subject.kind);
    let found = match (reference.digest, reference.tag) {
        _ if image.image().is_empty() => format!("{field} names no image"),
        (Some(digest), _) => format!(
            "{} is pinned by {digest}, which is not sha256: and 64 lower-case hexadecimal digits",
            reference.repository
        ),
        (None, Some(_)) => {
            format!("{} is named by a tag, which can be moved to another image", image.image())
        }
        (None, None) => {
            format!("{} is named without a digest, which means the tag latest", image.image())
        }
    };
    let forms = listing::pinned_forms(release, policies, reference);
    let (wanted, command) = match forms.as_slice() {
        [] => (
            "an image named by its digest: REPOSITORY@sha256:…".to_owned(),
            format!("set {field} to {}@sha256:DIGEST", repository(reference)),
        ),
        forms => (format!("an image named by its digest: {}", forms[0]), {
            format!("set {field} to {}", forms.join(" or "))
        }),
    };
    own.not_met(GATE, Reason::ImageNotPinned, image.item(), wanted, found, AUTHOR, command);
}

fn repository<'a>(reference: &Reference<'a>) -> &'a str {
    if reference.repository.is_empty() { "REPOSITORY" } else { reference.repository }
}

#[allow(clippy::too_many_arguments, reason = "everything that the finding names")]
fn not_listed(
    own: &mut Outcome,
    subject: &Subject,
    image: &Uses<'_>,
    reference: &Reference<'_>,
    release: &str,
    spec: &ModelReleaseSpec,
    policies: &[&ReleasePolicySpec],
    namespace: &str,
) {
    let known = listing::pinned_forms(Some(spec), policies, reference);
    let instead = match known.as_slice() {
        [] => format!("use an image of the release (kubectl get mr {release} -n {namespace} -o yaml)"),
        forms => format!("set {} to {}", image.fields(subject.kind), forms.join(" or ")),
    };
    own.not_met(
        GATE,
        Reason::ImageNotListed,
        image.item(),
        format!("an image of release {release}, or a platform image"),
        format!("{} is in neither list: no artefact of the release has its digest, and no policy lists it", image.image()),
        AUTHOR,
        format!(
            "{instead}; or, if it holds no model, ask the {PLATFORM} for it in platformImages (kubectl explain \
             releasepolicy.spec.platformImages)"
        ),
    );
}

/// Whether a pod has what it takes to replace one that was admitted while cleared (invariant 9): its owner's controller made
/// it, and its owner had one like it.
fn replaces_one(request: &Request<'_>, subject: &Subject, facts: &Facts<'_>) -> bool {
    let (Some(release), Some(history), Some(owner)) = (&subject.release, facts.history, &subject.owner)
    else {
        return false;
    };
    let controller = owner.workload().and_then(super::Workload::pod_controller);
    let by_controller = controller.is_some_and(|account| {
        request.user.strip_prefix("system:serviceaccount:kube-system:") == Some(account)
            || request.user == CONTROLLER_MANAGER
    });
    subject.is_pod()
        && subject.changes == [Change::Created]
        && by_controller
        && !owner.uid.is_empty()
        && !subject.pod_content.is_empty()
        && history.admitted.iter().any(|(r, c)| r == release && *c == subject.pod_content)
}

/// Whether replacements start at all, and fewer pods of the owner live than did while it was cleared.
fn has_a_place(facts: &Facts<'_>) -> bool {
    let Some((decision, history)) = facts.decision.zip(facts.history) else { return false };
    decision.replacements_start() && facts.live_pods < history.highest_replicas
}
