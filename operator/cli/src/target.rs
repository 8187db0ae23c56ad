//! KIND/NAME, as people write it.

use anyhow::{anyhow, bail};
use placet_api::Kind;

/// A workload kind whose release can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Kind as in the API.
    pub kind: &'static str,
    /// Prefix of its URLs.
    pub api: &'static str,
    /// Plural, as in URLs.
    pub plural: &'static str,
    /// Other spellings.
    names: &'static [&'static str],
}

const WORKLOADS: [Workload; 8] = [
    Workload { kind: "Pod", api: "/api/v1", plural: "pods", names: &["pod", "po"] },
    Workload {
        kind: "Deployment",
        api: "/apis/apps/v1",
        plural: "deployments",
        names: &["deployment", "deploy"],
    },
    Workload {
        kind: "StatefulSet",
        api: "/apis/apps/v1",
        plural: "statefulsets",
        names: &["statefulset", "sts"],
    },
    Workload { kind: "DaemonSet", api: "/apis/apps/v1", plural: "daemonsets", names: &["daemonset", "ds"] },
    Workload {
        kind: "ReplicaSet",
        api: "/apis/apps/v1",
        plural: "replicasets",
        names: &["replicaset", "rs"],
    },
    Workload {
        kind: "ReplicationController",
        api: "/api/v1",
        plural: "replicationcontrollers",
        names: &["replicationcontroller", "rc"],
    },
    Workload { kind: "Job", api: "/apis/batch/v1", plural: "jobs", names: &["job"] },
    Workload { kind: "CronJob", api: "/apis/batch/v1", plural: "cronjobs", names: &["cronjob", "cj"] },
];

/// What somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One of our objects.
    Ours(Kind, String),
    /// A workload.
    Workload(Workload, String),
}

/// The kind of ours with this spelling: `mr`, `modelrelease`, `modelreleases`, `modelreleases.placet.dev`.
pub fn kind(text: &str) -> Option<Kind> {
    let text = text.to_lowercase();
    let text = text.strip_suffix(".placet.dev").unwrap_or(&text);
    Kind::ALL
        .into_iter()
        .find(|k| [k.short(), k.plural()].contains(&text) || k.as_str().eq_ignore_ascii_case(text))
}

/// Reads KIND/NAME; a name without a kind is a ModelRelease.
///
/// # Errors
/// An unknown kind, or a name that no object can have.
pub fn parse(text: &str) -> anyhow::Result<Target> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (prefix, name),
        None => ("mr", text),
    };
    name_of(name)?;
    if let Some(kind) = kind(prefix) {
        return Ok(Target::Ours(kind, name.to_owned()));
    }
    let lower = prefix.to_lowercase();
    let plain = lower.split('.').next().unwrap_or_default();
    WORKLOADS
        .into_iter()
        .find(|w| w.plural == plain || w.names.contains(&plain))
        .map(|w| Target::Workload(w, name.to_owned()))
        .ok_or_else(|| {
            let ours: Vec<&str> = Kind::ALL.iter().map(|k| k.short()).collect();
            let theirs: Vec<&str> = WORKLOADS.iter().filter_map(|w| w.names.first().copied()).collect();
            anyhow!(
                "{text}: wanted KIND/NAME with a kind of {} or {}, found the kind {prefix:?}",
                ours.join(", "),
                theirs.join(", ")
            )
        })
}

/// One of our kinds among those that a command takes.
///
/// # Errors
/// Another kind.
pub fn ours(text: &str, kinds: &[Kind]) -> anyhow::Result<(Kind, String)> {
    match parse(text)? {
        Target::Ours(kind, name) if kinds.contains(&kind) => Ok((kind, name)),
        _ => {
            let wanted: Vec<String> = kinds.iter().map(|k| format!("{}/NAME", k.short())).collect();
            bail!("{text}: wanted {}", wanted.join(" or "))
        }
    }
}

/// Checks a name before it becomes part of a URL.
///
/// # Errors
/// It is no Kubernetes object name.
pub fn name_of(name: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() <= 253
        && name.chars().all(plain)
        && ends(name.chars().next())
        && ends(name.chars().next_back())
    {
        return Ok(());
    }
    bail!(
        "wanted the name of an object (lower-case letters, digits, '-' and '.', at most 253), found {name:?}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_release() {
        for text in [
            "m-1.0",
            "mr/m-1.0",
            "modelrelease/m-1.0",
            "ModelRelease/m-1.0",
            "modelreleases.placet.dev/m-1.0",
        ] {
            assert_eq!(parse(text).unwrap(), Target::Ours(Kind::ModelRelease, "m-1.0".into()), "{text}");
        }
    }

    #[test]
    fn workloads_and_what_is_none() {
        assert!(matches!(parse("deploy/x").unwrap(), Target::Workload(w, _) if w.kind == "Deployment"));
        assert!(
            matches!(parse("deployments.apps/x").unwrap(), Target::Workload(w, _) if w.kind == "Deployment")
        );
        for bad in ["mr/../../secrets", "mr/", "service/x", "mr/a b", "mr/A"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let e = ours("ia/x", &[Kind::ModelRelease]).unwrap_err().to_string();
        assert!(e.contains("wanted mr/NAME"), "{e}");
    }
}
