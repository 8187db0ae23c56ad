//! `placet check` over fixture directories: the words, the formats, the exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::{AUTHORS, NOW, Ran, golden, placet};
use ed25519_dalek::SigningKey;
use placet_api::Kind;
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::{self, Identity, Place, ReceiptKeys, RoleAnswer, StampText};
use placet_gate::world::{Clock, World};
use placet_gate::{evaluate, render};
use serde_json::{Value, json};

fn check(more: &[&str]) -> Ran {
    let mut args = vec!["check", "--now", NOW, "--as", "dana"];
    for author in AUTHORS {
        args.extend(["--as", author]);
    }
    args.extend(more);
    placet(&args)
}

/// The fixtures with a bias test that fails and without the executive's approval.
const FAILING: [&str; 8] = [
    "--roles",
    "holders.yaml",
    "-f",
    "high/policy.yaml",
    "high/roles.yaml",
    "high/system.yaml",
    "high/release.yaml",
    "failing/reports.yaml",
];

#[test]
fn everything_exists() {
    let ran = check(&["-f", "high", "--roles", "holders.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    golden("cleared.txt", &ran.out);
    golden("cleared.err", &ran.err);
}

#[test]
fn a_refusal_as_table_json_and_sarif() {
    for (format, file) in [("table", "refused.txt"), ("json", "refused.json"), ("sarif", "refused.sarif")] {
        let ran = check(&[&FAILING[..], &["-o", format]].concat());
        assert_eq!(ran.code, 1, "{}", ran.err);
        golden(file, &ran.out);
    }
    let sarif: Value = serde_json::from_str(&check(&[&FAILING[..], &["-o", "sarif"]].concat()).out).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "high/release.yaml");
        assert_eq!(place["region"]["startLine"], 1);
    }
}

#[test]
fn what_is_not_given_is_unknown_and_listed() {
    let ran = check(&["-f", "high", "-o", "json"]);
    assert_eq!(ran.code, 1);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["releases"][0]["cleared"], "Unknown");
    assert!(ran.out.contains("role holdings were not given"), "{}", ran.out);
    assert!(ran.err.contains("assumed: who holds which role is not known (--roles FILE)"), "{}", ran.err);
    assert_eq!(
        json["assumptions"].as_array().unwrap().len(),
        ran.err.lines().filter(|l| l.starts_with("assumed: ")).count()
    );

    let ran = placet(&["check", "-f", "high", "--now", NOW]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("by nobody known"), "{}", ran.err);
}

#[test]
fn a_role_that_is_not_held_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let roles = dir.path().join("roles.yaml");
    write(&roles, "risk-officer: [erin]\nmodel-owner: [someone-else]\nexecutive: [frank]\n");
    let ran = check(&["-f", "high", "--roles", roles.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("bob does not hold the role model-owner"), "{}", ran.out);
}

#[test]
fn a_policy_that_selects_by_label_needs_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    let text = read(&common::tests().join("fixtures/high/policy.yaml"));
    let selecting =
        text.replace("appliesTo:", "appliesTo:\n    namespaceSelector: {matchLabels: {tier: prod}}\n   ");
    // The fixture writes appliesTo in flow style; build the selector in there.
    let selecting = if text.contains("appliesTo:\n") {
        selecting
    } else {
        text.replace("classes: [High]", "classes: [High], namespaceSelector: {matchLabels: {tier: prod}}")
    };
    write(&policy, &selecting);
    let mut args = vec!["-f", policy.to_str().unwrap(), "--roles", "holders.yaml", "-o", "json"];
    args.extend(
        [
            "high/roles.yaml",
            "high/system.yaml",
            "high/release.yaml",
            "high/reports.yaml",
            "high/assessment.yaml",
            "high/approvals.yaml",
        ]
        .map(|f| ["-f", f])
        .concat(),
    );
    let cleared = |ran: &Ran| {
        let json: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.err));
        json["releases"][0]["cleared"].as_str().unwrap().to_owned()
    };
    assert_eq!(cleared(&check(&args)), "Unknown");
    args.extend(["--namespace-labels", "tier=prod"]);
    let ran = check(&args);
    assert_eq!((cleared(&ran).as_str(), ran.code), ("True", 0), "{}", ran.out);
}

