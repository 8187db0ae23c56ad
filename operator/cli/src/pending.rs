//! `placet pending`: what waits for you, from the findings of releases and the roles that you hold.

use std::collections::BTreeMap;

use anyhow::Context as _;
use placet_api::Kind;
use placet_api::keys::VERB_APPROVE;
use placet_api::modelrelease::{FindingStatus, ModelReleaseStatus};
use placet_api::scalar::Name;
use placet_gate::people::with_names;
use placet_gate::render::Names;
use placet_gate::visible;
use serde::Serialize;
use serde_json::{Value, json};

use crate::approve::{creator, writers};
use crate::args::{PendingArgs, TableOrJson};
use crate::cluster::{Cluster, Refused};
use crate::{sys, target, text};

/// A name that no role bears: who may approve in it may in any.
const NOBODYS: &str = "no-role-7d0c6b5e-a-name-that-no-role-bears";

/// Said beside the list: what it does not know.
const ALIASES: &str = "authors are compared by user name alone, and stamps are taken as they are shown: a policy's aliases, the \
                       authors of earlier releases of the same content, and barred groups are known to the operator only, \
                       which has the last word";

/// Runs the command. Answers are data: the exit code is 0 whether something waits or not.
pub fn run(cluster: &Cluster, args: &PendingArgs) -> anyhow::Result<u8> {
    if let Some(role) = &args.role {
        target::name_of(role).context("--role")?;
    }
    let namespace = if args.all_namespaces { "" } else { cluster.namespace.as_str() };
    let user = cluster.whoami()?;
    let mut notes = Vec::new();
    let world = World {
        releases: cluster.list(Kind::ModelRelease, namespace).map_err(|e| {
            let refused = e.downcast_ref::<Refused>().is_some() && args.all_namespaces;
            if refused { e.context("the releases of all namespaces; give -n NAMESPACE for one") } else { e }
        })?,
        systems: or_note(cluster, Kind::AISystem, namespace, &mut notes)?,
        assessments: or_note(cluster, Kind::ImpactAssessment, namespace, &mut notes)?,
        approvals: or_note(cluster, Kind::Approval, namespace, &mut notes)?,
    };
    let scopes: BTreeMap<String, bool> = or_note(cluster, Kind::ApprovalRole, "", &mut notes)?
        .iter()
        .filter_map(|role| {
            let scope = role.pointer("/spec/scope").and_then(Value::as_str);
            Some((name_of(role)?.to_owned(), scope == Some("Namespace")))
        })
        .collect();
    let mut held = Held { cluster, scopes, asked: BTreeMap::new() };
    let mut found = Found::default();
    for release in &world.releases {
        look(&world, &user, release, args.role.as_deref(), &mut held, &mut found)?;
    }
    for kind in crate::policy_change::GUARDED {
        for object in or_note(cluster, kind, "", &mut notes)? {
            look_at_change(&user, (kind, &object), args.role.as_deref(), &mut held, &mut found)?;
        }
    }
    found
        .waiting
        .sort_by(|a, b| (&a.namespace, &a.release, &a.role).cmp(&(&b.namespace, &b.release, &b.role)));
    sys::print(&match args.output {
        TableOrJson::Table => table(&found.waiting, args.all_namespaces),
        TableOrJson::Json => text::json(&json!({
            "user": user, "waiting": found.waiting, "leftOut": found.left_out, "notJudged": found.not_judged,
            "notRead": notes, "notes": [ALIASES],
        }))?,
    })?;
    sys::tell(&said(&user, &found, &notes));
    Ok(0)
}

/// Objects of a kind, or nothing and a note where they may not be read.
fn or_note(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Value>> {
    match cluster.list(kind, namespace) {
        Err(e) if e.downcast_ref::<Refused>().is_some() => {
            notes.push(format!("{}: {}", kind.plural(), text::chain(&e)));
            Ok(Vec::new())
        }
        other => other,
    }
}

fn name_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/name")?.as_str()
}

fn namespace_of(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

/// What the findings are held against.
struct World {
    releases: Vec<Value>,
    systems: Vec<Value>,
    assessments: Vec<Value>,
    approvals: Vec<Value>,
}

/// How somebody holds a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    No,
    ByName,
    ByWildcard,
}

