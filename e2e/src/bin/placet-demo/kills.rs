//! The story with the operator killed in the middle of each command: what a test asks for. It must come out the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use placet_e2e::{Cluster, Output, PodSignal};

use super::telling::{Told, check, now};

/// How long a command is tried again while the operator comes back.
const WITHIN: Duration = Duration::from_secs(90);

/// When after a command's begin the operator is killed, in turn, in milliseconds: before it is asked, while it answers,
/// after it has.
const MOMENTS: [u64; 5] = [0, 30, 70, 120, 200];

/// After so many kills the pod is made anew, or the pauses before it is started again grow to seconds.
const FRESH_POD_EVERY: usize = 3;

const NAMESPACE: &str = "placet-system";
const POD: &str = "placet-0";

/// Kills the operator during each command.
#[derive(Debug, Default)]
pub struct Kills {
    done: AtomicUsize,
}

impl Kills {
    /// How often it was killed.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Does something while the operator is killed, again and again until it comes out as told.
    pub async fn during(
        &self,
        cluster: &Cluster,
        told: &Told<'_>,
        doing: impl AsyncFn() -> anyhow::Result<Output>,
    ) -> anyhow::Result<Output> {
        let begun = now();
        let (output, killed) = tokio::join!(doing(), self.kill(cluster));
        killed?;
        let mut output = output?;
        // A refusal for want of the operator is none of the story's refusals.
        let wants_operator = |output: &Output| output.stderr.contains("failed calling webhook");
        while wants_operator(&output) || check(&output, told).is_err() {
            if begun.elapsed() > WITHIN {
                return Ok(output);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            output = doing().await?;
        }
        Ok(output)
    }

    async fn kill(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let turn = self.done();
        let moment = MOMENTS.get(turn % MOMENTS.len()).copied().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // Not installed yet, or not yet back from the kill before: then there is nothing to kill.
        if cluster.signal_pod(NAMESPACE, POD, None, PodSignal::Kill).await.is_ok()
            && (self.done.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(FRESH_POD_EVERY)
        {
            let delete = ["delete", "pod", POD, "-n", NAMESPACE, "--wait=false"];
            cluster.kubectl("root-admin", delete).await?.ok()?;
        }
        Ok(())
    }
}
