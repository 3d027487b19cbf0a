//! The register of routes, and the sockets behind it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio::net::lookup_host;

use super::{
    ClientLimits, Credentials, CredentialsError, Route, ServerConfig, TlsError,
    router::Router,
    running_listeners::{BoundListener, BoundListeners, RunningListeners},
    telemetry::ListenerTelemetry,
    tls::Tls,
};
use crate::telemetry::Meter;

/// A component cannot be served as it wants to be.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Two components want the same path of the same endpoint.
    #[error("`{path}` on {endpoint} is wanted by both {first} and {second}")]
    Taken {
        /// The endpoint.
        endpoint: String,
        /// The path.
        path: String,
        /// Who has it.
        first: String,
        /// Who asked for it too.
        second: String,
    },
    /// Two components want to share a listener and do not agree on it.
    #[error("{first} and {second} share {endpoint} but differ in {what}")]
    Differ {
        /// The endpoint.
        endpoint: String,
        /// Who was first.
        first: String,
        /// Who came after.
        second: String,
        /// What they do not agree on.
        what: &'static str,
    },
    /// Its certificates cannot be used.
    #[error("failed to set up TLS on {endpoint} for {owner}")]
    Tls {
        /// The endpoint.
        endpoint: String,
        /// The component.
        owner: String,
        /// Why.
        #[source]
        source: Box<TlsError>,
    },
    /// Its password or token cannot be had.
    #[error("failed to read whom {owner} admits")]
    Credentials {
        /// The component.
        owner: String,
        /// Why.
        #[source]
        source: CredentialsError,
    },
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
    limits: ClientLimits,
    telemetry: ListenerTelemetry,
    by_endpoint: BTreeMap<String, Listener>,
}

/// What one endpoint will be.
#[derive(Debug)]
struct Listener {
    /// The component that came first, and what it asked for.
    first: (String, ServerConfig),
    tls: Option<Arc<Tls>>,
    router: Router,
}

impl Listeners {
    /// No routes yet. `limits` are those of listeners whose components do not care; `meter`
    /// counts what is refused.
    pub fn new(limits: ClientLimits, meter: &Meter) -> Self {
        Self {
            limits,
            telemetry: ListenerTelemetry::new(meter),
            by_endpoint: BTreeMap::new(),
        }
    }

    /// Adds a route to the listener of an endpoint, which exists once for each distinct text.
    ///
    /// # Errors
    /// If the path is taken there, the components there do not agree, or a file cannot be used.
    pub fn route(&mut self, server: &ServerConfig, route: Route) -> Result<(), RouteError> {
        let (path, owner) = (route.path.clone(), route.owner.clone());
        let host = server
            .endpoint
            .rsplit_once(':')
            .map(|(host, _)| host.to_owned());
        let route = admitting(route, server)?.at_hosts(host);
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

    /// Takes all the ports.
    ///
    /// # Errors
    /// If one of them cannot be had.
    pub async fn bind(self) -> Result<BoundListeners, BindError> {
        self.bind_beside(&RunningListeners::default()).await
    }

    /// Takes the ports that `serving` does not have yet.
    ///
    /// # Errors
    /// If one of them cannot be had; `serving` does not notice.
    pub async fn bind_beside(
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

/// The route, for those only whom the component admits.
fn admitting(route: Route, server: &ServerConfig) -> Result<Route, RouteError> {
    if server.auth.is_none() {
        return Ok(route);
    }
    let credentials = Credentials::new(server.auth.clone());
    match credentials.verify() {
        Ok(()) => Ok(route.admitting(credentials)),
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
