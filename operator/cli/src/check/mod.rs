//! `placet check`: the same decision from files, in the same words, without a cluster.

mod change;
mod live;
mod loosened;
mod people;
mod sarif;
mod show;
pub mod simulate;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::finding::Reason;
use placet_gate::object::Reading;
use placet_gate::people::PeopleKey;
use placet_gate::policy::PolicySet;
use placet_gate::render::Names;
use placet_gate::stamp::{ReceiptKeys, StampProblem};
use placet_gate::world::{Clock, Snapshot, World};
use placet_gate::{Cleared, Decision, decision, evaluate, render, visible};

use crate::args::{CheckArgs, CheckOutput, GivenArgs, Global};
use crate::files::{self, Input, Loaded};
use crate::{signed, sys, target, text};
use change::{Becomes, Change};
use people::{Authors, Roles};
use waits::Fate;

/// Item of the finding that who holds which role is not known.
const HOLDINGS: &str = "role holdings";
/// What is to be done where stamps cannot be verified.
const GIVE_KEYS: &str = "placet check --receipt-keys FILE --cluster-uid UID, or placet check --from-cluster";
/// How the item begins of the finding that the version of something that decides is not known; its target follows.
const VERSION: &str = "version in force of ";
/// Item of the finding that a namespace's labels are not known.
const LABELS: &str = "namespace labels";

/// A release and what was decided on it.
#[derive(Debug)]
pub struct Judged {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The system that it names.
    pub system: String,
    /// File and line of the release, where it is in a file.
    pub place: Option<(String, u64)>,
    /// The decision.
    pub decision: Decision,
    /// Until when the clearance stands.
    pub until: Option<Timestamp>,
    /// The refusal in words, as the cluster would give it; a line on the clearance otherwise.
    pub said: String,
}

/// Everything that is asked about.
pub struct Question {
    now: Timestamp,
    /// The time of the decisions, where it is another than that of everything else.
    clock: Timestamp,
    reading: Reading,
    authors: Authors,
    roles: Option<Roles>,
    first_use: Option<Timestamp>,
    labels: Option<BTreeMap<String, String>>,
    input: Input,
    /// Versions that objects in the files replace.
    replaced: Vec<Loaded>,
    /// What is taken for granted.
    assumptions: Vec<String>,
    /// Whether keys were given that stamps can be verified with.
    keys: bool,
    /// Whether there is a cluster with an installation.
    installed: bool,
}

/// Runs the command.
pub fn run(global: &Global, args: &CheckArgs) -> anyhow::Result<u8> {
    let mut question = Question::new(global, &args.given)?;
    let wanted = question.wanted(&args.given)?;
    let new_policies = files::load_all(&args.policies, global.namespace.as_deref())?;
    question.note_assumptions(&args.given);
    let (world, names) = question.world(&[])?;
    let judged: Vec<Judged> =
        wanted.iter().map(|(ns, name)| question.judge_on(&world, ns, name, &names, None)).collect();
    if args.policies.is_empty() {
        let text = match args.output {
            CheckOutput::Table => show::table(&judged, &names),
            CheckOutput::Json => show::json(&question, &judged, &names)?,
            CheckOutput::Sarif => sarif::render(&judged, &names)?,
        };
        question.tell();
        sys::print(&text)?;
        let cleared = judged.iter().all(|j| j.decision.cleared == Cleared::True);
        return Ok(u8::from(!cleared));
    }
    let policies: Vec<Loaded> = new_policies.objects;
    let fits = |p: &&Loaded| matches!(p.kind, Kind::ReleasePolicy | Kind::ApprovalRole);
    if let Some(other) = policies.iter().find(|p| !fits(p)) {
        bail!(
            "{}: --policy wants ReleasePolicies and their ApprovalRoles, found {}",
            other.place(),
            other.label()
        );
    }
    if !policies.iter().any(|p| p.kind == Kind::ReleasePolicy) {
        bail!("--policy: wanted at least one ReleasePolicy, found none");
    }
    let (new, names) = question.world(&policies)?;
    let changes: Vec<Change> =
        judged.iter().map(|before| change::of(&question, before, (&world, &new), &names)).collect();
    let loses = |c: &Change| c.becomes() == Becomes::LostAtOnce;
    let loosened = loosened::of(&question.input.objects, &policies);
    let text = match args.output {
        CheckOutput::Table => show::changes(&changes) + &loosened::table(&loosened),
        CheckOutput::Json => show::changes_json(&question, &changes, &loosened, &names)?,
        CheckOutput::Sarif => {
            let lost = changes.iter().any(loses);
            let after: Vec<Judged> = changes.into_iter().filter(loses).map(|c| c.after).collect();
            question.tell();
            sys::print(&sarif::render(&after, &names)?)?;
            return Ok(u8::from(lost));
        }
    };
    question.tell();
    sys::print(&text)?;
    Ok(u8::from(changes.iter().any(loses)))
}

