//! Certificates, kubeconfigs, configuration files and command lines of a cluster.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::component::Component;
use crate::error::{Error, Result};
use crate::files;
use crate::http_probe::Get;
use crate::kubeconfig::{self, Server};
use crate::layout::Layout;
use crate::node;
use crate::people::PEOPLE;
use crate::pki::{Authority, Identity};
use crate::process::Program;
use crate::toolchain::Toolchain;

/// A component's command line and the question that shows it ready.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) program: Program,
    pub(crate) ready: Get,
}

/// All that is written before the first process starts.
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) programs: BTreeMap<Component, Prepared>,
    /// What our node's kubelet shows to the API server.
    pub(crate) kubelet: Identity,
    admin: PathBuf,
}

/// Requests that change something are logged with their body, so that a test sees what was really asked; reads by the
/// control plane itself are left out, they would be most of the log.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, kwok, placet-node]
  verbs: [get, list, watch]
- level: None
  userGroups: [system:serviceaccounts:kube-system]
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, kwok, placet-node]
- level: Metadata
  resources:
  - {group: '', resources: [secrets, serviceaccounts/token]}
- level: Metadata
  verbs: [get, list, watch]
- level: Request
";

impl Settings {
    /// A client for the supervisor's own use.
    pub(crate) async fn admin_client(&self) -> Result<kube::Client> {
        kubeconfig::client_from(&self.admin).await
    }
}

/// The ports of the components, on 127.0.0.1.
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    api: u16,
    controllers: u16,
    scheduler: u16,
    kwok: u16,
}

/// Writes all files and composes the command lines.
pub(crate) fn write(layout: &Layout, tools: &Toolchain, third_byte: u8) -> Result<Settings> {
    let [etcd, etcd_peer, api, controllers, scheduler, kwok] = free_ports()?;
    let ports = Ports { etcd, etcd_peer, api, controllers, scheduler, kwok };
    let authority = Authority::ensure(layout)?;
    let server = Server { url: format!("https://127.0.0.1:{api}"), authority: authority.certificate() };
    write_kubeconfigs(layout, &server, &authority)?;
    write_configurations(layout)?;
    let kubelet = authority.server(node::REAL_NODE, &[&node::node_address(third_byte).to_string()])?;
    let calls_kubelets = authority.client("kube-apiserver-kubelet-client", &["system:masters"])?;
    files::write(&layout.pki("kubelet-client.crt"), &calls_kubelets.certificate, 0o644)?;
    files::write(&layout.pki("kubelet-client.key"), &calls_kubelets.key, 0o600)?;
    let programs = Component::ALL
        .into_iter()
        .map(|component| {
            let program = Program {
                path: tools.binary(component.name()),
                arguments: arguments(component, layout, tools, &ports),
                environment: vec![
                    ("HOME".into(), layout.home().display().to_string()),
                    ("PATH".into(), "/usr/bin:/bin".into()),
                ],
                directory: layout.root().to_path_buf(),
                log: layout.log(component.name()),
                // Only etcd has files to close.
                gentle: component == Component::Etcd,
            };
            (component, Prepared { program, ready: question(component, &ports) })
        })
        .collect();
    Ok(Settings { server, programs, kubelet, admin: internal(layout, node::AGENT_USER) })
}

/// The kubeconfig of a component.
fn internal(layout: &Layout, name: &str) -> PathBuf {
    layout.settings(&format!("{name}.kubeconfig"))
}

fn write_kubeconfigs(layout: &Layout, server: &Server, authority: &Authority) -> Result<()> {
    for person in PEOPLE {
        let identity = authority.client(person.name, person.groups)?;
        let text = kubeconfig::with_certificate(server, person.name, &identity);
        files::write(&layout.kubeconfig(person.name), text, 0o600)?;
    }
    for (user, groups) in [
        ("system:kube-controller-manager", &[][..]),
        ("system:kube-scheduler", &[]),
        // Simulates kubelets and whatever they may do, and our node's agent, which is kubelet and provisioner at once.
        ("kwok", &["system:masters"]),
        (node::AGENT_USER, &["system:masters"]),
    ] {
        let identity = authority.client(user, groups)?;
        let text = kubeconfig::with_certificate(server, user, &identity);
        files::write(&internal(layout, user.trim_start_matches("system:")), text, 0o600)?;
    }
    Ok(())
}

fn write_configurations(layout: &Layout) -> Result<()> {
    files::write(&layout.settings("real-node-values.yaml"), node::REAL_NODE_VALUES, 0o644)?;
    files::write(&layout.settings("audit-policy.yaml"), AUDIT_POLICY, 0o644)?;
    let egress = serde_json::json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{
            "name": "cluster",
            "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": { "uds": { "udsName": layout.egress_socket() } },
            },
        }],
    });
    files::write(&layout.settings("egress.yaml"), egress.to_string(), 0o644)?;
    // The default limits (50 requests/s) are for shared clusters; here they would be what a bench measures.
    let scheduling = serde_json::json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": { "leaderElect": false },
        "clientConnection": { "kubeconfig": internal(layout, "kube-scheduler"), "qps": 500, "burst": 1000 },
    });
    files::write(&layout.settings("scheduler.yaml"), scheduling.to_string(), 0o644)
}

