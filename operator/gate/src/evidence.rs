//! What an evidence digest is made of, and what changed in it: the stamp of an approval keeps it, so that a finding names
//! the object and the fields that changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use placet_api::aisystem::{AISystemSpec, Oversight};
use placet_api::common::Level;
use placet_api::dataset::DatasetSpec;
use placet_api::modelrelease::DatasetUse;
use placet_api::scalar::Line;
use placet_api::testreport::{TestReportSpec, TestType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::{self, Applied, EvidenceParts, changed_fields};
use crate::gates::{Context, change};
use crate::object::{Object, Record};
use crate::policy::Requirements;
use crate::risk::Score;
use crate::world::Snapshot;

/// Objects of one sort that are kept at most, of some 150 bytes each: more do not fit beside the stamp in the annotations
/// of an object.
const MAX_LISTED: usize = 64;
/// Fields of one object that are named at most.
const MAX_FIELDS: usize = 5;
/// Changes that are named at most.
const MAX_CHANGES: usize = 12;

/// Fields of a system that class and requirements say what matters of.
const DECIDES: &[&str] = &[
    "spec.triggers",
    "spec.derogation",
    "spec.exceptions",
    "spec.organisationRoles",
    "spec.purpose",
    "spec.intendedUse",
    "spec.placedOnMarketAt",
    "spec.designChangedAt",
    "spec.suppliers",
    "spec.evaluation",
    "spec.oversight",
    "spec.transparency",
];

/// Digests of what of a system requirements are held against, beside its class.
#[derive(Debug)]
pub(crate) struct Facts {
    /// What an assessment is held against.
    system: String,
    /// Who is to be tested for.
    evaluation: String,
    /// How people oversee and stop it.
    oversight: String,
    /// What people are told.
    transparency: String,
}

impl Object<AISystemSpec> {
    /// Those of this spec, which is the object's, worked out once; None if they have no canonical form.
    fn facts(&self, spec: &AISystemSpec) -> Option<&Facts> {
        self.known().facts.get_or_init(|| Facts::new(spec).ok()).as_ref()
    }
}

impl Facts {
    fn new(system: &AISystemSpec) -> Result<Self, digest::DigestError> {
        let sorted = |list: Vec<String>| list.into_iter().collect::<BTreeSet<_>>();
        let intended = &system.intended_use;
        let texts = |list: &[Line]| sorted(list.iter().map(ToString::to_string).collect());
        let roles = sorted(system.organisation_roles.iter().map(|r| format!("{r:?}")).collect());
        let deployers =
            intended.deployers.as_ref().map(|d| sorted(d.iter().map(|d| format!("{d:?}")).collect()));
        let suppliers = system.suppliers.iter().flatten();
        let modified = suppliers.filter_map(|s| Some((s.name.to_string(), format!("{:?}", s.modification?))));
        let held_against = json!({
            "organisationRoles": roles,
            "purpose": system.purpose,
            "regions": texts(&intended.regions),
            "affectedGroups": texts(&intended.affected_groups),
            "deployers": deployers,
            "placedOnMarketAt": system.placed_on_market_at,
            "designChangedAt": system.design_changed_at,
            "modified": modified.collect::<BTreeMap<_, _>>(),
        });
        // A drill more is no other plan.
        let plan = system.oversight.as_ref().map(|plan| {
            let mut overseers = plan.overseers.clone().unwrap_or_default();
            overseers.sort_by(|a, b| a.function.cmp(&b.function));
            Oversight { last_drill: None, drill_report: None, overseers: Some(overseers), ..plan.clone() }
        });
        let mut notices = system.transparency.clone().unwrap_or_default();
        notices.sort_by_key(|notice| notice.duty);
        Ok(Self {
            system: digest::of_value(&held_against)?,
            evaluation: digest::of_value(&json!(system.evaluation))?,
            oversight: digest::of_value(&json!(plan))?,
            transparency: digest::of_value(&json!(notices))?,
        })
    }
}

/// Digest of the requirements with what they are held against that is no object of the evidence: where it changes, who approved
/// it is asked again. Otherwise the author of the system could unsay afterwards what somebody is asked or tested for. None if
/// it has no canonical form.
fn applied(
    asked: &Requirements,
    requirements: &str,
    (system, spec): (&Object<AISystemSpec>, &AISystemSpec),
    (named, snapshot): (&[Part], &Snapshot),
) -> Option<String> {
    let life = &asked.life_cycle;
    let (plan, notices) = (life.oversight.is_some(), life.transparency.is_some());
    let named = life.change.is_some().then(|| digest::of_value(&json!(named))).transpose().ok()?;
    let (facts, bias) = (asked.asks_for_facts(), asked.tests.iter().any(|t| t.rule.type_ == TestType::Bias));
    let known = if facts || bias || plan || notices { Some(system.facts(spec)?) } else { None };
    let personal = || json!(spec.triggers.as_ref().and_then(|t| t.personal_data));
    let custom = read_by_custom(asked, system, snapshot);
    let custom = custom.as_ref().map(digest::of_value).transpose().ok()?;
    let applied = Applied {
        custom: custom.as_deref(),
        evaluation: known.filter(|_| bias).map(|k| k.evaluation.as_str()),
        named: named.as_deref(),
        oversight: known.filter(|_| plan).map(|k| k.oversight.as_str()),
        personal_data: (asked.asks_for_personal_data() || asked.data.is_some()).then(personal),
        requirements,
        system: known.filter(|_| facts).map(|k| k.system.as_str()),
        transparency: known.filter(|_| notices).map(|k| k.transparency.as_str()),
    };
    digest::applied(&applied).ok()
}

/// Whether a gate of a policy's author reads something.
fn custom_reads(asked: &Requirements, what: &str) -> bool {
    asked.custom.values().any(|gate| gate.program.reads(what))
}

/// What gates of policies' authors read that is in no other part of the evidence; None if they read nothing of it. What they read
/// of approvals and acceptances is not in it: these never change, and one that is gone is asked for again.
fn read_by_custom(asked: &Requirements, system: &Object<AISystemSpec>, snapshot: &Snapshot) -> Option<Value> {
    let system = custom_reads(asked, "system").then(|| system.digest());
    let labels = custom_reads(asked, "namespaceObject").then_some(&*snapshot.namespace_labels);
    (system.is_some() || labels.is_some()).then(|| json!({"labels": labels, "system": system}))
}

/// What the evidence of a release was made of when it was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Content digest of the release.
    pub content: String,
    /// Class of the system.
    pub class: String,
    /// Digest of why it has this class.
    pub class_basis: String,
    /// The current assessment, where there is exactly one that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Part>,
    /// Reports on the release's artefacts that the policies ask for, on its evaluation datasets, sorted: those that are
    /// judged; all of them where a gate of a policy's author reads reports. Whoever adds another one asks nobody to approve again. None: they were too many to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<Vec<Part>>,
    /// Datasets of what the release names, each with the digest of what it says, sorted, where the policies ask about data. None: they do not, or they were too many to be
    /// kept, and so `reports` are not kept either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasets: Option<Vec<Part>>,
    /// Digest of what the policies ask for.
    pub requirements: String,
    /// Releases that it names as the one before and the one to go back to, where policies ask about changes. Part of the digest
    /// of the requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Part>,
    /// The policies that apply. Their digests are not digested: the requirements that they come to are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<Part>>,
    /// The system, by the digest of its content. Not digested: class and requirements say what matters of it.
    pub system: Part,
    /// Residual levels of the assessment, by risk. Not digested, since they may rise by time alone, and what has risen waits for
    /// its acceptance; whoever approved at a higher level than that of now is asked again ([`Evidence::fallen`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub residual: BTreeMap<String, Level>,
}

