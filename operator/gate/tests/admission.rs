//! The judgement of admission requests: the cases in `tests/admission`, the words of a denial, and properties.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its cases from files"
)]

#[path = "admission/props.rs"]
mod props;
#[path = "admission/support.rs"]
mod support;
#[path = "admission/words.rs"]
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use placet_gate::admission::{
    self, Answer, Facts, Judged, Mode, Operation, OwnerHistory, Request, Subject, Workload, hold_patch,
};
use placet_gate::policy::PolicySet;
use placet_gate::render::Words;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
struct Base {
    release: Value,
    policies: BTreeMap<String, Value>,
    workloads: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    title: String,
    /// Value of the namespace's label; deny if left out.
    mode: Option<String>,
    workload: String,
    /// Changes of the base's workload.
    with: Option<Value>,
    /// Update: what the stored object has otherwise.
    before: Option<Value>,
    /// Update without a stored object, with `before` left out.
    operation: Option<String>,
    subresource: Option<String>,
    scale: Option<Scale>,
    /// Scale: `absent` where the stores do not have the workload, `without spec` where it is too large for them.
    parent: Option<String>,
    user: Option<String>,
    decision: Option<String>,
    policies: Option<Vec<String>>,
    history: Option<History>,
    #[serde(default)]
    pods_running: bool,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    from: Option<i64>,
    to: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    /// `same` as this pod's, that of the `base` workload, or an `other` one.
    content: String,
    highest: Option<i64>,
    live: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expect {
    passes: Option<String>,
    changes: Option<Vec<String>>,
    effect: Option<String>,
    cleared: Option<bool>,
    replacement: Option<bool>,
    release: Option<String>,
    /// All reasons, in their order.
    reasons: Option<Vec<String>>,
    /// Texts in the denial or the warnings.
    #[serde(default)]
    says: Vec<String>,
    /// Neither denial nor warnings.
    #[serde(default)]
    silent: bool,
    /// Effect of the answer over the final object.
    in_validation: Option<String>,
    validation_reasons: Option<Vec<String>>,
    #[serde(default)]
    validation_says: Vec<String>,
}

const OPERATOR: &str = "system:serviceaccount:placet-system:placet";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admission")
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&support::digests(&text)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn base() -> Base {
    yaml(&folder().join("base.yaml"))
}

/// The final object of a case, and the stored one.
fn objects(base: &Base, case: &Case) -> (Value, Option<Value>) {
    let mut object = base.workloads[&case.workload].clone();
    if let Some(with) = &case.with {
        support::merge(&mut object, with);
    }
    let old = case.before.as_ref().map(|before| {
        let mut old = object.clone();
        support::merge(&mut old, before);
        old
    });
    (object, old)
}

fn content_of(object: &Value) -> String {
    let request = Request {
        kind: Workload::Pod,
        subresource: None,
        operation: Operation::Create,
        namespace: "credit",
        name: "",
        object,
        old: None,
        user: "",
    };
    match admission::subject(&request, None) {
        Judged::Subject(subject) => subject.pod_content,
        Judged::Passes(why) => panic!("{why:?}"),
    }
}

/// Runs a case: what was read, and the answer; None where the request passes.
fn judged(
    base: &Base,
    case: &Case,
    mode: Option<Mode>,
) -> Result<(Subject, Answer, Answer), admission::Passes> {
    let (object, old) = objects(base, case);
    let kind_name = object["kind"].as_str().unwrap();
    let kind = Workload::ALL.into_iter().find(|w| w.as_str() == kind_name).unwrap();
    let scale = |replicas: Option<i64>| {
        let mut scale = json!({"metadata": {"name": "scorer", "uid": base.workloads[&case.workload]["metadata"]["uid"]}, "spec": {}});
        if let Some(replicas) = replicas {
            scale["spec"]["replicas"] = replicas.into();
        }
        scale
    };
    let scales = case.scale.as_ref().map(|s| (scale(s.to), scale(s.from)));
    let update = old.is_some() || scales.is_some() || case.operation.as_deref() == Some("Update");
    let request = Request {
        kind,
        subresource: if scales.is_some() { Some("scale") } else { case.subresource.as_deref() },
        operation: if update { Operation::Update } else { Operation::Create },
        namespace: "credit",
        name: object["metadata"]["name"].as_str().unwrap_or_default(),
        object: scales.as_ref().map_or(&object, |(new, _)| new),
        old: scales.as_ref().map(|(_, old)| old).or(old.as_ref()),
        user: case.user.as_deref().unwrap_or("alice"),
    };
    let mut parent = object.clone();
    if case.parent.as_deref() == Some("without spec") {
        parent.as_object_mut().map(|fields| fields.remove("spec"));
    }
    let parent = Some(&parent).filter(|_| case.parent.as_deref() != Some("absent"));
    let subject = match admission::subject(&request, parent) {
        Judged::Passes(why) => return Err(why),
        Judged::Subject(subject) => *subject,
    };
    let word = case.decision.as_deref().unwrap_or("cleared");
    let release = support::release(&base.release);
    let decision = support::decision(word);
    let policies: Vec<_> = match &case.policies {
        Some(names) => names.iter().map(|n| support::policy(n, &base.policies[n])).collect(),
        None => vec![support::policy("platform", &base.policies["platform"])],
    };
    let labels =
        BTreeMap::from([("placet.dev/enforce".to_owned(), case.mode.clone().unwrap_or("deny".into()))]);
    let (own_mode, note) = Mode::of(&labels).unwrap();
    let history = case.history.as_ref().map(|h| OwnerHistory {
        admitted: BTreeSet::from([(
            "v1".to_owned(),
            match h.content.as_str() {
                "same" => content_of(&object),
                "base" => content_of(&base.workloads[&case.workload]),
                "other" => "sha256:other".to_owned(),
                word => panic!("no content {word}"),
            },
        )]),
        highest_replicas: h.highest.unwrap_or(i64::MAX),
    });
    let facts = Facts {
        mode: mode.unwrap_or(own_mode),
        mode_note: note.as_deref(),
        namespace_labels: &labels,
        release: Some(&release)
            .filter(|_| subject.release.as_deref() == Some("v1"))
            .filter(|_| !matches!(word, "not found" | "cleared without release")),
        decision: decision.as_ref(),
        words: None,
        policies: &PolicySet::new(policies.iter().cloned()),
        history: history.as_ref(),
        live_pods: case.history.as_ref().map_or(0, |h| h.live),
        pods_running: case.pods_running,
        operator_user: OPERATOR,
    };
    let answer = admission::judge(&request, &subject, &facts);
    let last = answer.clone().in_validation(&request, &subject, &facts);
    // Words that were made before are the same words.
    let words = decision.as_ref().map(Words::of);
    let facts = Facts { words: words.as_ref(), ..facts };
    let again = admission::judge(&request, &subject, &facts);
    assert_eq!(again, answer);
    assert_eq!(again.in_validation(&request, &subject, &facts), last);
    Ok((subject, answer, last))
}

fn check(base: &Base, case: &Case) -> Result<(), String> {
    let expect = &case.expect;
    let (subject, answer, last) = match judged(base, case, None) {
        Err(why) => {
            return if expect.passes == Some(format!("{why:?}")) {
                Ok(())
            } else {
                Err(format!("passes: {why:?}"))
            };
        }
        Ok(found) => found,
    };
    let mut wrong = Vec::new();
    let mut same = |what: &str, wanted: Option<String>, found: String| {
        if let Some(wanted) = wanted
            && wanted != found
        {
            wrong.push(format!("{what}: wanted {wanted}, found {found}"));
        }
    };
    let joined = |l: &Vec<String>| l.join(", ");
    let changes: Vec<String> = subject.changes.iter().map(|c| format!("{c:?}")).collect();
    let codes = |a: &Answer| a.reasons.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    same("passes", expect.passes.clone(), "judged".into());
    same("changes", expect.changes.as_ref().map(joined), joined(&changes));
    same("effect", expect.effect.clone(), answer.effect.as_str().into());
    same("cleared", expect.cleared.map(|c| c.to_string()), answer.cleared.to_string());
    same("replacement", expect.replacement.map(|c| c.to_string()), answer.replacement.to_string());
    same("release", expect.release.clone(), subject.release.clone().unwrap_or_default());
    same("reasons", expect.reasons.as_ref().map(joined), codes(&answer));
    same("in validation", expect.in_validation.clone(), last.effect.as_str().into());
    same("validation reasons", expect.validation_reasons.as_ref().map(joined), codes(&last));
    let text = |a: &Answer| format!("{}\n{}", a.message, a.warnings.join("\n"));
    for (wanted, answer) in
        expect.says.iter().map(|w| (w, &answer)).chain(expect.validation_says.iter().map(|w| (w, &last)))
    {
        if !text(answer).contains(wanted.as_str()) {
            wrong.push(format!("does not say {wanted:?}"));
        }
    }
    if expect.silent && !text(&answer).trim().is_empty() {
        wrong.push("is not silent".into());
    }
    for answer in [&answer, &last] {
        wrong.extend(sound(&subject, answer));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n  it said:\n{}", wrong.join("\n  "), text(&answer)))
    }
}

/// What holds for every answer.
fn sound(subject: &Subject, answer: &Answer) -> Vec<String> {
    use admission::Effect;
    let mut wrong = Vec::new();
    let refused = answer.effect == Effect::Deny;
    if refused == answer.message.is_empty() {
        wrong.push(format!("{:?} with the message {:?}", answer.effect, answer.message));
    }
    if refused {
        let last = answer.message.lines().last().unwrap_or_default();
        // Of a workload whose release is cleared, the release's answer would say nothing.
        let wanted = match (&subject.release, answer.message.contains(" is cleared, but ")) {
            (Some(_), false) => "placet why mr/",
            (Some(_), true) => "kubectl apply --dry-run=server",
            (None, _) => "where no model runs",
        };
        let how = usize::from(subject.release.is_none());
        if !last.contains(wanted) || answer.message.matches("set placet.dev/release: NAME in").count() != how
        {
            wrong.push(format!("the last line is {last:?}"));
        }
        if answer.reasons.is_empty() {
            wrong.push("refused without a reason".into());
        }
    }
    if answer.cleared && (answer.effect != Effect::Allow || !answer.findings.is_empty()) {
        wrong.push(format!("cleared, and {:?} with {:?}", answer.effect, answer.findings));
    }
    for finding in &answer.findings {
        if [&finding.wanted, &finding.found, &finding.who, &finding.command]
            .iter()
            .any(|t| t.trim().is_empty())
        {
            wrong.push(format!("a field is empty: {finding:?}"));
        }
        if refused && !(answer.message.contains(&finding.found) && answer.message.contains(&finding.command))
        {
            wrong.push(format!("the denial leaves out {finding:?}"));
        }
    }
    wrong
}

#[test]
fn every_case_holds() {
    let base = base();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml") && !p.ends_with("base.yaml"))
        .collect();
    files.sort();
    let (mut count, mut failed) = (0, Vec::new());
    for file in &files {
        for case in yaml::<Vec<Case>>(file) {
            count += 1;
            if let Err(why) = check(&base, &case) {
                failed.push(format!("{}: {}\n  {why}", file.display(), case.title));
            }
            // Neither warn nor audit ever refuses or holds, whatever the case is about.
            for mode in [Mode::Warn, Mode::Audit] {
                if let Ok((subject, answer, last)) = judged(&base, &case, Some(mode)) {
                    assert!(last == answer, "{}: {:?}", case.title, subject.kind);
                    assert!(
                        !matches!(answer.effect, admission::Effect::Deny | admission::Effect::Hold),
                        "{}: {:?}",
                        case.title,
                        answer.effect
                    );
                }
            }
        }
    }
    // Past the harness, which keeps what a test prints to itself: CI's summary says how many there are.
    writeln!(std::io::stdout(), "\n{count} admission cases").unwrap();
    assert!(count > 100, "{count} cases found");
    assert!(failed.is_empty(), "{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"));
}

