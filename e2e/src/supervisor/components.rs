//! The control plane's processes: started, watched, killed and started again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::settings::Prepared;
use crate::component::Component;
use crate::error::{Error, Result};
use crate::files;
use crate::http_probe;
use crate::node::REAL_NODE;
use crate::process::{Ended, Processes, Running, signal_group};

/// How long a component may take until it is ready. On an idle machine it is 2 s; a loaded one gets its chance.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The longest pause before a component that ended by itself is started again; the first is a second. Kubelets go up to
/// 5 min; tests need not wait that long.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A run of this length makes the next pause the shortest again.
const LONG_RUN: Duration = Duration::from_secs(60);

/// What needs an API server.
const CLIENTS: [Component; 3] = [Component::ControllerManager, Component::Scheduler, Component::Kwok];

/// A handle for starting, killing and asking.
#[derive(Clone)]
pub(crate) struct Components {
    commands: mpsc::UnboundedSender<Command>,
    programs: BTreeMap<Component, Prepared>,
    client: kube::Client,
}

#[derive(Debug)]
enum Command {
    Start(Component, oneshot::Sender<Result<()>>),
    Kill(Component, oneshot::Sender<()>),
    States(oneshot::Sender<BTreeMap<Component, State>>),
    Settled,
}

/// What is known of a component.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) pid: Option<i32>,
    /// Whether it is meant to run: not after a kill that was asked for.
    pub(crate) wanted: bool,
    /// How often it ended although it was meant to run.
    pub(crate) failures: u32,
    /// How it ended last.
    pub(crate) ended: Option<Ended>,
    /// When it was started last.
    began: Option<Instant>,
    /// How often it ended by itself since it last ran for long.
    in_a_row: u32,
}

/// What the end of a component means to who waits for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// The start has failed.
    None,
    /// It is started again.
    Restarts,
}

#[derive(Clone, Copy)]
enum Event {
    Ended(Component, Ended),
    Again(Component),
}

/// The task that owns the processes.
pub(crate) struct Actor {
    processes: Processes,
    programs: BTreeMap<Component, Prepared>,
    commands: mpsc::UnboundedReceiver<Command>,
    states: BTreeMap<Component, State>,
    waiting_for_end: Vec<(Component, oneshot::Sender<()>)>,
    settled: bool,
    events: JoinSet<Event>,
}

impl Components {
    /// A handle and the task behind it.
    pub(crate) fn new(
        processes: Processes,
        programs: BTreeMap<Component, Prepared>,
        client: kube::Client,
    ) -> (Self, Actor) {
        let (sender, commands) = mpsc::unbounded_channel();
        let actor = Actor {
            processes,
            programs: programs.clone(),
            commands,
            states: Component::ALL.into_iter().map(|component| (component, State::default())).collect(),
            waiting_for_end: Vec::new(),
            settled: false,
            events: JoinSet::new(),
        };
        (Self { commands: sender, programs, client }, actor)
    }

    /// Starts etcd and the API server together and waits for both.
    pub(crate) async fn start_control_plane(&self) -> Result<()> {
        self.spawn(Component::Etcd).await?;
        self.spawn(Component::ApiServer).await?;
        self.ready(Component::Etcd, Patience::None).await?;
        self.ready(Component::ApiServer, Patience::None).await
    }

    /// Starts what needs an API server.
    pub(crate) async fn start_rest(&self) -> Result<()> {
        for component in CLIENTS {
            self.spawn(component).await?;
        }
        for component in CLIENTS {
            self.ready(component, Patience::None).await?;
        }
        Ok(())
    }

    /// Says that the start is over: from now on a component that ends by itself is started again, as a kubelet would,
    /// and is no longer a failed start.
    pub(crate) fn settled(&self) {
        let _ = self.commands.send(Command::Settled);
    }

    /// Starts a component and waits until it is ready. One that runs is left alone.
    ///
    /// With the API server, those that only watch it are started again, also those that ended meanwhile and wait for
    /// their turn: without it a real controller manager and scheduler lose their lease after 10 s, end, and are started
    /// by the kubelet. Without leases they would go on, with watches that try again up to a minute later.
    pub(crate) async fn start(&self, component: Component) -> Result<()> {
        let before = self.states().await?;
        let is = |component, what: fn(&State) -> bool| before.get(&component).is_some_and(what);
        self.spawn(component).await?;
        self.ready(component, Patience::Restarts).await?;
        if component != Component::ApiServer || is(component, |state| state.pid.is_some()) {
            return Ok(());
        }
        let clients: Vec<Component> =
            CLIENTS.into_iter().filter(|client| is(*client, |state| state.wanted)).collect();
        for client in &clients {
            self.kill(*client).await?;
            self.spawn(*client).await?;
        }
        for client in clients {
            self.ready(client, Patience::Restarts).await?;
        }
        Ok(())
    }

    /// Kills a component and waits for its end. It stays dead until it is started.
    pub(crate) async fn kill(&self, component: Component) -> Result<()> {
        let (sender, ended) = oneshot::channel();
        let _ = self.commands.send(Command::Kill(component, sender));
        ended.await.map_err(|_| stopped())
    }

    /// What is known of all.
    pub(crate) async fn states(&self) -> Result<BTreeMap<Component, State>> {
        let (sender, states) = oneshot::channel();
        let _ = self.commands.send(Command::States(sender));
        states.await.map_err(|_| stopped())
    }

