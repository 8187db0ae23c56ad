//! Child processes that cannot outlive the supervisor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::error::{Error, Result};

/// The hidden subcommand of `placet-cluster` that [`exec_guarded`] serves.
pub(crate) const EXEC_GUARDED: &str = "exec-guarded";

/// Asks the kernel to kill this process when its parent ends, then becomes `program`. Only a process itself can ask for
/// that, and between fork and exec only `unsafe` code can: so the supervisor starts its own binary, which calls this.
///
/// `parent` is the process id of the supervisor: when it is no longer the parent, it has ended already.
pub fn exec_guarded(parent: i32, program: &Path, arguments: &[OsString]) -> Error {
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return Error::io("asking for a signal at the parent's death")(error.into());
    }
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Error::unmet(
            "the supervisor as parent",
            "another one",
            "nothing: it has ended, and so does this",
        );
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    Error::io(format!("running {}", program.display()))(error)
}

/// A program to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// Where its output is appended.
    pub(crate) log: PathBuf,
    /// Whether it is asked to end, and not just killed, when a cluster that is kept stops.
    pub(crate) gentle: bool,
}

/// All processes that the supervisor has started and that have not been seen to end. Each leads a process group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes {
    inner: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    running: BTreeMap<i32, bool>,
    closed: bool,
}

/// A running child. Forget it only after [`Running::wait`].
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pid: i32,
    processes: Processes,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The exit code, or 128 + the signal's number as shells and kubelets report it.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

impl Processes {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program as the leader of a process group of its own.
    #[expect(clippy::disallowed_methods, reason = "a process is given its log when it starts")]
    pub(crate) fn start(&self, program: &Program) -> Result<Running> {
        let doing = format!("starting {}", program.path.display());
        let own = std::env::current_exe().map_err(Error::io(&doing))?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&program.log)
            .map_err(Error::io(format!("opening {}", program.log.display())))?;
        let errors = log.try_clone().map_err(Error::io(&doing))?;
        let mut command = Command::new(own);
        command
            .arg(EXEC_GUARDED)
            .arg(std::process::id().to_string())
            .arg(&program.path)
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        // The lock is held over the spawn, so that no process starts between "kill all" and the end.
        let mut table = self.table();
        if table.closed {
            return Err(Error::unmet("to start a process", "a cluster that is being stopped", "nothing"));
        }
        let child = command.spawn().map_err(Error::io(&doing))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(|| {
            Error::unmet("the process id of a child", "none", "this is a defect of the harness")
        })?;
        table.running.insert(pid, program.gentle);
        drop(table);
        Ok(Running { child, pid, processes: self.clone() })
    }

    /// Kills every process group and lets no further process start.
    pub(crate) fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        for pid in table.running.keys() {
            signal_group(*pid, Signal::KILL);
        }
    }

    /// The same, but those with files to close are asked to end.
    pub(crate) fn close_gently(&self) {
        let mut table = self.table();
        table.closed = true;
        for (pid, gentle) in &table.running {
            signal_group(*pid, if *gentle { Signal::TERM } else { Signal::KILL });
        }
    }

    /// How many have not been seen to end.
    pub(crate) fn count(&self) -> usize {
        self.table().running.len()
    }
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt as _;
        let ended = match self.child.wait().await {
            Ok(status) => {
                let signal = status.signal();
                Ended { code: status.code().unwrap_or_else(|| 128 + signal.unwrap_or_default()), signal }
            }
            Err(error) => {
                tracing::error!(%error, pid = self.pid, "cannot wait for a child");
                Ended { code: 255, signal: None }
            }
        };
        // What it has left in its group goes with it, as with a container.
        signal_group(self.pid, Signal::KILL);
        self.processes.table().running.remove(&self.pid);
        ended
    }

    /// Sends a signal to the process and what it has started.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_group(self.pid, signal);
    }
}

/// Sends a signal to a process group; one that has ended is no error.
pub(crate) fn signal_group(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        match rustix::process::kill_process_group(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, ?pid, "cannot signal a process group"),
        }
    }
}