fn case(text: &str) -> Case {
    serde_saphyr::from_str(&support::digests(text)).unwrap()
}

#[test]
fn a_mode_is_one_of_four_or_deny() {
    let of = |value: &str| Mode::of(&BTreeMap::from([("placet.dev/enforce".to_owned(), value.to_owned())]));
    assert_eq!(Mode::of(&BTreeMap::new()), None);
    for mode in [Mode::Deny, Mode::Hold, Mode::Warn, Mode::Audit] {
        assert_eq!(of(mode.as_str()), Some((mode, None)));
    }
    for value in ["", "Deny", "warn ", "wran", "true"] {
        let (mode, note) = of(value).unwrap();
        assert_eq!(mode, Mode::Deny);
        assert!(note.unwrap().contains(&format!("{value:?}")));
    }
}

#[test]
fn a_kind_is_known_by_group_and_kind_or_resource() {
    for kind in Workload::ALL {
        assert_eq!(Workload::of_kind(kind.group(), kind.as_str()), Some(kind));
        assert_eq!(Workload::of_resource(kind.group(), kind.resource()), Some(kind));
        assert_eq!(Workload::of_kind("example.com", kind.as_str()), None);
    }
    assert_eq!(Workload::of_kind("autoscaling", "Scale"), None);
}

