//! What the gate says of a report under policies that are given as files.

use std::path::Path;

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::aisystem::AISystemSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::testreport::{PositiveMeans, TestReportSpec};
use placet_gate::fairness::Verdict;
use placet_gate::gates::tests::{Trial, names_sets, try_bias};
use placet_gate::object::{Object, Reading};
use placet_gate::people::PeopleKey;
use placet_gate::stamp::ReceiptKeys;
use placet_gate::visible;
use serde::de::DeserializeOwned;

use super::BiasArgs;
use crate::files::{self, Loaded};
use crate::text;

/// What is asked for.
pub struct Asked {
    policies: Vec<Object<ReleasePolicySpec>>,
    system: Option<(String, AISystemSpec)>,
    /// Attribute sets that policies and system name.
    pub sets: Vec<Vec<String>>,
}

/// Reads policies and the system; None where no policy is given.
pub fn read(args: &BiasArgs, namespace: Option<&str>) -> anyhow::Result<Option<Asked>> {
    if args.policies.is_empty() {
        return Ok(None);
    }
    let namespace = Some(namespace.unwrap_or("default"));
    let policies: Vec<Object<ReleasePolicySpec>> = files::load(&args.policies, namespace)?
        .objects
        .iter()
        .filter(|o| o.kind == Kind::ReleasePolicy)
        .map(|o| object(o).map(|(object, _)| object))
        .collect::<anyhow::Result<_>>()?;
    if policies.is_empty() {
        bail!("--policy: wanted at least one ReleasePolicy, found none");
    }
    let system = args.system.as_deref().map(|path| system(path, namespace)).transpose()?;
    let all: Vec<&Object<ReleasePolicySpec>> = policies.iter().collect();
    let sets = names_sets(&all, system.as_ref().map(|(_, s)| s)).map_err(|why| contradicts(&why))?;
    if let Some((name, said)) = &system
        && let Some(evaluation) = &said.evaluation
    {
        let wanted = evaluation.positive_means.unwrap_or(PositiveMeans::Favourable);
        let given = PositiveMeans::from(args.positive_means);
        if wanted != given {
            bail!(
                "--positive-means: wanted {wanted:?}, as AISystem {name} says (favourable: {}), found {given:?}: the report would not \
                 be judged",
                evaluation.favourable_outcome
            );
        }
    }
    Ok(Some(Asked { policies, system, sets }))
}

fn contradicts(why: &[String]) -> anyhow::Error {
    anyhow::anyhow!("--policy: wanted policies that can hold together, found that {}", why.join("; "))
}

fn system(path: &Path, namespace: Option<&str>) -> anyhow::Result<(String, AISystemSpec)> {
    let found = files::load(&[path.to_owned()], namespace)?.objects;
    let systems: Vec<&Loaded> = found.iter().filter(|o| o.kind == Kind::AISystem).collect();
    let [one] = systems.as_slice() else {
        bail!("--system {}: wanted one AISystem, found {}", path.display(), systems.len());
    };
    let (_, spec) = object::<AISystemSpec>(one)?;
    Ok((one.name.clone(), spec))
}

/// An object as the gate reads it, and its spec.
fn object<S: DeserializeOwned + Clone>(loaded: &Loaded) -> anyhow::Result<(Object<S>, S)> {
    let reading = Reading {
        cluster: String::new(),
        cluster_name: None,
        keys: ReceiptKeys::default(),
        // Nobody is looked at.
        people: PeopleKey::new(*b"placet bias"),
    };
    let (record, _) = reading.read(&loaded.value).with_context(|| loaded.place())?;
    let object = Object::<S>::new(record, true);
    match &object.spec {
        Ok(spec) => {
            let spec = spec.clone();
            Ok((object, spec))
        }
        Err(why) => bail!("{}: {}: {why}", loaded.place(), loaded.label()),
    }
}

