//! Versions of objects that are gone.

use std::sync::Arc;

use placet_api::Kind;

use super::World;
use super::table::Table;
use crate::object::{Object, Record, Stamp};
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
    /// Versions of an object that are gone and remembered; of kinds whose versions matter no more once they are gone,
    /// none. The namespace of cluster kinds is empty.
    pub fn former(&self, kind: Kind, namespace: &str, name: &str) -> Vec<Record> {
        let key = (namespace.to_owned(), name.to_owned());
        match kind {
            Kind::AISystem => of(&self.systems, &key),
            Kind::ImpactAssessment => of(&self.assessments, &key),
            Kind::ModelRelease => of(&self.releases, &key),
            Kind::TestReport => of(&self.reports, &key),
            Kind::Approval => of(&self.approvals, &key),
            Kind::RiskAcceptance => of(&self.acceptances, &key),
            Kind::ReleasePolicy => of(&self.policies, &key),
            Kind::ApprovalRole => of(&self.roles, &key),
            Kind::TrustedSigner => of(&self.signers, &key),
        }
    }
}