#[test]
fn a_subject_names_what_the_record_needs() {
    let base = base();
    let read = |text: &str| judged(&base, &case(text), None).unwrap().0;
    let pod = read("{title: t, workload: replica, expect: {}}");
    assert_eq!(pod.name, "scorer-6d9-*");
    assert_eq!(pod.owner.as_ref().map(|o| (o.name.as_str(), o.uid.as_str())), Some(("scorer-6d9", "rs-uid")));
    assert_eq!(pod.images[0].item(), "container app");
    assert_eq!(pod.replicas, 1);
    let set = read("{title: t, workload: daemonset, expect: {}}");
    assert_eq!((set.replicas, set.uid.as_deref()), (i64::MAX, Some("owner-uid")));
    assert_eq!(read("{title: t, workload: job, expect: {}}").replicas, 2);
    assert_eq!(read("{title: t, workload: cronjob, expect: {}}").replicas, 2);
    let scale = read("{title: t, workload: deployment, scale: {from: 2, to: 7}, expect: {}}");
    assert_eq!((scale.replicas, scale.raised_from, scale.pod_content.as_str()), (7, Some(2), ""));
    let from = |text: &str| read(text).raised_from;
    assert_eq!(from("{title: t, workload: deployment, scale: {to: 7}, expect: {}}"), Some(0));
    assert_eq!(from("{title: t, workload: replicaset, before: {spec: {replicas: 1}}, expect: {}}"), Some(1));
    assert_eq!(from("{title: t, workload: job, before: {spec: {suspend: true}}, expect: {}}"), Some(0));
    assert_eq!(
        from("{title: t, workload: replicaset, before: {metadata: {labels: null}}, expect: {}}"),
        None
    );
    assert_eq!(from("{title: t, workload: replicaset, expect: {}}"), None);
}

