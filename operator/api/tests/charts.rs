//! What the charts repeat from elsewhere is the same there.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use placet_api::Kind;

fn text(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    #[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
    std::fs::read_to_string(path).expect("the file is readable")
}

/// What follows `prefix` at the beginning of a line, without indentation.
fn after<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(prefix)).map(str::trim).collect()
}

#[test]
fn the_values_name_the_roles_of_the_packs() {
    let packs = text("policies/packs/roles.yaml");
    let values = text("charts/placet/values.yaml");
    let roles = after(&packs, "name: ");
    assert!(roles.len() >= 8, "{roles:?}");
    assert_eq!(after(&values, "- name: "), roles);
}

#[test]
fn charts_have_the_version_of_the_crates() {
    for chart in ["placet", "placet-crds"] {
        let chart = text(&format!("charts/{chart}/Chart.yaml"));
        assert_eq!(after(&chart, "version: "), BTreeSet::from([env!("CARGO_PKG_VERSION")]));
        let quoted = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(after(&chart, "appVersion: "), BTreeSet::from([quoted.as_str()]));
    }
}

#[test]
fn roles_name_every_kind() {
    for file in ["rbac-operator.yaml", "rbac-people.yaml"] {
        let rules = text(&format!("charts/placet/templates/{file}"));
        for kind in Kind::ALL {
            assert!(rules.contains(kind.plural()), "{file} does not name {}", kind.plural());
        }
    }
}

#[test]
fn the_webhooks_use_the_labels_of_the_api() {
    let helpers = text("charts/placet/templates/_helpers.tpl");
    assert!(helpers.contains(&format!("key: {}, operator: Exists", placet_api::keys::ENFORCE)));
    let people = text("charts/placet/templates/rbac-people.yaml");
    assert!(people.contains(&format!("\"verbs\" (list \"{}\")", placet_api::keys::VERB_ENFORCE)));
    assert!(people.contains(&format!("verbs: [{}]", placet_api::keys::VERB_APPROVE)));
    assert!(people.contains(&format!("verbs: [{}]", placet_api::keys::VERB_REPORT)));
}

#[test]
fn other_policy_packs_restart_the_operator() {
    // They are read once per start.
    let set = text("charts/placet/templates/statefulset.yaml");
    let template = set.split_once("  template:").expect("a pod template").1;
    let annotations = template.split_once("    spec:").expect("a pod spec").0;
    let whole = "(print $.Template.BasePath \"/configmap-policies.yaml\") . | sha256sum }}";
    assert!(annotations.contains(&format!("checksum/policies: {{{{ include {whole}")), "{annotations}");
}