/// What several objects say together.
fn said(parts: &[Part]) -> BTreeSet<&str> {
    parts.iter().map(|part| part.digest.as_str()).collect()
}

/// An object by name and content digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its content digest; empty if it cannot be digested.
    pub digest: String,
}

impl Part {
    fn of<S>(object: &Object<S>) -> Self {
        Self { name: object.name().to_owned(), digest: object.digest().to_owned() }
    }
}

impl Evidence {
    /// That of now; None while something that it is made of is not known. `class_basis` and `requirements` are digests, and
    /// empty if they are not known.
    pub(crate) fn of(cx: &Context<'_>, class_basis: &str, requirements: &str) -> Option<Self> {
        let asked = cx.requirements?;
        let (release, release_spec) = cx.release?;
        let (system, system_spec) = cx.system?;
        let class = cx.class()?;
        if class_basis.is_empty() || requirements.is_empty() {
            return None;
        }
        let mut named: Vec<Part> = Vec::new();
        if asked.life_cycle.change.is_some() {
            let all = release_spec.previous.iter().chain(&release_spec.rollback_target);
            named.extend(all.filter_map(|name| change::named(cx.snapshot, name)).map(Part::of));
            named.sort();
            named.dedup();
        }
        let requirements = applied(asked, requirements, (system, system_spec), (&named, cx.snapshot))?;
        let evaluation = release_spec.datasets.iter().flatten().filter(|d| d.use_ == DatasetUse::Evaluation);
        let evaluation: BTreeSet<&str> = evaluation.map(|d| d.digest.as_str()).collect();
        let all = custom_reads(asked, "reports");
        let judged = |report: &TestReportSpec| {
            all || evaluation.contains(report.dataset.as_str())
                && asked.tests.iter().any(|t| t.rule.type_ == report.type_)
        };
        // Nothing else remembers a report that only such a gate reads: whoever deletes it does not unsay it.
        let there = |r: &Object<TestReportSpec>| r.live || all;
        let reports = cx.snapshot.reports.iter().filter(|r| there(r) && r.spec.as_ref().is_ok_and(judged));
        let mut reports: Vec<Part> = reports.map(|r| Part::of(r)).collect();
        reports.sort();
        let of_release = |d: &&Arc<Object<DatasetSpec>>| d.live && d.is_of_content(release_spec);
        let datasets = asked.data.as_ref().map(|_| {
            let all = cx.snapshot.datasets.iter().filter(of_release);
            // By what each says: the same words under another name ask nobody again.
            let says = |d: &Object<DatasetSpec>| digest::dataset(&d.record.spec.value()).unwrap_or_default();
            let mut datasets: Vec<Part> =
                all.map(|d| Part { name: d.name().to_owned(), digest: says(d) }).collect();
            datasets.sort();
            datasets
        });
        let policies = asked.policies.iter();
        let policies = policies.map(|(name, digest)| Part { name: name.clone(), digest: digest.clone() });
        let scores = cx.scores.into_iter().flatten();
        Some(Self {
            content: release.digest().to_owned(),
            class: class.to_string(),
            class_basis: class_basis.to_owned(),
            assessment: cx.assessment.map(|(a, _)| Part::of(a)),
            reports: Some(reports),
            datasets,
            requirements,
            named,
            policies: Some(policies.collect()),
            system: Part::of(system),
            residual: scores.map(|s| (s.id.clone(), s.residual)).collect(),
        })
    }