/// Golden value, computed with Python's json and hashlib over the documented form.
#[test]
fn the_pod_content_digest_is_as_documented() {
    let pod = json!({
        "metadata": {"name": "app-3", "labels": {"placet.dev/release": "v1", "pod-template-hash": "x"}},
        "spec": {
            "hostname": "a", "nodeName": "n", "priority": 3, "tolerations": [{"operator": "Exists"}],
            "initContainers": [{"name": "warm", "image": "w",
                "resources": {"limits": {"cpu": 1}, "claims": [{"name": "gpu"}]}}],
            "containers": [{
                "name": "app", "image": "i", "command": ["run"], "args": ["--é"],
                "env": [{"name": "A", "value": "1"}], "envFrom": [{"secretRef": {"name": "s"}}],
                "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/x"}],
            }],
            "volumes": [
                {"name": "kube-api-access-x", "projected": {"defaultMode": 420}},
                {"name": "m", "image": {"reference": "r", "pullPolicy": "Always"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-app-3"}},
            ],
        }
    });
    assert_eq!(content_of(&pod), "sha256:f4fb2527bef3800e1b5bf8b068fcb06057e3b8a0dee8fa21f67f1bbb453593db");
    // Each part that decides what runs counts.
    for (pointer, value) in [
        ("/metadata/labels/placet.dev~1release", json!("v2")),
        ("/spec/containers/0/name", json!("b")),
        ("/spec/containers/0/image", json!("j")),
        ("/spec/containers/0/command", json!(["run", "x"])),
        ("/spec/containers/0/args", json!([])),
        ("/spec/containers/0/env/0/value", json!("2")),
        ("/spec/containers/0/envFrom/0/secretRef/name", json!("t")),
        ("/spec/initContainers/0/image", json!("v")),
        ("/spec/initContainers/0/resources/claims/0/name", json!("nic")),
        ("/spec/containers/0/volumeMounts/0/mountPath", json!("/app")),
        ("/spec/volumes/0/projected/defaultMode", json!(511)),
        ("/spec/volumes/1/image/reference", json!("s")),
        ("/spec/volumes/2/persistentVolumeClaim/claimName", json!("other")),
    ] {
        let mut other = pod.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_ne!(content_of(&other), content_of(&pod), "{pointer}");
    }
    // The kind of container counts: an init container is not a container.
    let as_init = json!({"spec": {"initContainers": [{"name": "a", "image": "i"}]}});
    let as_container = json!({"spec": {"containers": [{"name": "a", "image": "i"}]}});
    assert_ne!(content_of(&as_init), content_of(&as_container));
}

#[test]
fn what_was_held_counts_as_held() {
    let base = base();
    let mut pod = base.workloads["pod"].clone();
    let ops = hold_patch(&pod);
    assert_eq!(ops.len(), 1);
    pod["spec"]["schedulingGates"] = ops[0]["value"].clone();
    let read = case("{title: t, workload: pod, expect: {}}");
    assert!(!judged(&base, &read, None).unwrap().0.gated);
    let held = Base { workloads: BTreeMap::from([("pod".to_owned(), pod.clone())]), ..base };
    assert!(judged(&held, &read, None).unwrap().0.gated);
    assert!(hold_patch(&pod).is_empty());
}
