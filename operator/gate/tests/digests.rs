//! Golden vectors of the digests, made by a second implementation (`digests/vectors.py`). They never change: a digest
//! that people approved must come out the same in every later version.

use placet_api::Kind;
use placet_gate::digest;
use serde_json::Value;

#[test]
fn digests_are_those_of_the_second_implementation() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("digests/vectors.json")).unwrap();
    assert!(vectors.len() >= 10);
    for vector in &vectors {
        let text = |field: &str| vector[field].as_str();
        let (kind, name) = (Kind::parse(text("kind").unwrap()).unwrap(), text("name").unwrap());
        let content = digest::content(kind, text("namespace"), name, &vector["spec"]).unwrap();
        assert_eq!(Some(content.as_str()), text("content"), "{kind} {name}");
        if let Some(classification) = text("classification") {
            let found = digest::classification(text("namespace").unwrap(), name, &vector["spec"]).unwrap();
            assert_eq!(found, classification, "{kind} {name}");
        }
        for (risk, wanted) in vector["risks"].as_object().into_iter().flatten() {
            let found = digest::risk(text("namespace").unwrap(), name, &vector["spec"], risk).unwrap();
            assert_eq!(found.as_deref(), wanted.as_str(), "{kind} {name} {risk}");
        }
    }
}