/// The roles that you hold, each asked about once.
struct Held<'a> {
    cluster: &'a Cluster,
    /// Roles and whether they are asked for in the subject's namespace.
    scopes: BTreeMap<String, bool>,
    asked: BTreeMap<(String, Option<String>), bool>,
}

impl Held<'_> {
    fn ask(&mut self, role: &str, namespace: Option<&str>) -> anyhow::Result<bool> {
        let key = (role.to_owned(), namespace.map(str::to_owned));
        if let Some(known) = self.asked.get(&key) {
            return Ok(*known);
        }
        let may = self.cluster.may(VERB_APPROVE, Kind::ApprovalRole.plural(), role, namespace)?;
        self.asked.insert(key, may);
        Ok(may)
    }

    fn holds(&mut self, role: &str, namespace: &str) -> anyhow::Result<Holds> {
        let place = self.scopes.get(role).is_some_and(|s| *s).then_some(namespace);
        Ok(match self.ask(role, place)? {
            false => Holds::No,
            true if self.ask(NOBODYS, place)? => Holds::ByWildcard,
            true => Holds::ByName,
        })
    }
}

/// Something that waits for you.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    namespace: String,
    release: String,
    role: String,
    gate: String,
    reason: String,
    item: String,
    wanted: String,
    found: String,
    command: String,
    /// You hold the role only as you hold any other: it counts where a policy says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_wildcard: bool,
    /// Roles in which you approved the release: where a person counts in one role only, one of them counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    already_as: Vec<String>,
}

/// Something that names your role and that you cannot supply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut {
    namespace: String,
    release: String,
    role: String,
    why: String,
}

#[derive(Debug, Default)]
struct Found {
    waiting: Vec<Waiting>,
    left_out: Vec<LeftOut>,
    /// Releases whose status is of another generation or of none.
    not_judged: Vec<String>,
}

/// The roles that a finding names.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    These(Vec<String>),
    Any,
}

/// Which approval roles can supply what a finding asks for. Findings name working roles as well ("data scientist"): an
/// approval role is one word, and the command of such a finding is one that takes a role.
fn wanted(finding: &FindingStatus) -> Option<Wanted> {
    let (who, command) = (finding.who.as_str(), finding.command.as_str());
    let asks = ["placet approve ", "placet accept-risk "].iter().any(|c| command.contains(c));
    if !asks || !command.contains(" --role ") {
        return None;
    }
    if who.contains("any approval role") {
        return Some(Wanted::Any);
    }
    // "data scientist, or a holder of ROLE who answers the Reject"
    if finding.reason.as_str() == "Rejected" {
        let role = finding.item.as_ref()?.as_str();
        return who.contains(&format!("holder of {role} ")).then(|| Wanted::These(vec![role.to_owned()]));
    }
    let parts: Vec<&str> =
        who.split(" or ").flat_map(|p| p.split(" and ")).flat_map(|p| p.split(", ")).collect();
    let words = parts.iter().all(|p| Name::new(*p).is_ok());
    words.then(|| Wanted::These(parts.into_iter().map(str::to_owned).collect()))
}

/// The command for a role: what a finding names is that of its first, or of none.
fn command_for(command: &str, role: &str) -> String {
    // From the first of our commands on: words may stand before it.
    let at = ["placet approve ", "placet accept-risk "].iter().filter_map(|c| command.find(c)).min();
    let command = at.and_then(|at| command.get(at..)).unwrap_or(command);
    let mut words: Vec<&str> = command.split(' ').collect();
    if let Some(value) = words.iter().position(|w| *w == "--role").and_then(|i| words.get_mut(i + 1)) {
        *value = role;
    }
    words.join(" ")
}

