//! The people behind a repository: who writes and who signs, with which keys.

use std::path::PathBuf;

use placet_e2e::placet::vouch;
use placet_e2e::{Cluster, SOON, eventually};
use serde_json::{Value, json};

use super::flux::CLUSTER_NAME;
use super::repository::Repository;

/// The sample's release and its system.
pub const RELEASE: &str = "ticket-router-1.4.0";
pub const SYSTEM: &str = "ticket-router";

/// Who may sign, in which group and role. dana writes the release, and approves nothing.
const SIGNERS: [(&str, &str, &str); 3] = [
    ("dana", "data-science", "model-owner"),
    ("bob", "model-owners", "model-owner"),
    ("erin", "risk-officers", "risk-officer"),
];

/// A team with its keys, in a namespace.
pub struct Team {
    pub cluster: &'static Cluster,
    pub ns: &'static str,
    keys: PathBuf,
}

impl Team {
    /// The namespace with a mode, a key for each of its people, and the `TrustedSigner`s that the platform team makes of
    /// them.
    pub async fn new(cluster: &'static Cluster, ns: &'static str, mode: &str) -> Self {
        cluster.namespace(ns, &[("placet.dev/enforce", mode)]).await.unwrap();
        let keys = cluster.dir().join("keys").join(ns);
        tokio::fs::create_dir_all(&keys).await.unwrap();
        let team = Self { cluster, ns, keys };
        for (who, group, role) in SIGNERS {
            let key = team.key(who);
            let args = ["-q", "-t", "ed25519", "-N", "", "-C", "made for a test", "-f", &key];
            cluster.run("ssh-keygen", who, args, None).await.unwrap().ok().unwrap();
            let public = tokio::fs::read_to_string(format!("{key}.pub")).await.unwrap();
            let signer = json!({
                "apiVersion": "placet.dev/v1alpha1", "kind": "TrustedSigner",
                "metadata": {"name": format!("{ns}-{who}")},
                "spec": {"key": public.trim(), "user": who, "groups": [group], "roles": [role]},
            });
            cluster.apply("root-admin", &[signer]).await.unwrap();
            // Of an installation that was used before, a new key waits for a second person.
            vouch(cluster, &format!("{ns}-{who}")).await.unwrap();
        }
        team
    }

    fn key(&self, who: &str) -> String {
        self.keys.join(who).display().to_string()
    }

    async fn placet(&self, who: &str, args: &[&str]) -> String {
        let key = self.key(who);
        let sign = ["--sign-with", &key, "--cluster-name", CLUSTER_NAME, "--yes", "-n", self.ns];
        let args = args.iter().chain(&sign);
        self.cluster.run("placet", who, args, None).await.unwrap().ok().unwrap()
    }

    /// The author signs the system and the release in the repository.
    pub async fn sign_what_dana_wrote(&self, git: &Repository) {
        for name in ["governance/system.yaml", "governance/release.yaml"] {
            let file = git.path(name);
            let signed = self.placet("dana", &["sign", &file.display().to_string()]).await;
            git.write(name, &signed).await;
        }
    }

    /// Somebody reads what is in the cluster, and signs their decision on it into the repository.
    async fn decide(&self, git: &Repository, who: &str, decision: &[&str], file: &str) {
        self.judged(decision[1]).await;
        let said = ["--comment", "Read and understood", "-o", "yaml"];
        let args: Vec<&str> = decision.iter().chain(&said).copied().collect();
        let signed = self.placet(who, &args).await;
        git.write(&format!("governance/approvals/{file}.yaml"), &signed).await;
    }

    async fn approve(&self, git: &Repository, who: &str, role: &str, target: &str, covers: &str) {
        self.decide(git, who, &["approve", target, "--role", role, "--covers", covers], who).await;
    }

    /// bob rejects the release, which the robot applies, and then answers that himself. Both files are in the repository, and
    /// the answer is the only approval of his.
    pub async fn reject_and_answer(&self, git: &Repository) {
        let release = format!("mr/{RELEASE}");
        self.decide(git, "bob", &["reject", &release, "--role", "model-owner"], "bob-veto").await;
        let veto = git.path("governance/approvals/bob-veto.yaml");
        let apply = ["apply", "-n", self.ns, "-f", &veto.display().to_string()];
        self.cluster.kubectl("root-admin", apply).await.unwrap().ok().unwrap();
        let text = tokio::fs::read_to_string(veto).await.unwrap();
        let name = text.lines().find_map(|line| line.trim().strip_prefix("name: ")).unwrap().to_owned();
        let answer =
            ["approve", &release, "--role", "model-owner", "--covers", "Content", "--answers", &name];
        self.decide(git, "bob", &answer, "bob").await;
    }

