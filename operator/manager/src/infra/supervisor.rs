//! One owner of every task.
//!
//! A task that ends before it was told to takes the process down with its name and its reason: half an operator is
//! worse than none, because none is restarted. On SIGTERM the tasks stop in the order of their [`Phase`]: first what
//! takes in new work, then what works, last what the others rest on (the log, the health page).

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// When a task is told to stop. Earlier phases have ended, or have used up their share of the deadline, before the
/// next is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What takes in new work: the admission server.
    Intake,
    /// What works: watches, controllers, effects, the lease.
    Work,
    /// What the others rest on: the evidence log, the health page.
    Foundation,
}

impl Phase {
    /// All phases, in the order in which they stop.
    pub const ALL: [Self; 3] = [Self::Intake, Self::Work, Self::Foundation];

    /// The part of the whole deadline, counted from the signal, by which a phase must have ended.
    fn share(self) -> f64 {
        match self {
            Self::Intake => 0.5,
            Self::Work => 0.75,
            Self::Foundation => 1.0,
        }
    }
}

/// The end of a stop signal that tasks hold. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    fired: watch::Receiver<bool>,
}

/// The end of a stop signal that fires it. Dropping it fires it, so that no task outlives its owner unnoticed.
#[derive(Debug)]
pub struct Trigger {
    fired: watch::Sender<bool>,
}

impl Shutdown {
    /// A new signal, not fired.
    pub fn pair() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger { fired: sender }, Self { fired: receiver })
    }

    /// Returns once the signal has fired, at once if it has already. Safe to cancel.
    pub async fn wait(&self) {
        let mut fired = self.fired.clone();
        // An error means that the trigger was dropped, which counts as fired.
        let _ = fired.wait_for(|fired| *fired).await;
    }

    /// Whether the signal has fired.
    pub fn is_triggered(&self) -> bool {
        *self.fired.borrow() || self.fired.has_changed().is_err()
    }
}

impl Trigger {
    /// Fires the signal; firing again changes nothing.
    pub fn fire(&self) {
        self.fired.send_replace(true);
    }
}

/// Why the supervisor ended otherwise than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// A task returned `Ok` although nobody had told it to stop.
    #[error("task {name:?} ended by itself: wanted it to run until shutdown; see its last log lines")]
    Ended {
        /// The task's name.
        name: String,
    },
    /// A task returned an error.
    #[error("task {name:?} failed: {reason}")]
    Failed {
        /// The task's name.
        name: String,
        /// The error with its causes, on one line.
        reason: String,
    },
    /// A task panicked.
    #[error("task {name:?} panicked: {reason}; this is a defect of the operator, please report it")]
    Panicked {
        /// The task's name.
        name: String,
        /// The panic message, if it was text.
        reason: String,
    },
    /// Tasks did not stop in time and were aborted.
    #[error("tasks did not stop within {deadline:?} and were aborted: {names}")]
    Overdue {
        /// The names, separated by commas.
        names: String,
        /// The whole deadline that was given.
        deadline: Duration,
    },
}

/// Owns the tasks. See the module's text.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, (Phase, String)>,
    signals: [(Trigger, Shutdown); 3],
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// Without tasks.
    pub fn new() -> Self {
        Self { tasks: JoinSet::new(), names: HashMap::new(), signals: Phase::ALL.map(|_| Shutdown::pair()) }
    }

    /// The signal that tasks of this phase must heed.
    pub fn shutdown(&self, phase: Phase) -> Shutdown {
        self.signals[phase as usize].1.clone()
    }

    /// Starts a task. It must run until [`Supervisor::shutdown`] of the same phase fires, then return `Ok`.
    pub fn spawn<F>(&mut self, phase: Phase, name: impl Into<String>, future: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let handle = self.tasks.spawn(future);
        self.names.insert(handle.id(), (phase, name.into()));
    }

    /// Runs until `stop` completes (its output is logged as the reason) or a task ends, then stops all tasks phase
    /// by phase within `deadline`.
    ///
    /// # Errors
    /// The first task that ended unasked, failed or panicked, also during the stop; otherwise those that had to be
    /// aborted.
    pub async fn run<S>(mut self, stop: S, deadline: Duration) -> Result<(), SupervisorError>
    where
        S: Future<Output = String>,
    {
        let mut first = None;
        tokio::select! {
            reason = stop => info!(%reason, "stopping"),
            ended = self.next_end() => {
                let problem = match ended {
                    Some((name, Ok(()))) => SupervisorError::Ended { name },
                    Some((_, Err(problem))) => problem,
                    None => SupervisorError::Ended { name: "(no task was ever started)".to_owned() },
                };
                error!(%problem, "stopping because a task ended");
                first = Some(problem);
            }
        }
        let begun = Instant::now();
        for phase in Phase::ALL {
            self.signals[phase as usize].0.fire();
            let until = begun + deadline.mul_f64(phase.share());
            while self.names.values().any(|(of, _)| *of == phase) {
                match tokio::time::timeout_at(until, self.next_end()).await {
                    Ok(Some((name, Ok(())))) => info!(task = %name, "stopped"),
                    Ok(Some((_, Err(problem)))) => {
                        error!(%problem, "while stopping");
                        first.get_or_insert(problem);
                    }
                    Ok(None) => break,
                    Err(_) => {
                        warn!(?phase, "not all tasks of this phase stopped in time");
                        break;
                    }
                }
            }
        }
        if !self.names.is_empty() && first.is_none() {
            let mut names: Vec<_> = self.names.values().map(|(_, name)| name.as_str()).collect();
            names.sort_unstable();
            first = Some(SupervisorError::Overdue { names: names.join(", "), deadline });
        }
        self.tasks.shutdown().await;
        first.map_or(Ok(()), Err)
    }

    /// The next task to end, with its name. `None` when there is none left.
    async fn next_end(&mut self) -> Option<(String, Result<(), SupervisorError>)> {
        let (id, outcome) = match self.tasks.join_next_with_id().await? {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let name = self.names.remove(&id).map_or_else(|| "(unnamed)".to_owned(), |(_, name)| name);
        let outcome = match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(SupervisorError::Failed { name: name.clone(), reason: format!("{error:#}") })
            }
            Err(error) => Err(SupervisorError::Panicked { name: name.clone(), reason: panic_text(error) }),
        };
        Some((name, outcome))
    }
}