fn look(
    world: &World,
    user: &str,
    release: &Value,
    only: Option<&str>,
    held: &mut Held<'_>,
    found: &mut Found,
) -> anyhow::Result<()> {
    let (namespace, name) = (namespace_of(release), name_of(release).unwrap_or_default());
    let flag = |at: &str| release.pointer(at).and_then(Value::as_bool) == Some(true);
    if flag("/spec/withdrawn") || release.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(());
    }
    let status = release.get("status").cloned().unwrap_or_else(|| json!({}));
    let status: Option<ModelReleaseStatus> = serde_json::from_value(status).ok();
    let generation = release.pointer("/metadata/generation").and_then(Value::as_i64);
    let Some(status) =
        status.filter(|s| s.observed_generation.is_some() && s.observed_generation == generation)
    else {
        found.not_judged.push(format!("{namespace}/{name}"));
        return Ok(());
    };
    let names = Names::new();
    for gate in status.gates.iter().flatten() {
        for finding in gate.findings.iter().flatten() {
            let roles = match wanted(finding) {
                None => continue,
                Some(Wanted::These(roles)) => roles,
                Some(Wanted::Any) => held.scopes.keys().cloned().collect(),
            };
            for role in roles.into_iter().filter(|r| only.is_none_or(|o| o == r)) {
                let holds = held.holds(&role, namespace)?;
                if holds == Holds::No {
                    continue;
                }
                if let Some(why) = barred(world, user, release, finding, &role) {
                    let (namespace, release) = (namespace.to_owned(), name.to_owned());
                    found.left_out.push(LeftOut { namespace, release, role, why });
                    continue;
                }
                let command = command_for(&finding.command, &role);
                let waiting = Waiting {
                    namespace: namespace.to_owned(),
                    release: name.to_owned(),
                    gate: gate.gate.to_string(),
                    reason: finding.reason.to_string(),
                    item: finding.item.as_ref().map(ToString::to_string).unwrap_or_default(),
                    wanted: with_names(&finding.wanted, &names),
                    found: with_names(&finding.found, &names),
                    by_wildcard: holds == Holds::ByWildcard,
                    already_as: approved_as(world, user, namespace, name, &role),
                    command,
                    role,
                };
                // Releases of one system may wait for the same.
                let same = |w: &Waiting| w.namespace == waiting.namespace && w.command == waiting.command;
                if !found.waiting.iter().any(same) {
                    found.waiting.push(waiting);
                }
                // Any holder will do: one line is enough.
                break;
            }
        }
    }
    Ok(())
}

/// A version of a policy, a role or a signer that waits for an approval by one of some roles.
fn look_at_change(
    user: &str,
    (kind, policy): (Kind, &Value),
    only: Option<&str>,
    held: &mut Held<'_>,
    found: &mut Found,
) -> anyhow::Result<()> {
    let name = name_of(policy).unwrap_or_default();
    let Some(waiting) = policy.pointer("/status/waiting") else { return Ok(()) };
    let texts = |key: &str| -> Vec<String> {
        let list = waiting[key].as_array().into_iter().flatten();
        list.filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let namespace = held.cluster.operator.namespace.clone();
    for role in texts("roles").into_iter().filter(|r| only.is_none_or(|o| o == r)) {
        let holds = held.holds(&role, &namespace)?;
        if holds == Holds::No {
            continue;
        }
        let release = format!("{}/{name}", kind.short());
        if writers(policy).iter().any(|w| w == user) {
            let why = "you edited it, or once did: who made the change does not approve it".to_owned();
            found.left_out.push(LeftOut { namespace: namespace.clone(), release, role, why });
            continue;
        }
        found.waiting.push(Waiting {
            gate: placet_gate::guard::said(kind).to_owned(),
            reason: "WaitsForApproval".to_owned(),
            item: String::new(),
            wanted: format!("the approval of {}", waiting["digest"].as_str().unwrap_or_default()),
            found: texts("loosens").join("; "),
            command: format!("placet approve {release} --role {role}"),
            by_wildcard: holds == Holds::ByWildcard,
            already_as: Vec::new(),
            namespace,
            release,
            role,
        });
        break;
    }
    Ok(())
}

/// Why you cannot supply it although you hold the role, as far as it can be seen.
fn barred(world: &World, user: &str, release: &Value, finding: &FindingStatus, role: &str) -> Option<String> {
    let namespace = namespace_of(release);
    let system = release.pointer("/spec/system").and_then(Value::as_str).unwrap_or_default();
    let its = |o: &&Value| namespace_of(o) == namespace;
    let wrote = |o: &Value| writers(o).iter().any(|w| w == user);
    let of_system = world.systems.iter().filter(its).any(|s| name_of(s) == Some(system) && wrote(s));
    if of_system {
        return Some(format!("you wrote ais/{system}"));
    }
    if finding.command.contains(" ais/") {
        return None;
    }
    let name = name_of(release).unwrap_or_default();
    let developers = release.pointer("/spec/developers").and_then(Value::as_array);
    if wrote(release) || developers.is_some_and(|d| d.iter().any(|d| d == user)) {
        return Some(format!("you wrote or developed mr/{name}"));
    }
    let assessment = world.assessments.iter().filter(its).find(|a| a["spec"]["system"] == system && wrote(a));
    if let Some(assessment) = assessment {
        return Some(format!("you wrote ia/{}", name_of(assessment).unwrap_or_default()));
    }
    let missing = ["ApprovalMissing", "ApprovalExpired"].contains(&finding.reason.as_str());
    let already = missing && mine(world, user, namespace, name).any(|a| a["spec"]["role"] == role);
    already.then(|| "you approved it already: another holder of the role is wanted".to_owned())
}

/// Your approvals of a release that count now.
fn mine<'a>(
    world: &'a World,
    user: &'a str,
    namespace: &'a str,
    release: &'a str,
) -> impl Iterator<Item = &'a Value> {
    world.approvals.iter().filter(move |a| {
        let subject = &a["spec"]["subject"];
        let conditions = a.pointer("/status/conditions").and_then(Value::as_array);
        namespace_of(a) == namespace
            && a["spec"]["decision"] == "Approve"
            && subject["kind"] == Kind::ModelRelease.as_str()
            && subject["name"] == release
            && creator(a).as_deref() == Some(user)
            && conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "Counts" && c["status"] == "True"))
    })
}