/// A world that is asked about, and what showing it needs.
pub struct Asked {
    pub world: World,
    pub names: Names,
    pub now: Timestamp,
    question: Question,
}

impl Asked {
    /// Says what is taken for granted.
    pub fn tell(&self) {
        self.question.tell();
    }
}

/// What a decision would read, for a command that shows it and decides on no release.
pub fn asked(global: &Global, args: &GivenArgs) -> anyhow::Result<Asked> {
    let mut question = Question::new(global, args)?;
    // Nothing that is shown follows from it, so it is not said that it is not known.
    question.first_use = Some(question.now);
    question.note_assumptions(args);
    let (world, names) = question.world(&[])?;
    Ok(Asked { world, names, now: question.now, question })
}

impl Question {
    fn new(global: &Global, args: &GivenArgs) -> anyhow::Result<Self> {
        let mut assumptions = Vec::new();
        let now = if let Some(time) = &args.now {
            text::moment("--now", time)?
        } else {
            let now = sys::now();
            assumptions.push(format!("the time is {}, the current one (--now)", text::seconds(now)));
            now
        };
        let mut input = files::load_all(&args.files, global.namespace.as_deref())?;
        let mut keys = match &args.receipt_keys {
            Some(path) => Some(
                ReceiptKeys::parse(&sys::read_text(path)?)
                    .map_err(anyhow::Error::msg)
                    .with_context(|| format!("--receipt-keys {}", path.display()))?,
            ),
            None => None,
        };
        let mut uid = args.cluster_uid.clone();
        let mut replaced = Vec::new();
        if args.from_cluster {
            let cluster = crate::cluster::Cluster::connect(global)?;
            live::fill(&cluster, args, &mut input, &mut replaced, &mut keys, &mut uid)?;
        }
        let stamped = input.objects.iter().filter(|o| o.stamped()).count();
        if stamped > 0 && keys.is_some() && uid.is_none() {
            bail!(
                "wanted --cluster-uid beside --receipt-keys: receipts are bound to the cluster that they come from \
                 (kubectl get namespace kube-system -o jsonpath={{.metadata.uid}})"
            );
        }
        if stamped > 0 && keys.is_none() {
            let operator = &global.operator_namespace;
            let (verb, it) = if stamped == 1 {
                ("object carries a stamp", "it counts")
            } else {
                ("objects carry stamps", "they count")
            };
            assumptions.push(format!(
                "{stamped} {verb} that cannot be verified without the cluster's keys, so that {it} for nothing \
                 (--receipt-keys FILE: kubectl get configmap {}-log-head -n {operator} -o jsonpath='{{.data.receiptKeys}}' \
                 > FILE; --cluster-uid UID: kubectl get namespace kube-system -o jsonpath='{{.metadata.uid}}')",
                global.operator_release
            ));
        }
        let given = keys.is_some();
        let reading = Reading {
            cluster: uid.unwrap_or_default(),
            cluster_name: args.cluster_name.clone(),
            keys: keys.unwrap_or_default(),
            // Tokens are turned back into names before anything is shown, so that any key will do.
            people: PeopleKey::new(*b"placet check"),
        };
        let signed = |o: &&Loaded| o.value.pointer("/spec/signed").is_some();
        if reading.cluster.is_empty()
            && reading.cluster_name.is_none()
            && input.objects.iter().any(|o| signed(&o))
        {
            assumptions.push(
                "signatures are for no cluster, so that they count for nothing (--cluster-name NAME, or --cluster-uid UID)"
                    .into(),
            );
        }
        let roles = args.roles.as_deref().map(Roles::read).transpose()?;
        let first_use = args.first_use.as_deref().map(|t| text::moment("--first-use", t)).transpose()?;
        let labels = (!args.namespace_labels.is_empty())
            .then(|| people::labels(&args.namespace_labels))
            .transpose()?;
        Ok(Self {
            now,
            clock: now,
            reading,
            authors: Authors::parse(&args.written_by)?,
            roles,
            first_use,
            labels,
            input,
            replaced,
            assumptions,
            keys: given,
            installed: args.from_cluster,
        })
    }

