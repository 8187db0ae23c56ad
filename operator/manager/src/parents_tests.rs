use placet_gate::admission::{Judged, Operation, Request, Workload, subject};
use placet_gate::finding::Reason;
use serde_json::json;

use super::*;

const MIB: usize = 1 << 20;

fn deployment(name: &str, containers: &Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"),
                     "labels": {"placet.dev/release": "v1"}, "annotations": {"a": "b"}},
        "spec": {"replicas": 0, "template": {
            "metadata": {"labels": {"placet.dev/release": "v1"}}, "spec": {"containers": containers},
        }},
    })
}

fn container(image: &str) -> Value {
    json!([{"name": "c", "image": image}])
}

/// Reasons why the scaling of a Deployment is doubtful by itself, its images, and its release.
fn scaled(parent: &Parent) -> (Vec<Reason>, Vec<String>, Option<String>) {
    let scale = json!({"metadata": {"name": "a"}, "spec": {"replicas": 1}});
    let old = json!({"metadata": {"name": "a"}, "spec": {}});
    let request = Request {
        kind: Workload::Deployment,
        subresource: Some("scale"),
        operation: Operation::Update,
        namespace: "n",
        name: "a",
        object: &scale,
        old: Some(&old),
        user: "u",
    };
    let Judged::Subject(subject) = subject(&request, Some(&parent.object())) else { panic!("it is judged") };
    assert_eq!(subject.uid.as_deref(), Some(parent.uid.as_str()));
    assert_eq!((subject.replicas, subject.raised_from), (1, Some(0)));
    let reasons = subject.problems.iter().map(|p| p.reason).collect();
    (reasons, subject.images.into_iter().map(|i| i.image).collect(), subject.release)
}

#[test]
fn of_an_image_that_cannot_be_one_the_beginning_is_kept() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let longest = format!("{}:{}@{digest}", "r".repeat(255), "t".repeat(128));
    let (_, images, _) = scaled(&Parent::new(&deployment("a", &container(&longest))));
    assert_eq!(images, [longest]);
    let too_long = format!("{}@{digest}", "r".repeat(MIB));
    let parent = Parent::new(&deployment("a", &container(&too_long)));
    assert!(parent.bytes() < 1500, "{}", parent.bytes());
    let (problems, images, release) = scaled(&parent);
    assert_eq!(images, [format!("{}… (1048648 bytes)", "r".repeat(48))]);
    assert_eq!((problems, release.as_deref()), (vec![], Some("v1")), "for the judgement it is not pinned");
}

#[test]
fn one_with_too_many_containers_is_remembered_without_them_and_scaling_it_up_is_unknown() {
    let many: Vec<Value> = (0..5000).map(|n| json!({"name": format!("c{n}"), "image": "i"})).collect();
    let parent = Parent::new(&deployment("a", &json!(many)));
    assert!(parent.bytes() < 1500, "{}", parent.bytes());
    assert_eq!(scaled(&parent), (vec![Reason::WorkloadNotFound], vec![], None));
    let few: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("c{n}"), "image": "registry.example.com/team/image@sha256:0"}))
        .collect();
    assert_eq!(scaled(&Parent::new(&deployment("a", &json!(few)))).1.len(), 100);
}

#[test]
fn whatever_else_is_huge_is_not_kept() {
    let long = "a".repeat(MIB);
    let mut object = deployment("a", &container("i"));
    object["metadata"]["annotations"] = json!({"a": long});
    object["metadata"]["labels"] = json!({"a": long, "placet.dev/release": "v1"});
    object["metadata"]["finalizers"] = vec!["example.com/a"; 20_000].into();
    let owner = json!({"apiVersion": long, "kind": long, "name": long, "uid": long});
    let controlling =
        json!({"apiVersion": long, "kind": long, "name": long, "uid": long, "controller": true});
    object["metadata"]["ownerReferences"] = json!([owner, owner, controlling]);
    object["spec"]["selector"] = json!({"matchLabels": {"a": long}});
    object["spec"]["template"]["metadata"]["labels"]["b"] = long.as_str().into();
    object["spec"]["template"]["spec"]["volumes"] =
        (0..5000).map(|n| json!({"name": format!("v{n}"), "configMap": {"name": long[..9]}})).collect();
    object["spec"]["template"]["spec"]["containers"][0]["args"] = json!([long]);
    let kept = Parent::new(&object);
    assert!(kept.bytes() <= MAX_KEPT, "{}", kept.bytes());
    object["spec"]["template"]["spec"]["volumes"] = json!([{"name": "m", "image": {"reference": long}}]);
    let kept = Parent::new(&object);
    assert!(kept.bytes() < 3000, "{}", kept.bytes());
    assert_eq!(scaled(&kept).1.len(), 2);
}

/// What one object takes at most.
const MAX_KEPT: usize = slim::MAX_PARENT + 4096;

#[test]
fn one_namespace_fills_its_own_room_only() {
    let mut parents = Parents::default();
    let large: Vec<Value> =
        (0..25).map(|n| json!({"name": format!("c{n}"), "image": "i".repeat(500)})).collect();
    let parent = |name: &str| Parent::new(&deployment(name, &json!(large)));
    for n in 0..4000 {
        let (kind, name) = (["Deployment", "ReplicaSet"][n % 2], n.to_string());
        parents.set(kind, "n", &name, parent(&name));
    }
    let sum = |parents: &Parents| -> usize {
        parents.by_place.iter().filter(|((_, ns, _), _)| ns == "n").map(|(_, p)| p.bytes()).sum()
    };
    assert!(sum(&parents) <= NAMESPACE_BYTES * 3 / 2, "{}", sum(&parents));
    assert_eq!(sum(&parents), parents.bytes("n"), "what is counted is what is there");
    assert!(parents.get("Deployment", "n", "0").unwrap().object().get("spec").is_some());
    let newest = parents.get("ReplicaSet", "n", "3999").unwrap();
    assert_eq!(scaled(newest).0, [Reason::WorkloadNotFound], "remembered without what it runs");
    // Another namespace is as before.
    parents.set("Deployment", "other", "a", parent("a"));
    assert!(parents.get("Deployment", "other", "a").unwrap().object().get("spec").is_some());
    // What goes makes room for what comes.
    for n in 0..500 {
        parents.remove(["Deployment", "ReplicaSet"][n % 2], "n", &n.to_string());
    }
    parents.set("ReplicaSet", "n", "3999", parent("3999"));
    assert!(parents.get("ReplicaSet", "n", "3999").unwrap().object().get("spec").is_some());
    let small = Parent::new(&deployment("a", &container("i")));
    for n in 4000..20_000 {
        let name = n.to_string();
        parents.set("Deployment", "n", &name, Parent { uid: name.clone(), ..small.clone() });
    }
    assert!(sum(&parents) <= NAMESPACE_BYTES * 3 / 2, "{}", sum(&parents));
    assert!(parents.get("Deployment", "n", "19999").is_none(), "in the end not even the name");
    parents.clear("Deployment");
    parents.clear("ReplicaSet");
    assert_eq!((parents.bytes("n"), parents.by_uid.len()), (0, 0));
}
