//! The CustomResourceDefinitions as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;

/// All CustomResourceDefinitions, one per kind, in the order of [`crate::Kind::ALL`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        crate::aisystem::AISystem::crd(),
        crate::impactassessment::ImpactAssessment::crd(),
        crate::modelrelease::ModelRelease::crd(),
        crate::testreport::TestReport::crd(),
        crate::dataset::Dataset::crd(),
        crate::approval::Approval::crd(),
        crate::riskacceptance::RiskAcceptance::crd(),
        crate::releasepolicy::ReleasePolicy::crd(),
        crate::approvalrole::ApprovalRole::crd(),
        crate::trustedsigner::TrustedSigner::crd(),
    ];
    for crd in &mut crds {
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
                make_structural(schema);
                // `kubectl explain KIND` begins with the root's description; the derived one says nothing.
                let spec = schema.properties.as_ref().and_then(|properties| properties.get("spec"));
                schema.description = spec.and_then(|spec| spec.description.clone());
            }
        }
    }
    crds
}

/// The longest key of a map: a label's, with a DNS subdomain of 253 characters, a slash and a name of 63.
const MAX_MAP_KEY: usize = 317;

/// Removes `additionalProperties: false`, which Rust's strict parsing adds and structural schemas forbid beside
/// `properties` (the API server prunes or, with strict validation, refuses unknown fields by itself); removes
/// `nullable`, so that the API server stores no null (it drops it, and refuses it in server-side apply): `field: null`
/// and no field would have two digests; and gives keys of maps their bound.
fn make_structural(schema: &mut JSONSchemaProps) {
    if schema.additional_properties == Some(JSONSchemaPropsOrBool::Bool(false)) {
        schema.additional_properties = None;
    }
    schema.nullable = None;
    // Lines were broken for the source; terminals break their own.
    if let Some(description) = &mut schema.description {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(properties) = &mut schema.properties {
        properties.values_mut().for_each(make_structural);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => make_structural(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(make_structural),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        make_structural(values);
        schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: format!("self.all(key, size(key) <= {MAX_MAP_KEY})"),
            message: Some(format!("a key has at most {MAX_MAP_KEY} characters")),
            ..ValidationRule::default()
        });
    }
}
