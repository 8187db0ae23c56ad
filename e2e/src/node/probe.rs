//! Probes, really made.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http_probe::{self, Get};

/// While a first success is awaited, a question costs nothing and saves a period of waiting. Failures still count once
/// per period.
const EAGER: Duration = Duration::from_millis(150);

/// What probes found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The startup probe succeeded, or there is none.
    Started,
    /// The readiness probe changed its mind.
    Ready(bool, String),
    /// The startup or liveness probe failed often enough: the process is to be ended.
    Dead(String),
}

/// The probes of one container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    startup: Option<Check>,
    readiness: Option<Check>,
    liveness: Option<Check>,
}

#[derive(Clone, Debug)]
struct Check {
    question: Question,
    delay: Duration,
    period: Duration,
    timeout: Duration,
    failures: u32,
    successes: u32,
}

#[derive(Clone, Debug)]
enum Question {
    Http(Get),
    Tcp(SocketAddr),
}

impl Plan {
    /// The probes of a container whose process listens on `address`, or what is wrong with them.
    pub(crate) fn new(container: &Container, address: Ipv4Addr) -> Result<Self, String> {
        let check = |probe: &Option<Probe>| {
            probe.as_ref().map(|probe| Check::new(container, probe, address)).transpose()
        };
        Ok(Self {
            startup: check(&container.startup_probe)?,
            readiness: check(&container.readiness_probe)?,
            liveness: check(&container.liveness_probe)?,
        })
    }

    /// Whether readiness is asked for, or follows from having started.
    pub(crate) fn has_readiness(&self) -> bool {
        self.readiness.is_some()
    }

    /// Asks until nobody listens any more.
    pub(crate) async fn run(self, findings: mpsc::Sender<Finding>) {
        if let Some(check) = &self.startup {
            tokio::time::sleep(check.delay).await;
            if let Err(reason) = check.first_success(true).await {
                let _ = findings.send(Finding::Dead(format!("startup probe: {reason}"))).await;
                return;
            }
        }
        if findings.send(Finding::Started).await.is_err() {
            return;
        }
        tokio::join!(ready(self.readiness, &findings), alive(self.liveness, &findings));
    }
}

async fn ready(check: Option<Check>, findings: &mpsc::Sender<Finding>) {
    let Some(check) = check else { return };
    tokio::time::sleep(check.delay).await;
    loop {
        // Without a limit it ends in success only: an unready pod stays unready.
        let _ = check.first_success(false).await;
        if findings.send(Finding::Ready(true, String::new())).await.is_err() {
            return;
        }
        let reason = check.failing().await;
        if findings.send(Finding::Ready(false, format!("readiness probe: {reason}"))).await.is_err() {
            return;
        }
    }
}

async fn alive(check: Option<Check>, findings: &mpsc::Sender<Finding>) {
    let Some(check) = check else { return };
    tokio::time::sleep(check.delay).await;
    let reason = check.failing().await;
    let _ = findings.send(Finding::Dead(format!("liveness probe: {reason}"))).await;
}

impl Check {
    fn new(container: &Container, probe: &Probe, address: Ipv4Addr) -> Result<Self, String> {
        let timeout = seconds(probe.timeout_seconds, 1);
        let question = if let Some(get) = &probe.http_get {
            let headers =
                get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone()));
            let path = get.path.clone().unwrap_or_default();
            Question::Http(Get {
                address: SocketAddr::from((address, port(container, &get.port)?)),
                tls: get.scheme.as_deref() == Some("HTTPS"),
                path: if path.starts_with('/') { path } else { format!("/{path}") },
                headers: headers.collect(),
                timeout,
            })
        } else if let Some(socket) = &probe.tcp_socket {
            Question::Tcp(SocketAddr::from((address, port(container, &socket.port)?)))
        } else {
            return Err("a probe without httpGet or tcpSocket".into());
        };
        let count = |value: Option<i32>, default| {
            value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
        };
        Ok(Self {
            question,
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout,
            failures: count(probe.failure_threshold, 3).max(1),
            successes: count(probe.success_threshold, 1).max(1),
        })
    }

    async fn ask(&self) -> Result<(), String> {
        match &self.question {
            Question::Http(get) => match http_probe::get(get).await {
                Ok((200..=399, _)) => Ok(()),
                Ok((code, body)) => Err(format!("HTTP {code} {body}")),
                Err(error) => Err(error),
            },
            Question::Tcp(address) => http_probe::connect(*address, self.timeout).await,
        }
    }

    /// Waits for as many successes in a row as are asked for. With `limited`, so many failed periods are an error.
    async fn first_success(&self, limited: bool) -> Result<(), String> {
        let mut successes = 0;
        let mut failures = 0;
        let mut period_ends = Instant::now() + self.period;
        loop {
            match self.ask().await {
                Ok(()) => {
                    successes += 1;
                    if successes >= self.successes {
                        return Ok(());
                    }
                    tokio::time::sleep(self.period).await;
                }
                Err(reason) => {
                    successes = 0;
                    if Instant::now() >= period_ends {
                        failures += 1;
                        period_ends = Instant::now() + self.period;
                        if limited && failures >= self.failures {
                            return Err(reason);
                        }
                    }
                    tokio::time::sleep(EAGER).await;
                }
            }
        }
    }

    /// Asks once per period until so many failures in a row that it counts; the answer is the last reason.
    async fn failing(&self) -> String {
        let mut failures = 0;
        loop {
            tokio::time::sleep(self.period).await;
            match self.ask().await {
                Ok(()) => failures = 0,
                Err(reason) => {
                    failures += 1;
                    if failures >= self.failures {
                        return reason;
                    }
                }
            }
        }
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}

fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("no port {port:?} in {}", container.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn container(probes: &serde_json::Value) -> Container {
        let mut value = serde_json::json!({"name": "c", "ports": [{"name": "web", "containerPort": 1}]});
        value.as_object_mut().unwrap().extend(probes.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_named_port_is_found_and_a_wrong_one_is_an_error() {
        let good = container(&serde_json::json!({"livenessProbe": {"httpGet": {"port": "web"}}}));
        assert!(Plan::new(&good, Ipv4Addr::LOCALHOST).is_ok());
        let wrong = container(&serde_json::json!({"livenessProbe": {"httpGet": {"port": "wob"}}}));
        assert!(Plan::new(&wrong, Ipv4Addr::LOCALHOST).unwrap_err().contains("wob"));
    }

    #[tokio::test]
    async fn readiness_follows_the_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            for code in [503, 200, 500, 500, 200] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request).await.unwrap();
                let answer = format!("HTTP/1.1 {code} x\r\nContent-Length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let container = container(&serde_json::json!({
            "readinessProbe": {"httpGet": {"path": "readyz", "port": port}, "periodSeconds": 1, "failureThreshold": 1},
        }));
        let (sender, mut findings) = mpsc::channel(8);
        tasks.spawn(Plan::new(&container, Ipv4Addr::LOCALHOST).unwrap().run(sender));
        assert_eq!(findings.recv().await, Some(Finding::Started));
        assert_eq!(findings.recv().await, Some(Finding::Ready(true, String::new())));
        assert!(
            matches!(findings.recv().await, Some(Finding::Ready(false, reason)) if reason.contains("500"))
        );
        assert_eq!(findings.recv().await, Some(Finding::Ready(true, String::new())));
    }
}