fn panic_text(error: JoinError) -> String {
    if !error.is_panic() {
        return "the task was cancelled".to_owned();
    }
    let payload = error.into_panic();
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Completes on SIGTERM or SIGINT with the signal's name. The handlers are installed when this is called, not when
/// the future is first polled, so that a signal during start is not lost.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_signals() -> std::io::Result<impl Future<Output = String>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM".to_owned(),
            _ = interrupt.recv() => "SIGINT".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn until(shutdown: Shutdown) -> anyhow::Result<()> {
        shutdown.wait().await;
        Ok(())
    }

    #[tokio::test]
    async fn a_task_that_returns_early_names_itself() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Phase::Work, "steady", until(supervisor.shutdown(Phase::Work)));
        supervisor.spawn(Phase::Work, "quitter", async { Ok(()) });
        let error = supervisor.run(std::future::pending(), Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(&error, SupervisorError::Ended { name } if name == "quitter"), "{error}");
    }

    #[tokio::test]
    async fn a_task_that_fails_gives_its_reason_with_causes() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Phase::Work, "log", async {
            Err(anyhow::anyhow!("No space left on device").context("appending record 7"))
        });
        let error = supervisor.run(std::future::pending(), Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "task \"log\" failed: appending record 7: No space left on device");
    }

    #[tokio::test]
    async fn a_panic_is_a_named_reason() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Phase::Work, "careless", async { panic!("index 3") });
        let error = supervisor.run(std::future::pending(), Duration::from_secs(5)).await.unwrap_err();
        assert!(
            matches!(&error, SupervisorError::Panicked { name, reason } if name == "careless" && reason == "index 3"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn phases_stop_in_order() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut supervisor = Supervisor::new();
        for phase in [Phase::Foundation, Phase::Intake, Phase::Work] {
            let (shutdown, order) = (supervisor.shutdown(phase), Arc::clone(&order));
            supervisor.spawn(phase, format!("{phase:?}"), async move {
                shutdown.wait().await;
                // Long enough that a phase told too early would come first.
                tokio::time::sleep(Duration::from_millis(if phase == Phase::Intake { 60 } else { 5 })).await;
                order.lock().unwrap().push(phase);
                Ok(())
            });
        }
        supervisor.run(async { "test".to_owned() }, Duration::from_secs(5)).await.unwrap();
        assert_eq!(*order.lock().unwrap(), Phase::ALL);
    }

    #[tokio::test(start_paused = true)]
    async fn an_overdue_task_does_not_rob_later_phases_of_their_time() {
        let closed = Arc::new(Mutex::new(false));
        let mut supervisor = Supervisor::new();
        supervisor.spawn(Phase::Intake, "stuck", std::future::pending());
        let (shutdown, flag) = (supervisor.shutdown(Phase::Foundation), Arc::clone(&closed));
        supervisor.spawn(Phase::Foundation, "log", async move {
            shutdown.wait().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            *flag.lock().unwrap() = true;
            Ok(())
        });
        let error = supervisor.run(async { "test".to_owned() }, Duration::from_secs(20)).await.unwrap_err();
        assert!(matches!(&error, SupervisorError::Overdue { names, .. } if names == "stuck"), "{error}");
        assert!(*closed.lock().unwrap());
    }

    #[test]
    fn a_dropped_trigger_counts_as_fired() {
        let (trigger, shutdown) = Shutdown::pair();
        assert!(!shutdown.is_triggered());
        drop(trigger);
        assert!(shutdown.is_triggered());
    }
}
