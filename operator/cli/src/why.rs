//! `placet why`: everything that keeps a release from running, grouped by who can act.

use std::fmt::Write as _;

use anyhow::Context as _;
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::common::ConditionStatus;
use placet_api::keys::{HOLD_GATE, MANAGER_STATUS, RELEASE};
use placet_api::modelrelease::{FindingStatus, GateVerdict, ModelReleaseStatus};
use placet_gate::people::with_names;
use placet_gate::render::Names;
use placet_gate::visible;
use serde_json::{Value, json};

use crate::args::{TableOrJson, WhyArgs};
use crate::cluster::Cluster;
use crate::sys;
use crate::target::{self, Target, Workload};
use crate::text::{self, short, wrap};

/// Runs the command.
pub fn run(cluster: &Cluster, args: &WhyArgs) -> anyhow::Result<u8> {
    let (name, about) = match target::parse(&args.target)? {
        Target::Ours(Kind::ModelRelease, name) => (name, None),
        Target::Workload(workload, name) => match release_of(cluster, workload, &name)? {
            Ok((release, about)) => (release, Some(about)),
            Err(finding) => return finding.say(args.output, &cluster.namespace, None),
        },
        Target::Ours(kind, _) => {
            anyhow::bail!("{}: wanted mr/NAME or a workload, found a {kind}", args.target)
        }
    };
    if let Some(about) = &about {
        sys::tell(&visible::line(&about.line));
    }
    let object = match cluster.get(Kind::ModelRelease, &name) {
        Ok(object) => object,
        Err(e) if about.is_some() && e.downcast_ref::<crate::cluster::Refused>().is_none() => {
            let finding = NoRelease {
                found: format!("there is no release {name} in namespace {}", cluster.namespace),
                wanted: format!("a ModelRelease {name}"),
                command: format!("kubectl apply -f RELEASE.yaml -n {}", cluster.namespace),
            };
            return finding.say(args.output, &cluster.namespace, Some(&name));
        }
        Err(e) if e.downcast_ref::<crate::cluster::Refused>().is_some_and(|r| r.code == 403) => {
            anyhow::bail!(
                "{e}; who may read releases is said by a role binding in namespace {}, for example to \
                 {}-data-scientist: ask the platform team",
                cluster.namespace,
                cluster.operator.release
            )
        }
        Err(e) => return Err(e),
    };
    let mut answer = Answer::new(&object, &name, &cluster.namespace, sys::now())?;
    if let Some(About { pod: Some(pod), .. }) = &about
        && answer.cleared()
    {
        answer.held = Some(Held { pod: pod.clone(), said: said_of(cluster, pod)? });
    }
    let text = match args.output {
        TableOrJson::Table => answer.table(sys::width()),
        TableOrJson::Json => text::json(&answer.json())?,
    };
    sys::print(&text)?;
    Ok(u8::from(!answer.cleared() || answer.held.is_some()))
}

/// What is known of a workload that names a release.
#[derive(Debug)]
struct About {
    line: String,
    /// Its name, if it is a pod that is held.
    pod: Option<String>,
}

/// A pod that is held though its release is cleared: something about the pod itself is in the way.
#[derive(Debug)]
struct Held {
    pod: String,
    /// What the operator said on it last.
    said: Option<String>,
}

impl Held {
    fn headline(&self) -> String {
        let pod = &self.pod;
        match self.said {
            Some(_) => format!("Pod {pod} is held for its own sake, though its release is cleared"),
            None => format!(
                "Pod {pod} is held though its release is cleared: what is in the way is said by kubectl describe pod {pod}; if \
                 nothing is, wait a moment, and if this stays, see whether the operator runs"
            ),
        }
    }
}

/// The newest event of the operator on a pod.
fn said_of(cluster: &Cluster, pod: &str) -> anyhow::Result<Option<String>> {
    let path = format!(
        "/apis/events.k8s.io/v1/namespaces/{}/events?fieldSelector=regarding.kind%3DPod%2Cregarding.name%3D{pod}&limit=500",
        cluster.namespace
    );
    let list = match cluster.get_path(&path) {
        // Who may not read events is told where they are.
        Err(e) if e.downcast_ref::<crate::cluster::Refused>().is_some() => return Ok(None),
        other => other?.unwrap_or_default(),
    };
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let ours = list["items"].as_array().into_iter().flatten().filter(|event| event["reason"] == "Held");
    let newest = ours.max_by_key(|event| text(event, "eventTime"));
    Ok(newest.map(|event| text(event, "note")).filter(|note| !note.is_empty()))
}

