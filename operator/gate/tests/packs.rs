//! What the policy packs say of obligations is one text: the same id is the same obligation in each of them.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use placet_api::obligation::Obligation;
use placet_api::releasepolicy::ReleasePolicySpec;
use serde_json::Value;

#[expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]
fn packs() -> BTreeMap<String, ReleasePolicySpec> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../policies/packs");
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(&dir).expect("policies/packs is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the file is readable");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for document in documents.into_iter().filter(|d| d["kind"] == "ReleasePolicy") {
            let spec = serde_json::from_value(document["spec"].clone());
            let spec = spec.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            out.insert(document["metadata"]["name"].as_str().expect("a name").to_owned(), spec);
        }
    }
    out
}

#[test]
fn an_obligation_is_the_same_in_every_pack() {
    let mut known: BTreeMap<String, (String, Obligation)> = BTreeMap::new();
    let mut seen = 0;
    for (pack, spec) in packs() {
        for obligation in spec.obligations.into_iter().flatten() {
            seen += 1;
            let id = obligation.id.to_string();
            match known.get(&id) {
                Some((other, first)) => assert_eq!(*first, obligation, "{id} in {other} and in {pack}"),
                None => {
                    known.insert(id, (pack.clone(), obligation));
                }
            }
        }
    }
    assert!(seen > known.len() && known.len() > 30, "{seen} obligations with {} ids", known.len());
}

#[test]
fn every_obligation_of_the_packs_is_of_the_amended_act() {
    for (pack, spec) in packs() {
        for o in spec.obligations.into_iter().flatten() {
            assert_eq!(o.version.as_str(), "2026/1744", "{pack} {}", o.id);
            assert!(
                o.source.contains("(EU) 2024/1689") && o.source.contains("(EU) 2026/1744"),
                "{pack} {}",
                o.id
            );
            // The dates of before the amendment: 2 August 2026 for Annex III, 2 August 2027 for Annex I.
            let chapter_3 = o.grounds.iter().flatten().any(|g| g.starts_with("AnnexI"))
                && ["Article 9", "Article 10", "Article 14", "Article 26", "Article 27"]
                    .contains(&o.article.as_str());
            let product = o.grounds.iter().flatten().any(|g| g.as_str() == "AnnexI");
            let wanted = if product { "2028-08-02" } else { "2027-12-02" };
            assert!(!chapter_3 || o.from.as_str() == wanted, "{pack} {}: {}", o.id, o.from);
        }
    }
}
