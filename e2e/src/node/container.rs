//! One container of a pod: its process is started, probed, ended and started again.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::book::{ContainerState, Termination, now};
use super::environment::{self, Sources};
use super::probe::{Finding, Plan};
use super::volumes::TOKEN_MOUNT;
use super::worker::PodContext;
use crate::error::{Error, Result};
use crate::files;
use crate::kubeconfig;
use crate::process::{Ended, Program, Running, signal_group};

/// Pauses before a container is started again. Kubelets go from 10 s to 5 min; tests need not wait that long.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];
/// A run of this length makes the next pause the shortest again.
const LONG_RUN: Duration = Duration::from_secs(60);
/// Pause before a container whose configuration is not there is tried again.
const CONFIGURATION_PAUSE: Duration = Duration::from_millis(500);

/// When a container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// The grace period of a pod that is being deleted, once it is.
pub(crate) type StopSignal = watch::Receiver<Option<Duration>>;

/// Runs a container until it is over. True means that it ended well.
pub(crate) async fn run(
    context: Arc<PodContext>,
    container: Container,
    init: bool,
    restart: Restart,
    mut stop: StopSignal,
) -> bool {
    let name = container.name.clone();
    let mut pauses = 0;
    let mut told = String::new();
    loop {
        let prepared = tokio::select! {
            prepared = prepare(&context, &container, init) => prepared,
            () = stopped(&mut stop) => return over(&context, init, &name),
        };
        let started = prepared.and_then(|(program, plan)| {
            let running = context.parts.processes.start(&program)?;
            Ok((program, plan, running))
        });
        let (program, plan, running) = match started {
            Ok(started) => started,
            Err(error) => {
                let message = error.to_string();
                if message != told {
                    context.event("Warning", "CreateContainerConfigError", &message).await;
                    told.clone_from(&message);
                }
                context.book.entry(init, &name, |entry| {
                    entry.state = ContainerState::Waiting { reason: "CreateContainerConfigError", message };
                });
                tokio::select! {
                    () = tokio::time::sleep(CONFIGURATION_PAUSE) => continue,
                    () = stopped(&mut stop) => return over(&context, init, &name),
                }
            }
        };
        let (pid, since) = (running.pid(), now());
        context.set_pid(&name, Some(pid));
        context.book.entry(init, &name, |entry| {
            entry.state = ContainerState::Running { pid, since };
            entry.started = init;
        });
        let begun = Instant::now();
        let ended = supervise(&context, &name, init, running, plan, &mut stop).await;
        context.set_pid(&name, None);
        let message = if ended.code == 0 { String::new() } else { files::tail(&program.log, 10) };
        let end = Termination {
            code: ended.code,
            signal: ended.signal,
            pid,
            started: since,
            finished: now(),
            message,
        };
        let again = stop.borrow().is_none()
            && match restart {
                Restart::Always => !init || ended.code != 0,
                Restart::OnFailure => ended.code != 0,
                Restart::Never => false,
            };
        if begun.elapsed() > LONG_RUN {
            pauses = 0;
        }
        let pause = PAUSES[pauses.min(PAUSES.len() - 1)];
        pauses += 1;
        context.book.entry(init, &name, |entry| {
            entry.started = false;
            entry.ready = false;
            entry.over = !again;
            if again {
                let message = format!("back-off {} ms before it is started again", pause.as_millis());
                entry.state = ContainerState::Waiting { reason: "CrashLoopBackOff", message };
                entry.last = Some(end);
                entry.restarts += 1;
            } else {
                entry.state = ContainerState::Terminated(end);
            }
        });
        if !again {
            return ended.code == 0;
        }
        context
            .event("Warning", "BackOff", &format!("container {name} ended with code {}", ended.code))
            .await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut stop) => return over(&context, init, &name),
        }
    }
}

/// The pod was deleted before the container ran (again).
fn over(context: &PodContext, init: bool, name: &str) -> bool {
    context.book.entry(init, name, |entry| {
        entry.over = true;
        if let Some(last) = entry.last.take() {
            entry.state = ContainerState::Terminated(last);
        }
    });
    false
}

async fn stopped(stop: &mut StopSignal) {
    if stop.wait_for(Option::is_some).await.is_err() {
        // Nobody can stop this pod any more; it is not for this container to end.
        std::future::pending::<()>().await;
    }
}

