//! The words of a denial and of a warning: complete, bounded, and ending with the command that shows the rest.

use super::*;

#[test]
fn a_denial_reads_like_this() {
    let case = case(
        r#"{title: words, workload: deployment, decision: missing, expect: {}, with: {spec: {template: {spec: {containers:
            [{name: app, image: "registry.example/credit/scorer:1"}]}}}}}"#,
    );
    let (_, answer, _) = judged(&base(), &case, None).unwrap();
    let wanted = support::digests(
        "v1 is not cleared: 1 of 7 gates is open; Deployment scorer: 1 finding (record 41)
  workload        registry.example/credit/scorer:1 is named by a tag, which can be moved to another image; wanted: an image named by its digest: registry.example/credit/scorer@sha256:MODEL
                    data scientist: set spec.template.spec.containers[0].image to registry.example/credit/scorer@sha256:MODEL
  tests           no report of bias; minimum wants it
                    validator: placet report
everything, with who can do what: placet why mr/v1 -n credit",
    );
    assert_eq!(answer.message_for(Some(41), &BTreeMap::new()), wanted);
}

#[test]
fn a_release_that_does_not_exist_is_all_that_is_said() {
    let case = case("{title: words, workload: pod, decision: not found, expect: {}}");
    let (_, answer, _) = judged(&base(), &case, None).unwrap();
    assert_eq!(
        answer.message_for(None, &BTreeMap::new()),
        "v1 is not cleared: 1 of 7 gates is open, the others cannot be judged before
  release         there is none, and nothing else can be judged before; wanted: a ModelRelease v1 in namespace credit
                    data scientist: kubectl apply -f RELEASE.yaml -n credit
everything, with who can do what: placet why mr/v1 -n credit"
    );
}

/// A pod with so many containers, whose images are named by `image`.
fn crowd(containers: usize, image: impl Fn(usize) -> String) -> Answer {
    let mut case = case("{title: crowd, workload: pod, decision: missing, expect: {}}");
    let containers: Vec<Value> =
        (0..containers).map(|i| json!({"name": format!("c{i}"), "image": image(i)})).collect();
    case.with = Some(json!({"spec": {"containers": containers}}));
    judged(&base(), &case, None).unwrap().1
}

#[test]
fn an_image_is_one_finding_however_many_name_it() {
    let answer = crowd(7000, |_| "registry.example/evil:1".into());
    assert_eq!(answer.findings.len(), 1);
    let text = answer.message_for(None, &BTreeMap::new());
    assert!(text.contains("1 finding\n") && text.len() < 2000, "{text}");
    let set = "set spec.containers[0].image, spec.containers[1].image, spec.containers[2].image, spec.containers[3].image \
               and 6996 more with the same image to registry.example/evil@sha256:DIGEST";
    assert!(text.contains(set), "{text}");
    assert_eq!(
        answer.findings[0].item,
        "container c0, container c1, container c2, container c3 and 6996 more with the same image"
    );
    let two = crowd(2, |_| "registry.example/evil:1".into()).message_for(None, &BTreeMap::new());
    assert!(two.contains("set spec.containers[0].image, spec.containers[1].image to "), "{two}");
    // Two that name none have nothing in common.
    assert_eq!(crowd(2, |_| String::new()).findings.len(), 2);
}

#[test]
fn a_denial_has_a_bound_and_ends_with_the_command() {
    let last = "everything, with who can do what: placet why mr/v1 -n credit";
    let shown = |answer: &Answer| answer.message_for(Some(7), &BTreeMap::new());
    // What a person would write is shown whole.
    let answer = crowd(40, |i| format!("registry.example/part-{i}:1"));
    let text = shown(&answer);
    assert!(answer.findings.iter().all(|f| text.contains(&f.found)) && !text.contains("  … and "), "{text}");
    assert_eq!(text.lines().count(), 1 + 2 * 41 + 1);
    for (answer, findings) in [
        (crowd(7000, |i| format!("registry.example/part-{i}:1")), 7001),
        (crowd(100, |i| format!("registry.example/{}-{i}:1", "long".repeat(1000))), 101),
        (crowd(1, |_| format!("registry.example/{}:1", "ü".repeat(800_000))), 2),
    ] {
        let text = shown(&answer);
        assert!(text.len() < 32 << 10, "{} bytes", text.len());
        assert!(text.lines().all(|line| line.chars().count() <= 2048));
        assert!(text.starts_with("v1 is not cleared") && text.contains("(record 7)"), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.last(), Some(&last));
        // Each finding that is shown has both of its lines, and the others are counted.
        let whole = (lines.len() - 2) / 2;
        let more = lines[lines.len() - 2].strip_prefix("  … and ").and_then(|l| l.strip_suffix(" more"));
        assert_eq!(whole + more.map_or(0, |n| n.parse::<usize>().unwrap()), findings, "{text}");
        assert!(whole >= 1);
    }
}

