//! Every label, annotation, scheduling gate, verb and field manager of Placet, each named once.

/// API group of all kinds.
pub const GROUP: &str = "placet.dev";
/// Version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// Label on a namespace: `deny`, `hold`, `warn` or `audit`.
pub const ENFORCE: &str = "placet.dev/enforce";
/// Label on a workload and its pod template: the ModelRelease that it runs.
pub const RELEASE: &str = "placet.dev/release";
/// Scheduling gate of a held pod.
pub const HOLD_GATE: &str = "placet.dev/hold";
/// Annotation: who created and edited the object, when, as the webhook saw it.
pub const STAMP: &str = "placet.dev/stamp";
/// Annotation: the operator's signature over the stamp, the identity and the content of the object.
pub const RECEIPT: &str = "placet.dev/receipt";
/// Annotation of a ModelRelease, an AISystem or an ImpactAssessment: the envelope in which its author signed it, where a robot
/// applies it.
pub const AUTHOR_SIGNATURE: &str = "placet.dev/author-signature";
/// Annotation on a withdrawn release: why, for people to read. No part of the evidence.
pub const WITHDRAWN_BECAUSE: &str = "placet.dev/withdrawn-because";
/// Verb on `releasepolicies.placet.dev` that removing or weakening a namespace's label needs.
pub const VERB_ENFORCE: &str = "enforce";
/// Verb on `approvalroles.placet.dev` that makes somebody a holder of the role.
pub const VERB_APPROVE: &str = "approve";
/// Verb on `approvalroles.placet.dev` that makes somebody one whose reports count where a policy names the role for their type.
pub const VERB_REPORT: &str = "report";
/// Verb on a kind of ours by which somebody who creates an object keeps the stamp that it carries: for backup tools.
pub const VERB_RESTORE: &str = "restore";
/// Field manager of the operator's status writes.
pub const MANAGER_STATUS: &str = "placet-status";
/// Field manager of the command line.
pub const MANAGER_CLI: &str = "placet-cli";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique() {
        let keys = [ENFORCE, RELEASE, HOLD_GATE, STAMP, RECEIPT, AUTHOR_SIGNATURE, WITHDRAWN_BECAUSE];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