    async fn spawn(&self, component: Component) -> Result<()> {
        if component == Component::Kwok
            && self.states().await?.get(&component).is_none_or(|state| state.pid.is_none())
        {
            self.free_simulated_nodes().await;
        }
        let (sender, started) = oneshot::channel();
        let _ = self.commands.send(Command::Start(component, sender));
        started.await.map_err(|_| stopped())?
    }

    /// Removes the leases by which a KWOK that has ended still holds its nodes: the next one would wait 40 s for them.
    async fn free_simulated_nodes(&self) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let Ok(list) = leases.list(&ListParams::default()).await else { return };
        for name in list.iter().map(kube::ResourceExt::name_any).filter(|name| name != REAL_NODE) {
            if let Err(error) = leases.delete(&name, &DeleteParams::default()).await {
                tracing::warn!(%error, name, "a simulated node's lease stays");
            }
        }
    }

    async fn ready(&self, component: Component, patience: Patience) -> Result<()> {
        let Some(prepared) = self.programs.get(&component) else { return Err(stopped()) };
        let deadline = Instant::now() + READY_WITHIN;
        let failures_before = self.states().await?.get(&component).map_or(0, |state| state.failures);
        let mut last;
        loop {
            last = match http_probe::get(&prepared.ready).await {
                Ok((200, _)) => return Ok(()),
                Ok((code, body)) => format!("answered {code}: {body}"),
                Err(error) => error,
            };
            let state = self.states().await?.remove(&component).unwrap_or_default();
            let died = state.failures > failures_before || (state.pid.is_none() && state.failures > 0);
            if patience == Patience::None && died && state.ended.is_some() {
                let code = state.ended.map_or(-1, |ended| ended.code);
                return Err(self.failed(component, format!("ended with code {code} before it was ready")));
            }
            if Instant::now() > deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(self.failed(component, format!("was not ready within {seconds} s ({last})")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn failed(&self, component: Component, found: String) -> Error {
        let log =
            self.programs.get(&component).map(|prepared| prepared.program.log.clone()).unwrap_or_default();
        Error::Component { component: component.name().into(), found, tail: files::tail(&log, 15), log }
    }
}

fn stopped() -> Error {
    Error::unmet("an answer about a component", "a cluster that is being stopped", "nothing")
}

impl Actor {
    /// Serves the handle's commands until it is dropped.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            tokio::select! {
                command = self.commands.recv() => {
                    let Some(command) = command else { break };
                    self.command(command);
                }
                Some(event) = self.events.join_next() => match event {
                    Ok(event) => self.event(event),
                    Err(error) => tracing::error!(%error, "a component's watcher failed"),
                },
            }
        }
        // Nobody asks any more: the cluster ends. The processes are waited for, so that they are seen to end.
        while self.events.join_next().await.is_some() {}
        Ok(())
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Start(component, answer) => {
                let _ = answer.send(self.start(component));
            }
            Command::Kill(component, answer) => {
                let state = self.states.entry(component).or_default();
                state.wanted = false;
                match state.pid {
                    Some(pid) => {
                        tracing::info!(%component, pid, "killing");
                        signal_group(pid, Signal::KILL);
                        self.waiting_for_end.push((component, answer));
                    }
                    None => {
                        let _ = answer.send(());
                    }
                }
            }
            Command::States(answer) => {
                let _ = answer.send(self.states.clone());
            }
            Command::Settled => {
                self.settled = true;
                for state in self.states.values_mut() {
                    state.failures = 0;
                    state.in_a_row = 0;
                }
            }
        }
    }

    fn start(&mut self, component: Component) -> Result<()> {
        let state = self.states.entry(component).or_default();
        state.wanted = true;
        if state.pid.is_some() {
            return Ok(());
        }
        let Some(prepared) = self.programs.get(&component) else { return Err(stopped()) };
        let mut running: Running = self.processes.start(&prepared.program)?;
        state.pid = Some(running.pid());
        state.began = Some(Instant::now());
        tracing::info!(%component, pid = running.pid(), "started");
        self.events.spawn(async move { Event::Ended(component, running.wait().await) });
        Ok(())
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Ended(component, ended) => {
                let state = self.states.entry(component).or_default();
                state.pid = None;
                state.ended = Some(ended);
                if state.wanted {
                    state.failures += 1;
                    state.in_a_row += 1;
                    if state.began.is_some_and(|began| began.elapsed() > LONG_RUN) {
                        state.in_a_row = 1;
                    }
                    tracing::warn!(%component, code = ended.code, "ended by itself");
                    if self.settled {
                        let pause = Duration::from_millis(500 << state.in_a_row.min(10)).min(LONGEST_PAUSE);
                        self.events.spawn(async move {
                            tokio::time::sleep(pause).await;
                            Event::Again(component)
                        });
                    }
                }
                let (ended, still): (Vec<_>, Vec<_>) =
                    self.waiting_for_end.drain(..).partition(|(waiting, _)| *waiting == component);
                self.waiting_for_end = still;
                for (_, answer) in ended {
                    let _ = answer.send(());
                }
            }
            Event::Again(component) => {
                if self.states.get(&component).is_some_and(|state| state.wanted)
                    && let Err(error) = self.start(component)
                {
                    tracing::warn!(%component, %error, "not started again");
                }
            }
        }
    }
}
