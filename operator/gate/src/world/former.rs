//! Versions of objects that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use placet_api::Kind;
use placet_api::approval::{ApprovalSpec, SubjectKind};
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::riskacceptance::RiskAcceptanceSpec;

use super::World;
use super::table::Table;
use crate::evidence::Evidence;
use crate::object::{Object, Record, Stamp};
use crate::policy::PolicySet;
use crate::stamp::StampProblem;

/// Of an object whose spec was changed behind the webhook's back, the id of the version that was stamped last: what a
/// finding compares it with.
pub(super) fn last_stamped<S>(now: Option<&Arc<Object<S>>>, former: &[Arc<Object<S>>]) -> Option<String>
where
    S: serde::de::DeserializeOwned,
{
    let changed = Stamp::Invalid { why: StampProblem::SpecChanged };
    now.filter(|object| object.record.stamp == changed)?;
    let stamped = former.iter().filter_map(|f| Some((f.standing()?.changed_at, f)));
    stamped.max_by_key(|(at, _)| *at).map(|(_, f)| f.id.clone())
}

fn of<S: serde::de::DeserializeOwned + Clone>(table: &Table<S>, key: &super::Key) -> Vec<Record> {
    table.versions(key).map(|object| object.record.clone()).collect()
}

impl World {
    /// Versions of policies, gone ones and those that a release stands on, under which evidence was approved.
    pub(super) fn former_policies<'a>(
        &self,
        basis: Option<&PolicySet>,
        seen: impl Iterator<Item = &'a Evidence>,
    ) -> Vec<Arc<Object<ReleasePolicySpec>>> {
        let named: BTreeSet<(&str, &str)> = seen
            .flat_map(|e| e.policies.iter().flatten())
            .map(|p| (p.name.as_str(), p.digest.as_str()))
            .collect();
        let gone = self.policies.gone.values().flat_map(BTreeMap::values);
        let before = basis.into_iter().flat_map(|b| b.iter()).filter(|p| !p.live);
        let mut out: Vec<_> =
            gone.chain(before).filter(|p| named.contains(&(p.name(), p.digest()))).cloned().collect();
        out.sort_by(|a, b| a.id.cmp(&b.id));
        out.dedup_by(|a, b| a.id == b.id);
        out
    }

    /// Acceptances that are gone: of the names for which signed approvals were applied before there was one, since such an
    /// approval was of the first that bore the name; and what was stamped last of those that were changed behind the webhook's
    /// back.
    pub(super) fn former_acceptances(
        &self,
        namespace: &str,
        acceptances: &[Arc<Object<RiskAcceptanceSpec>>],
        approvals: &[Arc<Object<ApprovalSpec>>],
    ) -> Vec<Arc<Object<RiskAcceptanceSpec>>> {
        let early = approvals.iter().filter_map(|a| {
            let spec = a.spec.as_ref().ok()?;
            let early = spec.signed.is_some() && a.standing()?.subject_uid.is_none();
            (early && spec.subject.kind == SubjectKind::RiskAcceptance).then_some(spec.subject.name.as_str())
        });
        let of = |name: &str| {
            let key = (namespace.to_owned(), name.to_owned());
            self.acceptances.versions(&key).cloned().collect::<Vec<_>>()
        };
        let early: BTreeSet<&str> = early.collect();
        let mut out: Vec<_> = early.into_iter().flat_map(of).collect();
        for acceptance in acceptances {
            let versions = of(acceptance.name());
            let last = last_stamped(Some(acceptance), &versions);
            out.extend(versions.into_iter().filter(|v| last.as_ref() == Some(&v.id)));
        }
        out.sort_by(|a, b| a.id.cmp(&b.id));
        out.dedup_by(|a, b| a.id == b.id);
        out
    }

    /// Versions of an object that are gone and remembered; of kinds whose versions matter no more once they are gone,
    /// none. The namespace of cluster kinds is empty.
    pub fn former(&self, kind: Kind, namespace: &str, name: &str) -> Vec<Record> {
        let key = (namespace.to_owned(), name.to_owned());
        match kind {
            Kind::AISystem => of(&self.systems, &key),
            Kind::ImpactAssessment => of(&self.assessments, &key),
            Kind::ModelRelease => of(&self.releases, &key),
            Kind::TestReport => of(&self.reports, &key),
            Kind::Dataset => of(&self.datasets, &key),
            Kind::Approval => of(&self.approvals, &key),
            Kind::RiskAcceptance => of(&self.acceptances, &key),
            Kind::ReleasePolicy => of(&self.policies, &key),
            Kind::ApprovalRole => of(&self.roles, &key),
            Kind::TrustedSigner => of(&self.signers, &key),
        }
    }
}
