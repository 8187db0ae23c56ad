//! The way from the API server to Services and pods: an HTTP CONNECT listener on a Unix socket that stands in for
//! kube-proxy. It leads a Service's cluster IP to one of its ready endpoints, and a pod's address 10.244.x.y on our
//! node to 127.244.x.y, where the pod's process listens.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::node::{SteadyBackoff, process_address};

/// The most of a CONNECT request that is read.
const REQUEST_LIMIT: usize = 8 * 1024;
/// How long a process may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The listener and the watches that it needs.
pub(crate) struct Egress {
    listener: UnixListener,
    client: kube::Client,
    third_byte: u8,
}

struct Routes {
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    third_byte: u8,
    turn: AtomicUsize,
}

impl Egress {
    /// Opens the socket, before the API server starts.
    pub(crate) fn bind(layout: &Layout, client: kube::Client, third_byte: u8) -> Result<Self> {
        let path = layout.egress_socket();
        let listener =
            UnixListener::bind(&path).map_err(Error::io(format!("listening on {}", path.display())))?;
        Ok(Self { listener, client, third_byte })
    }

    /// Serves for ever.
    pub(crate) async fn run(self) -> Result<()> {
        let (services, service_writer) = reflector::store();
        let (slices, slice_writer) = reflector::store();
        let mut work = JoinSet::new();
        let watch = watcher(Api::<Service>::all(self.client.clone()), watcher::Config::default());
        let stream = watch.backoff(SteadyBackoff).reflect(service_writer);
        work.spawn(async move { stream.for_each(|_| futures::future::ready(())).await });
        let watch = watcher(Api::<EndpointSlice>::all(self.client.clone()), watcher::Config::default());
        let stream = watch.backoff(SteadyBackoff).reflect(slice_writer);
        work.spawn(async move { stream.for_each(|_| futures::future::ready(())).await });
        let routes =
            Arc::new(Routes { services, slices, third_byte: self.third_byte, turn: AtomicUsize::default() });
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted.map_err(Error::io("accepting on the egress socket"))?;
                    let routes = Arc::clone(&routes);
                    work.spawn(async move {
                        if let Err(error) = tunnel(stream, &routes).await {
                            tracing::debug!(%error, "an egress connection ended");
                        }
                    });
                }
                Some(_) = work.join_next() => {}
            }
        }
    }
}

async fn tunnel(mut near: UnixStream, routes: &Routes) -> io::Result<()> {
    let Some(target) = read_request(&mut near).await? else {
        return refuse(&mut near, "400 Bad Request", "wanted: CONNECT host:port").await;
    };
    let address = match routes.find(&target) {
        Ok(address) => address,
        Err(reason) => return refuse(&mut near, "503 Service Unavailable", &reason).await,
    };
    let far = match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(far)) => far,
        Ok(Err(error)) => {
            return refuse(&mut near, "502 Bad Gateway", &format!("{target} is {address}: {error}")).await;
        }
        Err(_) => return refuse(&mut near, "504 Gateway Timeout", &format!("{target} is {address}")).await,
    };
    let mut far = far;
    far.set_nodelay(true)?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

async fn refuse(near: &mut UnixStream, status: &str, reason: &str) -> io::Result<()> {
    tracing::info!(status, reason, "egress refused");
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{reason}", reason.len());
    near.write_all(answer.as_bytes()).await
}

/// Reads up to the empty line. The API server sends nothing further before it has the answer.
async fn read_request(near: &mut UnixStream) -> io::Result<Option<String>> {
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        if near.read(&mut byte).await? == 0 || request.len() > REQUEST_LIMIT {
            return Ok(None);
        }
        request.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&request);
    let target = text.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    Ok(target.map(ToOwned::to_owned))
}

impl Routes {
    /// Where `target` (address:port) really listens, or why nowhere.
    fn find(&self, target: &str) -> Result<SocketAddr, String> {
        let (host, port) = target.rsplit_once(':').ok_or_else(|| format!("{target} has no port"))?;
        let port: u16 = port.parse().map_err(|_| format!("{target} has no port"))?;
        let address: Ipv4Addr = host.parse().map_err(|_| format!("{host} is not an IPv4 address"))?;
        if let Some(process) = process_address(address, self.third_byte) {
            return Ok(SocketAddr::from((process, port)));
        }
        let service = self
            .services
            .state()
            .into_iter()
            .find(|service| service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some(host))
            .ok_or_else(|| format!("no Service and no pod of ours has the address {host}"))?;
        let wanted = service
            .spec
            .iter()
            .flat_map(|spec| spec.ports.iter().flatten())
            .find(|candidate| candidate.port == i32::from(port))
            .ok_or_else(|| format!("the Service at {host} has no port {port}"))?;
        let name = service.metadata.name.clone().unwrap_or_default();
        let slices: Vec<Arc<EndpointSlice>> = self
            .slices
            .state()
            .into_iter()
            .filter(|slice| {
                slice.metadata.namespace == service.metadata.namespace
                    && slice
                        .metadata
                        .labels
                        .as_ref()
                        .and_then(|labels| labels.get("kubernetes.io/service-name"))
                        == Some(&name)
            })
            .collect();
        let candidates = endpoints(&slices, wanted.name.as_deref().unwrap_or_default());
        if candidates.is_empty() {
            return Err(format!("Service {name} has no ready endpoint"));
        }
        let (address, port) = candidates[self.turn.fetch_add(1, Ordering::Relaxed) % candidates.len()];
        match process_address(address, self.third_byte) {
            Some(process) => Ok(SocketAddr::from((process, port))),
            None => {
                Err(format!("the endpoint {address} of Service {name} is simulated: nothing listens there"))
            }
        }
    }
}

/// The ready endpoints for a named port; when there are none, those that still serve while they terminate, as
/// kube-proxy does.
fn endpoints(slices: &[Arc<EndpointSlice>], port_name: &str) -> Vec<(Ipv4Addr, u16)> {
    let mut ready = Vec::new();
    let mut serving = Vec::new();
    for slice in slices {
        let port =
            slice.ports.iter().flatten().find(|port| port.name.as_deref().unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok()) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            for address in endpoint.addresses.iter().filter_map(|address| address.parse().ok()) {
                if conditions.ready.unwrap_or(true) {
                    ready.push((address, port));
                } else if conditions.serving.unwrap_or(false) {
                    serving.push((address, port));
                }
            }
        }
    }
    if ready.is_empty() { serving } else { ready }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(value: serde_json::Value) -> Arc<EndpointSlice> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn ready_endpoints_come_first_and_terminating_ones_serve_only_without_them() {
        let terminating = slice(serde_json::json!({
            "metadata": {}, "addressType": "IPv4", "ports": [{"name": "https", "port": 9443}],
            "endpoints": [{"addresses": ["10.244.7.2"], "conditions": {"ready": false, "serving": true}},
                          {"addresses": ["10.244.7.9"], "conditions": {"ready": false, "serving": false}}],
        }));
        let ready = slice(serde_json::json!({
            "metadata": {}, "addressType": "IPv4", "ports": [{"name": "https", "port": 9443}],
            "endpoints": [{"addresses": ["10.244.7.3"], "conditions": {"ready": true}}],
        }));
        let both = [Arc::clone(&terminating), ready];
        assert_eq!(endpoints(&both, "https"), vec![(Ipv4Addr::new(10, 244, 7, 3), 9443)]);
        assert_eq!(endpoints(&[terminating], "https"), vec![(Ipv4Addr::new(10, 244, 7, 2), 9443)]);
        assert_eq!(endpoints(&both, "metrics"), vec![]);
    }
}