/// What the gate says.
pub struct Judged {
    /// Each test, on the raw counts.
    pub trials: Vec<Trial>,
    /// The same tests on what is exported, where groups are put together in it.
    pub exported: Vec<Trial>,
    /// In words, for people.
    pub text: String,
    /// Whether all that is asked for holds, on the raw counts and on what is exported.
    pub holds: bool,
}

impl Judged {
    /// Tests that come to another verdict on what is exported: of raw counts, and of these.
    fn others(&self) -> impl Iterator<Item = (&Trial, &Trial)> {
        self.trials.iter().zip(&self.exported).filter(|(t, e)| (t.verdict, t.warns) != (e.verdict, e.warns))
    }

    /// What is to be said where a cluster comes to another verdict.
    pub fn differs(&self) -> Option<String> {
        let (_, one) = self.others().next()?;
        Some(format!(
            "the report that is exported does not say all that was judged here: with small groups put together, a cluster comes \
             to {} where the raw counts come to another verdict ({}); count by fewer attributes or wider values, or write a \
             report for the attributes that are asked for alone",
            word(one),
            one.wanted
        ))
    }
}

impl Asked {
    /// Judges what was counted: `raw` where groups are put together in the report that is exported. `own`: attribute sets
    /// where nobody names any.
    pub fn judge(
        &self,
        raw: Option<&TestReportSpec>,
        exported: &TestReportSpec,
        own: &[Vec<String>],
    ) -> anyhow::Result<Judged> {
        let all: Vec<&Object<ReleasePolicySpec>> = self.policies.iter().collect();
        let system = self.system.as_ref().map(|(_, s)| s);
        let judge = |report: &TestReportSpec| {
            let trials = try_bias(&all, system, report, own).map_err(|why| contradicts(&why))?;
            if trials.is_empty() {
                bail!("--policy: wanted a policy with a test of type Bias, found none that asks for one");
            }
            Ok(trials)
        };
        let trials = judge(raw.unwrap_or(exported))?;
        let exported = if raw.is_some() { judge(exported)? } else { Vec::new() };
        let sets = if self.sets.is_empty() { own } else { &self.sets };
        let names: Vec<String> = sets.iter().map(|set| set.join(" × ")).collect();
        let mut text = format!("verdict of the gate, by {}\n", names.join("; by "));
        if self.sets.is_empty() {
            text.push_str(
                "  (neither the policies nor --system name attribute sets: by those of this command)\n",
            );
        }
        for trial in &trials {
            text.push_str(&lines(trial));
        }
        let holds = trials.iter().chain(&exported).all(holds);
        let mut judged = Judged { trials, exported, text, holds };
        let mut other = String::new();
        for (_, exported) in judged.others() {
            other.push_str(&lines(exported));
        }
        if !other.is_empty() {
            judged.text.push_str("verdict of the gate on what is exported, where it is another one\n");
            judged.text.push_str(&other);
        }
        Ok(judged)
    }
}

/// Whether a test lets a release go on.
fn holds(trial: &Trial) -> bool {
    trial.verdict == Verdict::Pass || (trial.verdict == Verdict::Indeterminate && trial.warns)
}

/// What a test comes to, in words.
fn word(trial: &Trial) -> &'static str {
    match trial.verdict {
        Verdict::Pass => "Pass",
        Verdict::Fail => "Fail",
        Verdict::Indeterminate if trial.warns => "Indeterminate, a warning",
        Verdict::Indeterminate => "Indeterminate, which holds a release",
    }
}

fn lines(trial: &Trial) -> String {
    let verdict = word(trial);
    let width = crate::sys::width();
    let mut out = text::wrap(&format!("{verdict}: {}", trial.wanted), width, "  ", "    ");
    out.push_str(&text::wrap(&visible::line(&trial.found), width, "    ", "      "));
    if let Some(mend) = &trial.mend {
        out.push_str(&text::wrap(&visible::line(mend), width, "    ", "      "));
    }
    out
}
