//! The control socket: how tests and the command line ask the supervisor for something.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::components::Components;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::node::RunningPods;
use crate::protocol::{Answer, Request};

/// The listening socket and what it can reach.
pub(crate) struct Control {
    listener: UnixListener,
    parts: Parts,
}

#[derive(Clone)]
struct Parts {
    components: Components,
    pods: RunningPods,
    stop: watch::Sender<bool>,
}

impl Control {
    /// Opens the socket.
    pub(crate) fn bind(
        layout: &Layout,
        components: Components,
        pods: RunningPods,
        stop: watch::Sender<bool>,
    ) -> Result<Self> {
        let path = layout.control_socket();
        let listener =
            UnixListener::bind(&path).map_err(Error::io(format!("listening on {}", path.display())))?;
        Ok(Self { listener, parts: Parts { components, pods, stop } })
    }

    /// Serves for ever.
    pub(crate) async fn run(self) -> Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted.map_err(Error::io("accepting on the control socket"))?;
                    let parts = self.parts.clone();
                    connections.spawn(async move {
                        if let Err(error) = serve(stream, parts).await {
                            tracing::debug!(%error, "a control connection failed");
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve(stream: UnixStream, parts: Parts) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line) {
            Ok(request) => {
                answer(request, &parts).await.unwrap_or_else(|error| Answer::Failed(error.to_string()))
            }
            Err(error) => Answer::Failed(format!("not a request: {error}")),
        };
        let mut text = serde_json::to_string(&answer).unwrap_or_default();
        text.push('\n');
        writer.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

async fn answer(request: Request, parts: &Parts) -> Result<Answer> {
    match request {
        Request::Kill { component } => parts.components.kill(component).await?,
        Request::Start { component } => parts.components.start(component).await?,
        Request::Status => {
            let states = parts.components.states().await?;
            let lines = states.into_iter().map(|(component, state)| match (state.pid, state.wanted) {
                (Some(pid), _) => {
                    format!("{component}: runs (process {pid}, ended by itself {} times)", state.failures)
                }
                (None, true) => format!("{component}: ended by itself, is started again"),
                (None, false) => format!("{component}: killed"),
            });
            return Ok(Answer::Status(lines.collect()));
        }
        Request::SignalPod { namespace, name, container, signal } => {
            if !parts.pods.signal(&namespace, &name, container.as_deref(), signal.into()) {
                return Err(Error::unmet(
                    format!("a process of pod {namespace}/{name} on our node"),
                    "none that runs",
                    "look at `kubectl get pods -o wide`",
                ));
            }
        }
        Request::Shutdown => {
            parts.stop.send_replace(true);
        }
    }
    Ok(Answer::Done)
}