    /// The digest that approvals of evidence name.
    ///
    /// # Errors
    /// There is no canonical form.
    pub fn digest(&self) -> Result<String, digest::DigestError> {
        let reports: Vec<&str> = self.reports.iter().flatten().map(|r| r.digest.as_str()).collect();
        let datasets =
            self.datasets.as_ref().map(|all| all.iter().map(|d| d.digest.as_str()).collect::<Vec<_>>());
        digest::evidence(&EvidenceParts {
            content: &self.content,
            class: &self.class,
            class_basis: &self.class_basis,
            assessment: self.assessment.as_ref().map(|a| a.digest.as_str()),
            datasets: datasets.as_deref(),
            reports: &reports,
            requirements: &self.requirements,
        })
    }

    /// Risks whose residual level is lower now than it was then, with both levels: what a control names as evidence may appear
    /// after somebody approved what was still to be accepted.
    pub fn fallen<'a>(&'a self, now: &'a [Score]) -> impl Iterator<Item = (&'a str, Level, Level)> {
        now.iter().filter_map(|score| {
            let was = *self.residual.get(&score.id)?;
            (score.residual < was).then_some((score.id.as_str(), was, score.residual))
        })
    }

    /// As a stamp keeps it: lists that are too long are left out, and what changed in them is then said of all of them.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let fits = |list: &Vec<Part>| list.len() <= MAX_LISTED;
        if self.datasets.as_ref().is_some_and(|all| !fits(all)) {
            (self.datasets, self.reports) = (None, None);
        }
        self.reports = self.reports.filter(fits);
        self.policies = self.policies.filter(fits);
        if self.residual.len() > MAX_LISTED {
            self.residual.clear();
        }
        self
    }
}

