//! A release with what belongs to it, each read once: what is shown is what is digested.

use std::collections::BTreeSet;

use anyhow::bail;
use placet_api::Kind;
use placet_gate::digest::{self, EvidenceParts};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::text;

/// What belongs to a release, or why it could not be read.
#[derive(Debug)]
pub struct Around {
    /// Assessments of its system.
    pub assessments: Result<Vec<Value>, String>,
    /// Reports on its artefacts.
    reports: Result<Vec<Value>, String>,
    /// Datasets of what it names.
    datasets: Result<Vec<Value>, String>,
    /// All releases of its system.
    pub releases: Result<Vec<Value>, String>,
}

fn text_at<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Types of reports of which any may be asked for: 2 to the power of it are tried.
const TYPES: usize = 8;

/// Digests of the reports that evidence may be made of. Which types the policies ask for is not known here: those of some types on
/// datasets for evaluation, or all on the artefacts where a policy's own gate reads them.
fn of_some_types<'a>(release: &Value, reports: &[(&Value, &'a str)]) -> Vec<Vec<&'a str>> {
    let named = release.pointer("/spec/datasets").and_then(Value::as_array).into_iter().flatten();
    let evaluation = named.filter(|d| text_at(d, "/use") == "Evaluation").map(|d| text_at(d, "/digest"));
    let evaluation: Vec<&str> = evaluation.collect();
    let on: Vec<&(&Value, &str)> =
        reports.iter().filter(|(r, _)| evaluation.contains(&text_at(r, "/spec/dataset"))).collect();
    let types: BTreeSet<&str> = on.iter().map(|(r, _)| text_at(r, "/spec/type")).collect();
    let types: Vec<&str> = types.into_iter().take(TYPES).collect();
    let mut out = vec![reports.iter().map(|(_, digest)| *digest).collect()];
    for some in 0..1_usize << types.len() {
        let asked = |r: &Value| {
            let place = types.iter().position(|t| *t == text_at(r, "/spec/type"));
            place.is_some_and(|place| some >> place & 1 == 1)
        };
        out.push(on.iter().filter(|(r, _)| asked(r)).map(|(_, digest)| *digest).collect());
    }
    out
}

impl Around {
    /// Reads it.
    pub fn read(cluster: &Cluster, release: &Value) -> Self {
        let system = text_at(release, "/spec/system");
        let list = |kind, of_it: &dyn Fn(&Value) -> bool| {
            let all = cluster.list(kind, &cluster.namespace).map_err(|e| text::chain(&e))?;
            let there = |o: &Value| o.pointer("/metadata/deletionTimestamp").is_none();
            Ok(all.into_iter().filter(|o| there(o) && of_it(o)).collect())
        };
        let of_system = |o: &Value| text_at(o, "/spec/system") == system;
        let artifacts = release.pointer("/spec/artifacts").and_then(Value::as_array);
        let artifacts: Vec<&str> = artifacts.into_iter().flatten().map(|a| text_at(a, "/digest")).collect();
        let named = release.pointer("/spec/datasets").and_then(Value::as_array);
        let named: Vec<&str> = named.into_iter().flatten().map(|d| text_at(d, "/digest")).collect();
        Self {
            assessments: list(Kind::ImpactAssessment, &of_system),
            reports: list(Kind::TestReport, &|o| artifacts.contains(&text_at(o, "/spec/artifact"))),
            datasets: list(Kind::Dataset, &|o| named.contains(&text_at(o, "/spec/digest"))),
            releases: list(Kind::ModelRelease, &of_system),
        }
    }

    /// The evidence digest that the release's status shows, once what was read is seen to be what it is made of: what a
    /// person is shown is what they decide on.
    ///
    /// # Errors
    /// There is none for this content, something could not be read, or something changed meanwhile.
    pub fn evidence(&self, release: &Value, namespace: &str, name: &str) -> anyhow::Result<String> {
        let shown = super::evidence_shown(release, namespace, name)?;
        let read = |what: &Result<Vec<Value>, String>, kind: Kind| -> anyhow::Result<Vec<String>> {
            let all = what.as_ref();
            let all =
                all.map_err(|why| anyhow::anyhow!("what the evidence is made of was not read: {why}"))?;
            let digest = |o: &Value| {
                let spec = o.get("spec").unwrap_or(&Value::Null);
                let name = text_at(o, "/metadata/name");
                match kind {
                    Kind::Dataset => digest::dataset(spec),
                    _ => digest::content(kind, Some(namespace), name, spec),
                }
                .unwrap_or_default()
            };
            Ok(all.iter().map(digest).collect())
        };
        let digests = read(&self.reports, Kind::TestReport)?;
        let reports = self.reports.iter().flatten().zip(digests.iter().map(String::as_str));
        let choices = of_some_types(release, &reports.collect::<Vec<_>>());
        let assessments = read(&self.assessments, Kind::ImpactAssessment)?;
        let mut assessments: Vec<Option<&str>> = assessments.iter().map(|a| Some(a.as_str())).collect();
        assessments.push(None);
        let same = |assessment: Option<&str>, datasets: Option<&[&str]>, reports: &[&str]| {
            let made = digest::evidence(&EvidenceParts {
                content: text_at(release, "/status/digests/content"),
                class: text_at(release, "/status/class"),
                class_basis: text_at(release, "/status/digests/classBasis"),
                assessment,
                datasets,
                reports,
                requirements: text_at(release, "/status/digests/requirements"),
            });
            made.is_ok_and(|d| d == shown)
        };
        let any = |datasets: Option<&[&str]>| {
            choices.iter().any(|reports| assessments.iter().any(|one| same(*one, datasets, reports)))
        };
        // Datasets are part of it where a policy asks about data; elsewhere nobody needs to read them.
        let made = any(None) || {
            let datasets = read(&self.datasets, Kind::Dataset)?;
            any(Some(&datasets.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        if !made {
            bail!(
                "mr/{name}: wanted a status that was made of the assessment, the reports and the datasets as they are now, \
                 found another: one of them changed just now; run it again"
            );
        }
        Ok(shown)
    }
}