#[test]
fn a_new_policy_lists_what_would_lose_its_clearance() {
    let base = ["-f", "high", "--roles", "holders.yaml"];
    let ran = check(&[&base[..], &["--policy", "new-policy/policy.yaml"]].concat());
    // It stands on the policies that it was cleared under until its approvals end.
    assert_eq!(ran.code, 0, "{}", ran.err);
    golden("policy-loses.txt", &ran.out);
    let later = [&base[..], &["--policy", "new-policy/policy.yaml", "-o", "json"]].concat();
    let said: Value = serde_json::from_str(&check(&later).out).unwrap();
    let release = &said["releases"][0];
    assert_eq!((&release["clearance"], &release["cleared"]), (&"LostAtItsEnd".into(), &"True".into()));
    assert_eq!(release["afterwards"]["cleared"], "False");
    let until = release["clearedUntil"].as_str().unwrap();
    assert!(ran.out.contains(&format!("scoring-2 stays cleared until {until}, under")), "{}", ran.out);

    // Unless the new version says that it applies to what is cleared.
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yaml");
    let text = read(&common::tests().join("fixtures/new-policy/policy.yaml"));
    write(&policy, &text.replace("spec:\n", "spec:\n  appliesToCleared: true\n"));
    let at_once = [&base[..], &["--policy", policy.to_str().unwrap()]].concat();
    let ran = check(&at_once);
    assert_eq!(ran.code, 1, "{}", ran.err);
    golden("policy-loses-at-once.txt", &ran.out);
    let said: Value = serde_json::from_str(&check(&[&at_once[..], &["-o", "json"]].concat()).out).unwrap();
    let release = &said["releases"][0];
    assert_eq!((&release["clearance"], &release["cleared"]), (&"LostAtOnce".into(), &"False".into()));
    assert_eq!(release["afterwards"], Value::Null);
    let ran = check(&[&base[..], &["--policy", "high/policy.yaml"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("stays cleared  lending    scoring-2"), "{}", ran.out);
    let ran = check(&[&base[..], &["--policy", "high/release.yaml"]].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--policy wants ReleasePolicies"), "{}", ran.err);
}

#[test]
fn questions_that_cannot_be_asked() {
    for (args, wanted) in [
        (&["-f", "bad/unknown-field.yaml"][..], "bad/unknown-field.yaml:8:3: unknown field `artifcats`"),
        (&["-f", "bad/not-yaml.yaml"], "bad/not-yaml.yaml:"),
        (&["-f", "bad/two-algorithms.yaml"], "64 lower-case hexadecimal digits, found \"md5:333\""),
        (
            &["-f", "high", "-f", "high/release.yaml"],
            "ModelRelease lending/scoring-2 appears twice, first in high/release.yaml:1",
        ),
        (&["-f", "high/policy.yaml"], "wanted at least one ModelRelease, found none"),
        (&["-f", "no-such-directory"], "no-such-directory: wanted a readable text file"),
        (&["-f", "high", "--release", "scoring-2"], "--release: wanted NAMESPACE/NAME"),
        (&["-f", "high", "--first-use", "yesterday"], "--first-use: wanted a date"),
        (&["-f", "high", "--as", "eve"], "wanted one user for everything else, found dana and eve"),
        (&["-f", "high", "--receipt-keys", "holders.yaml"], "wanted placet-receipt:<base64"),
        (&["-f", "high", "--from-cluster"], "no way to reach a cluster"),
        (&[], "required arguments were not provided"),
    ] {
        let ran = check(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.out);
        assert!(ran.err.contains(wanted), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn a_release_that_is_not_there_is_not_cleared() {
    let ran = check(&["-f", "high", "--roles", "holders.yaml", "--release", "lending/none"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("none is not cleared"), "{}", ran.out);
}

#[test]
fn texts_of_objects_are_shown_and_not_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let reports = dir.path().join("reports.yaml");
    let forged = "female\u{1b}[2J\u{202e}\nscoring-2 is cleared";
    let text = read(&common::tests().join("fixtures/failing/reports.yaml"));
    write(&reports, &text.replace("{sex: female}", &format!("{{sex: {}}}", Value::from(forged))));
    let mut args =
        FAILING.map(|a| if a == "failing/reports.yaml" { reports.to_str().unwrap() } else { a }).to_vec();
    let eve = "AISystem/scoring=eve\u{1b}[2J";
    args.extend(["--as", eve, "--as", "rp/high=mallory\u{202e}"]);
    let ran = check(&args);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains(r"female\u{1b}[2J\u{202e}\nscoring-2 is cleared"), "{}", ran.out);
    for text in [&ran.out, &ran.err] {
        assert_eq!(&placet_gate::visible::lines(text), text);
    }
    assert!(!ran.out.lines().any(|l| l.starts_with("scoring-2 is cleared")), "{}", ran.out);
    // Data is exact, and can be looked at on a terminal all the same.
    for format in ["json", "sarif"] {
        args.extend(["-o", format]);
        let ran = check(&args);
        assert_eq!(placet_gate::visible::lines(&ran.out), ran.out);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        let texts = json.to_string();
        assert!(texts.contains(Value::from(forged).as_str().unwrap().split('\u{1b}').next().unwrap()));
        assert!(texts.contains('\u{202e}'), "{format}");
        args.truncate(args.len() - 2);
    }
}

#[expect(clippy::disallowed_methods, reason = "a test writes its files")]
fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test reads its files")]
fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The fixtures as a cluster would export them: one List, each object with stamp and receipt.
fn export(key: &SigningKey, cluster: &str) -> Value {
    let mut items = Vec::new();
    for file in ["assessment", "policy", "release", "reports", "roles", "system", "approvals"] {
        let text = read(&common::tests().join(format!("fixtures/high/{file}.yaml")));
        for mut object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let kind = Kind::parse(object["kind"].as_str().unwrap()).unwrap();
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
            let by = AUTHORS
                .iter()
                .filter_map(|a| a.split_once('='))
                .find(|(o, _)| {
                    o.ends_with(&format!("/{name}"))
                        && (o.starts_with(kind.short()) || o.starts_with(kind.as_str()))
                })
                .map_or("dana", |(_, user)| user);
            let at = "2026-11-10T09:00:00Z".parse().unwrap();
            let role = object["spec"]["role"].as_str().map(|role| RoleAnswer {
                name: role.into(),
                user: None,
                allowed: true,
                wildcard: false,
                at,
            });
            let stamp = StampText {
                spec: placet_gate::digest::content(kind, namespace.as_deref(), &name, &object["spec"])
                    .unwrap(),
                role,
                ..StampText::new(Identity { user: by.into(), ..Identity::default() }, at)
            };
            let place = Place { cluster, kind, namespace: namespace.as_deref(), name: &name };
            object["metadata"]["annotations"] = json!({
                "placet.dev/stamp": serde_json::to_string(&stamp).unwrap(),
                "placet.dev/receipt": stamp::sign(key, place, &stamp),
            });
            items.push(object);
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

#[test]
fn an_export_is_decided_as_on_the_cluster_in_the_same_words() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut keys = ReceiptKeys::new();
    keys.add(key.verifying_key());
    let dir = tempfile::tempdir().unwrap();
    let (file, keys_file) = (dir.path().join("export.json"), dir.path().join("keys"));
    write(&keys_file, &keys.to_text());
    let reading = Reading {
        cluster: "uid-1".into(),
        cluster_name: None,
        keys: keys.clone(),
        people: PeopleKey::new(*b"the installation's own"),
    };
    let ask = |uid: &str, now: &str| {
        let (file, keys) = (file.to_str().unwrap(), keys_file.to_str().unwrap());
        placet(&["check", "-f", file, "--receipt-keys", keys, "--cluster-uid", uid, "--now", now])
    };

    let mut all = export(&key, "uid-1");
    write(&file, &all.to_string());
    let ran = ask("uid-1", NOW);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    // The first approval ends 30 days after its stamp: one second makes the difference, as on the cluster.
    assert_eq!(ask("uid-1", "2026-12-10T08:59:59Z").code, 0);
    assert_eq!(ask("uid-1", "2026-12-10T09:00:00Z").code, 1);
    // Receipts of another cluster do not count, nor do any without keys.
    assert_eq!(ask("uid-2", NOW).code, 1);
    let without = placet(&["check", "-f", file.to_str().unwrap(), "--now", NOW]);
    assert_eq!(without.code, 1);
    // The objects are as they should be: what is missing is the keys, and applying again would heal nothing.
    assert!(
        without.out.contains("you: placet check --receipt-keys FILE --cluster-uid UID"),
        "{}",
        without.out
    );
    for wrong in ["kubectl apply", "placet approve", "this installation does not know"] {
        assert!(!without.out.contains(wrong), "{wrong}: {}", without.out);
    }
    assert!(
        without.err.contains("kubectl get configmap placet-log-head -n placet-system"),
        "{}",
        without.err
    );
    let without_uid = ["check", "-f", file.to_str().unwrap(), "--receipt-keys", keys_file.to_str().unwrap()];
    assert_eq!(placet(&without_uid).code, 2);

    // Edited behind the webhook's back, one approval gone: the words are those of the gate.
    let items = all["items"].as_array_mut().unwrap();
    items.retain(|o| o["metadata"]["name"] != "owner-bob");
    let release = items.iter_mut().find(|o| o["kind"] == "ModelRelease").unwrap();
    release["spec"]["version"] = "2.1".into();
    write(&file, &all.to_string());
    let mut world = World::new();
    let mut names = render::Names::new();
    for object in all["items"].as_array().unwrap() {
        let (record, people) = reading.read(object).unwrap();
        names.extend(people);
        world.apply(record);
    }
    let decision = evaluate(&world.snapshot("lending", "scoring-2", Clock::Trusted(NOW.parse().unwrap())));
    let wanted = render::denial("lending", "scoring-2", &decision, None, &names);
    let ran = ask("uid-1", NOW);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(&format!("\n{wanted}\n")), "wanted\n{wanted}\nfound\n{}", ran.out);
    assert!(wanted.contains("behind the webhook's back"), "{wanted}");
}
