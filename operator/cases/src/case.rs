//! One case: its file, the world that it describes, and the decision in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::common::Class;
use placet_gate::asked::Asked;
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::world::{Clock, Reassess, Snapshot, World};
use placet_gate::{Decision, evaluate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::CaseError;
use crate::expect::Expect;
use crate::given::{Base, ClearedOnce, Edited, Given, SignedBy, policy_objects};
use crate::place::{At, merge};
use crate::resolve::resolve;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    title: String,
    now: Timestamp,
    base: Option<String>,
    release: Option<String>,
    #[serde(default)]
    namespace_labels: BTreeMap<String, String>,
    first_use: Option<Timestamp>,
    clock: Option<String>,
    #[serde(default)]
    not_ready: Vec<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    objects: Vec<Given>,
    #[serde(default)]
    change: Vec<Change>,
    #[serde(default)]
    remove: Vec<String>,
    /// Approvals and acceptances name what the base holds, not what the case makes of it.
    #[serde(default)]
    approved_before: bool,
    /// Classes with which releases were judged before.
    #[serde(default)]
    had: Vec<Had>,
    /// What asks for a new assessment.
    #[serde(default)]
    reassess: Vec<AskedAgain>,
    /// Releases that were cleared, instead of those that the base names.
    cleared: Option<Vec<ClearedOnce>>,
    /// As `placet check` of files sees it: nothing tells what was cleared.
    #[serde(default)]
    no_log: bool,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Had {
    namespace: Option<String>,
    release: Value,
    class: Class,
    at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AskedAgain {
    system: String,
    by: String,
    at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    object: String,
    spec: Option<Value>,
    by: Option<String>,
    at: Option<Timestamp>,
    #[serde(default)]
    edited: Vec<Edited>,
    unstamped: Option<bool>,
    #[serde(default)]
    behind: bool,
    holds_role: Option<bool>,
    deleted: Option<bool>,
    uid: Option<String>,
    subject_uid: Option<String>,
    groups: Option<Vec<String>>,
    wildcard: Option<bool>,
    role_lost: Option<bool>,
    credential: Option<bool>,
    signed: Option<SignedBy>,
    deleted_at: Option<Timestamp>,
    reports_as: Option<Vec<String>>,
    asked: Option<Asked>,
    /// The version before the change is remembered, as the log would.
    #[serde(default)]
    remembered: bool,
    /// It was so before `approvedBefore`.
    #[serde(default)]
    before: bool,
}

impl Change {
    fn apply(&self, given: &mut Given) {
        if let Some(spec) = &self.spec {
            merge(&mut given.spec, spec);
        }
        if let Some(by) = &self.by {
            given.by = Some(by.clone());
        }
        if self.unstamped == Some(true) {
            given.by = None;
        }
        given.behind |= self.behind;
        given.at = self.at.or(given.at);
        given.edited.extend(self.edited.iter().cloned());
        given.holds_role = self.holds_role.or(given.holds_role);
        given.uid = self.uid.clone().or(given.uid.take());
        given.subject_uid = self.subject_uid.clone().or(given.subject_uid.take());
        given.groups = self.groups.clone().unwrap_or(std::mem::take(&mut given.groups));
        given.role_lost = self.role_lost.unwrap_or(given.role_lost);
        given.wildcard = self.wildcard.unwrap_or(given.wildcard);
        given.credential = self.credential.unwrap_or(given.credential);
        given.signed = self.signed.clone().or(given.signed.take());
        given.deleted_at = self.deleted_at.or(given.deleted_at);
        given.reports_as = self.reports_as.clone().unwrap_or(std::mem::take(&mut given.reports_as));
        given.asked = self.asked.clone().or(given.asked.take());
        given.deleted = self.deleted.unwrap_or(given.deleted);
    }
}

/// A case that was run.
#[derive(Debug)]
pub struct Played {
    /// Its title.
    pub title: String,
    /// Files with policies and roles that it read.
    pub policies: Vec<PathBuf>,
    /// The file that it starts from.
    pub base: Option<PathBuf>,
    /// What was decided on.
    pub snapshot: Snapshot,
    /// What was decided.
    pub decision: Decision,
    /// In which ways that is not what the case expects; empty if it holds.
    pub wrong: Vec<String>,
    scene: Scene,
}

impl Played {
    /// What is decided on once an object of the case is deleted: of each object that is there, its kind, its name and that.
    ///
    /// # Errors
    /// None that running the case did not have.
    pub fn deletions(&self) -> impl Iterator<Item = Result<(&str, &str, Snapshot), CaseError>> {
        self.scene.objects.iter().filter(|o| !o.deleted).map(|given| {
            let mut world = self.scene.world()?;
            if let Some(kind) = Kind::parse(&given.kind) {
                let namespace = given.namespace.as_deref().unwrap_or(&self.scene.namespace);
                world.remove(kind, kind.namespaced().then_some(namespace), &given.name);
            }
            Ok((given.kind.as_str(), given.name.as_str(), self.scene.snapshot(&world)?))
        })
    }
}

/// Gives the text of a file, or why there is none.
pub type Read<'a> = dyn Fn(&Path) -> Result<String, String> + 'a;

fn text(path: &Path, read: &Read<'_>) -> Result<String, CaseError> {
    read(path).map_err(|why| CaseError::File { file: path.to_owned(), why })
}

fn parse<T: DeserializeOwned>(path: &Path, read: &Read<'_>) -> Result<T, CaseError> {
    serde_saphyr::from_str(&text(path, read)?)
        .map_err(|e| CaseError::File { file: path.to_owned(), why: first_line(&e) })
}

/// What a parser says, without the lines of the file that it quotes.
pub(crate) fn first_line(error: &serde_saphyr::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Whether a text is meant as a case, whether or not it can be understood: it is no list of Kubernetes objects.
pub fn is_case(text: &str) -> bool {
    serde_saphyr::from_multiple::<Value>(text)
        .is_ok_and(|all| all.iter().any(|d| d.get("expect").is_some() && d.get("kind").is_none()))
}

/// The title of a case, where it can be read.
pub fn title(text: &str) -> Option<String> {
    let case: Value = serde_saphyr::from_str(text).ok()?;
    case.get("title")?.as_str().map(str::to_owned)
}

fn pair<'a>(what: &str, text: &'a str) -> Result<(&'a str, &'a str), CaseError> {
    text.split_once('/').ok_or_else(|| CaseError::Case(format!("wanted {what}, found {text:?}")))
}

/// Runs the case of a file.
///
/// # Errors
/// The case, or a file that it names, cannot be read or understood, or it names an object that is not there.
pub fn play(path: &Path, read: &Read<'_>) -> Result<Played, CaseError> {
    let case: Case = parse(path, read)?;
    case.expect.sound()?;
    let here = path.parent().unwrap_or(Path::new(""));
    let base: Option<(PathBuf, Base)> = case
        .base
        .as_ref()
        .map(|b| Ok::<_, CaseError>((here.join(b), parse(&here.join(b), read)?)))
        .transpose()?;
    let release = case.release.clone().or_else(|| base.as_ref().and_then(|(_, b)| b.release.clone()));
    let release = release
        .ok_or_else(|| CaseError::Case("wanted release: NAMESPACE/NAME in the case or its base".into()))?;
    let (namespace, name) = pair("release: NAMESPACE/NAME", &release)?;
    let mut policies: Vec<PathBuf> = case.policies.iter().map(|p| here.join(p)).collect();
    if let Some((file, base)) = &base {
        let dir = file.parent().unwrap_or(Path::new(""));
        policies.extend(base.policies.iter().map(|p| dir.join(p)));
    }
    let mut objects = Vec::new();
    for file in &policies {
        objects.extend(policy_objects(file, &text(file, read)?)?);
    }
    let (base, cleared, given) = match base {
        Some((file, base)) => (Some(file), base.cleared, base.objects),
        None => (None, Vec::new(), Vec::new()),
    };
    for given in given {
        put(&mut objects, given);
    }
    let reading = Reading {
        cluster: "case".into(),
        cluster_name: None,
        keys: ReceiptKeys::new(),
        people: PeopleKey::new(*b"cases"),
    };
    let at = At { namespace, reading: &reading, now: case.now };
    let (remembered, objects) = settle(&case, &at, objects)?;
    let (namespace, release) = (namespace.to_owned(), name.to_owned());
    let scene = Scene { case, namespace, release, reading, remembered, objects, cleared };
    scene.release_is_given()?;
    let snapshot = scene.snapshot(&scene.world()?)?;
    let decision = evaluate(&snapshot);
    let wrong = scene.case.expect.wrong(&decision);
    Ok(Played { title: scene.case.title.clone(), policies, base, snapshot, decision, wrong, scene })
}

/// Adds an object, or puts it into the place of the one with its kind and name.
fn put(objects: &mut Vec<Given>, given: Given) {
    objects.retain(|o| !(o.is(&given.kind, &given.name) && o.namespace == given.namespace));
    objects.push(given);
}

/// The versions that are remembered and the objects of a case, with every digest in them.
fn settle(case: &Case, at: &At<'_>, mut objects: Vec<Given>) -> Result<(Vec<Given>, Vec<Given>), CaseError> {
    let mut before = objects.clone();
    for given in case.objects.iter().cloned() {
        put(&mut objects, given);
    }
    let mut remembered = Vec::new();
    for change in &case.change {
        let (kind, name) = pair("object: KIND/NAME in change", &change.object)?;
        let given = objects
            .iter_mut()
            .find(|o| o.is(kind, name))
            .ok_or_else(|| CaseError::Case(format!("change: there is no {}", change.object)))?;
        if change.remembered {
            remembered.push(given.clone());
        }
        if let Some(spec) = &change.spec {
            let earlier = before.iter_mut().filter(|o| change.before && o.is(kind, name));
            earlier.for_each(|o| merge(&mut o.spec, spec));
        }
        change.apply(given);
    }
    for removed in &case.remove {
        let count = objects.len();
        let (kind, name) = pair("KIND/NAME in remove", removed)?;
        objects.retain(|o| !o.is(kind, name));
        if objects.len() == count {
            return Err(CaseError::Case(format!("remove: there is no {removed}")));
        }
    }
    let originals = before.clone();
    resolve(at, &mut before, &originals)?;
    if case.approved_before {
        let decides = |o: &&mut Given| o.kind == "Approval" || o.kind == "RiskAcceptance";
        for given in objects.iter_mut().filter(decides) {
            if let Some(old) = before.iter().find(|o| o.is(&given.kind, &given.name)) {
                given.spec.clone_from(&old.spec);
                given.evidence.clone_from(&old.evidence);
            }
        }
    }
    resolve(at, &mut objects, &before)?;
    // What they name that was not changed is as it is.
    let mut all = [remembered.as_slice(), &objects].concat();
    resolve(at, &mut all, &before)?;
    all.truncate(remembered.len());
    Ok((all, objects))
}

/// A case and its objects, with every digest in them.
#[derive(Debug)]
struct Scene {
    case: Case,
    namespace: String,
    release: String,
    reading: Reading,
    remembered: Vec<Given>,
    objects: Vec<Given>,
    /// Releases that were cleared, as the base names them.
    cleared: Vec<ClearedOnce>,
}

impl Scene {
    /// A case about a release that it does not give decides nothing, however much it finds: whoever wants that says `remove`.
    fn release_is_given(&self) -> Result<(), CaseError> {
        let releases = || self.objects.iter().filter(|o| o.kind == "ModelRelease");
        let here = |o: &Given| o.namespace.as_ref().is_none_or(|n| *n == self.namespace);
        let removed = self.case.remove.contains(&format!("ModelRelease/{}", self.release));
        if removed || releases().any(|o| here(o) && o.name == self.release) {
            return Ok(());
        }
        let names: Vec<&str> = releases().map(|o| o.name.as_str()).collect();
        Err(CaseError::Case(format!(
            "release: wanted a ModelRelease that the case or its base gives, found {}/{} and these: {}",
            self.namespace,
            self.release,
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )))
    }

    fn world(&self) -> Result<World, CaseError> {
        let Self { case, namespace, .. } = self;
        let at = At { namespace, reading: &self.reading, now: case.now };
        let mut world = World::new();
        for given in &self.remembered {
            at.add(&mut world, given, true)?;
        }
        for given in &self.objects {
            at.add(&mut world, given, false)?;
        }
        for had in &case.had {
            // Of a release this is all that is remembered.
            let mut spec = json!({"system": "scoring", "version": "1", "change": {"kind": "Initial", "reason": "First"}});
            merge(&mut spec, &had.release);
            let spec =
                serde_json::from_value(spec).map_err(|e| CaseError::Case(format!("had: release: {e}")))?;
            world.had_class(had.namespace.as_deref().unwrap_or(namespace), &spec, had.class, had.at);
        }
        for asked in &case.reassess {
            let request = Reassess { at: asked.at, by: asked.by.clone() };
            world.reassess(namespace, &asked.system, request);
        }
        let cleared = case.cleared.as_ref().unwrap_or(&self.cleared);
        let known = !case.no_log && (case.cleared.is_some() || !cleared.is_empty());
        if known {
            world.knows_what_was_cleared();
        }
        for once in cleared.iter().filter(|_| known) {
            at.was_cleared(&mut world, &self.objects, once)?;
        }
        world.set_namespace(namespace, case.namespace_labels.clone());
        for what in &case.not_ready {
            world.set_ready(what, false);
        }
        Ok(world)
    }

    /// What decides, the clock included.
    fn snapshot(&self, world: &World) -> Result<Snapshot, CaseError> {
        let now = self.case.now;
        let clock = match self.case.clock.as_deref() {
            None => Clock::Trusted(now),
            Some("untrusted") => Clock::Untrusted { now, why: "differs by 45 s".into() },
            Some(other) => {
                return Err(CaseError::Case(format!("clock: wanted untrusted, found {other}")));
            }
        };
        let mut snapshot = world.snapshot(&self.namespace, &self.release, clock);
        snapshot.first_use = self.case.first_use.or(snapshot.first_use);
        Ok(snapshot)
    }
}
