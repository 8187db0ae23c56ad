//! Addresses of pods on our node. Pod status shows 10.244.x.y, because endpoints may not be loopback addresses; the
//! process listens on 127.244.x.y. Each cluster on the machine has an `x` of its own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;

use crate::error::{Error, Result};

/// The port that a node's kubelet has. Holding it claims the network.
const KUBELET_PORT: u16 = 10_250;

/// A network of 253 pod addresses that no other cluster on this machine uses.
#[derive(Clone, Debug)]
pub(crate) struct PodNet {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    third_byte: u8,
    /// Bound as long as the cluster lives; the system gives the claim back however the process ends.
    kubelet: TcpListener,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    used: BTreeSet<u8>,
    last: u8,
}

/// An address that belongs to one pod until it is dropped.
#[derive(Debug)]
pub(crate) struct PodAddress {
    net: PodNet,
    fourth_byte: u8,
}

impl PodNet {
    /// Claims a network, from a random one upwards.
    pub(crate) async fn claim() -> Result<Self> {
        let mut start = [0; 1];
        getrandom::fill(&mut start)
            .map_err(|error| Error::unmet("random bytes", error.to_string(), "nothing"))?;
        for step in 0..=u8::MAX {
            let third_byte = start[0].wrapping_add(step);
            if let Ok(kubelet) =
                TcpListener::bind((Ipv4Addr::new(127, 244, third_byte, 1), KUBELET_PORT)).await
            {
                let inner = Inner { third_byte, kubelet, table: Mutex::default() };
                return Ok(Self { inner: Arc::new(inner) });
            }
        }
        Err(Error::unmet(
            format!("an address 127.244.x.1 whose port {KUBELET_PORT} is free"),
            "none",
            "stop other clusters; on systems where only 127.0.0.1 is local, add the others",
        ))
    }

    pub(crate) fn third_byte(&self) -> u8 {
        self.inner.third_byte
    }

    /// The listener on which the node's kubelet serves.
    pub(crate) fn kubelet(&self) -> &TcpListener {
        &self.inner.kubelet
    }

    /// An address that no pod has, in turn, so that one is not used again at once.
    pub(crate) fn lease(&self) -> Result<PodAddress> {
        let mut table = self.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        for step in 1..=253_u8 {
            // 2 to 254, after the one that was given last.
            let fourth_byte = 2 + u8::try_from((u16::from(table.last) + u16::from(step)) % 253).unwrap_or(0);
            if table.used.insert(fourth_byte) {
                table.last = fourth_byte - 2;
                drop(table);
                return Ok(PodAddress { net: self.clone(), fourth_byte });
            }
        }
        Err(Error::unmet("a free pod address", "253 pods on one node", "delete some"))
    }
}

impl PodAddress {
    /// The address in pod status.
    pub(crate) fn shown(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.net.third_byte(), self.fourth_byte)
    }

    /// The address on which the process listens.
    pub(crate) fn real(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 244, self.net.third_byte(), self.fourth_byte)
    }
}

impl Drop for PodAddress {
    fn drop(&mut self) {
        let mut table = self.net.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.used.remove(&self.fourth_byte);
    }
}

/// The address of our node in its status.
pub(crate) fn node_address(third_byte: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, third_byte, 1)
}

/// Where the process behind a pod address of this cluster listens; `None` for all other addresses.
pub(crate) fn process_address(shown: Ipv4Addr, third_byte: u8) -> Option<Ipv4Addr> {
    match shown.octets() {
        [10, 244, third, fourth] if third == third_byte => Some(Ipv4Addr::new(127, 244, third, fourth)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_clusters_have_two_networks_and_addresses_come_back() {
        let (one, other) = (PodNet::claim().await.unwrap(), PodNet::claim().await.unwrap());
        assert_ne!(one.third_byte(), other.third_byte());
        let leases: Vec<_> = (0..253).map(|_| one.lease().unwrap()).collect();
        let distinct: BTreeSet<_> = leases.iter().map(PodAddress::shown).collect();
        assert_eq!(distinct.len(), 253);
        assert!(distinct.iter().all(|address| (2..=254).contains(&address.octets()[3])));
        assert!(one.lease().is_err());
        let freed = leases[7].shown();
        drop(leases.into_iter().nth(7));
        assert!(one.lease().is_ok());
        assert_eq!(process_address(freed, one.third_byte()).map(|a| a.octets()[0]), Some(127));
        assert_eq!(process_address(freed, other.third_byte()), None);
    }
}