    /// The releases that are asked about.
    fn wanted(&self, args: &GivenArgs) -> anyhow::Result<Vec<(String, String)>> {
        if let Some(release) = &args.release {
            let (namespace, name) = release
                .split_once('/')
                .with_context(|| format!("--release: wanted NAMESPACE/NAME, found {release:?}"))?;
            target::name_of(namespace).context("--release")?;
            target::name_of(name).context("--release")?;
            return Ok(vec![(namespace.to_owned(), name.to_owned())]);
        }
        let releases = || self.input.objects.iter().filter(|o| o.kind == Kind::ModelRelease);
        // With a cluster at hand, what is asked about is what is in the files, where there is anything.
        let in_files = releases().any(|o| !live::is_live(o));
        let wanted: Vec<(String, String)> = releases()
            .filter(|o| !in_files || !live::is_live(o))
            .map(|o| (o.namespace.clone().unwrap_or_default(), o.name.clone()))
            .collect();
        if wanted.is_empty() {
            bail!("wanted at least one ModelRelease, found none among {} objects", self.input.objects.len());
        }
        Ok(wanted)
    }

    /// Says what is taken for granted where nothing was given.
    fn note_assumptions(&mut self, args: &GivenArgs) {
        let bare: Vec<&Loaded> =
            self.input.objects.iter().filter(|o| !o.stamped() && !live::is_live(o)).collect();
        let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut nobody = Vec::new();
        for object in &bare {
            match self.author(object) {
                Some(user) => by.entry(user).or_default().push(object.label()),
                None => nobody.push(object.label()),
            }
        }
        for (user, objects) in by {
            self.assumptions.push(format!(
                "created by {user} at {}, since they carry no stamp: {}",
                text::seconds(self.now),
                objects.join(", ")
            ));
        }
        if !nobody.is_empty() {
            self.assumptions.push(format!(
                "by nobody known, since they carry no stamp, so that they count for nothing (--as USER): {}",
                nobody.join(", ")
            ));
        }
        match &args.roles {
            Some(path) => self.assumptions.push(format!("who holds which role is as in {}", path.display())),
            None if self.needs_holdings() => {
                self.assumptions.push("who holds which role is not known (--roles FILE)".into());
            }
            None => {}
        }
        for object in &self.input.objects {
            if let Fate::LeftOut(why) = waits::fate(object, &self.replaced, self.installed) {
                self.assumptions.push(why);
            }
        }
        if self.first_use.is_none() {
            self.assumptions.push("no release was used yet (--first-use TIME)".into());
        }
        if let Some(labels) = &self.labels {
            let list: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            self.assumptions.push(format!("the namespaces are labelled {}", list.join(",")));
        }
        self.assumptions.push(
            "the policies of now decide: under which policies a release was cleared, and still stands, is in the log only"
                .into(),
        );
        self.assumptions.push(
            "nothing was deleted before: Rejects, withdrawals and failed reports that are gone are in the log only"
                .into(),
        );
        self.assumptions.push(
            "the rules that the API server checks when it stores an object hold (kubectl apply --dry-run=server)".into(),
        );
    }

