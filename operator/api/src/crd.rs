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
                if crd.spec.names.kind == "ReleasePolicy" {
                    refuse_later(schema);
                }
                // `kubectl explain KIND` begins with the root's description; the derived one says nothing.
                let spec = schema.properties.as_ref().and_then(|properties| properties.get("spec"));
                schema.description = spec.and_then(|spec| spec.description.clone());
            }
        }
    }
    crds
}

/// Fields of a policy by which somebody would ask for a gate of a later version, and what such a gate is about.
pub const LATER: [(&str, &str); 4] = [
    ("suppliers", "suppliers"),
    ("monitoring", "monitoring in operation"),
    ("signatures", "signatures of artefacts"),
    ("aibom", "bills of material (AIBOM)"),
];

/// Declares the fields of [`LATER`] and refuses whatever they hold: of a field that it does not know, the API server leaves
/// nothing where a client did not ask for strict validation, and the policy would ask for less than its author believes.
fn refuse_later(schema: &mut JSONSchemaProps) {
    let spec = schema.properties.as_mut().and_then(|p| p.get_mut("spec")).and_then(|s| s.properties.as_mut());
    let Some(fields) = spec else { return };
    for (name, what) in LATER {
        let refused = format!("gates on {what} are not yet known to this version; leave the field out");
        let field = JSONSchemaProps {
            description: Some(format!("Refused: {refused}.")),
            type_: Some("object".to_owned()),
            properties: Some(std::collections::BTreeMap::new()),
            x_kubernetes_validations: Some(vec![ValidationRule {
                rule: "false".to_owned(),
                message: Some(refused),
                ..ValidationRule::default()
            }]),
            ..JSONSchemaProps::default()
        };
        fields.insert(name.to_owned(), field);
    }
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
