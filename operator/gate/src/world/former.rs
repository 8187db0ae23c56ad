//! Versions of objects that are gone.

use placet_api::Kind;

use super::World;
use super::table::Table;
use crate::object::Record;

impl World {
    /// Versions of an object that are gone and remembered; of kinds whose versions matter no more once they are gone,
    /// none. The namespace of cluster kinds is empty.
    pub fn former(&self, kind: Kind, namespace: &str, name: &str) -> Vec<Record> {
        let key = (namespace.to_owned(), name.to_owned());
        fn of<S: serde::de::DeserializeOwned + Clone>(table: &Table<S>, key: &super::Key) -> Vec<Record> {
            table.versions(key).map(|object| object.record.clone()).collect()
        }
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
