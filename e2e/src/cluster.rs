//! A cluster as tests, demo and benches see it.

mod foreign;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

use crate::binaries;
use crate::component::Component;
use crate::error::{Error, Result};
use crate::kubeconfig::client_from;
use crate::layout::Layout;
use crate::mounts::View;
use crate::outcome::{record_skip, record_start};
use crate::people::person;
use crate::process::EXEC_GUARDED;
use crate::protocol::{Answer, PodSignal, Report, Request, State};
use crate::supervisor::{Config, DETACH, TEMPORARY_PREFIX};
use crate::toolchain::Toolchain;
use crate::{files, node};

/// The variable that points scenarios at a cluster that is not ours: the path of an administrator's kubeconfig.
pub(crate) const FOREIGN: &str = "E2E_KUBECONFIG";

/// No command of a scenario takes this long; without a bound a hanging one would hold up everything.
const COMMAND_WITHIN: Duration = Duration::from_secs(600);

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes KWOK simulates.
    pub nodes: usize,
    /// Which binary runs for images whose reference starts with the text, on the node that is ours.
    pub images: Vec<(String, PathBuf)>,
    /// Where the cluster's files go; a temporary directory when absent.
    pub dir: Option<PathBuf>,
    /// Whether the directory stays when the cluster ends. It can be started again from it.
    pub keep: bool,
    /// Whether to print how the start goes, on stderr.
    pub progress: bool,
    /// Whether its processes see mounts of their own, for [`Mount`](crate::Mount): in a user namespace where this user
    /// is not root. Where the system does not let this user, the cluster starts without.
    pub own_mounts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, images: Vec::new(), dir: None, keep: false, progress: false, own_mounts: false }
    }
}

/// Whether a step could be done on this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a scenario that goes on after a skipped step shows something else than it says"]
pub enum Did {
    /// It was done.
    Done,
    /// This cluster is not ours to do that; the skip has been noted where CI sees it.
    Skipped,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that succeeded.
    ///
    /// # Errors
    /// When the exit code is not 0, with all that was printed.
    pub fn ok(self) -> Result<String> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        let Self { command, code, stdout, stderr } = self;
        Err(Error::Command { command, code, stdout, stderr })
    }
}

/// A running cluster. Dropping the value that started it, or the end of its process in whatever way, ends the cluster.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    tools: Toolchain,
    kind: Kind,
    /// Put before PATH for commands, so that `kubectl placet` finds its plugin.
    path: Vec<PathBuf>,
    /// `placet-cluster`, by which commands end with this process.
    guard: PathBuf,
    view: View,
}

#[derive(Debug)]
enum Kind {
    /// Started by this process: the pipe's end is the cluster's end.
    Owned { supervisor: Box<Child>, _lifeline: ChildStdin },
    /// Runs by itself.
    Joined,
    /// Somebody else's; `layout` is a directory for kubeconfigs only, and a process removes it when the pipe closes.
    Foreign { _lifeline: ChildStdin },
}

