//! A cluster that is somebody else's.

use std::path::Path;
use std::process::Stdio;

use kube::config::Kubeconfig;
use tokio::process::Command;

use super::{Cluster, Kind, random_name};
use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;
use crate::mounts::View;
use crate::people::PEOPLE;
use crate::toolchain::Toolchain;

impl Cluster {
    /// Somebody else's cluster, by an administrator's kubeconfig that may impersonate. The people become impersonated
    /// users; what needs our own machine is skipped, and the skip is noted.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read or the API server does not answer.
    pub async fn attach(kubeconfig: &Path) -> Result<Self> {
        let tools = Toolchain::ensure().await?;
        let dir = std::env::temp_dir().join(format!("placet-attached-{}", random_name()?));
        let layout = Layout::new(dir)?;
        layout.make()?;
        let binary = files::sibling("placet-cluster")?;
        let mut reaper = Command::new(&binary)
            .arg("reap")
            .arg(layout.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("starting {}", binary.display())))?;
        let lifeline = reaper.stdin.take();
        let Some(lifeline) = lifeline else {
            return Err(Error::unmet("a pipe to the reaper", "none", "this is a defect of the harness"));
        };
        let base = Kubeconfig::read_from(kubeconfig).map_err(|error| {
            Error::unmet(
                format!("a kubeconfig in {}", kubeconfig.display()),
                error.to_string(),
                "correct E2E_KUBECONFIG",
            )
        })?;
        for who in PEOPLE {
            let mut config = base.clone();
            // `admin` is the kubeconfig's own user; the others are impersonated by it.
            if who.name != "admin" {
                for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
                    user.impersonate = Some(who.name.to_owned());
                    user.impersonate_groups = Some(
                        who.groups.iter().chain(&["system:authenticated"]).map(ToString::to_string).collect(),
                    );
                }
            }
            // JSON is YAML.
            let text = serde_json::to_string(&config).map_err(|error| {
                Error::unmet("a kubeconfig", error.to_string(), "this is a defect of the harness")
            })?;
            files::write(&layout.kubeconfig(who.name), text, 0o600)?;
        }
        files::write(&layout.settings("real-node-values.yaml"), "{}\n", 0o644)?;
        let path =
            files::sibling("placet-cluster").ok().and_then(|file| file.parent().map(Path::to_path_buf));
        let cluster = Self {
            layout,
            tools,
            kind: Kind::Foreign { _lifeline: lifeline },
            path: path.into_iter().collect(),
            guard: binary,
            view: View::Shared("the cluster of E2E_KUBECONFIG is not ours".into()),
        };
        let client = cluster.client("admin").await?;
        client
            .apiserver_version()
            .await
            .map_err(Error::api("asking the cluster of E2E_KUBECONFIG for its version"))?;
        let bind = [
            "create",
            "clusterrolebinding",
            "root-admin",
            "--clusterrole=cluster-admin",
            "--user=root-admin",
            "--dry-run=client",
            "-o=yaml",
        ];
        let binding = cluster.kubectl("admin", bind).await?.ok()?;
        cluster.kubectl_with_input("admin", ["apply", "-f", "-"], &binding).await?.ok()?;
        Ok(cluster)
    }
}