    /// Both approvals that the pack `minimal` asks for.
    pub async fn approve_all(&self, git: &Repository) {
        self.approve(git, "erin", "risk-officer", &format!("ais/{SYSTEM}"), "Classification").await;
        self.approve(git, "bob", "model-owner", &format!("mr/{RELEASE}"), "Content").await;
    }

    async fn judged(&self, target: &str) {
        let object = target.replace("mr/", "modelrelease/").replace("ais/", "aisystem/");
        eventually(&format!("{target} to be judged"), SOON, async || {
            let path = "{.status.conditions[?(@.type=='Ready')].status}";
            let found = self.cluster.field(self.ns, &object, path).await?;
            if found == "True" { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
        .unwrap();
    }

    /// Waits until the release's condition Cleared has a status.
    pub async fn cleared(&self, wanted: &str) {
        let path = "{.status.conditions[?(@.type=='Cleared')].status}";
        self.cluster.becomes(self.ns, &format!("modelrelease/{RELEASE}"), path, wanted).await.unwrap();
    }

    /// Waits until the findings on the release say something.
    pub async fn found(&self, wanted: &str) {
        let path = "{.status.gates[*].findings[*].found}";
        eventually(&format!("a finding that says {wanted:?}"), SOON, async || {
            let found = self.cluster.field(self.ns, &format!("modelrelease/{RELEASE}"), path).await?;
            if found.contains(wanted) { Ok(()) } else { Err(found) }
        })
        .await
        .unwrap();
    }

    /// Names and phases of the workload's pods.
    pub async fn pods(&self) -> String {
        let path = "{range .items[*]}{.status.phase} {.spec.schedulingGates[*].name};{end}";
        let template = format!("jsonpath={path}");
        let args = ["get", "pods", "-n", self.ns, "-l", "app=ticket-router", "-o", &template];
        self.cluster.kubectl("admin", args).await.unwrap().ok().unwrap()
    }

    /// Waits until the workload's pods are these.
    pub async fn pods_become(&self, wanted: &str) {
        eventually(&format!("pods to be {wanted:?}"), SOON, async || {
            let found = self.pods().await;
            if found == wanted { Ok(()) } else { Err(found) }
        })
        .await
        .unwrap();
    }

    /// Everything that Flux applied, as it is now: versions, generations, fields and who owns them.
    pub async fn applied(&self) -> Vec<Value> {
        let kinds = "aisystems,modelreleases,approvals,deployments";
        let args = ["get", kinds, "-n", self.ns, "-o", "json", "--show-managed-fields"];
        let text = self.cluster.kubectl("admin", args).await.unwrap().ok().unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
    }

    /// Nothing that the robot applied counts for the robot: statuses, stamps and the timeline name the people. What brought
    /// the author's signature is told in these words.
    pub async fn people_stand_behind_it(&self, signed_at: &str) {
        for item in self.applied().await.iter().filter(|item| item["kind"] == "Approval") {
            let who = match item["spec"]["role"].as_str().unwrap() {
                "risk-officer" => "erin",
                _ => "bob",
            };
            assert_eq!(item["status"]["by"], who, "{item}");
            let stamp = item["metadata"]["annotations"]["placet.dev/stamp"].as_str().unwrap();
            let stamp: Value = serde_json::from_str(stamp).unwrap();
            assert_eq!(stamp["creator"]["user"], format!("system:serviceaccount:{}:flux", self.ns));
            assert_eq!(stamp["role"]["user"], who);
        }
        let robot = format!("system:serviceaccount:{}:flux", self.ns);
        for (what, wanted) in [
            ("approval ", vec!["erin as risk-officer".to_owned(), format!("signed, applied by {robot}")]),
            ("approval ", vec!["bob as model-owner".to_owned(), format!("signed, applied by {robot}")]),
            (signed_at, vec!["by dana".to_owned(), format!("signed, applied by {robot}")]),
        ] {
            let found = |line: &str| line.contains(what) && wanted.iter().all(|w| line.contains(w));
            let shows = |shown: &str| shown.lines().any(found);
            self.cluster
                .evidence_shows((self.ns, RELEASE), &format!("{what}{wanted:?}"), shows)
                .await
                .unwrap();
        }
    }
}
