//! `round_robin`: batches go to the addresses of a name in turn. An address without a connection is
//! left out. The name is looked up again from time to time, and when no address accepts a
//! connection.

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

/// How long the result of a lookup is used. gRPC looks names up at most this often.
const KNOWN: Duration = Duration::from_secs(30);

/// The largest number of addresses.
const MAX_ADDRESSES: usize = 64;

/// Chooses the next address.
pub(super) struct Balancer {
    /// The name as `host:port`.
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

/// Why the addresses are not known.
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

    /// A connection to the next address that accepts one, and that address.
    ///
    /// # Errors
    /// If there is none. The error is that of the last address.
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

    /// Closes the connection to an address.
    pub(super) fn forget(&self, address: SocketAddr) {
        self.state().channels.remove(&address);
    }

    /// Closes all connections, but keeps the order of the addresses.
    pub(super) fn forget_all(&self) {
        let mut state = self.state();
        state.channels.clear();
        state.asked = None;
    }

    /// Uses these addresses for a while.
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
            // The old addresses are better than none.
            Err(_) if !state.addresses.is_empty() => Ok(()),
            Err(source) => Err(LookupError::Failed {
                name: self.name.clone(),
                source,
            }),
        }
    }

    /// The addresses, starting with the next one.
    fn turn(&self) -> Vec<SocketAddr> {
        let mut state = self.state();
        let mut addresses = state.addresses.clone();
        let first = state.next.checked_rem(addresses.len()).unwrap_or_default();
        state.next = first + 1;
        addresses.rotate_left(first);
        addresses
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Everything that is missing after a panic is created again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
