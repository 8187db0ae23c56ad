//! The objects of `e2e/samples/adult` and the policy pack for high risk, as many namespaces of them as are wanted, with
//! everything that people supply.

use anyhow::Context as _;
use jiff::Timestamp;
use placet_api::keys;
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::{Identity, ReceiptKeys, RoleAnswer, StampText};
use placet_gate::world::{Clock, World};
use placet_gate::{digest, evaluate};
use serde_json::{Value, json};

/// The release that is cleared once everybody has approved.
pub const CLEARED: &str = "credit-eligibility-2.0.0";
/// The release whose bias test fails.
pub const REFUSED: &str = "credit-eligibility-1.0.0";

/// When everything is decided in benches without a cluster: after all dates of the samples, and before any term ends.
pub const NOW: &str = "2026-11-23T09:00:00Z";

/// Who approves in which role.
pub const APPROVERS: [(&str, &str); 7] = [
    ("model-owner", "bob"),
    ("validator", "vera"),
    ("risk-officer", "erin"),
    ("security-officer", "sam"),
    ("legal-compliance", "lena"),
    ("privacy-officer", "piet"),
    ("executive", "frank"),
];

/// Roles that are heard on the acceptance of a high risk, and who is.
const HEARD: [&str; 3] = ["security-officer", "privacy-officer", "legal-compliance"];

const POLICIES: [&str; 2] = [
    include_str!("../../../policies/packs/high-risk.yaml"),
    include_str!("../../../policies/packs/roles.yaml"),
];
const SYSTEM: &str = include_str!("../../samples/adult/manifests/system.yaml");
const ASSESSMENT: &str = include_str!("../../samples/adult/manifests/assessment.yaml");
const DATASETS: &str = include_str!("../../samples/adult/manifests/datasets.yaml");
const RELEASES: [&str; 2] = [
    include_str!("../../samples/adult/manifests/release-v1.yaml"),
    include_str!("../../samples/adult/manifests/release-v2.yaml"),
];
const REPORTS: [&str; 4] = [
    include_str!("../../samples/adult/manifests/report-bias-v1.yaml"),
    include_str!("../../samples/adult/manifests/report-performance-v1.yaml"),
    include_str!("../../samples/adult/manifests/report-bias-v2.yaml"),
    include_str!("../../samples/adult/manifests/report-performance-v2.yaml"),
];
const DEPLOYMENTS: [&str; 2] = [
    include_str!("../../samples/adult/manifests/deployment-v1.yaml"),
    include_str!("../../samples/adult/manifests/deployment-v2.yaml"),
];

fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).context("a sample is not YAML")?;
    Ok(all.into_iter().filter(|v| !v.is_null()).collect())
}

fn one(text: &str) -> anyhow::Result<Value> {
    documents(text)?.into_iter().next().context("a sample is empty")
}

/// How objects are read: as in a cluster, with the people key of this bench. Stamps are assumed, since nothing that is
/// measured verifies one.
pub fn reading() -> Reading {
    Reading {
        cluster: "bench".into(),
        cluster_name: None,
        keys: ReceiptKeys::new(),
        people: PeopleKey::new(*b"people key of the bench"),
    }
}

/// Names behind tokens, for answers.
pub type Names = Vec<(String, String)>;

/// Puts objects into a world.
pub struct Filler<'a> {
    reading: &'a Reading,
    now: Timestamp,
    /// Names that the objects brought.
    pub names: Names,
    /// Reports of each namespace; those beyond the samples say the same again under other names.
    pub reports: usize,
    six_more: bool,
}

impl<'a> Filler<'a> {
    /// Objects are stamped an hour before `now`, approvals of the release half an hour.
    pub fn new(reading: &'a Reading, now: Timestamp) -> Self {
        Self { reading, now, names: Names::new(), reports: REPORTS.len(), six_more: false }
    }

