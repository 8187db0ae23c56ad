//! What is true of every `CustomResourceDefinition`: bounds, descriptions, immutability, and that the files in the
//! repository are those that the types give.

#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use placet_api::Kind;
use serde_json::Value;

mod common;

#[path = "../examples/crds/render.rs"]
mod render;

use common::walk;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The definitions as JSON, each with its kind.
fn definitions() -> Vec<(Kind, Value)> {
    let definitions: Vec<_> = placet_api::crds()
        .iter()
        .map(|crd| {
            let kind = Kind::parse(&crd.spec.names.kind).expect("a kind that Kind names");
            (kind, serde_json::to_value(crd).expect("a definition is JSON"))
        })
        .collect();
    assert_eq!(definitions.len(), Kind::ALL.len());
    definitions
}

/// The one version's schema.
fn schema(definition: &Value) -> &Value {
    let versions = definition["spec"]["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 1);
    &versions[0]["schema"]["openAPIV3Schema"]
}

/// Collects the complaints of `check` over all schemas, and fails with all of them at once.
fn no_complaints(check: impl Fn(Kind, &str, &Value) -> Option<String>) {
    let mut complaints = Vec::new();
    let mut visited = 0;
    for (kind, definition) in definitions() {
        walk(schema(&definition), "", &mut |path, schema| {
            visited += 1;
            if let Some(complaint) = check(kind, path, schema) {
                complaints.push(format!("{kind} .{path}: {complaint}"));
            }
        });
    }
    assert!(visited > 300, "only {visited} schemas were visited");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn generated_files_are_those_in_the_repository() {
    let root = root();
    let wanted = render::files(&root).expect("the files render");
    let mut found = BTreeSet::new();
    for dir in render::OWNED {
        for name in render::listing(&root.join(dir)).expect("the directory is there; run `make crds`") {
            found.insert(format!("{dir}/{name}"));
        }
    }
    assert_eq!(found, wanted.keys().cloned().collect(), "run `make crds`");
    for (path, text) in &wanted {
        #[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
        let on_disk = std::fs::read_to_string(root.join(path)).expect("the file is readable");
        assert!(&on_disk == text, "{path} differs from what the types give; run `make crds`");
        if path.starts_with("charts/placet-crds/") {
            assert!(!text.contains("{{"), "{path} holds what Helm would take for a template");
            assert!(text.contains("helm.sh/resource-policy: \"keep\""), "{path} would go with the chart");
        }
    }
}

#[test]
fn each_definition_is_smaller_than_200_kilobytes() {
    for (kind, definition) in definitions() {
        let size = render::yaml(&definition).len();
        assert!(
            size < 200_000,
            "{kind}: {size} bytes; client-side apply keeps it a second time in an annotation"
        );
    }
}

#[test]
fn every_field_is_described() {
    no_complaints(|_, path, schema| {
        let field = !path.is_empty() && !path.ends_with('*') && path != "metadata";
        let described = schema["description"].as_str().is_some_and(|text| !text.trim().is_empty());
        (field && !described).then(|| "has no description".into())
    });
}

#[test]
fn every_text_list_and_map_has_a_bound() {
    no_complaints(|_, path, schema| {
        if path == "metadata" {
            return None;
        }
        let bound = match schema["type"].as_str() {
            Some("string") => schema["maxLength"].is_i64() || schema["enum"].is_array(),
            Some("array") => schema["maxItems"].is_i64(),
            Some("object") if schema["additionalProperties"].is_object() => {
                let keys = schema["x-kubernetes-validations"].to_string().contains("size(key) <=");
                schema["maxProperties"].is_i64() && keys
            }
            Some("object") => schema["properties"].is_object(),
            Some("integer" | "boolean") => true,
            // A field of another type (number, or anything at all) would be one that digests cannot hold.
            _ => false,
        };
        (!bound).then(|| format!("is without a bound: {schema}"))
    });
}

#[test]
fn nothing_has_a_default_is_nullable_unsigned_or_keeps_unknown_fields() {
    no_complaints(|_, _, schema| {
        if schema.get("default").is_some_and(|d| !d.is_null()) {
            return Some("has a default: it would change the digest of what people wrote".into());
        }
        if schema["format"].as_str().is_some_and(|format| format.starts_with("uint")) {
            return Some("has an unsigned format, which the Kubernetes API does not know".into());
        }
        if schema["nullable"] == true {
            return Some("is nullable: null and absent would have two digests".into());
        }
        let open =
            schema["x-kubernetes-preserve-unknown-fields"] == true || schema["additionalProperties"] == true;
        open.then(|| "keeps unknown fields".into())
    });
}

#[test]
fn no_field_is_a_boolean_of_yaml_1_1() {
    no_complaints(|_, path, _| {
        let name = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        ["y", "n", "on", "off", "yes", "no"]
            .contains(&name.as_str())
            .then(|| "YAML 1.1 reads this name as true or false".into())
    });
}

#[test]
fn keyed_lists_are_those_of_the_schema() {
    for (kind, definition) in definitions() {
        let mut found = BTreeSet::new();
        walk(&schema(&definition)["properties"]["spec"], "", &mut |path, schema| {
            match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => {
                    let keys = schema["x-kubernetes-list-map-keys"].as_array().expect("keys of a map list");
                    let keys: Vec<_> = keys.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    found.insert((path.to_owned(), keys));
                }
                Some("set") => {
                    found.insert((path.to_owned(), Vec::new()));
                }
                _ => {}
            }
        });
        let named: BTreeSet<_> = kind
            .keyed_lists()
            .iter()
            .map(|(path, keys)| {
                ((*path).to_owned(), keys.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(named, found, "{kind}");
    }
}

#[test]
fn personal_fields_exist() {
    for (kind, definition) in definitions() {
        let mut paths = BTreeSet::new();
        walk(&schema(&definition)["properties"]["spec"], "", &mut |path, _| {
            paths.insert(path.to_owned());
        });
        for path in kind.personal_fields() {
            assert!(paths.contains(*path), "{kind}: no field {path}");
        }
    }
}

#[test]
fn immutable_specs_say_so_and_the_releases_rules_name_every_field() {
    for (kind, definition) in definitions() {
        let schema = schema(&definition);
        // On an optional spec a rule would be skipped when the spec comes or goes.
        let required = schema["required"].as_array().expect("required fields");
        assert!(required.iter().any(|field| field == "spec"), "{kind}: spec is optional");
        let spec = &schema["properties"]["spec"];
        let rules: Vec<&str> = spec["x-kubernetes-validations"]
            .as_array()
            .map(|rules| rules.iter().filter_map(|rule| rule["rule"].as_str()).collect())
            .unwrap_or_default();
        if !kind.immutable() {
            // Of a TrustedSigner parts are fixed; the bad files show which.
            let fixed = |rule: &&str| rule.contains("oldSelf") && kind != Kind::TrustedSigner;
            assert!(!rules.iter().any(fixed), "{kind} may change");
        } else if kind != Kind::ModelRelease {
            assert!(rules.contains(&"self == oldSelf"), "{kind} is immutable: {rules:?}");
        } else {
            let required: BTreeSet<_> =
                spec["required"].as_array().expect("required").iter().filter_map(Value::as_str).collect();
            let fields = spec["properties"].as_object().expect("fields");
            assert!(fields.contains_key("withdrawn"));
            for field in fields.keys().filter(|field| *field != "withdrawn") {
                let same = format!("self.{field} == oldSelf.{field}");
                let both = format!("has(self.{field}) == has(oldSelf.{field})");
                let named = rules.iter().any(|rule| {
                    let whole = rule.split(" && ").any(|part| part.trim_end_matches(')').ends_with(&same));
                    whole
                        && (required.contains(field.as_str()) || rule.split(" && ").any(|part| part == both))
                });
                assert!(named, "spec.{field} can be changed: no rule compares it");
            }
        }
    }
}

#[test]
fn names_are_those_that_kind_gives() {
    for (kind, definition) in definitions() {
        let names = &definition["spec"]["names"];
        assert_eq!(names["plural"], kind.plural());
        assert_eq!(names["shortNames"], serde_json::json!([kind.short()]));
        assert_eq!(names["categories"], serde_json::json!(["placet"]));
        assert_eq!(definition["spec"]["scope"], if kind.namespaced() { "Namespaced" } else { "Cluster" });
        assert_eq!(definition["spec"]["group"], placet_api::keys::GROUP);
        assert_eq!(definition["spec"]["versions"][0]["name"], placet_api::keys::VERSION);
        assert_eq!(definition["metadata"]["name"], format!("{}.{}", kind.plural(), placet_api::keys::GROUP));
    }
}

#[test]
fn only_the_time_of_creation_is_a_date_column() {
    for (kind, definition) in definitions() {
        let columns =
            definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().expect("columns");
        for column in columns {
            // kubectl prints `<invalid>` for a date in the future.
            let creation = column["jsonPath"] == ".metadata.creationTimestamp";
            assert_eq!(column["type"] == "date", creation, "{kind}: {column}");
        }
    }
}

#[test]
fn names_that_become_label_values_are_bounded() {
    for (kind, definition) in definitions() {
        let rules = schema(&definition)["x-kubernetes-validations"].to_string();
        assert!(rules.contains("size(self.metadata.name) <= 63"), "{kind}: {rules}");
    }
}

/// Names by which kubectl knows what Kubernetes has itself: it takes those first, and shows something else.
const TAKEN: [&str; 41] = [
    "cm", "cs", "ep", "ev", "limits", "no", "ns", "po", "pv", "pvc", "quota", "rc", "sa", "svc", "crd",
    "crds", "ds", "deploy", "rs", "sts", "hpa", "cj", "csr", "ing", "netpol", "pdb", "pc", "sc", "vac",
    "job", "jobs", "pod", "pods", "node", "nodes", "event", "events", "secret", "role", "ip", "lease",
];

#[test]
fn no_name_is_one_of_kubernetes_own() {
    for kind in Kind::ALL {
        for name in [kind.short(), kind.plural()] {
            assert!(!TAKEN.contains(&name), "{kind}: kubectl get {name} shows something else");
        }
    }
}

#[test]
fn a_column_shows_one_word_and_never_a_list_or_a_map() {
    for (kind, definition) in definitions() {
        let schema = schema(&definition);
        let columns =
            definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().expect("columns");
        for column in columns {
            let path = column["jsonPath"].as_str().expect("a path");
            // What a filter finds is text.
            let steps = path.trim_start_matches('.').split('.').take_while(|step| !step.contains('['));
            let field = steps.fold(schema, |at, step| &at["properties"][step]);
            let shown = path.contains('[') || path.starts_with(".metadata.");
            assert!(
                shown || !matches!(field["type"].as_str(), None | Some("array" | "object")),
                "{kind}: {column}"
            );
        }
    }
}
