//! The process that holds a cluster together, and takes it all down when its owner ends.

mod bootstrap;
mod components;
mod control;
mod egress;
mod settings;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::files;
use crate::layout::Layout;
use crate::node::{self, PodNet};
use crate::process::Processes;
use crate::protocol::{Report, State};
use crate::toolchain::Toolchain;

/// The prefix of directories that a cluster makes for itself below the system's temporary directory.
pub(crate) const TEMPORARY_PREFIX: &str = "placet-e2e-";

/// The byte on standard input that lets a cluster live on when its owner ends.
pub(crate) const DETACH: u8 = b'd';

/// What a supervisor needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The cluster's directory; it exists.
    pub dir: PathBuf,
    /// The directory of the built tools.
    pub tools: PathBuf,
    /// How many nodes KWOK simulates.
    pub nodes: usize,
    /// Which binary runs for a container image whose reference starts with the given text.
    pub images: Vec<(String, PathBuf)>,
    /// Whether the directory stays when the cluster ends.
    pub keep: bool,
}

/// Starts a cluster, tells on standard output (JSON lines) how that goes, and runs it until it is told to stop. Then
/// every process is ended and, unless it is to be kept, the directory is removed. The end of standard input is such a
/// request, unless the byte `d` came before it.
///
/// # Errors
/// When the cluster cannot start or one of the supervisor's own tasks ends.
pub async fn serve(config: Config) -> Result<()> {
    let layout = Layout::new(config.dir.clone())?;
    let _lock = lock(&layout)?;
    let stop = stop_signals()?;
    let mut asked_to_stop = stop.receiver.clone();
    let processes = Processes::default();
    let mut tasks = JoinSet::new();
    let result = tokio::select! {
        result = run(&config, &layout, &processes, &mut tasks, &stop) => result,
        () = stopped(&mut asked_to_stop) => Ok(()),
    };
    if let Err(error) = &result {
        tracing::error!(%error, "the cluster ends");
        report(&Report::Failed(error.to_string()));
    }
    finish(&config, &processes, &mut tasks).await;
    result
}

async fn run(
    config: &Config,
    layout: &Layout,
    processes: &Processes,
    tasks: &mut JoinSet<Result<()>>,
    stop: &Stop,
) -> Result<()> {
    let started = Instant::now();
    sweep(layout).await;
    layout.make()?;
    // What an earlier run of a kept cluster has left.
    for old in [layout.control_socket(), layout.egress_socket(), layout.state()] {
        let _ = tokio::fs::remove_file(old).await;
    }
    let tools = Toolchain::at(config.tools.clone());
    let pod_net = PodNet::claim().await?;
    let settings = settings::write(layout, &tools, pod_net.third_byte())?;
    let client = settings.admin_client().await?;

    let egress = egress::Egress::bind(layout, client.clone(), pod_net.third_byte())?;
    tasks.spawn(egress.run());
    report(&Report::Progress("starting etcd and kube-apiserver".into()));
    let (components, actor) =
        components::Components::new(processes.clone(), settings.programs, client.clone());
    tasks.spawn(actor.run());
    components.start_control_plane().await?;
    report(&Report::Progress(format!("API server ready after {:.1} s", started.elapsed().as_secs_f64())));

    let agent = node::Agent::new(node::Parts {
        client: client.clone(),
        layout: layout.clone(),
        images: config.images.clone(),
        server: settings.server.clone(),
        processes: processes.clone(),
        net: pod_net,
    });
    let pods = agent.pods();
    let third_byte = agent.third_byte();
    let ((), ()) =
        tokio::try_join!(components.start_rest(), bootstrap::apply(&client, config.nodes, third_byte),)?;
    agent.spawn(settings.kubelet, tasks);
    bootstrap::wait(&client, config.nodes + 1).await?;

    let mut binaries = vec![layout.binaries(0)];
    binaries.extend(config.images.iter().filter_map(|(_, binary)| binary.parent().map(Path::to_path_buf)));
    binaries.dedup();
    let state = State {
        supervisor: std::process::id(),
        server: settings.server.url.clone(),
        tools: config.tools.clone(),
        pod_net: third_byte,
        binaries,
    };
    let control = control::Control::bind(layout, components.clone(), pods, stop.sender.clone())?;
    tasks.spawn(control.run());
    let text = serde_json::to_string_pretty(&state).unwrap_or_default();
    files::write(&layout.state(), text, 0o644)?;
    components.settled();
    tracing::info!(seconds = started.elapsed().as_secs_f64(), "cluster ready");
    report(&Report::Progress(format!("cluster ready after {:.1} s", started.elapsed().as_secs_f64())));
    report(&Report::Ready);

    let ended = tasks.join_next().await;
    let found = match ended {
        Some(Ok(Ok(()))) | None => "it returned".to_owned(),
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(error)) => error.to_string(),
    };
    Err(Error::unmet("tasks of the supervisor that run as long as it", found, "see supervisor.log"))
}