/// Other roles in which you approved a release.
fn approved_as(world: &World, user: &str, namespace: &str, release: &str, role: &str) -> Vec<String> {
    let roles = mine(world, user, namespace, release).filter_map(|a| a["spec"]["role"].as_str());
    roles.filter(|r| *r != role).map(str::to_owned).collect()
}

/// One line each; the command is last and never broken.
fn table(waiting: &[Waiting], all: bool) -> String {
    if waiting.is_empty() {
        return String::new();
    }
    let mut rows =
        vec![vec!["NAMESPACE".into(), "RELEASE".into(), "ROLE".into(), "GATE".into(), "COMMAND".into()]];
    rows.extend(waiting.iter().map(|w| {
        let mark = if w.by_wildcard { " (*)" } else { "" };
        let item = if w.item.is_empty() || w.item == w.role { String::new() } else { format!(" {}", w.item) };
        [&w.namespace, &w.release, &format!("{}{mark}", w.role), &format!("{}{item}", w.gate), &w.command]
            .map(|cell| visible::line(cell).into_owned())
            .to_vec()
    }));
    if !all {
        for row in &mut rows {
            row.remove(0);
        }
    }
    let columns = rows[0].len();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        for (i, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if i + 1 < columns {
                let gap = widths[i] - cell.chars().count() + 3;
                out.extend(std::iter::repeat_n(' ', gap));
            }
        }
        out.push('\n');
    }
    out
}

/// Notes for stderr.
fn said(user: &str, found: &Found, notes: &[String]) -> String {
    let mut out = Vec::new();
    if found.waiting.is_empty() {
        out.push(format!("nothing waits for you, {user}"));
    }
    if found.waiting.iter().any(|w| w.by_wildcard) {
        out.push("(*) you hold this role only by a wildcard that covers every role: it counts where a policy says \
                  wildcardGrants: Count, and nowhere else".to_owned());
    }
    for waiting in found.waiting.iter().filter(|w| !w.already_as.is_empty()) {
        out.push(format!(
            "mr/{}: you approved it as {}; where a person counts in one role only, not both count",
            waiting.release,
            waiting.already_as.join(", ")
        ));
    }
    for left in &found.left_out {
        let LeftOut { namespace, release, role, why } = left;
        let what = if release.contains('/') { release.clone() } else { format!("mr/{release}") };
        out.push(format!("left out: {what} in {namespace} as {role}: {why}"));
    }
    if !found.not_judged.is_empty() {
        out.push(format!(
            "not judged at their generation yet, so not looked at: {}",
            found.not_judged.join(", ")
        ));
    }
    out.extend(notes.iter().map(|n| format!("not read: {n}")));
    if !found.waiting.is_empty() || !found.left_out.is_empty() {
        out.push(format!("note: {ALIASES}"));
    }
    out.iter().map(|line| visible::line(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
