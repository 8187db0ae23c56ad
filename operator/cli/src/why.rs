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

    /// What is warned of and keeps nothing from being cleared.
    fn notes(&self) -> impl Iterator<Item = &str> {
        self.status.notes.iter().flatten().map(placet_api::scalar::Line::as_str)
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
            // The last line of an event names the command that was just given.
            let this = format!("placet why pod/{} ", held.pod);
            for line in held.said.iter().flat_map(|said| said.lines()).filter(|line| !line.contains(&this)) {
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
        for (i, note) in self.notes().enumerate() {
            let start = if i == 0 { "\n" } else { "" };
            out.push_str(start);
            out.push_str(&wrap(&with_names(note, &names), width, "note: ", "      "));
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
            "gates": self.gates().map(|g| json!({"gate": g.gate, "verdict": g.verdict, "controls": crate::controls::cited(&g.gate)})).collect::<Vec<_>>(),
            "notes": self.notes().collect::<Vec<_>>(),
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
#[path = "why_tests.rs"]
mod tests;