/// A workload with a cleared release, which itself runs an image that nobody listed.
fn at_fault_itself(workload: &str, mode: &str) -> Answer {
    let text = format!("{{title: at fault itself, workload: {workload}, mode: {mode}, expect: {{}}}}");
    let mut case = case(&text);
    let image = format!("registry.example/evil@sha256:{}", "e".repeat(64));
    let pod = json!({"containers": [{"name": "app", "image": image}]});
    case.with = Some(match workload {
        "pod" => json!({"spec": pod}),
        _ => json!({"spec": {"template": {"spec": pod}}}),
    });
    judged(&base(), &case, None).unwrap().1
}

#[test]
fn what_is_at_fault_itself_is_not_sent_to_its_release() {
    let names = BTreeMap::new();
    let again = "kubectl apply --dry-run=server -f FILE -n credit";
    let last = |lines: Vec<String>| lines.last().unwrap().clone();
    let held = last(at_fault_itself("pod", "hold").warnings_for(&names));
    assert!(held.contains("placet why pod/") && held.ends_with(" -n credit"), "{held}");
    for (workload, mode) in [("pod", "warn"), ("deployment", "warn"), ("deployment", "hold")] {
        let lines = at_fault_itself(workload, mode).warnings_for(&names);
        assert!(lines.last().unwrap().ends_with(again), "{lines:?}");
        assert!(!lines.concat().contains("placet why mr/"), "{lines:?}");
        // What is to be copied is whole.
        assert!(
            lines.concat().contains(&format!("@sha256:{} is in neither list", "e".repeat(64))),
            "{lines:?}"
        );
    }
    for workload in ["pod", "deployment"] {
        let text = at_fault_itself(workload, "deny").message_for(None, &names);
        assert!(text.ends_with(again) && !text.contains("placet why mr/"), "{text}");
    }
}

#[test]
fn how_a_release_is_named_is_said_once() {
    let without = |mode: &str| {
        let text = format!(
            r#"{{title: bare, workload: proxy, mode: {mode}, expect: {{}},
                with: {{spec: {{containers: [{{name: c, image: "nginx@sha256:OTHER"}}]}}}}}}"#
        );
        judged(&base(), &case(&text), None).unwrap().1
    };
    let text = without("deny").message_for(None, &BTreeMap::new());
    assert_eq!(text.matches("set placet.dev/release: NAME in ").count(), 1, "{text}");
    assert!(text.lines().last().unwrap().starts_with("where no model runs, ask the platform team"), "{text}");
    let lines = without("warn").warnings_for(&BTreeMap::new());
    assert_eq!(lines.concat().matches("set placet.dev/release: NAME in ").count(), 1, "{lines:?}");
}

#[test]
fn names_are_joined_and_warnings_are_cut_when_shown() {
    let token = "0123456789abcdef0123456789abcdef";
    let names = BTreeMap::from([(token.to_owned(), "rita".to_owned())]);
    let denied = case("{title: words, workload: pod, decision: rejected, expect: {}}");
    let (_, answer, _) = judged(&base(), &denied, None).unwrap();
    assert!(answer.message.contains(token) && !answer.message.contains("rita"));
    assert!(answer.message_for(None, &names).contains("rejected by rita"));
    let event = answer.event_for(&names);
    assert!(event.starts_with("v1 is not cleared") && event.contains("rejected by rita"), "{event}");
    assert!(answer.warnings.is_empty() && event.ends_with("placet why mr/v1 -n credit"), "{event}");
    let warned = case("{title: words, workload: deployment, mode: hold, decision: rejected, expect: {}}");
    let (_, mut answer, _) = judged(&base(), &warned, None).unwrap();
    assert!(answer.warnings_for(&names).iter().any(|w| w.contains("rejected by rita")));
    let last = answer.warnings.len() - 1;
    for i in 0..100 {
        answer.warnings.insert(last, format!("{i} {}", "long ".repeat(100)));
    }
    let shown = answer.warnings_for(&names);
    assert!(shown.iter().map(String::len).sum::<usize>() <= 4096);
    assert!(shown.iter().all(|w| w.chars().count() <= 256));
    assert!(shown.last().unwrap().contains("placet why mr/v1 -n credit"));
    let event = answer.event_for(&names);
    assert!(event.len() <= 1000 && event.ends_with("placet why mr/v1 -n credit"), "{event}");
    assert!(event.starts_with("v1 is not cleared"));
}