/// A workload without a release that could be judged.
#[derive(Debug)]
struct NoRelease {
    found: String,
    wanted: String,
    command: String,
}

impl NoRelease {
    /// Says it in the words and the shape of an answer about a release.
    fn say(&self, output: TableOrJson, namespace: &str, release: Option<&str>) -> anyhow::Result<u8> {
        let Self { found, wanted, command } = self;
        let who = "data scientist";
        sys::print(&match output {
            TableOrJson::Table => {
                let lines = [found, wanted, who, command].map(|line| visible::line(line).into_owned());
                let [found, wanted, who, command] = lines;
                format!("{found}\n  wanted: {wanted}\n  {who}\n    $ {command}\n")
            }
            TableOrJson::Json => text::json(&json!({
                "namespace": namespace, "release": release, "cleared": ConditionStatus::Unknown, "message": found,
                "missing": [{"who": who, "findings": [
                    {"gate": "release", "verdict": GateVerdict::Unknown, "wanted": wanted, "found": found, "command": command}]}],
            }))?,
        })?;
        Ok(1)
    }
}

/// The release that a workload names and a line about the workload, or what is said when it names none.
fn release_of(
    cluster: &Cluster,
    workload: Workload,
    name: &str,
) -> anyhow::Result<Result<(String, About), NoRelease>> {
    let namespace = &cluster.namespace;
    let path = format!("{}/namespaces/{namespace}/{}/{name}", workload.api, workload.plural);
    let object = cluster.get_path(&path)?.with_context(|| {
        format!("wanted the {} {name} in namespace {namespace}, found none", workload.kind)
    })?;
    let labels = ["/spec/jobTemplate/spec/template/metadata", "/spec/template/metadata", "/metadata"];
    let label = labels.iter().find_map(|at| object.pointer(at)?.get("labels")?.get(RELEASE)?.as_str());
    let Some(release) = label else {
        return Ok(Err(NoRelease {
            found: format!("{} {name} names no release", workload.kind),
            wanted: format!("the label {RELEASE} on it and on its pod template"),
            command: format!(
                "kubectl label {}/{name} {RELEASE}=NAME -n {namespace}",
                workload.kind.to_lowercase()
            ),
        }));
    };
    target::name_of(release).with_context(|| format!("{} {name}, label {RELEASE}", workload.kind))?;
    let held = object
        .pointer("/spec/schedulingGates")
        .and_then(Value::as_array)
        .is_some_and(|gates| gates.iter().any(|g| g["name"] == HOLD_GATE));
    let line = format!(
        "{} {name} names the release {release}{}",
        workload.kind,
        if held { "; it is held" } else { "" }
    );
    let pod = held.then(|| name.to_owned());
    Ok(Ok((release.to_owned(), About { line, pod })))
}

/// What a release's status says.
#[derive(Debug)]
struct Answer {
    name: String,
    namespace: String,
    system: String,
    generation: i64,
    status: ModelReleaseStatus,
    /// When the status was last written, as the API server's clock said: a later judgement that came out the same
    /// writes nothing.
    written: Option<String>,
    withdrawn: bool,
    now: Timestamp,
    /// The pod that was asked about, if it is held for its own sake.
    held: Option<Held>,
}

/// A finding and its gate.
type Located<'a> = (&'a str, GateVerdict, &'a FindingStatus);

