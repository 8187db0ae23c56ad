//! c: from the last approval to the released pod: counted from when the approval is sent until a watch shows the pod
//! without its hold. One after the other, as people approve.

use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::runtime::watcher::{self, Event};
use placet_api::{Kind, keys};

use crate::cluster::{self, Installed};
use crate::report::{Aim, Report};
use crate::stats::{Run, nanos, now};

const NAMESPACE: &str = "bench-held";
/// Longer than any release should take; without a bound a lost one would hold everything up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Objects that are made at once.
const AT_ONCE: usize = 8;

/// Measures releases.
///
/// # Errors
/// When something is refused, or a pod is not released in time.
pub async fn measure(report: &mut Report, installed: &Installed, releases: usize) -> anyhow::Result<()> {
    installed.cluster.namespace(NAMESPACE, &[(keys::ENFORCE, "hold")]).await?;
    installed.minimal_system(NAMESPACE).await?;
    let names: Vec<String> = (0..releases).map(|n| format!("routing-{n:04}")).collect();
    let digests: Vec<String> = futures::stream::iter(&names)
        .map(|name| prepare(installed, name))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let pods: Api<Pod> = Api::namespaced(installed.admin.clone(), NAMESPACE);
    let mut watch = watcher::watcher(pods, watcher::Config::default()).boxed();
    // The first list: from here on nothing is missed.
    while let Some(event) = watch.try_next().await? {
        if matches!(event, Event::InitDone) {
            break;
        }
    }
    let mut run = Run::default();
    for (name, digest) in names.iter().zip(&digests) {
        let since = now();
        installed.approve(NAMESPACE, name, digest).await?;
        let gone = async {
            while let Some(event) = watch.try_next().await? {
                if let Event::Apply(pod) = event
                    && pod.metadata.name.as_ref() == Some(name)
                    && !held(&pod)
                {
                    return Ok(());
                }
            }
            anyhow::bail!("the watch on pods ended")
        };
        tokio::time::timeout(PATIENCE, gone)
            .await
            .with_context(|| format!("{name} was not released in time"))??;
        run.extend(Run::new(vec![nanos(since)], 0.0));
    }
    report.add(format!("c approval to released pod, {releases} p50"), run.millis(500), "ms", None, &[]);
    report.add(
        format!("c approval to released pod, {releases} p99"),
        run.millis(990),
        "ms",
        None,
        &[Aim::AtMost(250.0)],
    );
    Ok(())
}

/// A release and its pod, which is held. Gives the release's digest.
async fn prepare(installed: &Installed, name: &str) -> anyhow::Result<String> {
    installed.minimal_release(NAMESPACE, name).await?;
    let digest = installed.digest(Kind::ModelRelease, NAMESPACE, name, "content").await?;
    let pods: Api<Pod> = Api::namespaced(installed.admin.clone(), NAMESPACE);
    let pod: Pod = serde_json::from_value(cluster::pod(NAMESPACE, name, Some(name)))?;
    let made = pods.create(&PostParams::default(), &pod).await?;
    if !held(&made) {
        anyhow::bail!("wanted pod {name} held, found it without the scheduling gate");
    }
    Ok(digest)
}

fn held(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| gates.iter().any(|gate| gate.name == keys::HOLD_GATE))
}