    /// One object, written by somebody.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn add(&mut self, world: &mut World, by: &str, object: &Value) -> anyhow::Result<String> {
        let of_release = object.pointer("/spec/subject/kind").is_some_and(|kind| kind == "ModelRelease");
        let at = self.now - jiff::SignedDuration::from_mins(if of_release { 30 } else { 60 });
        let role = object.pointer("/spec/role").and_then(Value::as_str);
        let holds =
            |name: &str| RoleAnswer { name: name.to_owned(), user: None, allowed: true, wildcard: false, at };
        let report = object.get("kind").is_some_and(|kind| kind == "TestReport");
        let artifact = object.pointer("/spec/artifact").and_then(Value::as_str).unwrap_or_default();
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let asked = report.then(|| world.asked(namespace, artifact).map(Box::new));
        let stamp = StampText {
            role: role.map(holds),
            reports: report.then(|| holds("validator")).into_iter().collect(),
            asked: asked.transpose().map_err(anyhow::Error::msg)?,
            ..StampText::new(Identity { user: by.to_owned(), ..Identity::default() }, at)
        };
        let (record, names) = self.reading.read_assuming(object, &stamp)?;
        self.names.extend(names);
        let digest = record.digest.clone().map_err(anyhow::Error::msg)?;
        world.apply(record);
        Ok(digest)
    }

    /// The policy pack and the roles.
    ///
    /// # Errors
    /// When a file does not parse.
    pub fn policies(&mut self, world: &mut World) -> anyhow::Result<()> {
        for text in POLICIES {
            for object in documents(text)? {
                self.add(world, "platform", &object)?;
            }
        }
        Ok(())
    }

    /// A namespace in which one release is cleared and another is not. What the policies ask for is in place before.
    ///
    /// # Errors
    /// When a sample does not parse.
    pub fn namespace(&mut self, world: &mut World, namespace: &str, mode: &str) -> anyhow::Result<()> {
        self.documents(world, namespace, mode)?;
        // What is approved is all of that. It is looked at in a world of its own: in the one that is measured, no decision
        // has read anything yet.
        let mut aside = World::new();
        self.policies(&mut aside)?;
        if self.six_more {
            self.six_more_tests(&mut aside)?;
        }
        self.documents(&mut aside, namespace, mode)?;
        let decision = evaluate(&aside.snapshot(namespace, CLEARED, Clock::Trusted(self.now)));
        let evidence = decision.evidence.context("the sample's evidence is known")?;
        for (role, who) in APPROVERS {
            let mut approve = approval(namespace, ("ModelRelease", CLEARED), &evidence, role);
            approve["spec"]["subject"]["covers"] = "Evidence".into();
            self.add(world, who, &approve)?;
        }
        Ok(())
    }

    fn documents(&mut self, world: &mut World, namespace: &str, mode: &str) -> anyhow::Result<()> {
        world.set_namespace(namespace, [(keys::ENFORCE.to_owned(), mode.to_owned())].into());
        let system = self.add(world, "olga", &placed(one(SYSTEM)?, namespace))?;
        let assessment = placed(one(ASSESSMENT)?, namespace);
        let assessed = self.add(world, "olga", &assessment)?;
        let name = text_of(&assessment, "/metadata/name");
        let subject = ("ImpactAssessment", name.as_str());
        self.add(world, "erin", &approval(namespace, subject, &assessed, "risk-officer"))?;
        let risk =
            digest::risk(namespace, &name, &assessment["spec"], "R1")?.context("the sample has a risk R1")?;
        for dataset in documents(DATASETS)? {
            self.add(world, "dana", &placed(dataset, namespace))?;
        }
        for text in RELEASES {
            let release = placed(one(text)?, namespace);
            self.add(world, "dana", &release)?;
        }
        for (n, text) in REPORTS.iter().cycle().take(self.reports).enumerate() {
            let mut report = with_more(one(text)?);
            if n >= REPORTS.len() {
                let name = format!("{}-{n}", text_of(&report, "/metadata/name"));
                report["metadata"]["name"] = name.into();
            }
            self.add(world, "vera", &placed(report, namespace))?;
        }
        // The system's evaluation counts once somebody else has confirmed it.
        let subject = ("AISystem", text_of(&one(SYSTEM)?, "/metadata/name"));
        self.add(world, "erin", &approval(namespace, (subject.0, &subject.1), &system, "risk-officer"))?;
        let acceptance = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "RiskAcceptance",
            "metadata": {"name": "r1-frank", "namespace": namespace, "uid": "uid-acceptance"},
            "spec": {
                "assessment": {"name": text_of(&assessment, "/metadata/name")},
                "risks": [{"id": "R1", "digest": risk}], "role": "executive", "level": "High",
                "rationale": "Every refusal is looked at by a loan officer",
                "expiresAt": "2027-06-30T00:00:00Z",
            },
        });
        let accepted = self.add(world, "frank", &acceptance)?;
        for (role, who) in APPROVERS.iter().filter(|(role, _)| HEARD.contains(role)) {
            let heard = approval(namespace, ("RiskAcceptance", "r1-frank"), &accepted, role);
            self.add(world, who, &heard)?;
        }
        Ok(())
    }

    /// A policy that asks for six more tests. With the policy pack's, 20 requirements stand side by side: release,
    /// policy, classification, assessment and risk acceptance, seven approvals, eight tests.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn six_more_tests(&mut self, world: &mut World) -> anyhow::Result<()> {
        self.six_more = true;
        let rules: Vec<Value> =
            MORE.iter().map(|m| json!({"type": "Performance", "metric": m, "atLeast": "0.10"})).collect();
        let policy = json!({
            "apiVersion": "placet.dev/v1alpha1", "kind": "ReleasePolicy",
            "metadata": {"name": "six-more", "uid": "uid-six-more"},
            "spec": {
                "appliesTo": {"classes": ["High"]}, "tests": rules,
                "approvals": [{"role": "model-owner", "count": 1, "covers": "Content"}],
            },
        });
        self.add(world, "platform", &policy).map(drop)
    }
}

