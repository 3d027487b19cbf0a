//! The register of routes, and the sockets behind it.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use opentelemetry::metrics::{Counter, Meter};
use tokio::net::{TcpListener, lookup_host};

use super::{
    Limits, Route,
    connection::{Server, accept},
    router::Router,
};
use crate::{runtime::Tasks, telemetry::names};

/// Two components want the same path of the same endpoint.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` on {endpoint} is wanted by both {first} and {second}")]
pub struct RouteError {
    /// The endpoint.
    pub endpoint: String,
    /// The path.
    pub path: String,
    /// Who has it.
    pub first: String,
    /// Who asked for it too.
    pub second: String,
}

/// An endpoint cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {endpoint} for {owners}")]
pub struct BindError {
    /// The endpoint.
    pub endpoint: String,
    /// The components that have routes there.
    pub owners: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The routes of all components, by endpoint.
#[derive(Debug)]
pub struct Listeners {
    limits: Limits,
    refused: Counter<u64>,
    routers: BTreeMap<String, Router>,
}

impl Listeners {
    /// No routes yet. `meter` counts the connections that are refused.
    pub fn new(limits: Limits, meter: &Meter) -> Self {
        let refused = &names::CONNECTIONS_REFUSED;
        Self {
            limits,
            refused: meter
                .u64_counter(refused.name)
                .with_unit(refused.unit)
                .with_description(refused.description)
                .build(),
            routers: BTreeMap::new(),
        }
    }

    /// Adds a route to the listener of `endpoint`, which exists once for each distinct text.
    ///
    /// # Errors
    /// If the path is taken there.
    pub fn route(&mut self, endpoint: &str, route: Route) -> Result<(), RouteError> {
        let (path, second) = (route.path.clone(), route.owner.clone());
        let router = self.routers.entry(endpoint.to_owned()).or_default();
        router.add(route).map_err(|first| RouteError {
            endpoint: endpoint.to_owned(),
            path,
            first,
            second,
        })
    }

    /// Takes all the ports.
    ///
    /// # Errors
    /// If one of them cannot be had.
    pub async fn bind(self) -> Result<BoundListeners, BindError> {
        let mut bound = BTreeMap::new();
        for (endpoint, router) in self.routers {
            match listen(&endpoint).await {
                Ok((listener, address)) => {
                    tracing::info!(%address, components = router.owners(), "listening");
                    let server = Server::new(self.limits, self.refused.clone(), router);
                    bound.insert(endpoint, (listener, address, Arc::new(server)));
                }
                Err(source) => {
                    let owners = router.owners();
                    return Err(BindError {
                        endpoint,
                        owners,
                        source,
                    });
                }
            }
        }
        Ok(BoundListeners { bound })
    }
}

async fn listen(endpoint: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let mut addresses: Vec<_> = lookup_host(endpoint).await?.collect();
    // `localhost` means 127.0.0.1 to most clients, whatever the order in which it resolves.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let listener = TcpListener::bind(&addresses[..]).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Listeners that hold their ports.
#[derive(Debug)]
pub struct BoundListeners {
    bound: BTreeMap<String, (TcpListener, SocketAddr, Arc<Server>)>,
}

impl BoundListeners {
    /// The address behind `endpoint`; tells the port where the endpoint says 0.
    pub fn local_addr(&self, endpoint: &str) -> Option<SocketAddr> {
        self.bound.get(endpoint).map(|(_, address, _)| *address)
    }

    /// Answers requests until `tasks` stop; connections end after the answer that is under way.
    pub fn serve(self, tasks: &Tasks) {
        for (endpoint, (listener, _, server)) in self.bound {
            let name: Arc<str> = format!("http {endpoint}").into();
            let accepting = accept(listener, server, tasks.clone(), Arc::clone(&name));
            tasks.spawn(name, accepting);
        }
    }
}
