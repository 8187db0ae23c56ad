//! What policies may ask for in a later version of Placet: it is refused as not yet known and not as a misspelt field.

use placet_api::crd::LATER;

/// Other words for the same.
const ALSO: [(&str, &str); 4] = [
    ("supplier", "suppliers"),
    ("logging", "logging in operation"),
    ("signature", "signatures of artefacts"),
    ("sbom", "bills of material (AIBOM)"),
];

fn later() -> impl Iterator<Item = (&'static str, &'static str)> {
    LATER.into_iter().chain(ALSO)
}

/// What a parser said of a policy, with what it means where it asks for a gate that comes later.
pub fn explained(said: String) -> String {
    let field = said.split_once("unknown field `").and_then(|(_, rest)| rest.split('`').next());
    match field.and_then(|field| later().find(|(name, _)| name.eq_ignore_ascii_case(field))) {
        Some((name, what)) => format!(
            "{name}: gates on {what} are not yet known to this version, and a policy that asks for them is not understood; they come \
             in a later one ({said})"
        ),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use placet_api::releasepolicy::ReleasePolicySpec;
    use serde_json::json;

    use super::*;

    fn said(field: &str) -> String {
        let mut spec = json!({"appliesTo": {"classes": ["High"]}, "approvals": []});
        spec[field] = json!({"required": true});
        explained(serde_json::from_value::<ReleasePolicySpec>(spec).unwrap_err().to_string())
    }

    #[test]
    fn a_gate_that_comes_later_is_not_yet_known_and_another_field_is_unknown() {
        for (field, _) in later() {
            let said = said(field);
            assert!(
                said.starts_with(&format!("{field}: gates on ")) && said.contains("not yet known"),
                "{said}"
            );
        }
        let said = said("monitorring");
        assert!(said.starts_with("unknown field `monitorring`"), "{said}");
    }
}
