//! The operator's log, through the API server's service proxy. RBAC on two Secrets decides who reads the log and who
//! reads names.

use std::io;

use anyhow::bail;
use placet_evidence::Source;
use serde_json::Value;

use crate::cluster::Cluster;
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
}

impl<'a> ClusterLog<'a> {
    /// Gets the readers' tokens.
    ///
    /// # Errors
    /// The log may not be read.
    pub fn open(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let token = match cluster.token("read-log")? {
            Ok(token) => token,
            Err(why) => bail!(
                "the evidence log may not be read: {why}; wanted the rights of the Role {0}-read-log in namespace {1}, which \
                 the platform team binds, or a copy of the log (--dir)",
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
        Ok(Self { cluster, token, names })
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

impl Source for ClusterLog<'_> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let mut headers = vec![(READER, self.token.as_str())];
        if path.starts_with("openings/") {
            let Some(names) = &self.names else { return Ok(None) };
            headers.push((NAMES, names));
        }
        self.cluster.log_file(path, &headers).map_err(|e| io::Error::other(text::chain(&e)))
    }
}