/// Waits for the end of standard input, which is the end of the owner, and removes a directory. It is for kubeconfigs of
/// clusters that are not ours.
///
/// # Errors
/// When it cannot be removed.
#[expect(clippy::disallowed_methods, reason = "the whole process is this")]
pub fn reap(dir: &Path) -> Result<()> {
    let mut byte = [0; 1];
    let _ = std::io::stdin().read(&mut byte);
    // Programs that the owner had started may end a little later and write a last file.
    for _ in 0..5 {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!(%error, "tried again");
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    if dir.exists() {
        return Err(Error::unmet(
            format!("no directory {}", dir.display()),
            "it is still there",
            "remove it by hand",
        ));
    }
    Ok(())
}

/// Ends all processes, then all tasks, then the directory.
async fn finish(config: &Config, processes: &Processes, tasks: &mut JoinSet<Result<()>>) {
    if config.keep {
        // What is kept should be whole: etcd and the operator's log get the time to close their files.
        processes.close_gently();
        gone(processes, Duration::from_secs(8)).await;
    }
    processes.close();
    gone(processes, Duration::from_secs(5)).await;
    tasks.shutdown().await;
    if config.keep {
        for socket in ["control.sock", "egress.sock", "cluster.json"] {
            let _ = tokio::fs::remove_file(config.dir.join(socket)).await;
        }
    } else if let Err(error) = files::remove_dir(&config.dir).await {
        tracing::error!(%error, "the cluster's directory stays");
    }
}

async fn gone(processes: &Processes, within: Duration) {
    let deadline = Instant::now() + within;
    while processes.count() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tells the owner how the start goes. Nobody may be listening any more, which is no error.
fn report(report: &Report) {
    use std::io::Write as _;
    let line = serde_json::to_string(report).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Who asks for the end.
struct Stop {
    sender: watch::Sender<bool>,
    receiver: watch::Receiver<bool>,
    _signals: JoinSet<()>,
}

fn stop_signals() -> Result<Stop> {
    let (sender, receiver) = watch::channel(false);
    let mut signals = JoinSet::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut arrived = signal(kind).map_err(Error::io("listening for signals"))?;
        let sender = sender.clone();
        signals.spawn(async move {
            arrived.recv().await;
            sender.send_replace(true);
        });
    }
    {
        let sender = sender.clone();
        std::thread::Builder::new()
            .name("lifeline".into())
            .spawn(move || {
                let mut byte = [0; 1];
                // A read ends when the owner does, or with the byte that lets the cluster live on without it.
                match std::io::stdin().read(&mut byte) {
                    Ok(1) if byte[0] == DETACH => {}
                    _ => {
                        sender.send_replace(true);
                    }
                }
            })
            .map_err(Error::io("starting a thread"))?;
    }
    Ok(Stop { sender, receiver, _signals: signals })
}

async fn stopped(receiver: &mut watch::Receiver<bool>) {
    // An error means that no sender is left, which cannot be while `Stop` lives.
    let _ = receiver.wait_for(|stop| *stop).await;
}

/// Takes the directory's lock for as long as this process lives. It is made under another name and moved, so that a
/// `lock` file that nobody holds always means a supervisor that has ended.
#[expect(clippy::disallowed_methods, reason = "once, before the supervisor serves")]
fn lock(layout: &Layout) -> Result<std::fs::File> {
    let path = layout.lock();
    let taken = || {
        Error::unmet(
            format!("the directory {} for one cluster", layout.root().display()),
            "another cluster that runs in it",
            "stop it with `placet-cluster down --dir DIR` or give another --dir",
        )
    };
    let open =
        |path: &Path| std::fs::File::create(path).map_err(Error::io(format!("creating {}", path.display())));
    if path.exists() {
        rustix::fs::flock(&open(&path)?, FlockOperation::NonBlockingLockExclusive).map_err(|_| taken())?;
    }
    let new = path.with_extension(std::process::id().to_string());
    let file = open(&new)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| taken())?;
    std::fs::rename(&new, &path).map_err(Error::io(format!("naming {}", path.display())))?;
    Ok(file)
}

/// How old a temporary directory without a lock must be: its supervisor would long have taken it.
const ABANDONED: Duration = Duration::from_secs(600);

/// Removes the temporary directories of clusters whose supervisor was killed, or never began.
#[expect(clippy::disallowed_methods, reason = "once, before the supervisor serves")]
async fn sweep(own: &Layout) {
    let Some(parent) = own.root().parent() else { return };
    let Ok(mut entries) = tokio::fs::read_dir(parent).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX);
        if !ours || path == own.root() {
            continue;
        }
        let file = std::fs::File::open(path.join("lock"));
        let abandoned = match &file {
            Ok(file) => rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok(),
            Err(_) => entry.metadata().await.is_ok_and(|data| {
                data.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
            }),
        };
        if abandoned {
            tracing::info!(path = %path.display(), "removing what a killed cluster left");
            if let Err(error) = files::remove_dir(&path).await {
                tracing::warn!(%error, "what a killed cluster left stays");
            }
        }
    }
}
