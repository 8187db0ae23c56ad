//! The story with the operator killed in the middle of each command: what a test asks for. It must come out the same.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use placet_e2e::{Cluster, Output, PodSignal, eventually};

use super::telling::{Told, check, now};

/// How long a command is tried again while the operator comes back, and how long it may take to come back.
const WITHIN: Duration = Duration::from_secs(90);

/// When after a command's begin the operator is killed, in turn, in milliseconds: before it is asked, while it answers,
/// after it has.
const MOMENTS: [u64; 5] = [0, 30, 70, 120, 200];

/// After so many kills the pod is made anew, or the pauses before it is started again grow to seconds.
const FRESH_POD_EVERY: usize = 3;

const NAMESPACE: &str = "placet-system";
const POD: &str = "placet-0";

/// Kills the operator during each command, once it is installed.
#[derive(Debug, Default)]
pub struct Kills {
    done: Mutex<Vec<Kill>>,
}

/// A kill that hit a process.
#[derive(Debug)]
struct Kill {
    /// The step of the story.
    step: usize,
    /// The command, as it is shown.
    command: String,
    /// The process, as the pod's status names it.
    process: String,
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.done();
        write!(f, "The operator was killed {} times, during:", done.len())?;
        done.iter().try_for_each(|kill| write!(f, "\n{}. {}", kill.step, kill.command))
    }
}

impl Kills {
    fn done(&self) -> MutexGuard<'_, Vec<Kill>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something while the operator is killed, again and again until it comes out as told. Before the first kill
    /// there is no operator, and it is done once.
    ///
    /// # Errors
    /// When it cannot be done, or no running operator was hit.
    pub async fn during(
        &self,
        cluster: &Cluster,
        (step, command): (usize, &str),
        told: &Told<'_>,
        doing: impl AsyncFn() -> anyhow::Result<Output>,
    ) -> anyhow::Result<Output> {
        let Some(killed) = self.done().last().map(|kill| kill.process.clone()) else { return doing().await };
        let process = serving(cluster, &killed).await.with_context(|| format!("before `{command}`"))?;
        let begun = now();
        let (output, killed) = tokio::join!(doing(), self.kill(cluster));
        killed.with_context(|| format!("no operator was killed during `{command}`"))?;
        self.done().push(Kill { step, command: command.to_owned(), process });
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

    /// Does once what installs the operator, and kills it as soon as it runs.
    ///
    /// # Errors
    /// When it cannot be done, or the operator did not run.
    pub async fn during_its_start(
        &self,
        cluster: &Cluster,
        (step, command): (usize, &str),
        doing: impl AsyncFn() -> anyhow::Result<Output>,
    ) -> anyhow::Result<Output> {
        let kill = eventually("the operator to run", WITHIN, async || {
            let killed = cluster.signal_pod(NAMESPACE, POD, None, PodSignal::Kill).await;
            killed.map(drop).map_err(|error| error.to_string())
        });
        let (output, killed) = tokio::join!(doing(), kill);
        killed.with_context(|| format!("no operator was killed during `{command}`"))?;
        // It was never ready: the one that will be is another.
        self.done().push(Kill { step, command: command.to_owned(), process: String::new() });
        output
    }

    async fn kill(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let turn = self.done().len();
        let moment = MOMENTS.get(turn % MOMENTS.len()).copied().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let _ours = cluster.signal_pod(NAMESPACE, POD, None, PodSignal::Kill).await?;
        if (turn + 1).is_multiple_of(FRESH_POD_EVERY) {
            let delete = ["delete", "pod", POD, "-n", NAMESPACE, "--wait=false"];
            cluster.kubectl("root-admin", delete).await?.ok()?;
        }
        Ok(())
    }
}

/// The process of an operator that is ready and is not the one that was killed.
async fn serving(cluster: &Cluster, killed: &str) -> anyhow::Result<String> {
    let path = "{.status.containerStatuses[0].containerID} {.status.conditions[?(@.type=='Ready')].status}";
    let found = eventually("an operator that is ready, to be killed", WITHIN, async || {
        let found = cluster.field(NAMESPACE, &format!("pod/{POD}"), path).await?;
        match found.split_once(' ') {
            Some((process, "True")) if process != killed => Ok(process.to_owned()),
            _ => Err(format!("{found:?}")),
        }
    });
    Ok(found.await?)
}
