//! Placet in a cluster: installing it by Helm, and the steps that its scenarios share. The story is that of
//! `e2e/samples/adult`: a High-class system, its releases and those who are entitled to let them run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, Output};
use crate::error::Result;
use crate::files;
use crate::scenario::{SOON, eventually};
use crate::shared::shared_cluster;

mod vouch;

pub use vouch::{vouch, vouch_for};

/// The namespace that scenarios install Placet into.
pub const INSTALLED_IN: &str = "placet-system";

/// The release that scenarios deploy, the second of the sample: its tests pass.
pub const RELEASE: &str = "credit-eligibility-2.0.0";

/// The system that the sample's releases belong to.
pub const SYSTEM: &str = "credit-eligibility";

/// The assessment of the system.
pub const ASSESSMENT: &str = "credit-eligibility-2026";

/// The Deployment of the sample.
pub const DEPLOYMENT: &str = "deployment/credit-eligibility";

/// The image of the sample's releases, by digest.
pub const IMAGE: &str = "registry.example.com/lending/scoring-server@sha256:\
                         dec91d0ccd77540bc5d3af5596675233892920d1dce9c6c1434ee51a0374556b";

/// Who approves the release, in which role: everything that the pack `high-risk` asks for.
pub const APPROVERS: &[(&str, &str)] = &[
    ("bob", "model-owner"),
    ("vera", "validator"),
    ("erin", "risk-officer"),
    ("sam", "security-officer"),
    ("lena", "legal-compliance"),
    ("piet", "privacy-officer"),
    ("frank", "executive"),
];

/// Roles that are heard, by the packs, before the executive's acceptance of a high risk counts.
pub const HEARD: &[&str] = &["security-officer", "privacy-officer", "legal-compliance"];

/// The repository that this crate was built from: charts, packs and samples lie there.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Chart values that give people their working roles in the whole cluster, and the approval roles to their groups.
pub fn values() -> Value {
    json!({
        "access": [
            { "role": "data-scientist", "groups": ["data-science"] },
            { "role": "reviewer",
              "groups": ["model-owners", "validators", "security-officers", "legal", "privacy-officers"] },
            { "role": "risk-officer", "groups": ["risk-officers", "executives"] },
            { "role": "tester", "groups": ["validators"] },
            { "role": "auditor", "groups": ["auditors"] },
        ],
        "reporters": [{ "role": "validator", "groups": ["validators"] }],
        "bindings": [
            { "role": "model-owner", "groups": ["model-owners"] },
            { "role": "validator", "groups": ["validators"] },
            { "role": "risk-officer", "groups": ["risk-officers"] },
            { "role": "security-officer", "groups": ["security-officers"] },
            { "role": "legal-compliance", "groups": ["legal"] },
            { "role": "privacy-officer", "groups": ["privacy-officers"] },
            { "role": "executive", "groups": ["executives"] },
        ],
    })
}

/// The variable that names Helm values for the cluster of `E2E_KUBECONFIG`, as a path from the repository: which image of
/// the operator its nodes can run, and on which of them.
const VALUES: &str = "E2E_VALUES";

static INSTALLED: OnceCell<&'static Cluster> = OnceCell::const_new();

/// The shared cluster of this test binary with Placet installed, by the first test that asks.
///
/// # Errors
/// When the cluster does not start or Placet cannot be installed. The next test tries again.
pub async fn shared_installation() -> Result<&'static Cluster> {
    INSTALLED
        .get_or_try_init(|| async {
            let cluster = shared_cluster().await?;
            cluster.install_definitions().await?;
            cluster.install_placet(&json!({})).await?;
            Ok(cluster)
        })
        .await
        .copied()
}