/// Watches one run: its end, its probes, the pod's deletion.
async fn supervise(
    context: &PodContext,
    name: &str,
    init: bool,
    mut running: Running,
    plan: Plan,
    stop: &mut StopSignal,
) -> Ended {
    let pid = running.pid();
    let ready_when_started = !plan.has_readiness();
    let (sender, mut findings) = mpsc::channel(8);
    let mut probes = JoinSet::new();
    if !init {
        probes.spawn(plan.run(sender));
    }
    // Set once the process has been asked to end.
    let mut deadline: Option<Instant> = None;
    loop {
        let kill = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = running.wait() => return ended,
            () = kill => {
                running.signal(Signal::KILL);
                return running.wait().await;
            }
            Ok(()) = stop.changed() => {
                let grace = *stop.borrow();
                if let Some(grace) = grace {
                    if deadline.is_none() {
                        signal_group(pid, Signal::TERM);
                    }
                    let at = Instant::now() + grace;
                    deadline = Some(deadline.map_or(at, |earlier| earlier.min(at)));
                }
            }
            Some(finding) = findings.recv() => match finding {
                Finding::Started => context.book.entry(init, name, |entry| {
                    entry.started = true;
                    entry.ready = ready_when_started;
                }),
                Finding::Ready(ready, reason) => {
                    context.book.entry(init, name, |entry| entry.ready = ready);
                    if !ready {
                        context.event("Warning", "Unhealthy", &reason).await;
                    }
                }
                Finding::Dead(reason) => {
                    context.event("Warning", "Unhealthy", &reason).await;
                    context.event("Normal", "Killing", &format!("container {name} failed its probe")).await;
                    signal_group(pid, Signal::TERM);
                    deadline = Some(Instant::now() + context.grace());
                }
            },
        }
    }
}

/// Everything that a run needs: volumes as they are now, variables, paths, the account's kubeconfig.
async fn prepare(context: &PodContext, container: &Container, init: bool) -> Result<(Program, Plan)> {
    let parts = &context.parts;
    let mounts = {
        let mut volumes = context.volumes.lock().await;
        volumes.sync(&context.address).await?;
        volumes.mounts(container)?
    };
    let node_address: Ipv4Addr = super::addresses::node_address(parts.net.third_byte());
    let sources =
        Sources { client: &parts.client, pod: &context.pod, address: &context.address, node_address };
    let asked = environment::variables(&sources, container).await?;
    let image = container.image.as_deref().unwrap_or_default();
    let entrypoint = parts.images.binary(image).ok_or_else(|| {
        Error::unmet(format!("a binary for image {image}"), "none", "name it when the cluster starts")
    })?;
    let (path, arguments) = environment::command_line(container, entrypoint, &asked, &mounts)?;

    let own = context.dir.join("containers").join(&container.name);
    files::make_dir(&own)?;
    let mut variables: Vec<(String, String)> = vec![
        ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("HOSTNAME".into(), context.name().to_owned()),
        ("HOME".into(), own.display().to_string()),
        ("TMPDIR".into(), mounts.of("/tmp").unwrap_or(&own).display().to_string()),
        ("PLACET_BIND_ADDRESS".into(), context.address.real().to_string()),
    ];
    if let Some(account) = mounts.of(TOKEN_MOUNT) {
        let config = own.join("kubeconfig.yaml");
        let text = kubeconfig::with_token_file(&parts.server, context.namespace(), &account.join("token"));
        files::write(&config, text, 0o600)?;
        variables.push(("KUBECONFIG".into(), config.display().to_string()));
    }
    variables.extend(asked.into_iter().map(|(name, value)| (name, mounts.rewrite(&value))));

    let directory = match container.working_dir.as_deref() {
        None | Some("" | "/") => own,
        Some(dir) => mounts.real(dir).map(PathBuf::from).ok_or_else(|| {
            Error::unmet(
                format!("the working directory {dir}"),
                "a path in no volume",
                "mount a volume there",
            )
        })?,
    };
    let plan = if init { Plan::default() } else { plan(container, context.address.real())? };
    Ok((
        Program {
            path,
            arguments,
            environment: variables,
            directory,
            log: context.log(&container.name)?,
            gentle: true,
        },
        plan,
    ))
}

fn plan(container: &Container, address: Ipv4Addr) -> Result<Plan> {
    Plan::new(container, address)
        .map_err(|found| Error::unmet("probes that can be made", found, "correct the pod"))
}
