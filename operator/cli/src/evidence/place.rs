//! The operator's log, through the API server's service proxy. RBAC on two Secrets decides who reads the log and who
//! reads names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use anyhow::bail;
use placet_evidence::Source;
use serde_json::Value;

use crate::cluster::{Cluster, Operator, Refused};
use crate::{sys, text};

/// Header with the token of those who read the log.
const READER: &str = "x-placet-reader";
/// Header with the token of those who read names, beside the other.
const NAMES: &str = "x-placet-names";

/// The log of the operator on a cluster.
pub struct ClusterLog<'a> {
    cluster: &'a Cluster,
    token: String,
    names: Option<String>,
    near: RefCell<Near>,
    progress: RefCell<sys::Progress>,
}

/// Files that were got ahead of being read. They are forgotten when there are too many of a kind.
#[derive(Default)]
struct Near {
    /// Objects.
    objects: BTreeMap<String, Option<Vec<u8>>>,
    /// All others.
    others: BTreeMap<String, Option<Vec<u8>>>,
    got: usize,
}

impl Near {
    fn of(&mut self, path: &str) -> &mut BTreeMap<String, Option<Vec<u8>>> {
        if path.starts_with("objects/") { &mut self.objects } else { &mut self.others }
    }
}

/// Bytes of each kind that are held, and that are got at a time.
const MOST_NEAR: usize = 64 << 20;

/// Whether a path is of openings, which are erased and added: what was got before says nothing.
fn openings(path: &str) -> bool {
    path.starts_with("openings/")
}

impl<'a> ClusterLog<'a> {
    /// Gets the readers' tokens.
    ///
    /// # Errors
    /// The log may not be read.
    pub fn open(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let token = match cluster.token("read-log")? {
            Ok(token) => token,
            Err(why) if role_gone(cluster, &why) || gone(cluster)? => bail!("{}", removed(cluster, &why)),
            Err(why) => bail!(
                "the evidence log may not be read: {why}; wanted the rights of the Role {0}-read-log in namespace {1}, which \
                 the platform team binds while Placet is installed, or a copy of the log (--dir)",
                cluster.operator.release,
                cluster.operator.namespace
            ),
        };
        let names = match cluster.token("read-names")? {
            Ok(token) => Some(token),
            Err(why) => {
                sys::tell(&format!("note: people are shown as tokens: {why}"));
                None
            }
        };
        Ok(Self {
            cluster,
            token,
            names,
            near: RefCell::default(),
            progress: RefCell::new(sys::Progress::new()),
        })
    }

    /// Headers of a request for a file; nothing where it may not be read.
    fn headers(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let mut headers = vec![(READER, self.token.clone())];
        if openings(path) {
            headers.push((NAMES, self.names.clone()?));
        }
        Some(headers)
    }

    /// Namespace that names without one mean.
    pub fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    /// The head that the operator keeps outside its volume, as JSON; nothing when it cannot be read.
    pub fn head(&self) -> Option<String> {
        let head = self.cluster.log_head().ok()?;
        head.pointer("/data/head").and_then(Value::as_str).map(str::to_owned)
    }
}

/// Whether the operator's Service is gone, as far as that may be looked at: with it everything that the chart brought.
fn gone(cluster: &Cluster) -> anyhow::Result<bool> {
    let Operator { namespace, release } = &cluster.operator;
    match cluster.get_path(&format!("/api/v1/namespaces/{namespace}/services/{release}")) {
        Ok(found) => Ok(found.is_none()),
        // Who reads the log need not be allowed to look at Services.
        Err(e) if e.downcast_ref::<Refused>().is_some() => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the API server's refusal says that the Role is gone, which somebody is still bound to.
fn role_gone(cluster: &Cluster, why: &str) -> bool {
    why.contains(&format!("\"{}-read-log\" not found", cluster.operator.release))
}

/// What is left of an installation that is gone, and how to read its log.
fn removed(cluster: &Cluster, why: &str) -> String {
    let Operator { namespace, release } = &cluster.operator;
    format!(
        "Placet is not installed as {release} in namespace {namespace} ({why}), so nobody answers for its log. If it was \
         uninstalled, the log still lies on the volume of the claim log-{release}-0, in the directory log, and its public \
         key and head in the ConfigMap {release}-log-head (both in namespace {namespace}). To read it, install again \
         under the same name, which goes on with the same log; or mount the claim read-only into a pod, copy the \
         directory out (kubectl cp) and give it: placet evidence verify DIR, or --dir DIR. If it is installed elsewhere: \
         --operator-namespace, --operator-release"
    )
}

impl Source for ClusterLog<'_> {
    fn expect(&self, paths: &[String]) -> bool {
        let mut near = self.near.borrow_mut();
        let Some(first) = paths.first() else { return true };
        let held: usize = near.of(first).values().flatten().map(Vec::len).sum();
        if held > MOST_NEAR {
            near.of(first).clear();
        }
        let new = paths.iter().filter(|path| openings(path) || !near.of(path).contains_key(*path));
        let new: Vec<&String> = new.collect();
        let wanted = new.iter().filter_map(|path| Some(((*path).clone(), self.headers(path)?))).collect();
        let mut progress = self.progress.borrow_mut();
        self.cluster.log_files(wanted, MOST_NEAR, &mut |path, bytes| {
            near.of(&path).insert(path, bytes);
            near.got += 1;
            progress.tell(|| format!("{} files of the log read", near.got));
        });
        true
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(headers) = self.headers(path) else { return Ok(None) };
        if let Some(found) = self.near.borrow_mut().of(path).get(path) {
            return Ok(found.clone());
        }
        let cluster = self.cluster;
        let told = |e: anyhow::Error| {
            // A proxy without a Service answers as one without the file, or that nobody stands behind it.
            let why = text::chain(&e);
            io::Error::other(if gone(cluster).unwrap_or(false) { removed(cluster, &why) } else { why })
        };
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match cluster.log_file(path, &headers) {
            Ok(None) if path == "checkpoint" && gone(cluster).unwrap_or(false) => {
                let why = format!("there is no Service {}", cluster.operator.release);
                Err(io::Error::other(removed(cluster, &why)))
            }
            other => other.map_err(told),
        }
    }
}
