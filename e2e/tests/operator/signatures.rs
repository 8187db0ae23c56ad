//! Approvals, acceptances of risks and releases that people signed and a robot applies: they count for whoever signed, for what they signed,
//! once, and as long as their key does. With the real `ssh-keygen` and a service account with a real token.

use std::path::PathBuf;

use placet_e2e::placet::{APPROVERS, ASSESSMENT, Lending, RELEASE, SYSTEM, in_seconds, vouch};
use placet_e2e::{Output, SOON, eventually};
use serde_json::{Value, json};

use super::common::{holds, refused_with};
use super::lending;

/// A namespace whose service account `robot` applies what people signed.
struct Robot<'a> {
    lending: Lending<'a>,
    dir: PathBuf,
    cluster_uid: String,
}

impl<'a> Robot<'a> {
    async fn new(lending: Lending<'a>) -> Self {
        let (cluster, ns) = (lending.cluster, lending.ns);
        let uid = ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"];
        let cluster_uid = cluster.kubectl("admin", uid).await.unwrap().ok().unwrap();
        lending.kubectl("root-admin", &["create", "serviceaccount", "robot"]).await.unwrap().ok().unwrap();
        for role in ["placet-data-scientist", "placet-reviewer", "placet-gitops"] {
            let (role_flag, account) =
                (format!("--clusterrole={role}"), format!("--serviceaccount={ns}:robot"));
            let bind = ["create", "rolebinding", role, &role_flag, &account];
            lending.kubectl("root-admin", &bind).await.unwrap().ok().unwrap();
        }
        let token = lending.kubectl("root-admin", &["create", "token", "robot"]).await.unwrap().ok().unwrap();
        let view = ["config", "view", "--raw", "-o", "json"];
        let mut config: Value =
            serde_json::from_str(&cluster.kubectl("dana", view).await.unwrap().ok().unwrap()).unwrap();
        for user in config["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token.trim()});
        }
        let dir = cluster.dir().join("signatures").join(ns);
        tokio::fs::create_dir_all(&dir).await.unwrap();
        tokio::fs::write(dir.join("robot.json"), config.to_string()).await.unwrap();
        Self { lending, dir, cluster_uid }
    }

    /// `kubectl apply` by the robot.
    async fn apply(&self, text: &str) -> Output {
        let config = format!("--kubeconfig={}", self.dir.join("robot.json").display());
        let args = [config.as_str(), "apply", "-n", self.lending.ns, "-f", "-"];
        self.lending.cluster.kubectl_with_input("dana", args, text).await.unwrap()
    }

    /// Waits until an object would be refused with all of these.
    async fn refused(&self, object: &Value, wanted: &[&str]) {
        let config = format!("--kubeconfig={}", self.dir.join("robot.json").display());
        let args = [config.as_str(), "apply", "--dry-run=server", "-n", self.lending.ns, "-f", "-"];
        eventually(&format!("a refusal that says {wanted:?}"), SOON, async || {
            let said = self.lending.cluster.kubectl_with_input("dana", args, &object.to_string()).await;
            let said = said.map_err(|e| e.to_string())?;
            let all = said.code != 0 && wanted.iter().all(|w| said.stderr.contains(w));
            if all { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await
        .unwrap();
    }

    /// Applies an object, once what it needs has been heard of.
    async fn applied(&self, object: &Value) {
        self.taken(&object.to_string()).await;
    }

    async fn taken(&self, text: &str) {
        eventually("what was signed to be taken", SOON, async || {
            let said = self.apply(text).await;
            if said.code == 0 { Ok(()) } else { Err(said.stderr) }
        })
        .await
        .unwrap();
    }

    /// Makes a key.
    async fn key(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        let file = path.display().to_string();
        let args = ["-q", "-t", "ed25519", "-N", "", "-C", "made for a test", "-f", file.as_str()];
        self.lending.cluster.run("ssh-keygen", "erin", args, None).await.unwrap().ok().unwrap();
        path
    }

    /// A TrustedSigner of this namespace's scenario, as its administrator applies it.
    async fn trust(&self, name: &str, spec: &Value, key: &std::path::Path) -> Output {
        let public = tokio::fs::read_to_string(key.with_extension("pub")).await.unwrap();
        let mut spec = spec.clone();
        spec["key"] = public.trim().into();
        let object = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "TrustedSigner",
            "metadata": {"name": self.name(name)}, "spec": spec,
        });
        let said = self.lending.apply("root-admin", &object.to_string()).await.unwrap();
        if said.code == 0 {
            vouch(self.lending.cluster, &self.name(name)).await.unwrap();
        }
        said
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.lending.ns)
    }

