//! Assessments of a system, and what asks for a new one: an incident, for example. Whoever learns of one tells the world; the
//! gate *assessment* does the rest.

use std::sync::Arc;

use jiff::Timestamp;
use placet_api::impactassessment::ImpactAssessmentSpec;
use serde::{Deserialize, Serialize};

use super::World;
use crate::object::Object;

/// Something that asks for a new assessment of a system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reassess {
    /// When it was asked: an assessment made before is stale.
    pub at: Timestamp,
    /// What asks, as KIND/NAME.
    pub by: String,
}

impl World {
    /// Assessments of a system, remembered ones included. One that is not understood may be the one that decides, so it stays
    /// in view whatever its system.
    pub(crate) fn assessments_of(
        &self,
        namespace: &str,
        system: Option<&str>,
    ) -> Vec<Arc<Object<ImpactAssessmentSpec>>> {
        let all = self.assessments.in_namespace(namespace);
        let of = |a: &&Arc<Object<ImpactAssessmentSpec>>| match (&a.spec, system) {
            (Ok(spec), Some(system)) => spec.system.as_str() == system,
            (Err(_), _) => a.record.spec.text("system").as_deref() == system,
            _ => false,
        };
        all.filter(of).cloned().collect()
    }

    /// Something asks for a new assessment of a system.
    pub fn reassess(&mut self, namespace: &str, system: &str, request: Reassess) {
        let key = (namespace.to_owned(), system.to_owned());
        self.reassess.entry(key).or_default().insert(request);
    }

    /// What asks for a new assessment of a system, by time.
    pub(super) fn reassessments(&self, namespace: &str, system: Option<&str>) -> Vec<Reassess> {
        let key = system.map(|system| (namespace.to_owned(), system.to_owned()));
        key.and_then(|key| self.reassess.get(&key)).into_iter().flatten().cloned().collect()
    }
}