/// What changed, in words, and what the words name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// One for each object.
    pub texts: Vec<String>,
    /// Names and digests in them.
    pub about: Vec<String>,
}

impl Changes {
    fn add(&mut self, text: String, about: impl IntoIterator<Item = String>) {
        self.texts.push(text);
        self.about.extend(about);
    }

    /// In words, at most a dozen; empty if nothing is known to have changed.
    pub fn in_words(&self) -> String {
        let mut text = self.texts.iter().take(MAX_CHANGES).cloned().collect::<Vec<_>>().join("; ");
        if self.texts.len() > MAX_CHANGES {
            text = format!("{text}; and {} more", self.texts.len() - MAX_CHANGES);
        }
        text
    }
}

/// What changed between the evidence that somebody approved and that of now. Former versions are those that the snapshot
/// holds: of one that is not among them it is said that it changed, and not in which fields.
pub fn changes(then: &Evidence, now: &Evidence, snapshot: &Snapshot) -> Changes {
    let mut out = Changes::default();
    if then.content != now.content {
        let old = find(&snapshot.former, |o| o.digest() == then.content);
        let new = snapshot.release.as_ref().map(|r| &r.record);
        out.add(format!("the release's content{}", fields(old, new, &[])), []);
    }
    let by_class = then.class != now.class;
    if by_class {
        out.add(format!("the class, {} then and {} now", then.class, now.class), []);
    }
    if then.class_basis != now.class_basis
        || (then.requirements != now.requirements && then.system != now.system)
    {
        let old = find(&snapshot.former_systems, |o| o.digest() == then.system.digest);
        let new = snapshot.system.as_ref().map(|s| &s.record);
        let of = fields(old, new, DECIDES);
        // Where neither is known to differ in what the class follows from, the policies differ, and are named below.
        if !of.is_empty() || (then.class_basis != now.class_basis && !by_class) {
            out.add(format!("system {}{of}", now.system.name), [now.system.name.clone()]);
        }
    }
    assessment(then, now, snapshot, &mut out);
    match (&then.reports, &now.reports) {
        (Some(then), Some(now)) => listed("report", then, now, &mut out, &|_, _| String::new()),
        _ => out.add("one of the reports".to_owned(), []),
    }
    match (&then.datasets, &now.datasets) {
        // The same words under another name are no change.
        (Some(then), Some(now)) if said(then) == said(now) => {}
        (Some(then), Some(now)) => listed("dataset", then, now, &mut out, &|_, _| String::new()),
        // Whether they are asked about is part of what is asked, of which it is said below.
        _ if then.datasets == now.datasets || then.requirements != now.requirements => {}
        _ => out.add("one of the datasets".to_owned(), []),
    }
    listed("release", &then.named, &now.named, &mut out, &|_, _| String::new());
    if then.requirements != now.requirements {
        let fields_of = |old: &Part, new: &Part| {
            let version =
                find(&snapshot.former_policies, |o| o.name() == old.name && o.digest() == old.digest);
            let live = find(&snapshot.policies, |o| o.name() == new.name && o.digest() == new.digest);
            let of_before = snapshot.basis.as_ref();
            let live =
                live.or_else(|| find(of_before?, |o| o.name() == new.name && o.digest() == new.digest));
            fields(version, live, &[])
        };
        match (&then.policies, &now.policies) {
            (Some(then), Some(now)) => listed("policy", then, now, &mut out, &fields_of),
            _ => out.add("what the policies ask for".to_owned(), []),
        }
    }
    out
}

