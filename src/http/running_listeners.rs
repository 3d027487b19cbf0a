//! Running listeners: their ports, and how they answer.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    ClientLimits, Route, TlsConfig,
    connection::{Acceptor, ConnectionContext, ConnectionPolicy, ListenerView},
    router::Router,
    telemetry::ListenerTelemetry,
    tls::Tls,
};
use crate::{
    pipeline::{ComponentKind, Components, Reporter},
    runtime::Tasks,
};

/// Listeners with open ports.
#[derive(Debug)]
pub struct BoundListeners {
    bound: BTreeMap<String, BoundListener>,
    telemetry: ListenerTelemetry,
}

/// The settings of one endpoint.
#[derive(Debug)]
pub(super) struct BoundListener {
    /// `None` if a running listener already has the port.
    pub(super) socket: Option<(TcpListener, SocketAddr)>,
    pub(super) limits: ClientLimits,
    /// The configuration of TLS, and the loaded certificates.
    pub(super) tls: Option<(TlsConfig, Arc<Tls>)>,
    pub(super) router: Arc<Router>,
}

/// Running listeners. Their routes can change without closing a port or a connection.
#[derive(Debug, Default)]
pub struct RunningListeners {
    ports: BTreeMap<String, ListenerState>,
}

#[derive(Debug)]
struct ListenerState {
    server: Arc<ConnectionContext>,
    tls: Option<TlsConfig>,
    tasks: Tasks,
}

impl BoundListeners {
    pub(super) fn new(
        bound: BTreeMap<String, BoundListener>,
        telemetry: ListenerTelemetry,
    ) -> Self {
        Self { bound, telemetry }
    }

    /// The address of `endpoint`, with the real port if the endpoint has port 0.
    pub fn local_addr(&self, endpoint: &str) -> Option<SocketAddr> {
        let (_, address) = self.bound.get(endpoint)?.socket.as_ref()?;
        Some(*address)
    }

    /// Answers requests until `tasks` stop. Connections end after their current answer. Each
    /// listener is a component with a status.
    pub fn serve(self, tasks: &Tasks, components: &Components) {
        for (endpoint, bound) in self.bound {
            let status = components.register(ComponentKind::Listener, &endpoint);
            ListenerState::open(&endpoint, bound, &self.telemetry, tasks, status);
        }
    }
}

impl RunningListeners {
    /// Whether the port of `endpoint` is open.
    pub fn holds(&self, endpoint: &str) -> bool {
        self.ports.contains_key(endpoint)
    }

    /// The routes of a component on an endpoint.
    pub fn routes(&self, endpoint: &str, owner: &str) -> Vec<Route> {
        let port = self.ports.get(endpoint);
        port.map_or_else(Vec::new, |port| port.server.view().router.of(owner))
    }

    /// Switches to `next`, whose ports were opened in addition to the current ones. Each endpoint
    /// runs in its own group of `tasks`. A port that is in both stays open with its connections,
    /// unless TLS or the limits differ: then they end after their current answer. Returns the
    /// groups of removed endpoints.
    pub fn switch(
        &mut self,
        next: BoundListeners,
        tasks: &Tasks,
        components: &Components,
    ) -> Vec<Tasks> {
        let mut gone = std::mem::take(&mut self.ports);
        for (endpoint, bound) in next.bound {
            let port = match gone.remove(&endpoint) {
                Some(port) => Some(port.turned(&endpoint, bound)),
                None => {
                    let status = components.register(ComponentKind::Listener, &endpoint);
                    ListenerState::open(&endpoint, bound, &next.telemetry, &tasks.group(), status)
                }
            };
            self.ports.extend(port.map(|port| (endpoint, port)));
        }
        let gone = gone.into_iter().map(|(endpoint, port)| {
            components.remove(ComponentKind::Listener, &endpoint);
            port.tasks
        });
        gone.collect()
    }

    /// The groups in which the listeners run.
    pub fn tasks(&self) -> impl Iterator<Item = &Tasks> {
        self.ports.values().map(|port| &port.tasks)
    }
}

impl ListenerState {
    /// Starts to answer. `None` if there is no socket.
    fn open(
        endpoint: &str,
        bound: BoundListener,
        telemetry: &ListenerTelemetry,
        tasks: &Tasks,
        status: Reporter,
    ) -> Option<Self> {
        let (socket, _) = bound.socket?;
        let (config, tls) = bound.tls.unzip();
        let (own, name) = (status.own(tasks), name(endpoint));
        let stop = own.stopping().child_token();
        watch(&name, tls.as_ref(), &own, &stop);
        let view = ListenerView {
            policy: Arc::new(ConnectionPolicy::new(bound.limits, tls, stop)),
            router: bound.router,
        };
        let server = Arc::new(ConnectionContext::new(telemetry.clone(), view));
        status.ok();
        let acceptor = Acceptor {
            socket: Arc::new(socket),
            server: Arc::clone(&server),
            tasks: own.clone(),
            name: Arc::clone(&name),
            status,
        };
        own.spawn_supervised(name, move || acceptor.clone().run());
        Some(Self {
            server,
            tls: config,
            tasks: own,
        })
    }

    /// The same port with other routes.
    fn turned(mut self, endpoint: &str, bound: BoundListener) -> Self {
        let (config, tls) = bound.tls.unzip();
        let policy = self.server.view().policy;
        let stays = self.tls == config && policy.limits == bound.limits;
        let next = if stays {
            Arc::clone(&policy)
        } else {
            let stop = self.tasks.stopping().child_token();
            watch(&name(endpoint), tls.as_ref(), &self.tasks, &stop);
            Arc::new(ConnectionPolicy::new(bound.limits, tls, stop))
        };
        self.tls = config;
        self.server.replace(ListenerView {
            policy: next,
            router: bound.router,
        });
        if !stays {
            policy.stop.cancel();
        }
        self
    }
}

fn name(endpoint: &str) -> Arc<str> {
    format!("http {endpoint}").into()
}

/// Watches the certificate files.
fn watch(name: &Arc<str>, tls: Option<&Arc<Tls>>, tasks: &Tasks, stop: &CancellationToken) {
    if let Some(tls) = tls {
        let (tls, stop) = (Arc::clone(tls), stop.clone());
        tasks.spawn_supervised(Arc::clone(name), move || {
            Arc::clone(&tls).watch(stop.clone())
        });
    }
}