impl Answer {
    fn new(object: &Value, name: &str, namespace: &str, now: Timestamp) -> anyhow::Result<Self> {
        let status = object.get("status").cloned().unwrap_or_else(|| json!({}));
        let status = serde_json::from_value(status).with_context(|| {
            format!("mr/{name}: its status is not understood; is placet older than the operator?")
        })?;
        Ok(Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            system: object.pointer("/spec/system").and_then(Value::as_str).unwrap_or("?").to_owned(),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            status,
            written: written(object),
            now,
            held: None,
            withdrawn: object.pointer("/spec/withdrawn").and_then(Value::as_bool) == Some(true),
        })
    }

    /// Why the status cannot be relied on, if so.
    fn stale(&self) -> Option<String> {
        match self.status.observed_generation {
            None => Some(format!(
                "not judged yet: mr/{} has no status; if this stays, see whether the operator runs",
                self.name
            )),
            Some(seen) if seen != self.generation => Some(format!(
                "this status is not of this object: judged at generation {seen}, the object is at {}; wait a moment, and \
                 if this stays, see whether the operator runs",
                self.generation
            )),
            Some(_) => self.ended().map(|until| {
                format!(
                    "the clearance ended at {until} and nothing was said since; if this stays, see whether the operator \
                     runs"
                )
            }),
        }
    }

    /// When the clearance ended, if it did and the status does not say so.
    fn ended(&self) -> Option<&str> {
        let until = self.status.valid_until.as_deref()?;
        let ends: Timestamp = until.parse().ok()?;
        (ends <= self.now && self.says_cleared()).then_some(until)
    }

    /// Whether the status says that it is cleared, however old it is.
    fn says_cleared(&self) -> bool {
        self.condition().is_some_and(|c| c.status == ConditionStatus::True)
    }

    fn condition(&self) -> Option<&placet_api::common::Condition> {
        self.status.conditions.iter().flatten().find(|c| c.type_.as_str() == "Cleared")
    }

    fn cleared(&self) -> bool {
        self.stale().is_none() && !self.withdrawn && self.says_cleared()
    }

    fn gates(&self) -> impl Iterator<Item = &placet_api::modelrelease::GateStatus> {
        self.status.gates.iter().flatten()
    }

    /// Findings by who can act, in the order in which they first appear.
    fn by_who(&self) -> Vec<(&str, Vec<Located<'_>>)> {
        let mut groups: Vec<(&str, Vec<Located<'_>>)> = Vec::new();
        for gate in self.gates() {
            for finding in gate.findings.iter().flatten() {
                let located = (gate.gate.as_str(), gate.verdict, finding);
                match groups.iter_mut().find(|(who, _)| *who == finding.who.as_str()) {
                    Some((_, list)) => list.push(located),
                    None => groups.push((finding.who.as_str(), vec![located])),
                }
            }
        }
        groups
    }

    /// What the status says. Whether the operator still runs does not show in a release, so that a clearance is one of
    /// when it was last judged and no more.
    fn headline(&self) -> String {
        if self.says_cleared() {
            let at = self.written.as_ref().map_or_else(String::new, |at| format!(" (status written {at})"));
            return format!("{} was cleared when last judged{at}", self.name);
        }
        let said = self.condition().map(|c| c.message.as_str().to_owned());
        said.filter(|m| !m.is_empty()).unwrap_or_else(|| format!("{} is not yet judged", self.name))
    }

    fn table(&self, width: usize) -> String {
        let names = Names::new();
        let mut out = String::new();
        if let Some(stale) = self.stale() {
            out.push_str(&wrap(&stale, width, "", "  "));
            if self.status.observed_generation.is_none() {
                return out;
            }
        }
        if let Some(held) = &self.held {
            out.push_str(&wrap(&visible::line(&held.headline()), width, "", "  "));
            for line in held.said.iter().flat_map(|said| said.lines()) {
                out.push_str(&wrap(&visible::line(line), width, "  ", "    "));
            }
        }
        out.push_str(&wrap(&with_names(&self.headline(), &names), width, "", "  "));
        let class = self.status.class.map_or("not yet known".to_owned(), |c| c.to_string());
        let mut facts = format!("system {}, class {class}", self.system);
        if let Some(policies) = self.status.policies.as_ref().filter(|p| !p.is_empty()) {
            let list: Vec<String> =
                policies.iter().map(|p| format!("{} {}", p.name, short(&p.digest))).collect();
            facts = format!("{facts}, policy {}", list.join(", "));
        }
        if let Some(decision) = &self.status.decision {
            facts = format!("{facts}, decision {}", decision.record);
        }
        if let Some(until) = &self.status.valid_until {
            facts = format!("{facts}, valid until {until}");
        }
        if let Some(at) = self.written.as_ref().filter(|_| !self.says_cleared()) {
            facts = format!("{facts}, status written {at}");
        }
        out.push_str(&wrap(&facts, width, "  ", "  "));
        for (who, findings) in self.by_who() {
            let _ = writeln!(out, "\n{}", visible::line(who));
            for (gate, _, finding) in findings {
                let item = finding.item.as_ref().filter(|i| !i.is_empty());
                let item = item.map_or_else(String::new, |i| format!(", {}", i.as_str()));
                let item = format!("{gate}{item} ({})", finding.reason);
                let _ = writeln!(out, "  {}", visible::line(&item));
                out.push_str(&wrap(
                    &with_names(&finding.found, &names),
                    width,
                    "    found   ",
                    "            ",
                ));
                out.push_str(&wrap(
                    &with_names(&finding.wanted, &names),
                    width,
                    "    wanted  ",
                    "            ",
                ));
                // A command is copied as a whole: it is never broken.
                let command = finding.command.as_str();
                let is_command = ["placet ", "kubectl "].iter().any(|p| command.starts_with(p));
                let first = if is_command { "    $ " } else { "    do      " };
                let columns = if is_command { usize::MAX } else { width };
                out.push_str(&wrap(command, columns, first, "            "));
            }
        }
        for gate in self.gates() {
            let shown = gate.findings.as_ref().map_or(0, Vec::len);
            let total = usize::try_from(gate.total.unwrap_or(0)).unwrap_or(0);
            if total > shown {
                let _ =
                    writeln!(out, "\n{}: {shown} of {total} findings are shown", visible::line(&gate.gate));
            }
        }
        let met: Vec<&str> =
            self.gates().filter(|g| g.verdict == GateVerdict::Met).map(|g| g.gate.as_str()).collect();
        if !met.is_empty() {
            out.push('\n');
            out.push_str(&wrap(&format!("met: {}", met.join(", ")), width, "", "     "));
        }
        out
    }

    fn json(&self) -> Value {
        let names = Names::new();
        let groups: Vec<Value> = self
            .by_who()
            .into_iter()
            .map(|(who, findings)| {
                let findings: Vec<Value> = findings
                    .into_iter()
                    .map(|(gate, verdict, f)| {
                        json!({"gate": gate, "verdict": verdict, "reason": f.reason, "item": f.item,
                               "wanted": with_names(&f.wanted, &names), "found": with_names(&f.found, &names), "command": f.command})
                    })
                    .collect();
                json!({"who": who, "findings": findings})
            })
            .collect();
        let cleared = match self.condition().map_or(ConditionStatus::Unknown, |c| c.status) {
            _ if self.stale().is_some() => ConditionStatus::Unknown,
            ConditionStatus::True if self.withdrawn => ConditionStatus::False,
            said => said,
        };
        json!({
            "namespace": self.namespace,
            "release": self.name,
            "system": self.system,
            "cleared": cleared,
            "stale": self.stale(),
            "statusWritten": self.written,
            "held": self.held.as_ref().map(|held| json!({"pod": held.pod, "said": held.said})),
            "message": self.headline(),
            "class": self.status.class,
            "validUntil": self.status.valid_until,
            "decision": self.status.decision,
            "digests": self.status.digests,
            "policies": self.status.policies,
            "gates": self.gates().map(|g| json!({"gate": g.gate, "verdict": g.verdict})).collect::<Vec<_>>(),
            "missing": groups,
        })
    }
}