fn assessment(then: &Evidence, now: &Evidence, snapshot: &Snapshot, out: &mut Changes) {
    match (&then.assessment, &now.assessment) {
        (Some(a), Some(b)) if a.digest == b.digest => {}
        (Some(a), Some(b)) if a.name == b.name => {
            let version = |part: &Part, live: bool| {
                find(&snapshot.assessments, |o| {
                    o.name() == part.name && o.digest() == part.digest && (o.live || !live)
                })
            };
            let of = fields(version(a, false), version(b, true), &[]);
            out.add(format!("assessment {}{of}", b.name), [b.name.clone()]);
        }
        (Some(a), Some(b)) => {
            let about = [a.name.clone(), b.name.clone()];
            out.add(format!("assessment {} in place of {}", b.name, a.name), about);
        }
        (Some(a), None) => {
            let text = format!("assessment {}, which is no longer the one that counts", a.name);
            out.add(text, [a.name.clone()]);
        }
        (None, Some(b)) => out.add(format!("assessment {} added", b.name), [b.name.clone()]),
        (None, None) => {}
    }
}

/// What was added to, taken from and changed in a list of objects.
fn listed(
    what: &str,
    then: &[Part],
    now: &[Part],
    out: &mut Changes,
    fields: &dyn Fn(&Part, &Part) -> String,
) {
    let by_name =
        |list: &[Part]| list.iter().map(|p| (p.name.clone(), p.clone())).collect::<BTreeMap<_, _>>();
    let (then, now) = (by_name(then), by_name(now));
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    for name in names {
        let text = match (then.get(name), now.get(name)) {
            (Some(a), Some(b)) if a.digest == b.digest => continue,
            (Some(a), Some(b)) => format!("{what} {name}{}", fields(a, b)),
            (None, _) => format!("{what} {name} added"),
            (_, None) => format!("{what} {name}, which is gone or no longer applies"),
        };
        out.add(text, [name.clone()]);
    }
}

/// The first version that fits.
fn find<S>(all: &[Arc<Object<S>>], fits: impl Fn(&Object<S>) -> bool) -> Option<&Record> {
    all.iter().find(|o| fits(o)).map(|o| &o.record)
}

/// `: spec.a, spec.b` of the fields that differ between two versions, of those below `only` if it names any; empty if one is
/// not there or none differs.
fn fields(old: Option<&Record>, new: Option<&Record>, only: &[&str]) -> String {
    let (Some(old), Some(new)) = (old, new) else { return String::new() };
    let (mut old, mut new) = (old.spec.value(), new.spec.value());
    if !only.is_empty() {
        for spec in [&mut old, &mut new] {
            let kept = only.iter().filter_map(|path| {
                let field = path.strip_prefix("spec.")?;
                Some((field.to_owned(), spec.get(field)?.clone()))
            });
            *spec = Value::Object(kept.collect());
        }
    }
    let changed = changed_fields(&old, &new, MAX_FIELDS + 1);
    let more = if changed.len() > MAX_FIELDS { ", and others" } else { "" };
    let named: Vec<&str> = changed.iter().take(MAX_FIELDS).map(String::as_str).collect();
    if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) }
}