/// A term for an approval: the moment this many seconds from now, as it is typed into `expiresAt`.
pub fn in_seconds(seconds: i64) -> String {
    // A scenario writes what a person with a calendar would.
    #[expect(clippy::disallowed_methods, reason = "what a person types depends on the day")]
    let now = Timestamp::now();
    (now + SignedDuration::from_secs(seconds)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Cluster {
    /// Whether the operator of this build can be installed here: on a cluster of our own, or on one of somebody else with
    /// values of theirs.
    pub fn can_install(&self) -> bool {
        !self.is_foreign() || files::environment(VALUES).is_some()
    }

    /// Installs the custom resource definitions with their chart, or upgrades them.
    ///
    /// # Errors
    /// When Helm fails.
    pub async fn install_definitions(&self) -> Result<()> {
        let chart = repository().join("charts/placet-crds");
        let args = ["upgrade", "--install", "placet-crds", &chart.to_string_lossy(), "--wait"];
        self.helm(args).await?.ok().map(drop)
    }

    /// Installs Placet with Helm, or upgrades it, waits until it is ready and its policy packs are there.
    ///
    /// # Errors
    /// When Helm fails or the packs do not come.
    pub async fn install_placet(&self, more: &Value) -> Result<()> {
        self.helm_placet(more).await?.ok()?;
        eventually("the policy packs to be ready", SOON, async || {
            let ready = "{.status.conditions[?(@.type=='Usable')].status}";
            for policy in ["high-risk", "limited", "minimal"] {
                let found = self.field("", &format!("releasepolicy/{policy}"), ready).await?;
                if found != "True" {
                    return Err(format!("{policy}: {found:?}"));
                }
            }
            Ok(())
        })
        .await
    }

    /// `helm upgrade --install --wait` with the scenarios' values and more.
    ///
    /// # Errors
    /// When Helm cannot be run at all; its exit code is in the output.
    pub async fn helm_placet(&self, more: &Value) -> Result<Output> {
        self.helm_placet_within(more, "90s").await
    }

    /// The same with another time to wait for.
    ///
    /// # Errors
    /// When Helm cannot be run at all; its exit code is in the output.
    pub async fn helm_placet_within(&self, more: &Value, timeout: &str) -> Result<Output> {
        let chart = repository().join("charts/placet");
        let dir = self.dir().join("settings");
        let (own, added) = (dir.join("placet-values.json"), dir.join("placet-more-values.json"));
        files::write(&own, values().to_string(), 0o644)?;
        files::write(&added, more.to_string(), 0o644)?;
        let given = files::environment(VALUES).filter(|_| self.is_foreign());
        let node = given.map_or_else(|| self.real_node_values(), |file| repository().join(file));
        let chart = chart.to_string_lossy();
        let (node, own, added) = (node.to_string_lossy(), own.to_string_lossy(), added.to_string_lossy());
        self.helm([
            "upgrade",
            "--install",
            "placet",
            &chart,
            "-n",
            INSTALLED_IN,
            "--create-namespace",
            "--wait",
            "--timeout",
            timeout,
            "-f",
            &node,
            "-f",
            &own,
            "-f",
            &added,
        ])
        .await
    }

    /// Waits until the operator's pod is ready.
    ///
    /// # Errors
    /// When it is not after a minute.
    pub async fn placet_ready(&self) -> Result<()> {
        let ready = "{.status.conditions[?(@.type=='Ready')].status}";
        eventually("the operator to be ready", Duration::from_secs(60), async || {
            let found = self.field(INSTALLED_IN, "pod/placet-0", ready).await?;
            if found == "True" { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    /// Ends the operator and keeps it away: no replica is left.
    ///
    /// # Errors
    /// When it cannot be scaled down or does not go.
    pub async fn placet_away(&self) -> Result<()> {
        self.kubectl("root-admin", ["scale", "-n", INSTALLED_IN, "statefulset/placet", "--replicas=0"])
            .await?
            .ok()?;
        self.kubectl(
            "root-admin",
            ["wait", "-n", INSTALLED_IN, "--for=delete", "pod/placet-0", "--timeout=60s"],
        )
        .await?
        .ok()
        .map(drop)
    }

    /// The same where no controller runs that would do it: the pod is deleted once its `StatefulSet` wants none.
    ///
    /// # Errors
    /// When it cannot be scaled down or does not go.
    pub async fn placet_away_without_controllers(&self) -> Result<()> {
        let scale = ["scale", "-n", INSTALLED_IN, "statefulset/placet", "--replicas=0"];
        self.kubectl("root-admin", scale).await?.ok()?;
        let delete = ["delete", "-n", INSTALLED_IN, "pod/placet-0", "--wait=true", "--timeout=60s"];
        self.kubectl("root-admin", delete).await?.ok().map(drop)
    }

    /// Brings the operator back after [`Cluster::placet_away`].
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn placet_back(&self) -> Result<()> {
        self.kubectl("root-admin", ["scale", "-n", INSTALLED_IN, "statefulset/placet", "--replicas=1"])
            .await?
            .ok()?;
        self.placet_ready().await
    }
}

/// A namespace of one scenario, with its own copy of the sample.
#[derive(Clone, Copy, Debug)]
pub struct Lending<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The namespace.
    pub ns: &'a str,
}

impl<'a> Lending<'a> {
    /// Makes the namespace with a mode (none: it is not opted in); dana, alice and mallory may edit workloads in it, and
    /// mallory no more than that.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn open(cluster: &'a Cluster, ns: &'a str, mode: Option<&str>) -> Result<Self> {
        let labels: Vec<(&str, &str)> = mode.map(|mode| ("placet.dev/enforce", mode)).into_iter().collect();
        cluster.namespace(ns, &labels).await?;
        for who in ["dana", "alice", "mallory"] {
            cluster.grant(ns, who, "edit").await?;
        }
        Ok(Self { cluster, ns })
    }

    /// kubectl as a person, in this namespace.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub async fn kubectl(&self, who: &str, args: &[&str]) -> Result<Output> {
        self.cluster.kubectl(who, ["-n", self.ns].iter().chain(args)).await
    }

    /// A manifest of the sample, moved into this namespace.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn manifest(&self, name: &str) -> Result<String> {
        let path = repository().join("e2e/samples/adult/manifests").join(format!("{name}.yaml"));
        Ok(files::read(&path)?.replace("namespace: lending", &format!("namespace: {}", self.ns)))
    }

    /// `kubectl apply -f -` of a text.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub async fn apply(&self, who: &str, text: &str) -> Result<Output> {
        self.cluster.kubectl_with_input(who, ["apply", "-n", self.ns, "-f", "-"], text).await
    }

    /// The data scientist applies manifests of the sample, and the validator its reports.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn documents(&self, names: &[&str]) -> Result<()> {
        for name in names {
            let who = if name.starts_with("report-") { "vera" } else { "dana" };
            self.apply(who, &self.manifest(name)?).await?.ok()?;
        }
        Ok(())
    }

    /// System, assessment, the second release and its reports.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn all_documents(&self) -> Result<()> {
        self.documents(&[
            "system",
            "assessment",
            "datasets",
            "release-v2",
            "report-bias-v2",
            "report-performance-v2",
        ])
        .await
    }

    /// The digest of an object's content, from its status.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn digest(&self, object: &str) -> Result<String> {
        let of_its_own = ["impactassessment/", "riskacceptance/"];
        let path = if of_its_own.iter().any(|kind| object.starts_with(kind)) {
            "{.status.digest}"
        } else {
            "{.status.digests.content}"
        };
        eventually(&format!("the digest of {object}"), SOON, async || {
            let found = self.cluster.field(self.ns, object, path).await?;
            if found.starts_with("sha256:") { Ok(found) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    /// The digest of a risk of the sample's assessment, from its status.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn risk_digest(&self, risk: &str) -> Result<String> {
        let path = format!("{{.status.risks[?(@.id=='{risk}')].digest}}");
        eventually(&format!("the digest of risk {risk}"), SOON, async || {
            let found = self.cluster.field(self.ns, &format!("impactassessment/{ASSESSMENT}"), &path).await?;
            if found.starts_with("sha256:") { Ok(found) } else { Err(format!("{found:?}")) }
        })
        .await
    }

    /// An Approval as YAML (JSON is YAML), on the content of `kind` `name`.
    pub fn approval(&self, object: &str, role: &str, kind: &str, name: &str, digest: &str) -> Value {
        json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "Approval",
            "metadata": { "name": object, "namespace": self.ns },
            "spec": {
                "subject": { "kind": kind, "name": name, "covers": "Content", "digest": digest },
                "role": role, "decision": "Approve", "comment": "Read and understood",
            },
        })
    }

    /// An Approval of the release with all that its evidence is made of, as the status shows it now.
    ///
    /// # Errors
    /// When it shows none in time.
    pub async fn of_evidence(&self, object: &str, role: &str) -> Result<Value> {
        let release = format!("modelrelease/{RELEASE}");
        let digest = eventually("the evidence digest of the release", SOON, async || {
            let found = self.cluster.field(self.ns, &release, "{.status.digests.evidence}").await?;
            if found.starts_with("sha256:") { Ok(found) } else { Err(format!("{found:?}")) }
        })
        .await?;
        let mut approval = self.approval(object, role, "ModelRelease", RELEASE, &digest);
        approval["spec"]["subject"]["covers"] = json!("Evidence");
        Ok(approval)
    }

    /// Somebody approves the release in a role, until a moment or for as long as policy says.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn approve(&self, who: &str, role: &str, until: Option<&str>) -> Result<()> {
        self.approve_as(role, who, role, until).await
    }

    /// The same with another name for the Approval.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn approve_as(&self, object: &str, who: &str, role: &str, until: Option<&str>) -> Result<()> {
        let said = eventually(&format!("{who}'s approval to be of what there is"), SOON, async || {
            let mut approval = self.of_evidence(object, role).await.map_err(|e| e.to_string())?;
            if let Some(until) = until {
                approval["spec"]["expiresAt"] = json!(until);
            }
            let said = self.apply(who, &approval.to_string()).await.map_err(|e| e.to_string())?;
            // The status is a moment behind what was applied just now.
            let behind =
                ["look at what changed", "whose digest is known"].iter().any(|w| said.stderr.contains(w));
            if said.code != 0 && behind { Err(said.stderr) } else { Ok(said) }
        })
        .await?;
        said.ok().map(drop)
    }

    /// The validator approves the system's settings for the evaluation, the risk officer the assessment; its risk is accepted.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn settings_and_risk(&self) -> Result<()> {
        let digest = self.digest(&format!("aisystem/{SYSTEM}")).await?;
        let approval = self.approval("evaluation", "validator", "AISystem", SYSTEM, &digest);
        self.apply("vera", &approval.to_string()).await?.ok()?;
        self.assessed().await?;
        self.accept_risk().await
    }

    /// The executive accepts the risk, on which those are heard who must be.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn accept_risk(&self) -> Result<()> {
        let digest = self.risk_digest("R1").await?;
        let acceptance = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "RiskAcceptance",
            "metadata": { "name": "risk-1", "namespace": self.ns },
            "spec": {
                "assessment": { "name": ASSESSMENT },
                "risks": [{ "id": "R1", "digest": digest }], "role": "executive", "level": "High",
                "rationale": "Officers decide; two months in the shadow showed no harm that they did not catch",
                "expiresAt": in_seconds(90 * 86_400),
            },
        });
        self.apply("frank", &acceptance.to_string()).await?.ok()?;
        self.heard("risk-1").await
    }

    /// The risk officer approves the assessment, before anybody approves a release that rests on it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn assessed(&self) -> Result<()> {
        let digest = self.digest(&format!("impactassessment/{ASSESSMENT}")).await?;
        let approval = self.approval("assessed", "risk-officer", "ImpactAssessment", ASSESSMENT, &digest);
        self.apply("erin", &approval.to_string()).await?.ok().map(drop)
    }

    /// Those who must be heard on an acceptance of a high risk are.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn heard(&self, acceptance: &str) -> Result<()> {
        self.heard_as(acceptance, acceptance).await
    }

    /// The same, with approvals whose names begin so.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn heard_as(&self, prefix: &str, acceptance: &str) -> Result<()> {
        let digest = self.digest(&format!("riskacceptance/{acceptance}")).await?;
        for (who, role) in APPROVERS.iter().filter(|(_, role)| HEARD.contains(role)) {
            let name = format!("{prefix}-{role}");
            let approval = self.approval(&name, role, "RiskAcceptance", acceptance, &digest);
            self.apply(who, &approval.to_string()).await?.ok()?;
        }
        Ok(())
    }

    /// All approvals but those of the roles in `but`.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn approvals(&self, but: &[&str]) -> Result<()> {
        for (who, role) in APPROVERS.iter().filter(|(_, role)| !but.contains(role)) {
            self.approve(who, role, None).await?;
        }
        Ok(())
    }

    /// A pod of its own with the release's image, as JSON.
    pub fn pod(&self, name: &str, release: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": self.ns,
                "labels": { "app": "credit-eligibility", "placet.dev/release": release },
            },
            "spec": { "containers": [{ "name": "server", "image": IMAGE }] },
        })
    }

    /// Everything that the release needs, and waits until it is cleared.
    ///
    /// # Errors
    /// When something is refused or it does not get cleared.
    pub async fn clear(&self) -> Result<()> {
        self.all_documents().await?;
        self.settings_and_risk().await?;
        self.approvals(&[]).await?;
        self.cleared("True").await
    }

    /// The condition `Cleared` of the release gets this status.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn cleared(&self, wanted: &str) -> Result<()> {
        let release = format!("modelrelease/{RELEASE}");
        let path = "{.status.conditions[?(@.type=='Cleared')].status}";
        let said = "{range .status.gates[*].findings[*]}{.reason}: {.found}\n{end}";
        eventually(&format!("{release} in {} that is Cleared={wanted}", self.ns), SOON, async || {
            let found = self.cluster.field(self.ns, &release, path).await?;
            if found == wanted {
                return Ok(());
            }
            let findings = self.cluster.field(self.ns, &release, said).await?;
            Err(format!("Cleared={found}, with these findings:\n{findings}"))
        })
        .await
    }

    /// Waits until the findings on the release say all of these.
    ///
    /// # Errors
    /// When they do not in time.
    pub async fn findings_say(&self, wanted: &[&str]) -> Result<()> {
        let path = "{.status.gates[*].findings[*].found}";
        eventually(&format!("findings that say {wanted:?} in {}", self.ns), SOON, async || {
            let found = self.cluster.field(self.ns, &format!("modelrelease/{RELEASE}"), path).await?;
            if wanted.iter().all(|w| found.contains(w)) { Ok(()) } else { Err(found) }
        })
        .await
    }

    /// Names of the pods that are not ending and carry a label (`app=…`), with their phase and their scheduling gates.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self, selector: &str) -> Result<Vec<Pod>, String> {
        let output = self.kubectl("admin", &["get", "pods", "-l", selector, "-o", "json"]).await;
        let text = output.and_then(Output::ok).map_err(|error| error.to_string())?;
        let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let text = |pod: &Value, path: &str| {
            pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok(list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none())
            .map(|pod| Pod {
                name: text(pod, "/metadata/name"),
                phase: text(pod, "/status/phase"),
                release: pod["metadata"]["labels"]["placet.dev/release"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                held: pod["spec"]["schedulingGates"]
                    .as_array()
                    .is_some_and(|gates| gates.iter().any(|gate| gate["name"] == "placet.dev/hold")),
            })
            .collect())
    }

    /// Waits until exactly this many pods of the sample's Deployment run and none else exists.
    ///
    /// # Errors
    /// When it is not so in time.
    pub async fn running(&self, count: usize) -> Result<Vec<Pod>> {
        self.pods_become(&format!("{count} running pods and none else"), |pods| {
            pods.len() == count && pods.iter().all(|pod| pod.phase == "Running" && !pod.held)
        })
        .await
    }

    /// Waits until the pods of the sample's Deployment are as wanted.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn pods_become(&self, what: &str, wanted: impl Fn(&[Pod]) -> bool) -> Result<Vec<Pod>> {
        eventually(&format!("{what} in {}", self.ns), SOON, async || {
            let pods = self.pods("app=credit-eligibility").await?;
            if wanted(&pods) { Ok(pods) } else { Err(format!("{pods:?}")) }
        })
        .await
    }

    /// Messages of the events with a reason on an object (`Deployment/credit-eligibility`).
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn event(&self, object: &str, reason: &str) -> Result<String> {
        let (kind, name) = object.split_once('/').unwrap_or((object, ""));
        let selector = format!("involvedObject.kind={kind},involvedObject.name={name},reason={reason}");
        eventually(&format!("an event {reason} on {object}"), SOON, async || {
            let args = ["get", "events", "--field-selector", &selector, "-o", "jsonpath={.items[*].message}"];
            let found =
                self.kubectl("admin", &args).await.and_then(Output::ok).map_err(|error| error.to_string())?;
            if found.is_empty() { Err("none".to_owned()) } else { Ok(found) }
        })
        .await
    }
}

/// A pod, as far as scenarios look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its phase.
    pub phase: String,
    /// The release that it names.
    pub release: String,
    /// Whether it carries our scheduling gate.
    pub held: bool,
}