/// When the operator last wrote the status of an object, as the API server keeps it.
fn written(object: &Value) -> Option<String> {
    let fields = object.pointer("/metadata/managedFields")?.as_array()?;
    let its = fields.iter().filter(|f| f["manager"] == MANAGER_STATUS && f["subresource"] == "status");
    its.filter_map(|f| f["time"].as_str()).max().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, cluster};

    const NOW: &str = "2026-11-20T13:00:00Z";

    fn answer(object: &Value) -> Answer {
        Answer::new(object, "m-2", "lending", NOW.parse().unwrap()).unwrap()
    }

    /// A release whose status says that it is cleared until a time.
    fn cleared_until(until: &str) -> Value {
        let mut object = release(2);
        object["metadata"]["managedFields"] = json!([
            {"manager": "kubectl", "time": "2026-11-20T12:30:00Z"},
            {"manager": "placet-status", "subresource": "status", "time": "2026-11-20T12:00:00Z"}]);
        object["status"]["gates"] = json!([{"gate": "release", "verdict": "Met"}]);
        object["status"]["validUntil"] = until.into();
        object["status"]["conditions"][0]["status"] = "True".into();
        object["status"]["conditions"][0]["message"] = "m-2 is cleared".into();
        object
    }

    #[test]
    fn a_clearance_is_of_when_it_was_judged() {
        let object = cleared_until("2026-11-20T13:00:01Z");
        assert!(answer(&object).cleared());
        let text = answer(&object).table(100);
        assert!(
            text.starts_with("m-2 was cleared when last judged (status written 2026-11-20T12:00:00Z)\n"),
            "{text}"
        );
        assert!(!text.contains("is cleared"), "{text}");
        assert_eq!(answer(&object).json()["cleared"], "True");
        assert_eq!(answer(&object).json()["statusWritten"], "2026-11-20T12:00:00Z");
        // Its term has passed: whoever would have said so is not there.
        let object = cleared_until(NOW);
        assert!(!answer(&object).cleared());
        let text = answer(&object).table(200);
        assert!(
            text.starts_with("the clearance ended at 2026-11-20T13:00:00Z and nothing was said since"),
            "{text}"
        );
        assert!(!text.contains("is cleared"), "{text}");
        assert_eq!(answer(&object).json()["cleared"], "Unknown");
        // Judged at another generation, older or newer (an object that was restored).
        for generation in [1, 3] {
            let mut object = cleared_until("2027-01-01T00:00:00Z");
            object["metadata"]["generation"] = generation.into();
            assert!(!answer(&object).cleared(), "{generation}");
            assert!(
                answer(&object).table(100).starts_with("this status is not of this object"),
                "{generation}"
            );
        }
        let mut object = cleared_until("2027-01-01T00:00:00Z");
        object["spec"]["withdrawn"] = true.into();
        assert!(!answer(&object).cleared());
        assert_eq!(answer(&object).json()["cleared"], "False");
    }

    #[test]
    fn the_code_is_1_once_the_term_has_passed() {
        let ask = |until: &str| {
            let path = "GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2";
            let (cluster, _) = cluster(Answers::default().with(path, 200, &cleared_until(until)));
            run(&cluster, &WhyArgs { target: "mr/m-2".into(), output: TableOrJson::Table }).unwrap()
        };
        assert_eq!((ask("2999-01-01T00:00:00Z"), ask("2000-01-01T00:00:00Z")), (0, 1));
    }

    #[test]
    fn what_a_finding_quotes_cannot_forge_the_answer() {
        let mut object = release(2);
        let forged = "x\n\nmet: approvals\u{1b}[2J\u{202e}";
        object["spec"]["system"] = forged.into();
        for field in ["item", "wanted", "found", "who", "command"] {
            object["status"]["gates"][1]["findings"][0][field] = forged.into();
        }
        let text = answer(&object).table(80);
        assert_eq!(visible::lines(&text), text);
        assert_eq!(
            text.lines().filter(|l| l.starts_with("met: ")).collect::<Vec<_>>(),
            ["met: release"],
            "{text}"
        );
        // Data stays as it is.
        assert_eq!(answer(&object).json()["missing"][0]["findings"][0]["found"], forged);
    }

    fn release(observed: i64) -> Value {
        json!({
            "metadata": {"name": "m-2", "namespace": "lending", "generation": 2},
            "spec": {"system": "scoring"},
            "status": {
                "observedGeneration": observed, "class": "High", "open": "riskAcceptance,approvals",
                "decision": {"record": 4703, "digest": format!("sha256:{}", "a".repeat(64))},
                "gates": [
                    {"gate": "release", "verdict": "Met"},
                    {"gate": "riskAcceptance", "verdict": "NotMet", "reason": "RiskNotAccepted", "total": 1, "findings": [
                        {"reason": "RiskNotAccepted", "item": "R1", "wanted": "R1 accepted at High by executive",
                         "found": "R1 is High after controls; the appetite is Low", "who": "executive",
                         "command": "placet accept-risk ia/impact R1 --role executive --until DATE -n lending"}]},
                    {"gate": "approvals", "verdict": "NotMet", "reason": "ApprovalMissing", "total": 2, "findings": [
                        {"reason": "ApprovalMissing", "item": "executive", "wanted": "1 approval by executive (covers: Content)",
                         "found": "0 of 1", "who": "executive", "command": "placet approve mr/m-2 --role executive -n lending"},
                        {"reason": "ApprovalMissing", "item": "validator", "wanted": "1 approval by validator (covers: Content)",
                         "found": "0 of 1; <person:0123456789abcdef> is an author and does not count", "who": "validator",
                         "command": "placet approve mr/m-2 --role validator -n lending"}]}],
                "conditions": [{"type": "Cleared", "status": "False", "reason": "GatesOpen",
                    "message": "m-2 is not cleared: 2 of 7 gates are open: riskAcceptance, approvals", "lastTransitionTime": "2026-11-20T12:00:00Z"}]
            }
        })
    }

    #[test]
    fn what_is_missing_is_grouped_by_who_can_act() {
        let text = answer(&release(2)).table(60);
        assert_eq!(
            text,
            "m-2 is not cleared: 2 of 7 gates are open: riskAcceptance,\n  approvals\n  \
system scoring, class High, decision 4703\n\n\
executive\n  riskAcceptance, R1 (RiskNotAccepted)\n    found   R1 is High after controls; the appetite is Low\n    \
wanted  R1 accepted at High by executive\n    \
$ placet accept-risk ia/impact R1 --role executive --until DATE -n lending\n  \
approvals, executive (ApprovalMissing)\n    found   0 of 1\n    wanted  1 approval by executive (covers: Content)\n    \
$ placet approve mr/m-2 --role executive -n lending\n\n\
validator\n  approvals, validator (ApprovalMissing)\n    found   0 of 1; person 01234567… is an author and does\n            \
not count\n    wanted  1 approval by validator (covers: Content)\n    \
$ placet approve mr/m-2 --role validator -n lending\n\nmet: release\n"
        );
    }

    #[test]
    fn a_status_older_than_the_object_is_not_relied_on() {
        let old = answer(&release(1));
        assert!(old.table(100).starts_with("this status is not of this object: judged at generation 1"));
        assert_eq!(old.json()["cleared"], "Unknown");
        let unjudged = answer(&json!({"metadata": {"generation": 1}, "spec": {"system": "s"}}));
        assert!(!unjudged.cleared());
        assert!(unjudged.table(100).starts_with("not judged yet"));
    }

    #[test]
    fn a_workload_leads_to_its_release() {
        let answers = Answers::default()
            .with(
                "GET /apis/apps/v1/namespaces/lending/deployments/credit",
                200,
                &json!({
                "metadata": {"name": "credit"},
                "spec": {"template": {"metadata": {"labels": {"placet.dev/release": "m-2"}}}}}),
            )
            .with("GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2", 200, &release(2))
            .with("GET /api/v1/namespaces/lending/pods/bare", 200, &json!({"metadata": {"name": "bare"}}));
        let (cluster, asked) = cluster(answers);
        let args = |target: &str| WhyArgs { target: target.into(), output: TableOrJson::Json };
        assert_eq!(run(&cluster, &args("deploy/credit")).unwrap(), 1);
        assert_eq!(run(&cluster, &args("pod/bare")).unwrap(), 1);
        let e = run(&cluster, &args("mr/none")).unwrap_err().to_string();
        assert!(e.contains("wanted the ModelRelease none in namespace lending, found none"), "{e}");
        assert_eq!(asked.lock().unwrap().len(), 4);
    }

    #[test]
    fn who_may_not_read_is_told_who_decides_that() {
        let said = json!({"kind": "Status", "reason": "Forbidden", "message": "modelreleases.placet.dev \"m-2\" is forbidden"});
        let path = "GET /apis/placet.dev/v1alpha1/namespaces/lending/modelreleases/m-2";
        let (cluster, _) = cluster(Answers::default().with(path, 403, &said));
        let args = WhyArgs { target: "mr/m-2".into(), output: TableOrJson::Table };
        let e = run(&cluster, &args).unwrap_err().to_string();
        assert!(
            e.contains("is forbidden")
                && e.contains("a role binding in namespace lending")
                && e.contains("placet-data-scientist"),
            "{e}"
        );
    }
}