/// Metrics of [`Filler::six_more_tests`].
const MORE: [&str; 6] = ["Recall", "Precision", "F1", "AUC", "LogLoss", "Brier"];

/// A sample report with values for [`MORE`] too, where it has metrics: nothing else is in the way of a clearance.
fn with_more(mut report: Value) -> Value {
    if let Some(metrics) = report.pointer_mut("/spec/metrics").and_then(Value::as_array_mut) {
        metrics.extend(MORE.map(|name| {
            json!({"name": name, "value": "0.50", "rows": 16281, "lower": "0.49", "upper": "0.51", "confidence": "0.95", "method": "Bootstrap"})
        }));
    }
    report
}

/// An Approve.
pub fn approval(namespace: &str, subject: (&str, &str), digest: &str, role: &str) -> Value {
    let name = format!("{}-{role}", subject.1);
    json!({
        "apiVersion": "placet.dev/v1alpha1", "kind": "Approval",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("uid-{namespace}-{name}")},
        "spec": {
            "subject": {"kind": subject.0, "name": subject.1, "covers": "Content", "digest": digest},
            "role": role, "decision": "Approve",
        },
    })
}

/// A sample in another namespace.
fn placed(mut object: Value, namespace: &str) -> Value {
    let name = text_of(&object, "/metadata/name");
    object["metadata"]["namespace"] = namespace.into();
    object["metadata"]["uid"] = format!("uid-{namespace}-{name}").into();
    object
}

/// A pod as the controller of a sample's Deployment makes it. `release` is one of [`CLEARED`] and [`REFUSED`].
///
/// # Errors
/// When the sample does not parse.
pub fn pod_template(release: &str) -> anyhow::Result<Value> {
    let text = if release == CLEARED { DEPLOYMENTS[1] } else { DEPLOYMENTS[0] };
    one(text)?.pointer("/spec/template").cloned().context("the sample Deployment has no template")
}

/// A text field, empty when absent.
pub fn text_of(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