    async fn trusted(&self, name: &str, user: &str, group: &str, role: &str, key: &std::path::Path) {
        let spec = json!({"user": user, "groups": [group], "roles": [role]});
        self.trust(name, &spec, key).await.ok().unwrap();
    }

    /// What erin, risk officer, signs: the Approval as it would stand in Git.
    async fn signed(&self, key: &std::path::Path, cluster: &str) -> Value {
        let target = format!("mr/{RELEASE}");
        let args = ["approve", &target, "--role", "risk-officer", "--comment", "Read and understood"];
        self.signed_by("erin", &args, key, cluster).await
    }

    /// What frank, executive, signs: the RiskAcceptance as it would stand in Git.
    async fn by_frank(&self, key: &std::path::Path, cluster: &str) -> Value {
        let (target, until) = (format!("ia/{ASSESSMENT}"), in_seconds(90 * 86_400));
        let args = [
            "accept-risk",
            &target,
            "R1",
            "--role",
            "executive",
            "--until",
            &until,
            "--rationale",
            "Officers decide",
            "--condition",
            "A monthly review",
        ];
        self.signed_by("frank", &args, key, cluster).await
    }

    /// What a command prints that signs with a key, for a cluster.
    async fn signed_by(&self, who: &str, args: &[&str], key: &std::path::Path, cluster: &str) -> Value {
        let key = key.display().to_string();
        let sign =
            ["--sign-with", &key, "--cluster-name", cluster, "--yes", "-o", "json", "-n", self.lending.ns];
        let args = args.iter().chain(&sign);
        let said = self.lending.cluster.run("placet", who, args, None).await.unwrap();
        serde_json::from_str(&said.ok().unwrap()).unwrap()
    }

