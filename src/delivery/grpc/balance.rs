//! `round_robin`: the addresses of a name take turns, and one that cannot be connected to is left
//! out. Which there are is asked again from time to time, and when none can be connected to.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::lookup_host, time::Instant};
use tonic::transport::{Channel, Endpoint};

use super::connect::Connect;
use crate::client::BoxError;

/// How long it is known which addresses there are; gRPC asks as often at most.
const KNOWN: Duration = Duration::from_secs(30);

/// The most addresses that are used.
const MAX_ADDRESSES: usize = 64;

/// Which address is next.
pub(super) struct Balancer {
    /// `host:port`.
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Option<Instant>,
    addresses: Vec<SocketAddr>,
    next: usize,
    channels: HashMap<SocketAddr, Channel>,
}

/// Why it is not known which addresses there are.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("`{name}` cannot be looked up")]
    Failed {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("`{0}` has no address")]
    Nothing(String),
}

impl Balancer {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            state: Mutex::default(),
        }
    }

    /// A connection to the next address that can be connected to, and that address.
    ///
    /// # Errors
    /// If there is none. The last failure says why.
    pub(super) async fn channel(
        &self,
        endpoint: &Endpoint,
        connect: &Connect,
    ) -> Result<(SocketAddr, Channel), BoxError> {
        self.look_up().await?;
        let mut failure = BoxError::from(LookupError::Nothing(self.name.clone()));
        for address in self.turn() {
            let known = self.state().channels.get(&address).cloned();
            if let Some(channel) = known {
                return Ok((address, channel));
            }
            let connect = connect.clone().to(address);
            match endpoint.connect_with_connector(connect).await {
                Ok(channel) => {
                    self.state().channels.insert(address, channel.clone());
                    return Ok((address, channel));
                }
                Err(error) => failure = error.into(),
            }
        }
        self.state().asked = None;
        Err(failure)
    }

    /// Forgets the connection to an address.
    pub(super) fn forget(&self, address: SocketAddr) {
        self.state().channels.remove(&address);
    }

    /// Forgets all connections, but not whose turn it is.
    pub(super) fn forget_all(&self) {
        let mut state = self.state();
        state.channels.clear();
        state.asked = None;
    }

    /// Takes these for the addresses, for a while.
    #[cfg(test)]
    pub(super) fn know(&self, addresses: &[SocketAddr]) {
        let mut state = self.state();
        state.addresses = addresses.to_vec();
        state.asked = Some(Instant::now());
    }

    async fn look_up(&self) -> Result<(), LookupError> {
        let now = Instant::now();
        if self.state().asked.is_some_and(|asked| now - asked < KNOWN) {
            return Ok(());
        }
        let found = lookup_host(&self.name).await;
        let mut state = self.state();
        match found {
            Ok(found) => {
                let mut found: Vec<_> = found.take(MAX_ADDRESSES).collect();
                found.sort_unstable();
                found.dedup();
                state.channels.retain(|address, _| found.contains(address));
                state.addresses = found;
                state.asked = Some(now);
                Ok(())
            }
            // What was known is better than nothing.
            Err(_) if !state.addresses.is_empty() => Ok(()),
            Err(source) => Err(LookupError::Failed {
                name: self.name.clone(),
                source,
            }),
        }
    }

    /// The addresses, beginning with the one whose turn it is.
    fn turn(&self) -> Vec<SocketAddr> {
        let mut state = self.state();
        let mut addresses = state.addresses.clone();
        let first = state.next.checked_rem(addresses.len()).unwrap_or_default();
        state.next = first + 1;
        addresses.rotate_left(first);
        addresses
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever is missing after a panic is made again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