impl Cluster {
    /// Starts a cluster that ends with this value. The control plane's binaries are built first if they are missing.
    ///
    /// One in a temporary directory gets a second try with other ports and another directory, and says why on stderr: where
    /// many start at once, a port may be taken between the question and the answer, or a binary be busy that was just
    /// written.
    ///
    /// # Errors
    /// When a binary cannot be built or a component does not come up; the message holds the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        match Self::launch(options.clone(), true).await {
            Err(error) if options.dir.is_none() => {
                eprintln!("cluster: a start failed and is tried once more: {error}");
                Self::launch(options, true).await
            }
            done => done,
        }
    }

    /// Starts a cluster that runs until [`Cluster::shut_down`] or `placet-cluster down`.
    pub async fn start_detached(options: Options) -> Result<Self> {
        Self::launch(options, false).await
    }

    /// The cluster that `E2E_KUBECONFIG` points at, otherwise a new one.
    pub async fn from_environment(options: Options) -> Result<Self> {
        match files::environment(FOREIGN) {
            Some(path) => Self::attach(Path::new(&path)).await,
            None => Self::start(options).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a process is given its log when it starts")]
    async fn launch(options: Options, owned: bool) -> Result<Self> {
        let tools = Toolchain::ensure().await?;
        let begun = tokio::time::Instant::now();
        let (dir, temporary) = match options.dir {
            Some(dir) => (dir, false),
            None => (std::env::temp_dir().join(format!("{TEMPORARY_PREFIX}{}", random_name()?)), true),
        };
        files::make_dir(&dir)?;
        let dir = std::path::absolute(&dir).map_err(Error::io("finding the cluster's directory"))?;
        let layout = Layout::new(dir.clone())?;
        let (binary, images) = binaries::place(&layout, options.images)?;
        let config = Config {
            dir: dir.clone(),
            tools: tools.dir().to_path_buf(),
            nodes: options.nodes,
            images,
            keep: options.keep && !temporary,
        };
        files::write(&layout.config(), serde_json::to_string_pretty(&config).unwrap_or_default(), 0o644)?;
        let log_path = dir.join("supervisor.log");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(Error::io(format!("opening {}", log_path.display())))?;
        let (mut command, view) = if options.own_mounts {
            View::own(&binary).await?
        } else {
            (Command::new(&binary), View::Shared("this cluster was started without mounts of its own".into()))
        };
        let mut supervisor = command
            .arg("serve")
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C in a terminal goes to this process's group only; the supervisor sees the pipe close and cleans up.
            .process_group(0)
            .spawn()
            .map_err(Error::io(format!("starting {}", binary.display())))?;
        let view = view.of(supervisor.id());
        let lifeline = supervisor.stdin.take();
        let reports = supervisor.stdout.take();
        let (Some(mut lifeline), Some(reports)) = (lifeline, reports) else {
            return Err(Error::unmet("pipes to the supervisor", "none", "this is a defect of the harness"));
        };
        let mut lines = BufReader::new(reports).lines();
        loop {
            let line = lines.next_line().await.map_err(Error::io("reading the supervisor's reports"))?;
            let Some(line) = line else {
                let tail = files::tail(&log_path, 20);
                return Err(Error::Component {
                    component: "the supervisor".into(),
                    found: "ended before the cluster was ready".into(),
                    log: log_path,
                    tail,
                });
            };
            match serde_json::from_str(&line) {
                Ok(Report::Progress(text)) if options.progress => eprintln!("cluster: {text}"),
                Ok(Report::Progress(_)) => {}
                Ok(Report::Ready) => {
                    record_start(begun.elapsed());
                    break;
                }
                Ok(Report::Failed(found)) => {
                    return Err(Error::unmet(
                        "a cluster",
                        found,
                        "see the message; its directory is removed",
                    ));
                }
                Err(error) => {
                    return Err(Error::unmet("a report", error.to_string(), "rebuild placet-cluster"));
                }
            }
        }
        if owned {
            let kind = Kind::Owned { supervisor: Box::new(supervisor), _lifeline: lifeline };
            return Self::open(layout, kind, view);
        }
        lifeline.write_all(&[DETACH]).await.map_err(Error::io("letting the supervisor go"))?;
        Self::open(layout, Kind::Joined, view)
    }

    /// A cluster that already runs in a directory.
    ///
    /// # Errors
    /// When none runs there.
    pub fn join(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(Error::io("finding the cluster's directory"))?;
        let layout = Layout::new(dir.clone())?;
        if std::os::unix::net::UnixStream::connect(layout.control_socket()).is_err() {
            return Err(Error::unmet(
                format!("a running cluster in {}", dir.display()),
                "none",
                "start it with `placet-cluster up`",
            ));
        }
        Self::open(layout, Kind::Joined, View::Shared("another process started this cluster".into()))
    }

    fn open(layout: Layout, kind: Kind, view: View) -> Result<Self> {
        let text = files::read(&layout.state())?;
        let state: State = serde_json::from_str(&text)
            .map_err(|error| Error::unmet("the facts about a cluster", error.to_string(), "start it anew"))?;
        let guard = layout.binaries(0).join("placet-cluster");
        Ok(Self { layout, tools: Toolchain::at(state.tools), kind, path: state.binaries, guard, view })
    }

    /// Whether this is a cluster of somebody else, of which no component can be killed.
    pub fn is_foreign(&self) -> bool {
        matches!(self.kind, Kind::Foreign { .. })
    }

    /// The cluster's directory: kubeconfigs, logs, volumes.
    pub fn dir(&self) -> &Path {
        self.layout.root()
    }

    /// Which mounts its processes see.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The built tools.
    pub fn tools(&self) -> &Toolchain {
        &self.tools
    }

    /// Helm values that put a chart's pods on the node that is ours (empty for a foreign cluster).
    pub fn real_node_values(&self) -> PathBuf {
        self.layout.settings("real-node-values.yaml")
    }

    /// The API server's audit log, JSON lines; `None` for a foreign cluster.
    pub fn audit_log(&self) -> Option<PathBuf> {
        (!self.is_foreign()).then(|| self.layout.audit_log())
    }

    /// The log of a component; `None` for a foreign cluster.
    pub fn component_log(&self, component: Component) -> Option<PathBuf> {
        (!self.is_foreign()).then(|| self.layout.log(component.name()))
    }

    /// A person's kubeconfig.
    ///
    /// # Errors
    /// When nobody has that name; see [`PEOPLE`](crate::PEOPLE).
    pub fn kubeconfig(&self, who: &str) -> Result<PathBuf> {
        match person(who) {
            Some(person) => Ok(self.layout.kubeconfig(person.name)),
            None => Err(Error::unmet("somebody in PEOPLE", format!("{who:?}"), "name one of them")),
        }
    }

    /// A client that is this person. It works only in the runtime in which it was made: make one per test.
    pub async fn client(&self, who: &str) -> Result<kube::Client> {
        client_from(&self.kubeconfig(who)?).await
    }

    /// Runs the real kubectl as a person.
    ///
    /// # Errors
    /// When it cannot be run at all; its exit code is in the output.
    pub async fn kubectl<A: AsRef<OsStr>>(
        &self,
        who: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        self.run("kubectl", who, args, None).await
    }

    /// The same with something on standard input, for `apply -f -`.
    pub async fn kubectl_with_input<A: AsRef<OsStr>>(
        &self,
        who: &str,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<Output> {
        self.run("kubectl", who, args, Some(input)).await
    }

    /// Runs the real Helm as the cluster administrator (`root-admin`).
    pub async fn helm<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Output> {
        self.run("helm", "root-admin", args, None).await
    }

    /// Runs a program as a person: `KUBECONFIG` is theirs, `PATH` begins with our binaries and the tools. `program` is
    /// a tool of the control plane, or anything that PATH finds; it ends when this process does, however that ends.
    pub async fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        who: &str,
        args: impl IntoIterator<Item = A>,
        input: Option<&str>,
    ) -> Result<Output> {
        let tool = self.tools.binary(program);
        let mut command = Command::new(&self.guard);
        command.arg(EXEC_GUARDED).arg(std::process::id().to_string());
        command.arg(if tool.is_file() { tool } else { self.in_path(program) });
        let mut shown = program.to_owned();
        for arg in args {
            shown.push(' ');
            shown.push_str(&arg.as_ref().to_string_lossy());
            command.arg(arg);
        }
        command
            .env("KUBECONFIG", self.kubeconfig(who)?)
            .env("HOME", self.layout.home())
            .env("PATH", self.search_path())
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let doing = format!("running {shown}");
        let mut child = command.spawn().map_err(Error::io(&doing))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program that ends without reading everything says so by its exit code.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let both = async { tokio::join!(child.wait_with_output(), feed) };
        let (output, ()) = tokio::time::timeout(COMMAND_WITHIN, both).await.map_err(|_| {
            Error::unmet(format!("the end of `{shown}`"), "it still ran after 10 minutes", "run it by hand")
        })?;
        let output = output.map_err(Error::io(&doing))?;
        Ok(Output {
            command: shown,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn in_path(&self, program: &str) -> PathBuf {
        let found = self.path.iter().map(|dir| dir.join(program)).find(|path| path.is_file());
        found.unwrap_or_else(|| PathBuf::from(program))
    }

    fn search_path(&self) -> std::ffi::OsString {
        let own = self.path.iter().cloned().chain([self.tools.dir().join("bin")]);
        let inherited = files::environment("PATH").unwrap_or_default();
        let all: Vec<PathBuf> = own.chain(std::env::split_paths(&inherited)).collect();
        std::env::join_paths(all).unwrap_or_default()
    }

    /// Kills a component (SIGKILL) and waits for its end. It stays dead until [`Cluster::start_component`].
    pub async fn kill(&self, component: Component) -> Result<Did> {
        self.ask(&format!("kill {component}"), &Request::Kill { component }).await
    }

    /// Starts a component that is dead and waits until it is ready.
    pub async fn start_component(&self, component: Component) -> Result<Did> {
        self.ask(&format!("start {component}"), &Request::Start { component }).await
    }

    /// Sends a signal to the processes of a pod on the node that is ours, or to one container's.
    ///
    /// # Errors
    /// When no such process runs.
    pub async fn signal_pod(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        signal: PodSignal,
    ) -> Result<Did> {
        let request = Request::SignalPod {
            namespace: namespace.into(),
            name: name.into(),
            container: container.map(ToOwned::to_owned),
            signal,
        };
        self.ask(&format!("signal pod {namespace}/{name}"), &request).await
    }

    /// The state of each component, one line each.
    ///
    /// # Errors
    /// When this is a foreign cluster or its supervisor does not answer.
    pub async fn status(&self) -> Result<Vec<String>> {
        match self.request(&Request::Status).await? {
            Answer::Status(lines) => Ok(lines),
            other => Err(Error::unmet("a status", format!("{other:?}"), "rebuild placet-cluster")),
        }
    }

    async fn ask(&self, step: &str, request: &Request) -> Result<Did> {
        if self.is_foreign() {
            record_skip(step, "the cluster of E2E_KUBECONFIG is not ours");
            return Ok(Did::Skipped);
        }
        match self.request(request).await? {
            Answer::Failed(found) => {
                Err(Error::unmet(step, found, "see supervisor.log in the cluster's directory"))
            }
            Answer::Done | Answer::Status(_) => Ok(Did::Done),
        }
    }

    async fn request(&self, request: &Request) -> Result<Answer> {
        let path = self.layout.control_socket();
        let doing = || format!("asking the supervisor at {}", path.display());
        let mut stream = UnixStream::connect(&path).await.map_err(Error::io(doing()))?;
        let mut line = serde_json::to_string(request).unwrap_or_default();
        line.push('\n');
        stream.write_all(line.as_bytes()).await.map_err(Error::io(doing()))?;
        let answer =
            BufReader::new(stream).lines().next_line().await.map_err(Error::io(doing()))?.unwrap_or_default();
        serde_json::from_str(&answer)
            .map_err(|error| Error::unmet("an answer", error.to_string(), "see supervisor.log"))
    }

    /// Everything that the containers of a pod on our node have printed, in all their runs and in all pods that had
    /// the name, the latest last. On a foreign cluster `kubectl logs` is asked.
    pub async fn pod_logs(&self, namespace: &str, name: &str) -> Result<String> {
        if self.is_foreign() {
            let args = ["logs", "--all-containers", "-n", namespace, name];
            return self.kubectl("admin", args).await?.ok();
        }
        let root = self.layout.pod_log_root();
        let doing = || format!("reading the logs below {}", root.display());
        let prefix = format!("{namespace}_{name}_");
        let mut found = Vec::new();
        let mut pods = tokio::fs::read_dir(&root).await.map_err(Error::io(doing()))?;
        while let Some(pod) = pods.next_entry().await.map_err(Error::io(doing()))? {
            if !pod.file_name().to_string_lossy().starts_with(&prefix) {
                continue;
            }
            let mut logs = tokio::fs::read_dir(pod.path()).await.map_err(Error::io(doing()))?;
            while let Some(log) = logs.next_entry().await.map_err(Error::io(doing()))? {
                let changed =
                    log.metadata().await.and_then(|data| data.modified()).map_err(Error::io(doing()))?;
                found.push((changed, log.path()));
            }
        }
        found.sort();
        let mut text = String::new();
        for (_, path) in found {
            let bytes = tokio::fs::read(&path).await.map_err(Error::io(doing()))?;
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        Ok(text)
    }

    /// The directory of this machine behind a claim, for tests that look into, empty or replace it. `None` on a foreign
    /// cluster; the skip has been noted.
    ///
    /// # Errors
    /// When the claim is not there or not bound.
    pub async fn claim_dir(&self, namespace: &str, claim: &str) -> Result<Option<PathBuf>> {
        if self.is_foreign() {
            record_skip(
                &format!("look into claim {namespace}/{claim}"),
                "the cluster of E2E_KUBECONFIG is not ours",
            );
            return Ok(None);
        }
        node::claim_dir(&self.client("admin").await?, namespace, claim).await.map(Some)
    }

    /// Ends the cluster and waits until nothing of it is left.
    ///
    /// # Errors
    /// When it is still there after two minutes: a cluster of many thousand objects takes longer than a small one to end.
    pub async fn shut_down(mut self) -> Result<()> {
        if self.is_foreign() {
            // Dropping the value is all; the cluster itself is not ours to end.
            return Ok(());
        }
        self.request(&Request::Shutdown).await?;
        let within = Duration::from_secs(120);
        let late = || Error::unmet("the cluster's end", "it still runs after 120 s", "see supervisor.log");
        if let Kind::Owned { supervisor, .. } = &mut self.kind {
            let ended = tokio::time::timeout(within, supervisor.wait()).await.map_err(|_| late())?;
            return ended.map(drop).map_err(Error::io("waiting for the supervisor"));
        }
        let deadline = tokio::time::Instant::now() + within;
        // The lock is free once the supervisor has ended; its directory is gone before, or stays.
        while self.layout.control_socket().exists() {
            if tokio::time::Instant::now() > deadline {
                return Err(late());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn random_name() -> Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 5];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::unmet("random bytes", error.to_string(), "nothing"))?;
    let mut name = String::with_capacity(10);
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}