/// The question that a component answers with 200 when it is ready.
fn question(component: Component, ports: &Ports) -> Get {
    let (port, tls, path) = match component {
        Component::Etcd => (ports.etcd, false, "/health"),
        Component::ApiServer => (ports.api, true, "/readyz"),
        Component::ControllerManager => (ports.controllers, true, "/healthz"),
        Component::Scheduler => (ports.scheduler, true, "/healthz"),
        Component::Kwok => (ports.kwok, false, "/healthz"),
    };
    Get {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls,
        path: path.into(),
        headers: Vec::new(),
        timeout: Duration::from_secs(2),
    }
}

fn arguments(component: Component, layout: &Layout, tools: &Toolchain, ports: &Ports) -> Vec<String> {
    let text = |path: PathBuf| path.display().to_string();
    match component {
        Component::Etcd => etcd_arguments(layout, ports),
        Component::ApiServer => api_server_arguments(layout, ports),
        Component::ControllerManager => vec![
            format!("--kubeconfig={}", text(internal(layout, "kube-controller-manager"))),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", ports.controllers),
            format!("--cert-dir={}", text(layout.settings("controller-manager-serving"))),
            "--use-service-account-credentials".into(),
            format!("--service-account-private-key-file={}", text(layout.pki("service-accounts.key"))),
            format!("--root-ca-file={}", text(layout.pki("ca.crt"))),
            "--leader-elect=false".into(),
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
        ],
        Component::Scheduler => vec![
            format!("--config={}", text(layout.settings("scheduler.yaml"))),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", ports.scheduler),
            format!("--cert-dir={}", text(layout.settings("scheduler-serving"))),
        ],
        Component::Kwok => {
            let mut all = vec![
                format!("--kubeconfig={}", text(internal(layout, "kwok"))),
                "--manage-all-nodes=false".into(),
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".into(),
                // Apart from Services (10.96) and from our own node's pods (10.244).
                "--cidr=10.243.0.1/16".into(),
                format!("--server-address=127.0.0.1:{}", ports.kwok),
                "--node-lease-duration-seconds=40".into(),
            ];
            all.extend(tools.stages().into_iter().map(|stage| format!("--config={}", text(stage))));
            all
        }
    }
}

fn etcd_arguments(layout: &Layout, ports: &Ports) -> Vec<String> {
    let (client, peer) = (ports.etcd, ports.etcd_peer);
    vec![
        format!("--data-dir={}", layout.etcd_data().display()),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
        // The cluster is thrown away with the machine's next crash anyway; kills lose nothing.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        // As kubeadm sets it: without it a kind of which nothing changes has no bookmarks for ten minutes.
        "--watch-progress-notify-interval=5s".into(),
    ]
}

fn api_server_arguments(layout: &Layout, ports: &Ports) -> Vec<String> {
    let text = |path: PathBuf| path.display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        format!("--secure-port={}", ports.api),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        // Endpoints may not be loopback addresses; nothing here uses the `kubernetes` Service.
        "--endpoint-reconciler-type=none".into(),
        format!("--cert-dir={}", text(layout.pki(""))),
        format!("--tls-cert-file={}", text(layout.pki("apiserver.crt"))),
        format!("--tls-private-key-file={}", text(layout.pki("apiserver.key"))),
        format!("--client-ca-file={}", text(layout.pki("ca.crt"))),
        format!("--kubelet-certificate-authority={}", text(layout.pki("ca.crt"))),
        format!("--kubelet-client-certificate={}", text(layout.pki("kubelet-client.crt"))),
        format!("--kubelet-client-key={}", text(layout.pki("kubelet-client.key"))),
        // Simulated nodes have no addresses, and names resolve nowhere.
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--service-account-key-file={}", text(layout.pki("service-accounts.pub"))),
        format!("--service-account-signing-key-file={}", text(layout.pki("service-accounts.key"))),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--allow-privileged".into(),
        format!("--egress-selector-config-file={}", text(layout.settings("egress.yaml"))),
        format!("--audit-policy-file={}", text(layout.settings("audit-policy.yaml"))),
        format!("--audit-log-path={}", text(layout.audit_log())),
        // One growing file: a test reads it from start to end.
        "--audit-log-maxsize=0".into(),
    ]
}

/// Ports that nobody listens on now. They lie below the range that the system hands out for outgoing connections, so
/// that no client takes one before the server does, or while the server is killed.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let mut random = [0; 2];
    getrandom::fill(&mut random)
        .map_err(|error| Error::unmet("random bytes", error.to_string(), "nothing"))?;
    let start = u16::from_le_bytes(random) % COUNT;
    let mut held = Vec::with_capacity(N);
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        if let Ok(listener) = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if held.len() == N {
            break;
        }
    }
    let ports: Vec<u16> = held.iter().map(|(port, _)| *port).collect();
    ports.try_into().map_err(|ports: Vec<u16>| {
        Error::unmet(
            format!("{N} free ports between {FIRST} and {}", FIRST + COUNT),
            format!("{} free ones", ports.len()),
            "end other programs that listen there",
        )
    })
}