    /// Roles in which the policies of the files have a report of this type made; none for anything else.
    fn reports_in(&self, object: &Loaded) -> BTreeSet<String> {
        let text = |value: &serde_json::Value, field: &str| {
            value.get(field).and_then(serde_json::Value::as_str).map(str::to_owned)
        };
        let type_ = object.value.get("spec").and_then(|spec| text(spec, "type"));
        let Some(type_) = type_.filter(|_| object.kind == Kind::TestReport) else { return BTreeSet::new() };
        let policies = self.input.objects.iter().filter(|o| o.kind == Kind::ReleasePolicy);
        let rules = policies.filter_map(|p| p.value.pointer("/spec/reporters")?.as_array()).flatten();
        rules
            .filter(|rule| text(rule, "type").as_ref() == Some(&type_))
            .filter_map(|rule| text(rule, "role"))
            .collect()
    }

    /// Whether the answer depends on who holds a role: some approval or acceptance, or a report that has to be made in one,
    /// carries no stamp that says so.
    fn needs_holdings(&self) -> bool {
        let decides = |o: &&Loaded| {
            matches!(o.kind, Kind::Approval | Kind::RiskAcceptance) || !self.reports_in(o).is_empty()
        };
        self.input.objects.iter().filter(decides).any(|o| !o.stamped() && self.author(o).is_some())
    }

    /// Who is taken to have written an object without a stamp: as given, or whoever signed it.
    fn author(&self, object: &Loaded) -> Option<String> {
        self.authors.of(object).map(str::to_owned).or_else(|| signed::signer(object, &self.input.objects))
    }

    fn tell(&self) {
        for note in &self.input.notes {
            sys::tell(&visible::line(&format!("note: {note}")));
        }
        for assumption in &self.assumptions {
            sys::tell(&visible::line(&format!("assumed: {assumption}")));
        }
    }

    /// The world of the files, with `policies` over them.
    fn world(&self, policies: &[Loaded]) -> anyhow::Result<(World, Names)> {
        let mut world = World::new();
        let mut names = Names::new();
        for object in &self.replaced {
            world.apply(self.record(object, None, &mut names)?);
        }
        for object in &self.input.objects {
            match waits::fate(object, &self.replaced, self.installed) {
                Fate::LeftOut(_) => continue,
                Fate::NotKnown => world.set_ready(&format!("{VERSION}{}", waits::target(object)), false),
                Fate::Decides => {}
            }
            world.apply(self.record(object, None, &mut names)?);
        }
        for policy in policies {
            // What would follow if it were in force: somebody entitled has applied it.
            world.apply(self.record(policy, Some("whoever applies the new policy"), &mut names)?);
        }
        let namespaces: BTreeSet<&str> =
            self.input.objects.iter().filter_map(|o| o.namespace.as_deref()).collect();
        let mut labels_known = true;
        for namespace in namespaces {
            match (&self.labels, self.input.namespaces.get(namespace)) {
                (Some(given), known) => {
                    let mut labels = known.cloned().unwrap_or_default();
                    labels.extend(given.clone());
                    world.set_namespace(namespace, labels);
                }
                (None, Some(known)) => world.set_namespace(namespace, known.clone()),
                (None, None) => labels_known = false,
            }
        }
        let selects = |o: &Loaded| {
            o.kind == Kind::ReleasePolicy
                && serde_json::from_value::<ReleasePolicySpec>(o.value["spec"].clone()).is_ok_and(|s| {
                    s.applies_to.namespace_selector.is_some_and(|s| {
                        s.match_labels.is_some_and(|l| !l.is_empty())
                            || s.match_expressions.is_some_and(|l| !l.is_empty())
                    })
                })
        };
        if !labels_known && self.input.objects.iter().chain(policies).any(selects) {
            world.set_ready(LABELS, false);
        }
        if self.roles.is_none() && self.needs_holdings() {
            world.set_ready(HOLDINGS, false);
        }
        Ok((world, names))
    }

