use super::super::fake::Fake;
use super::*;

const BASE: &str = "/apis/placet.dev/v1alpha1";

const ROLE: &str = "apiVersion: placet.dev/v1alpha1
kind: ApprovalRole
metadata: {name: validator}
spec: {title: Validator}
";

const POLICY: &str = "apiVersion: placet.dev/v1alpha1
kind: ReleasePolicy
metadata: {name: minimal}
spec: {classes: [Minimal], gates: []}
status: {typed: by hand}
";

#[expect(clippy::disallowed_methods, reason = "a test makes the files that it reads")]
fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

async fn run(fake: &Fake, files: &[(&str, &str)]) -> BTreeMap<String, &'static str> {
    apply_all(&fake.client(), dir(files).path().to_owned(), |_| async {}).await
}

/// The chart tells after an upgrade which policies an earlier choice of packs left, by who applied them.
#[test]
fn the_notes_of_the_chart_know_what_packs_brought() {
    let notes = include_str!("../../../../charts/placet/templates/NOTES.txt");
    assert!(notes.contains(&format!("(eq .manager \"{FIELD_MANAGER}\")")), "{notes}");
}

#[tokio::test]
async fn documents_are_applied_and_owned_by_the_packs() {
    let fake = Fake::new();
    let both = format!("# roles\n{ROLE}---\n{POLICY}---\n");
    let done = run(&fake, &[("pack.yaml", &both), ("README.md", "text"), ("..data.yaml", "x")]).await;
    assert_eq!(
        done,
        BTreeMap::from([("validator".to_owned(), "applied"), ("minimal".to_owned(), "applied")])
    );
    assert_eq!(
        fake.object(&format!("{BASE}/approvalroles/validator")).unwrap()["spec"]["title"],
        "Validator"
    );
    let policy = fake.object(&format!("{BASE}/releasepolicies/minimal")).unwrap();
    assert!(policy.get("status").is_none());
    for write in fake.writes() {
        assert_eq!(write.query, "fieldManager=placet-packs&force=false");
        assert_eq!(write.content_type, "application/apply-patch+yaml");
    }
}

#[tokio::test]
async fn what_somebody_else_owns_is_kept() {
    let fake = Fake::new();
    fake.hook(|asked, _| {
        asked.path.ends_with("/minimal").then_some((409, "FieldManagerConflict:kubectl-edit"))
    });
    let done = run(&fake, &[("a.yaml", POLICY), ("b.yaml", ROLE)]).await;
    assert_eq!(done, BTreeMap::from([("minimal".to_owned(), "kept"), ("validator".to_owned(), "applied")]));
    assert_eq!(fake.writes().len(), 2, "and not tried again");
}

#[tokio::test]
async fn the_manager_and_the_field_of_a_conflict_are_named() {
    let fake = Fake::new();
    fake.hook(|_, _| Some((409, "FieldManagerConflict:kubectl-edit")));
    let error = call::patch(&fake.client(), "/x", PatchKind::Apply, &Value::Null).await.unwrap_err();
    assert_eq!(owners(&error), Some(("kubectl-edit".to_owned(), ".spec.gates".to_owned())));
    fake.hook(|_, _| Some((409, "Conflict")));
    let error = call::patch(&fake.client(), "/x", PatchKind::Apply, &Value::Null).await.unwrap_err();
    assert_eq!(owners(&error), None);
}

#[tokio::test]
async fn anything_else_is_refused_and_the_rest_goes_on() {
    let fake = Fake::new();
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n";
    let other_version = ROLE.replace("v1alpha1", "v1");
    let namespaced = ROLE.replace("{name: validator}", "{name: validator, namespace: credit}");
    let path = ROLE.replace("{name: validator}", "{name: ../../x}");
    let unnamed = ROLE.replace("{name: validator}", "{}");
    let large = format!("{ROLE}# {}", "x".repeat(1 << 20));
    let done = run(
        &fake,
        &[
            ("1.yaml", binding),
            ("2.yaml", &other_version),
            ("3.yaml", &namespaced),
            ("4.yaml", &path),
            ("5.yaml", &unnamed),
            ("6.yaml", "a: [unclosed"),
            ("7.yaml", &large),
            ("8.yaml", "just text"),
            ("9.yaml", POLICY),
        ],
    )
    .await;
    assert_eq!(done.values().filter(|fate| **fate == "refused").count(), 8, "{done:?}");
    assert_eq!(done["minimal"], "applied");
    assert_eq!(fake.writes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_now_is_tried_again_and_what_is_invalid_is_not() {
    let fake = Fake::new();
    let mut left = 4;
    fake.hook(move |asked, _| {
        if asked.path.ends_with("/validator") {
            return Some((422, "Invalid"));
        }
        left -= 1;
        (left > 0).then_some((503, "ServiceUnavailable"))
    });
    let done = run(&fake, &[("a.yaml", POLICY), ("b.yaml", ROLE)]).await;
    assert_eq!(
        done,
        BTreeMap::from([("minimal".to_owned(), "applied"), ("validator".to_owned(), "refused")])
    );
    assert_eq!(fake.writes().len(), 5, "four for the one, one for the other");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_applied_before_the_operator_is_ready() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let fake = Fake::new();
    let files = dir(&[("a.yaml", POLICY)]);
    let now = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&now);
    let (stop, shutdown) = Shutdown::pair();
    let told = Arc::new(std::sync::Mutex::new(None));
    let tell = Arc::clone(&told);
    let tried = |policies| async move { *tell.lock().unwrap() = Some(policies) };
    let ready = move || asked.load(Ordering::SeqCst);
    let task = apply_when(fake.client(), files.path().to_owned(), ready, tried, shutdown);
    tokio::pin!(task);
    assert!(tokio::time::timeout(Duration::from_secs(60), &mut task).await.is_err());
    assert!(fake.asked().is_empty());
    assert_eq!(*told.lock().unwrap(), None);
    now.store(true, Ordering::SeqCst);
    // Reading the directory happens on a real thread, which paused time does not wait for.
    tokio::time::resume();
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut task).await.is_err(), "it waits for shutdown");
    assert_eq!(fake.writes().len(), 1);
    assert_eq!(*told.lock().unwrap(), Some(vec!["minimal".to_owned()]));
    stop.fire();
    task.await.unwrap();
}

#[tokio::test]
async fn a_missing_directory_is_an_error_and_no_crash() {
    let fake = Fake::new();
    let done = apply_all(&fake.client(), PathBuf::from("/nowhere/at/all"), |_| async {}).await;
    assert_eq!(done, BTreeMap::from([("/nowhere/at/all".to_owned(), "refused")]));
    let mut registry = Registry::default();
    register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("pack_documents{fate=\"refused\"}"), "{text}");
}

#[test]
fn the_packs_of_the_product_are_packs() {
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/packs");
    let (documents, refused) = read_dir(&packs).unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(documents.len() >= 4, "{documents:?}");
}
