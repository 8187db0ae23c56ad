//! What differs between a release and the one of its system that was cleared last.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::Kind;
use placet_api::keys::STAMP;
use serde::Serialize;
use serde_json::Value;

use super::around::Around;
use crate::cluster::Cluster;
use crate::text::{self, Page};

/// What differs. What people see of it is told, and decides nothing: what is approved is digested.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Since {
    /// The other release.
    release: String,
    /// Whether it is cleared now; otherwise the one before it by name.
    cleared: bool,
    /// Kind of the change, as the release says it.
    change: String,
    class: Pair,
    artifacts: Vec<Differs>,
    datasets: Vec<Differs>,
    /// Residual levels, those of then as the approvals of the other release noted them.
    residual_risks: Vec<Differs>,
    /// Whether the approvals of the other release noted residual levels.
    residual_known: bool,
}

/// Then and now.
#[derive(Debug, Serialize)]
struct Pair {
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
}

/// Something by name that is another than it was, or was not there, or is no more.
#[derive(Debug, Serialize)]
struct Differs {
    name: String,
    #[serde(flatten)]
    pair: Pair,
}

type Named = BTreeMap<String, String>;

/// What differs by name.
fn differences(then: &Named, now: &Named) -> Vec<Differs> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let pair = |name: &String| Pair { then: then.get(name).cloned(), now: now.get(name).cloned() };
    let all = names.into_iter().map(|name| Differs { name: name.clone(), pair: pair(name) });
    all.filter(|d| d.pair.then != d.pair.now).collect()
}

fn field(object: &Value, path: &str) -> Option<String> {
    object.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

fn listed(release: &Value, list: &str) -> Named {
    let items = release.pointer(list).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|i| Some((field(i, "/name")?, field(i, "/digest")?))).collect()
}

/// When a release was cleared, if it is.
fn cleared(release: &Value) -> Option<&str> {
    let conditions = release.pointer("/status/conditions").and_then(Value::as_array)?;
    let cleared = conditions.iter().find(|c| c["type"] == "Cleared" && c["status"] == "True")?;
    let judged = release.pointer("/metadata/generation") == release.pointer("/status/observedGeneration");
    let withdrawn = release.pointer("/spec/withdrawn").and_then(Value::as_bool) == Some(true);
    cleared["lastTransitionTime"].as_str().filter(|_| judged && !withdrawn)
}

impl Since {
    /// Compares with the release of the system that was cleared last and is, or else with the one that is named as the one
    /// before. None if there is neither. `levels` are the residual levels of now.
    ///
    /// # Errors
    /// The releases could not be read.
    pub fn of(
        cluster: &Cluster,
        release: &Value,
        around: &Around,
        levels: &Named,
    ) -> Result<Option<Self>, String> {
        let all = around.releases.as_ref().map_err(Clone::clone)?;
        let this = field(release, "/metadata/name");
        let others = all.iter().filter(|r| field(r, "/metadata/name") != this);
        let named = field(release, "/spec/previous");
        let last = others.clone().filter(|r| cleared(r).is_some()).max_by_key(|r| cleared(r));
        let before = || others.clone().find(|r| named.is_some() && field(r, "/metadata/name") == named);
        let Some(other) = last.or_else(before) else { return Ok(None) };
        let name = field(other, "/metadata/name").unwrap_or_default();
        let then = residual(cluster, &name);
        let pair = |path: &str| Pair { then: field(other, path), now: field(release, path) };
        let differ = |list: &str| differences(&listed(other, list), &listed(release, list));
        Ok(Some(Self {
            cleared: cleared(other).is_some(),
            change: field(release, "/spec/change/kind").unwrap_or_default(),
            class: pair("/status/class"),
            artifacts: differ("/spec/artifacts"),
            datasets: differ("/spec/datasets"),
            residual_known: then.is_some(),
            residual_risks: then.map(|then| differences(&then, levels)).unwrap_or_default(),
            release: name,
        }))
    }

    /// Adds it to what is shown.
    pub fn show(&self, out: &mut Page) {
        let what = if self.cleared {
            "the release that was cleared last"
        } else {
            "the release before, not cleared"
        };
        out.add(2, &format!("since {}, {what}, a change of kind {}:", self.release, self.change));
        let parts = [("artefact", &self.artifacts), ("dataset", &self.datasets)];
        for (what, list) in parts {
            for differs in list {
                out.add(4, &differs.in_words(what, &text::short));
            }
        }
        if parts.iter().all(|(_, list)| list.is_empty()) {
            out.add(4, "the same artefacts and datasets");
        }
        if self.class.then == self.class.now {
            out.add(4, "the same class");
        } else {
            out.add(4, &format!("class {}", self.class.in_words(&|level| level.to_owned())));
        }
        for differs in &self.residual_risks {
            out.add(4, &differs.in_words("residual risk", &|level| level.to_owned()));
        }
        if !self.residual_known {
            out.add(4, "its residual risks of then are not noted in any approval");
        } else if self.residual_risks.is_empty() {
            out.add(4, "the same residual risks");
        }
    }
}

impl Pair {
    fn in_words(&self, short: &dyn Fn(&str) -> String) -> String {
        match (&self.then, &self.now) {
            (Some(then), Some(now)) => format!("{} then, {} now", short(then), short(now)),
            (None, Some(now)) => format!("added: {}", short(now)),
            (Some(then), None) => format!("{} then, gone now", short(then)),
            (None, None) => "not known".into(),
        }
    }
}

impl Differs {
    fn in_words(&self, what: &str, short: &dyn Fn(&str) -> String) -> String {
        format!("{what} {} {}", self.name, self.pair.in_words(short))
    }
}

/// Residual levels that the newest Approve of a release notes in its stamp.
fn residual(cluster: &Cluster, release: &str) -> Option<Named> {
    let approvals = cluster.list(Kind::Approval, &cluster.namespace).ok()?;
    let of_it = |a: &&Value| {
        let is = |path: &str, wanted: &str| a.pointer(path).and_then(Value::as_str) == Some(wanted);
        is("/spec/subject/kind", "ModelRelease")
            && is("/spec/subject/name", release)
            && is("/spec/decision", "Approve")
    };
    let stamps = approvals.iter().filter(of_it).filter_map(|a| {
        let stamp = a.pointer("/metadata/annotations")?.get(STAMP)?.as_str()?;
        serde_json::from_str::<Value>(stamp).ok().filter(|s| s["evidence"].is_object())
    });
    let newest = stamps.max_by_key(|s| s["createdAt"].as_str().map(str::to_owned))?;
    let levels = newest["evidence"]["residual"].as_object().cloned().unwrap_or_default();
    Some(levels.into_iter().filter_map(|(id, level)| Some((id, level.as_str()?.to_owned()))).collect())
}
