//! Reports that a decision reads: those on the release's artefacts, those that assessments name as evidence of controls, and what
//! supersedes these. And what the levels of one assessment rest on, whatever release is asked about.

use std::collections::BTreeSet;
use std::sync::Arc;

use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::testreport::TestReportSpec;

use super::{Clock, Snapshot, World};
use crate::object::Object;

/// Names of the reports that the controls of an assessment name as evidence.
pub fn reports_named(spec: &ImpactAssessmentSpec) -> impl Iterator<Item = &str> {
    let evidence =
        spec.risks.iter().flat_map(|r| r.controls.iter().flatten()).flat_map(|c| c.evidence.iter().flatten());
    evidence.filter(|e| e.kind.as_str() == "TestReport").map(|e| e.name.as_str())
}

impl World {
    /// Reports on the artefacts of a release.
    pub(super) fn reports_on(
        &self,
        namespace: &str,
        release: Option<&Object<ModelReleaseSpec>>,
    ) -> Vec<Arc<Object<TestReportSpec>>> {
        let artefacts: BTreeSet<&str> = release
            .iter()
            .filter_map(|r| r.spec.as_ref().ok())
            .flat_map(|s| s.artifacts.iter().map(|a| a.digest.as_str()))
            .collect();
        let on = |r: &&Arc<Object<TestReportSpec>>| match &r.spec {
            Ok(spec) => artefacts.contains(spec.artifact.as_str()),
            Err(_) => r.record.spec.text("artifact").is_some_and(|a| artefacts.contains(a.as_str())),
        };
        self.reports.in_namespace(namespace).filter(on).cloned().collect()
    }

    /// Reports that the live ones of these assessments name as evidence, and what supersedes those, deleted ones included;
    /// without those that are in view already.
    pub(super) fn proofs(
        &self,
        namespace: &str,
        assessments: &[Arc<Object<ImpactAssessmentSpec>>],
        known: &[Arc<Object<TestReportSpec>>],
    ) -> Vec<Arc<Object<TestReportSpec>>> {
        let live = assessments.iter().filter(|a| a.live).filter_map(|a| a.spec.as_ref().ok());
        let named: BTreeSet<&str> = live.flat_map(reports_named).collect();
        if named.is_empty() {
            return Vec::new();
        }
        let supersedes = |r: &Object<TestReportSpec>| {
            let says = r.spec.as_ref().ok().and_then(|s| s.supersedes.as_ref());
            says.is_some_and(|s| s.reports.iter().any(|one| named.contains(one.as_str())))
        };
        let known: BTreeSet<&str> = known.iter().map(|r| r.id.as_str()).collect();
        let matters = |r: &&Arc<Object<TestReportSpec>>| {
            let asked = (r.live && named.contains(r.name())) || supersedes(r);
            asked && !known.contains(r.id.as_str())
        };
        self.reports.in_namespace(namespace).filter(matters).cloned().collect()
    }

    /// What the levels of an assessment rest on: as [`World::snapshot`] of a release of its system that is not there. None if
    /// there is no such assessment.
    pub fn around(&self, namespace: &str, assessment: &str, clock: Clock) -> Option<Snapshot> {
        let object = self.assessment(namespace, assessment)?;
        let system = match &object.spec {
            Ok(spec) => Some(spec.system.to_string()),
            Err(_) => object.record.spec.text("system"),
        };
        Some(self.snapshot_of((namespace, ""), None, system.as_deref(), clock))
    }
}