    async fn by_erin(&self, key: &std::path::Path) -> Value {
        self.signed(key, &self.cluster_uid).await
    }
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Everything but the risk officer's approval.
async fn waiting(ns: &'static str) -> Option<Robot<'static>> {
    let lending = lending(ns, Some("deny")).await?;
    lending.all_documents().await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&["risk-officer"]).await.unwrap();
    Some(Robot::new(lending).await)
}

#[tokio::test]
async fn what_a_robot_applies_counts_for_whoever_signed_exactly_that_and_once() {
    let Some(robot) = waiting("signed").await else { return };
    let lending = &robot.lending;
    let key = robot.key("erin").await;
    let approval = robot.by_erin(&key).await;
    robot.refused(&approval, &["no TrustedSigner has its key"]).await;
    // The API server knows nothing of erin's groups when a robot asks, and she holds the role by one.
    robot.trust("erin", &json!({"user": "erin", "roles": ["risk-officer"]}), &key).await.ok().unwrap();
    robot.refused(&approval, &["wanted a holder of the role risk-officer, found erin"]).await;
    robot.trusted("erin", "erin", "risk-officers", "risk-officer", &key).await;

    // What is signed and what is said are the same, each field.
    let other = format!("sha256:{}", "c0de".repeat(16));
    for (at, value) in [
        ("/spec/subject/digest", json!(other)),
        ("/spec/subject/kind", json!("AISystem")),
        ("/spec/subject/name", json!("another")),
        ("/spec/role", json!("executive")),
        ("/spec/decision", json!("Reject")),
        ("/spec/comment", json!("Never read")),
        ("/spec/signed/nonce", json!("00000000000000000000000000000000")),
        ("/spec/signed/issuedAt", json!("2026-01-01T00:00:00Z")),
    ] {
        let mut changed = approval.clone();
        *changed.pointer_mut(at).unwrap() = value.clone();
        let said = robot.apply(&changed.to_string()).await;
        refused_with(&said, &["what was signed is not what the object says", value.as_str().unwrap()]);
    }
    let mut longer = approval.clone();
    longer["spec"]["expiresAt"] = json!(in_seconds(86_400));
    refused_with(&robot.apply(&longer.to_string()).await, &["expiresAt"]);
    let elsewhere = robot.signed(&key, "another-cluster").await;
    refused_with(&robot.apply(&elsewhere.to_string()).await, &["cluster: signed \"another-cluster\""]);
    let moved = approval.to_string().replace("\"namespace\":\"signed\"", "\"namespace\":\"default\"");
    let said = lending.cluster.kubectl_with_input("root-admin", ["apply", "-f", "-"], &moved).await.unwrap();
    refused_with(&said, &["namespace: signed \"signed\", found \"default\""]);
    for (envelope, wanted) in [
        ("{}".to_owned(), "wanted DSSE JSON"),
        (format!("{{{}", "x".repeat(16_384)), "wanted at most 16384 bytes"),
    ] {
        let mut broken = approval.clone();
        broken["spec"]["signed"]["envelope"] = json!(envelope);
        refused_with(&robot.apply(&broken.to_string()).await, &[wanted]);
    }

    robot.applied(&approval).await;
    lending.cleared("True").await.unwrap();
    let (ns, object) = (lending.ns, format!("apv/{}", name_of(&approval)));
    lending.cluster.becomes(ns, &object, "{.status.by}", "erin").await.unwrap();
    let counts = "{.status.conditions[?(@.type=='Counts')].status}";
    lending.cluster.becomes(ns, &object, counts, "True").await.unwrap();
    let stamp =
        lending.cluster.field(ns, &object, "{.metadata.annotations.placet\\.dev/stamp}").await.unwrap();
    holds(&stamp, &["system:serviceaccount:signed:robot", "\"user\":\"erin\""]);

    // Once: under another name, and for a release that is created again.
    let mut again = approval.clone();
    again["metadata"]["name"] = json!("another-name");
    refused_with(&robot.apply(&again.to_string()).await, &["used before", "counts once"]);
    lending.kubectl("root-admin", &["delete", &object]).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    robot.apply(&approval.to_string()).await.ok().unwrap();
    lending.cleared("True").await.unwrap();
    lending.kubectl("root-admin", &["delete", &object]).await.unwrap().ok().unwrap();
    lending.kubectl("root-admin", &["delete", &format!("mr/{RELEASE}")]).await.unwrap().ok().unwrap();
    lending.documents(&["release-v2"]).await.unwrap();
    lending.digest(&format!("mr/{RELEASE}")).await.unwrap();
    refused_with(
        &robot.apply(&approval.to_string()).await,
        &["earlier object of the same name", "counts once"],
    );
}

#[tokio::test]
async fn a_key_ends_for_what_the_log_had_not_seen_and_deleting_it_voids_all() {
    let Some(robot) = waiting("revoked").await else { return };
    let lending = &robot.lending;
    let key = robot.key("erin").await;
    let begun = in_seconds(-1);
    robot.trusted("erin", "erin", "risk-officers", "risk-officer", &key).await;
    robot.applied(&robot.by_erin(&key).await).await;
    lending.cleared("True").await.unwrap();
    // Revoked from now on: what was seen stays.
    let signer = format!("trustedsigner/{}", robot.name("erin"));
    let late = robot.by_erin(&key).await;
    // Times of a TrustedSigner are whole seconds; the approval was seen within one.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let revoked = json!({"spec": {"revoked": {"at": in_seconds(0)}}}).to_string();
    lending
        .kubectl("root-admin", &["patch", &signer, "--type=merge", "-p", &revoked])
        .await
        .unwrap()
        .ok()
        .unwrap();
    robot.refused(&late, &["revoked from"]).await;
    lending.cleared("True").await.unwrap();
    // Compromised since before it was seen.
    let compromised = json!({"spec": {"revoked": {"compromisedSince": begun}}}).to_string();
    lending
        .kubectl("root-admin", &["patch", &signer, "--type=merge", "-p", &compromised])
        .await
        .unwrap()
        .ok()
        .unwrap();
    lending.findings_say(&["compromised since"]).await.unwrap();
    lending.cleared("False").await.unwrap();

    // Another key; trusted for another role first.
    let key = robot.key("new").await;
    robot.trusted("new", "erin", "risk-officers", "executive", &key).await;
    let approval = robot.by_erin(&key).await;
    robot.refused(&approval, &["not for risk-officer"]).await;
    robot.trusted("new", "erin", "risk-officers", "risk-officer", &key).await;
    let spec = json!({"user": "mallory", "roles": ["risk-officer"]});
    refused_with(&robot.trust("shared", &spec, &key).await, &["one key stands for one person"]);
    robot.applied(&approval).await;
    lending.cleared("True").await.unwrap();
    let signer = format!("trustedsigner/{}", robot.name("new"));
    lending.kubectl("root-admin", &["delete", &signer]).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    robot.trusted("new", "erin", "risk-officers", "risk-officer", &key).await;
    lending.findings_say(&["is younger than the signature"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    let object = format!("apv/{}", name_of(&approval));
    let why = "{.status.conditions[?(@.type=='Counts')].reason}";
    lending.cluster.becomes(lending.ns, &object, why, "SignatureDoesNotCount").await.unwrap();
}

#[tokio::test]
async fn a_risk_that_a_robot_applies_is_accepted_by_whoever_signed_exactly_that_and_once() {
    let Some(lending) = lending("signed-risk", Some("deny")).await else { return };
    lending.all_documents().await.unwrap();
    let digest = lending.digest(&format!("aisystem/{SYSTEM}")).await.unwrap();
    let settings = lending.approval("evaluation", "validator", "AISystem", SYSTEM, &digest);
    lending.apply("vera", &settings.to_string()).await.unwrap().ok().unwrap();
    lending.risk_digest("R1").await.unwrap();
    let robot = Robot::new(lending).await;
    let lending = &robot.lending;
    let key = robot.key("frank").await;
    let acceptance = robot.by_frank(&key, &robot.cluster_uid).await;
    robot.refused(&acceptance, &["riskacceptance@placet.dev", "no TrustedSigner has its key"]).await;
    // Trusted for another role, and without the group by which he holds this one.
    robot.trusted("frank", "frank", "executives", "risk-officer", &key).await;
    robot.refused(&acceptance, &["trusted for risk-officer, not for executive"]).await;
    robot.trust("frank", &json!({"user": "frank", "roles": ["executive"]}), &key).await.ok().unwrap();
    robot.refused(&acceptance, &["wanted a holder of the role executive, found frank"]).await;
    robot.trusted("frank", "frank", "executives", "executive", &key).await;

    // What is signed and what is said are the same, each field.
    let other = format!("sha256:{}", "c0de".repeat(16));
    for (at, value) in [
        ("/metadata/name", json!("another-name")),
        ("/spec/assessment/name", json!("another")),
        ("/spec/risks/0/id", json!("R2")),
        ("/spec/risks/0/digest", json!(other)),
        ("/spec/role", json!("risk-officer")),
        ("/spec/level", json!("Medium")),
        ("/spec/rationale", json!("Nobody looks")),
        ("/spec/conditions/0", json!("A yearly review")),
        ("/spec/expiresAt", json!(in_seconds(365 * 86_400))),
        ("/spec/signed/nonce", json!("00000000000000000000000000000000")),
        ("/spec/signed/issuedAt", json!("2026-01-01T00:00:00Z")),
    ] {
        let mut changed = acceptance.clone();
        *changed.pointer_mut(at).unwrap() = value.clone();
        let said = robot.apply(&changed.to_string()).await;
        refused_with(&said, &["what was signed is not what the object says", value.as_str().unwrap()]);
    }
    let elsewhere = robot.by_frank(&key, "another-cluster").await;
    refused_with(&robot.apply(&elsewhere.to_string()).await, &["cluster: signed \"another-cluster\""]);
    // An approval's envelope accepts nothing, and an envelope that is too long is not read.
    let erin = robot.key("erin").await;
    let approval = robot.by_erin(&erin).await;
    for (envelope, wanted) in [
        (approval["spec"]["signed"]["envelope"].as_str().unwrap().to_owned(), "wanted payloadType"),
        (format!("{{{}", "x".repeat(16_384)), "wanted at most 16384 bytes"),
    ] {
        let mut broken = acceptance.clone();
        broken["spec"]["signed"]["envelope"] = json!(envelope);
        refused_with(&robot.apply(&broken.to_string()).await, &[wanted]);
    }

    robot.applied(&acceptance).await;
    let (ns, object) = (lending.ns, format!("ra/{}", name_of(&acceptance)));
    lending.cluster.becomes(ns, &object, "{.status.by}", "frank").await.unwrap();
    let counts = "{.status.conditions[?(@.type=='Counts')].status}";
    lending.cluster.becomes(ns, &object, counts, "True").await.unwrap();
    let stamp =
        lending.cluster.field(ns, &object, "{.metadata.annotations.placet\\.dev/stamp}").await.unwrap();
    holds(&stamp, &["system:serviceaccount:signed-risk:robot", "\"user\":\"frank\""]);
    lending.heard(&name_of(&acceptance)).await.unwrap();
    lending.assessed().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();

    // Deleting the TrustedSigner voids it, and says so to whoever asks; another one brings nothing back.
    let signer = format!("trustedsigner/{}", robot.name("frank"));
    lending.kubectl("root-admin", &["delete", &signer]).await.unwrap().ok().unwrap();
    lending.cleared("False").await.unwrap();
    lending.cluster.becomes(ns, &object, counts, "False").await.unwrap();
    let why = ["why", &format!("mr/{RELEASE}"), "-n", ns, "-o", "json"];
    let said = lending.cluster.run("placet", "dana", why, None).await.unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    holds(&said.stdout, &["no TrustedSigner has its key", "placet accept-risk", "executive"]);
    robot.trusted("frank", "frank", "executives", "executive", &key).await;
    lending.findings_say(&["is younger than the signature"]).await.unwrap();
    let again = robot.by_frank(&key, &robot.cluster_uid).await;
    robot.applied(&again).await;
    lending.heard(&name_of(&again)).await.unwrap();
    lending.cleared("True").await.unwrap();

    // Once: not for another assessment that bears the name.
    for gone in ["modelrelease", "riskacceptance", "impactassessment"] {
        lending.kubectl("root-admin", &["delete", gone, "--all"]).await.unwrap().ok().unwrap();
    }
    lending.documents(&["assessment", "datasets"]).await.unwrap();
    lending.risk_digest("R1").await.unwrap();
    robot.refused(&again, &["earlier object of the same name", "counts once"]).await;
}

#[tokio::test]
async fn a_policy_that_asks_for_signatures_counts_nothing_else() {
    let Some(robot) = waiting("signatures-only").await else { return };
    let lending = &robot.lending;
    let policy = json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy", "metadata": {"name": "signatures-only"},
        "spec": {
            "appliesTo": {"classes": ["High"], "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": lending.ns}}},
            "approvals": [{"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Signed"}],
            // So that the scenario can take it away again.
            "guard": {"loosening": "Apply"},
        },
    });
    lending.apply("root-admin", &policy.to_string()).await.unwrap().ok().unwrap();
    // More is asked for than what the others approved under.
    lending.findings_say(&["changed since: policy signatures-only added"]).await.unwrap();
    // So it is of what she says beside the release, before the others approve what rests on it.
    lending.findings_say(&["erin's approval carries no signature"]).await.unwrap();
    let key = robot.key("erin").await;
    robot.trusted("erin", "erin", "risk-officers", "risk-officer", &key).await;
    let assessment = format!("ia/{ASSESSMENT}");
    let args = ["approve", &assessment, "--role", "risk-officer"];
    robot.applied(&robot.signed_by("erin", &args, &key, &robot.cluster_uid).await).await;
    for (who, role) in APPROVERS.iter().filter(|(_, role)| *role != "risk-officer") {
        lending.approve_as(&format!("again-{role}"), who, role, None).await.unwrap();
    }
    lending.approve("erin", "risk-officer", None).await.unwrap();
    lending.findings_say(&["0 of 1; erin's approval carries no signature"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    robot.applied(&robot.by_erin(&key).await).await;
    lending.cleared("True").await.unwrap();
    lending.kubectl("root-admin", &["delete", "releasepolicy/signatures-only"]).await.unwrap().ok().unwrap();
}

#[tokio::test]
async fn a_release_of_a_robot_needs_the_signature_of_its_author_who_does_not_approve_it() {
    let Some(lending) = lending("robot", Some("deny")).await else { return };
    let documents = ["system", "assessment", "datasets", "report-bias-v2", "report-performance-v2"];
    lending.documents(&documents).await.unwrap();
    let robot = Robot::new(lending).await;
    let lending = &robot.lending;
    let manifest = lending.manifest("release-v2").unwrap();
    robot.apply(&manifest).await.ok().unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.findings_say(&["it carries no author's signature"]).await.unwrap();
    lending.cleared("Unknown").await.unwrap();

    let key = robot.key("bob").await;
    robot.trusted("bob", "bob", "model-owners", "model-owner", &key).await;
    let file = robot.dir.join("release.yaml");
    tokio::fs::write(&file, &manifest).await.unwrap();
    let sign = async |who: &str, key: &PathBuf| {
        let (file, key) = (file.display().to_string(), key.display().to_string());
        let args = ["sign", &file, "--sign-with", &key, "--cluster-name", &robot.cluster_uid, "--yes"];
        lending.cluster.run("placet", who, args, None).await.unwrap().ok().unwrap()
    };
    // bob wrote it: then he does not approve it.
    let by_bob = sign("bob", &key).await;
    robot.taken(&by_bob).await;
    lending.findings_say(&["bob is an author and does not count"]).await.unwrap();
    lending.cleared("False").await.unwrap();
    // Who signs for another content is refused, and what bob signed is not forgotten when dana signs as well.
    let dana = robot.key("dana").await;
    robot.trusted("dana", "dana", "data-science", "model-owner", &dana).await;
    let signed = sign("dana", &dana).await;
    let release = format!("mr/{RELEASE}");
    let other = signed.replace(RELEASE, "another-release");
    refused_with(&robot.apply(&other).await, &["what was signed is not what the object says"]);
    robot.taken(&signed).await;
    let annotation =
        lending.cluster.field(lending.ns, &release, "{.metadata.annotations.placet\\.dev/author-signature}");
    assert!(annotation.await.unwrap().starts_with('{'));
    lending.findings_say(&["bob is an author and does not count"]).await.unwrap();
    lending.cleared("False").await.unwrap();
}

#[tokio::test]
async fn a_release_whose_author_signed_is_cleared_as_any() {
    let Some(lending) = lending("robot-signed", Some("deny")).await else { return };
    let documents = ["system", "assessment", "datasets", "report-bias-v2", "report-performance-v2"];
    lending.documents(&documents).await.unwrap();
    let robot = Robot::new(lending).await;
    let lending = &robot.lending;
    let dana = robot.key("dana").await;
    robot.trusted("dana", "dana", "data-science", "model-owner", &dana).await;
    let file = robot.dir.join("release.yaml");
    tokio::fs::write(&file, lending.manifest("release-v2").unwrap()).await.unwrap();
    let (file, key) = (file.display().to_string(), dana.display().to_string());
    // She may not read kube-system: then the cluster has to be named.
    let args = ["sign", &file, "--sign-with", &key, "--yes"];
    let said = lending.cluster.run("placet", "dana", args, None).await.unwrap();
    assert_eq!(said.code, 2, "{said:?}");
    holds(&said.stderr, &["--cluster-name"]);
    // As JSON it is the same.
    let args = [args.as_slice(), &["--cluster-name", &robot.cluster_uid, "-o", "json"]].concat();
    let signed = lending.cluster.run("placet", "dana", args, None).await.unwrap().ok().unwrap();
    let read: Value = serde_json::from_str(&signed).unwrap();
    assert_eq!(read["kind"], "ModelRelease");
    let absent = ["sign", "nowhere/release.yaml", "--sign-with", &key, "--yes"];
    let said = lending.cluster.run("placet", "dana", absent, None).await.unwrap();
    assert_eq!(said.code, 2, "{said:?}");
    holds(&said.stderr, &["nowhere/release.yaml: wanted a file with one ModelRelease", "no such file"]);
    robot.taken(&signed).await;
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    lending.cleared("True").await.unwrap();
}

#[tokio::test]
async fn a_system_and_an_assessment_of_a_robot_need_the_signatures_of_their_authors() {
    let Some(lending) = lending("robot-system", Some("deny")).await else { return };
    let robot = Robot::new(lending).await;
    let lending = &robot.lending;
    for document in ["system", "assessment", "datasets"] {
        robot.apply(&lending.manifest(document).unwrap()).await.ok().unwrap();
    }
    lending.documents(&["report-bias-v2", "report-performance-v2", "release-v2"]).await.unwrap();
    lending.settings_and_risk().await.unwrap();
    lending.approvals(&[]).await.unwrap();
    let (system, assessment) = (format!("ais/{SYSTEM}"), format!("ia/{ASSESSMENT}"));
    lending.cleared("Unknown").await.unwrap();
    let commands = "{.status.gates[*].findings[?(@.reason=='AuthorUnknown')].command}";
    let asked = lending.cluster.field(lending.ns, &format!("mr/{RELEASE}"), commands).await.unwrap();
    let sign = |what: &str| format!("placet sign {what} --sign-with KEY -n {}", lending.ns);
    holds(&asked, &[&sign(&system), &sign(&assessment)]);

    // Whoever wrote them signs what is in the cluster, and applies it: the spec is the same, and nobody becomes an editor.
    let dana = robot.key("dana").await;
    robot.trusted("dana", "dana", "data-science", "model-owner", &dana).await;
    let signed = async |who: &str, what: &str, key: &PathBuf| {
        let key = key.display().to_string();
        let args = [
            "sign",
            what,
            "-n",
            lending.ns,
            "--sign-with",
            &key,
            "--cluster-name",
            &robot.cluster_uid,
            "--yes",
        ];
        lending.cluster.run("placet", who, args, None).await.unwrap().ok().unwrap()
    };
    let system_by_dana = signed("dana", &system, &dana).await;
    robot.taken(&system_by_dana).await;
    let by_dana = signed("dana", &assessment, &dana).await;
    let other = by_dana.replace(ASSESSMENT, "another-assessment");
    refused_with(&robot.apply(&other).await, &["what was signed is not what the object says"]);
    robot.taken(&by_dana).await;
    lending.cleared("True").await.unwrap();

    // erin says that she wrote the assessment, too: then she has not approved it, nor what rests on it.
    let erin = robot.key("erin").await;
    robot.trusted("erin", "erin", "risk-officers", "risk-officer", &erin).await;
    robot.taken(&signed("erin", &assessment, &erin).await).await;
    lending.findings_say(&["erin is an author and does not count"]).await.unwrap();
    lending.cleared("False").await.unwrap();

    // A robot's change is of somebody who has not signed it.
    let changed = system_by_dana.replacen("  title: ", "  title: Another ", 1);
    assert_ne!(changed, system_by_dana);
    robot.apply(&changed).await.ok().unwrap();
    lending.findings_say(&["its author's signature: what was signed is not what it says"]).await.unwrap();
}
