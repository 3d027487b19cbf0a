//! The register of routes, and their sockets.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio::net::lookup_host;

use super::{
    ClientLimits, CredentialsError, Portless, Route, ServerAuth, ServerConfig, TlsError,
    router::Router,
    running_listeners::{BoundListener, BoundListeners, RunningListeners},
    telemetry::ListenerTelemetry,
    tls::Tls,
};
use crate::telemetry::Meter;

/// Why a route cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Two components want the same path of the same endpoint.
    #[error("`{path}` on {endpoint} is wanted by both {first} and {second}")]
    Taken {
        /// The endpoint of the listener.
        endpoint: String,
        /// The path of the route.
        path: String,
        /// The component that has the path.
        first: String,
        /// The component that wants it too.
        second: String,
    },
    /// Two components want to share a listener, but their settings differ.
    #[error("{first} and {second} share {endpoint} but differ in {what}")]
    Differ {
        /// The endpoint of the listener.
        endpoint: String,
        /// The component that was first.
        first: String,
        /// The component that came later.
        second: String,
        /// The settings that differ.
        what: &'static str,
    },
    /// The certificates cannot be used.
    #[error("failed to set up TLS on {endpoint} for {owner}")]
    Tls {
        /// The endpoint of the listener.
        endpoint: String,
        /// The component with the TLS settings.
        owner: String,
        /// Why TLS cannot be set up.
        #[source]
        source: Box<TlsError>,
    },
    /// The password or token cannot be read.
    #[error("failed to read the credentials of {owner}")]
    Credentials {
        /// The component with the credentials.
        owner: String,
        /// Why the secret cannot be used.
        #[source]
        source: CredentialsError,
    },
}

/// An endpoint cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {endpoint} for {owners}")]
pub struct BindError {
    /// The endpoint of the listener.
    pub endpoint: String,
    /// The components that have routes there.
    pub owners: String,
    /// Why the socket cannot be opened.
    #[source]
    pub source: io::Error,
}

/// The routes of all components, by endpoint.
#[derive(Debug)]
pub struct Listeners {
    limits: ClientLimits,
    telemetry: ListenerTelemetry,
    by_endpoint: BTreeMap<String, Listener>,
}

/// The settings and routes of one endpoint.
#[derive(Debug)]
struct Listener {
    /// The component that came first, and its settings.
    first: (String, ServerConfig),
    tls: Option<Arc<Tls>>,
    router: Router,
}

impl Listeners {
    /// Creates an empty register. `limits` apply to listeners whose components set none. `meter`
    /// counts refusals.
    pub fn new(limits: ClientLimits, meter: &Meter) -> Self {
        Self {
            limits,
            telemetry: ListenerTelemetry::new(meter),
            by_endpoint: BTreeMap::new(),
        }
    }

    /// Adds a route to the listener of an endpoint. There is one listener for each distinct text.
    ///
    /// # Errors
    /// If the path is in use, the settings of the components differ, or a file cannot be used.
    pub fn route(&mut self, server: &ServerConfig, route: Route) -> Result<(), RouteError> {
        let (path, owner) = (route.path.clone(), route.owner.clone());
        let host = server
            .endpoint
            .rsplit_once(':')
            .map(|(host, _)| host.to_owned());
        let route = authenticated_by(route, server)?.at_hosts(host);
        let listener = self.listener(server, &owner)?;
        listener
            .router
            .add(route)
            .map_err(|first| RouteError::Taken {
                endpoint: server.endpoint.clone(),
                path,
                first,
                second: owner,
            })
    }

    fn listener(
        &mut self,
        server: &ServerConfig,
        owner: &str,
    ) -> Result<&mut Listener, RouteError> {
        let endpoint = server.endpoint.clone();
        let listener = match self.by_endpoint.entry(endpoint.clone()) {
            Entry::Occupied(listener) => listener.into_mut(),
            Entry::Vacant(free) => {
                let tls = server.tls.as_ref().map(Tls::load).transpose();
                let owner = owner.to_owned();
                free.insert(Listener {
                    first: (owner.clone(), server.clone()),
                    tls: tls
                        .map_err(|source| RouteError::Tls {
                            endpoint: endpoint.clone(),
                            owner,
                            source: Box::new(source),
                        })?
                        .map(Arc::new),
                    router: Router::default(),
                })
            }
        };
        let (first, theirs) = &mut listener.first;
        if let Some(what) = theirs.differs_in(server) {
            return Err(RouteError::Differ {
                endpoint,
                first: first.clone(),
                second: owner.to_owned(),
                what,
            });
        }
        theirs.limits = theirs.limits.or(server.limits);
        Ok(listener)
    }

    /// What `endpoint` answers over connections that are no sockets, for fuzzing.
    #[doc(hidden)]
    pub fn without_port(mut self, endpoint: &str) -> Option<Portless> {
        let listener = self.by_endpoint.remove(endpoint)?;
        let (_, server) = listener.first;
        let limits = server.limits.unwrap_or(self.limits);
        Some(Portless::new(limits, listener.router, self.telemetry))
    }

    /// Opens all ports.
    ///
    /// # Errors
    /// If a port cannot be opened.
    pub async fn bind(self) -> Result<BoundListeners, BindError> {
        self.bind_missing(&RunningListeners::default()).await
    }

    /// Opens the ports that `serving` does not have yet.
    ///
    /// # Errors
    /// If a port cannot be opened. `serving` is not affected.
    pub async fn bind_missing(
        self,
        serving: &RunningListeners,
    ) -> Result<BoundListeners, BindError> {
        let mut bound = BTreeMap::new();
        for (endpoint, listener) in self.by_endpoint {
            let owners = listener.router.owners();
            let socket = match serving.holds(&endpoint) {
                true => None,
                false => match listen(&endpoint).await {
                    Ok(socket) => Some(socket),
                    Err(source) => {
                        return Err(BindError {
                            endpoint,
                            owners,
                            source,
                        });
                    }
                },
            };
            if let Some((_, address)) = &socket {
                let tls = listener.tls.is_some();
                tracing::info!(%address, tls, components = owners, "listening");
            }
            let (_, server) = listener.first;
            let one = BoundListener {
                socket,
                limits: server.limits.unwrap_or(self.limits),
                tls: server.tls.zip(listener.tls),
                router: Arc::new(listener.router),
            };
            bound.insert(endpoint, one);
        }
        Ok(BoundListeners::new(bound, self.telemetry))
    }
}

/// The route with the access rules of its component.
fn authenticated_by(route: Route, server: &ServerConfig) -> Result<Route, RouteError> {
    let Some(auth) = ServerAuth::new(&server.auth) else {
        return Ok(route);
    };
    match auth.verify() {
        Ok(()) => Ok(route.authenticated_by(auth)),
        Err(source) => Err(RouteError::Credentials {
            owner: route.owner,
            source,
        }),
    }
}

async fn listen(endpoint: &str) -> io::Result<(TcpListener, SocketAddr)> {
    let mut addresses: Vec<_> = lookup_host(endpoint).await?.collect();
    // `localhost` means 127.0.0.1 to most clients, whatever the order in which it resolves.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let listener = tokio::net::TcpListener::bind(&addresses[..]).await?;
    let address = listener.local_addr()?;
    Ok((listener.into_std()?, address))
}