    fn record(
        &self,
        object: &Loaded,
        author: Option<&str>,
        names: &mut Names,
    ) -> anyhow::Result<placet_gate::object::Record> {
        let author = author.map(str::to_owned).or_else(|| self.author(object)).filter(|_| !object.stamped());
        let author = author.filter(|_| !live::is_live(object));
        let signer = signed::signer(object, &self.input.objects);
        let read = match author {
            Some(user) => self.reading.read_assuming(
                &object.value,
                &people::stamp(
                    object,
                    &user,
                    signer.as_deref(),
                    self.now,
                    self.roles.as_ref(),
                    &self.reports_in(object),
                ),
            ),
            None => self.reading.read(&object.value),
        };
        let (record, people) = read.with_context(|| object.place())?;
        names.extend(people);
        Ok(record)
    }

    /// What a decision on a release reads in a world.
    fn snapshot(&self, world: &World, namespace: &str, name: &str) -> Snapshot {
        let mut snapshot = world.snapshot(namespace, name, Clock::Trusted(self.clock));
        snapshot.first_use = self.first_use.or(snapshot.first_use);
        snapshot
    }

    /// Decides on a release; `basis`: the policies that it stands on, where those are others than the ones of the world.
    fn judge_on(
        &self,
        world: &World,
        namespace: &str,
        name: &str,
        names: &Names,
        basis: Option<Arc<PolicySet>>,
    ) -> Judged {
        let mut snapshot = self.snapshot(world, namespace, name);
        snapshot.basis = basis;
        let mut decision = evaluate(&snapshot);
        let until = decision::cleared_until(&snapshot, &decision);
        reword(&mut decision, self.keys);
        let is_it = |o: &&Loaded| {
            o.kind == Kind::ModelRelease && o.namespace.as_deref() == Some(namespace) && o.name == name
        };
        let object = self.input.objects.iter().find(is_it);
        let said = match decision.cleared {
            Cleared::True => {
                let until = until.map_or_else(String::new, |t| format!(" until {}", text::seconds(t)));
                format!("{}{until}", render::headline(name, &decision))
            }
            _ => render::denial(namespace, name, &decision, None, names),
        };
        let system = object.and_then(|o| o.value.pointer("/spec/system")?.as_str());
        Judged {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            system: system.unwrap_or_default().to_owned(),
            place: object.filter(|o| !live::is_live(o)).map(|o| (o.file.clone(), o.line)),
            decision,
            until,
            said,
        }
    }
}

/// What was not given here is said in this command's terms; verdict and reason stay the gate's.
fn reword(decision: &mut Decision, keys: bool) {
    let unverified = StampProblem::UnknownKey.to_string();
    for finding in decision.gates.iter_mut().flat_map(|g| &mut g.findings) {
        // Without keys every key is an unknown one, and the object has nothing that could be healed.
        if !keys && finding.found.contains(&unverified) {
            finding.found = finding
                .found
                .replace(&unverified, "its stamp was not verified, since no receipt keys were given");
            if finding.reason == Reason::NotStamped {
                "the keys that its cluster signs receipts with".clone_into(&mut finding.wanted);
            }
            "you".clone_into(&mut finding.who);
            GIVE_KEYS.clone_into(&mut finding.command);
            continue;
        }
        if finding.reason != Reason::StoreNotReady {
            continue;
        }
        if let Some(target) = finding.item.strip_prefix(VERSION) {
            "the version that decides".clone_into(&mut finding.wanted);
            "another version waits for a second person's approval, and the one that decides is in the log alone"
                .clone_into(&mut finding.found);
            "you".clone_into(&mut finding.who);
            finding.command = format!("placet why {target}");
            continue;
        }
        let (wanted, found, command) = match finding.item.as_str() {
            HOLDINGS => (
                "who holds which role",
                "role holdings were not given",
                "placet check --roles FILE (YAML: {role: [users]})",
            ),
            LABELS => (
                "the labels of the namespace, by which a policy selects",
                "namespace labels were not given",
                "placet check --namespace-labels KEY=VALUE",
            ),
            _ => continue,
        };
        wanted.clone_into(&mut finding.wanted);
        found.clone_into(&mut finding.found);
        "you".clone_into(&mut finding.who);
        command.clone_into(&mut finding.command);
    }
}
