//! Polls a target once because somebody asks, and keeps nothing of it but which request made it hang.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::Url;
use tokio::time::{Instant, timeout_at};

use super::{manager::TargetManager, poller_builder::TargetParts};
use crate::{
    definition::Definition,
    pipeline::{Poll, ProbeOrder, ProbeRefusal, Prober, Target},
    receivers::http_json::{config::TargetConfig, http::clients::Pinned},
    resilience::per_instance::PerInstance,
    settings::{AllowList, HttpUrl, TargetUrl},
};

impl Prober for TargetManager {
    fn definitions(&self) -> Vec<String> {
        let spec = self.spec();
        let definitions = spec.definitions.iter();
        definitions.map(|known| known.name.clone()).collect()
    }

    fn probe(&self, order: ProbeOrder) -> BoxFuture<'_, Result<(Arc<Target>, Poll), ProbeRefusal>> {
        self.probe_once(order).boxed()
    }
}

impl TargetManager {
    /// The definitions are tried as for any target; the deadline is of all of them together.
    async fn probe_once(&self, order: ProbeOrder) -> Result<(Arc<Target>, Poll), ProbeRefusal> {
        let spec = self.spec();
        let target = order.endpoint.to_string();
        let own = Instant::now() + spec.fleet.deadline();
        let deadline = order.deadline.min(own);
        let found = lookup(&order.endpoint);
        let pinned = resolve(&order.endpoint, &order.allow, deadline, found).await;
        let pinned = pinned.ok_or_else(|| ProbeRefusal::NotAllowed {
            target: target.clone(),
        })?;
        let endpoint = TargetUrl::from(order.endpoint.clone());
        let transport = spec.clients.transport(&endpoint, Some(pinned));
        let unable = |error| ProbeRefusal::Unable {
            target: target.clone(),
            source: Box::new(error),
        };
        let transport = transport.map_err(unable)?;
        let config = config_of(&endpoint);
        let is_asked = |definition: &&Arc<Definition>| {
            let asked = order.definition.as_ref();
            asked.is_none_or(|asked| *asked == definition.name)
        };
        let mut first = None;
        for definition in spec.definitions.iter().filter(is_asked) {
            let left = deadline.saturating_duration_since(Instant::now());
            let parts = TargetParts {
                transports: PerInstance::one(Arc::clone(&transport)),
                slot: spec.fleet.with_deadline(left).join(),
                auth: None,
                shared: Arc::clone(&spec.shared_by_probes),
            };
            let poller = spec.poller(&config, definition, &parts, None);
            let poller = poller.map_err(unable)?;
            let host = (target.clone(), definition.digest);
            if let Some(caution) = self.probed.of(&host) {
                poller.host.set_caution(caution);
            }
            let poll = poller.poll_all_until(deadline).await;
            let telemetry = &spec.shared_by_probes.telemetry;
            self.probed.note(host, poller.host.caution(), telemetry);
            let is_unknown = poll.is_unknown();
            let polled = (Arc::clone(&poller.target), poll);
            if !is_unknown {
                return Ok(polled);
            }
            first.get_or_insert(polled);
        }
        first.ok_or_else(|| ProbeRefusal::Definition {
            target: target.clone(),
            definition: order.definition.unwrap_or_default(),
            known: self.definitions().join(", "),
        })
    }
}

/// The settings of a target that has an address and nothing else.
fn config_of(endpoint: &TargetUrl) -> TargetConfig {
    TargetConfig {
        endpoint: Some(endpoint.clone()),
        endpoints: Vec::new(),
        mode: None,
        name: None,
        labels: Default::default(),
        auth: None,
    }
}

/// The addresses of a host that are admitted; nothing if none of them is. A name that cannot be
/// resolved is the host's failure: it has no address. The name is `looked_up` here and not again.
async fn resolve(
    endpoint: &HttpUrl,
    allow: &AllowList,
    deadline: Instant,
    looked_up: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> Option<Pinned> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let found = match literal(endpoint.get()) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None if !allow.may_admit(host) => return None,
        None => match timeout_at(deadline, looked_up).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => return Some(Pinned(Vec::new())),
        },
    };
    let admitted = found.iter().copied();
    let admitted = admitted.filter(|address| allow.admits(host, address.ip()));
    let admitted: Vec<_> = admitted.collect();
    (!admitted.is_empty()).then_some(Pinned(admitted))
}

/// What the system says of a name.
async fn lookup(endpoint: &HttpUrl) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((endpoint.host(), endpoint.port())).await;
    found.map(Iterator::collect)
}

/// The address that stands in the URL itself, for which no name is resolved. The URL's parser has
/// made `127.1`, `0x7f000001` and the like what they are.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::receivers::http_json::{
        config::Config,
        http::clients::{ClientFactory, ClientSettings},
        http::transport::{Transport as _, TransportError, TransportRequest},
    };

    /// DNS rebinding: when the connection is made, the name leads to where nobody may be reached.
    #[tokio::test]
    async fn the_address_that_was_judged_is_the_one_that_is_connected_to() {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = elsewhere.local_addr().unwrap().port();
        let judged = SocketAddr::from(([127, 0, 0, 2], port));
        let listener = TcpListener::bind(judged).await.unwrap();
        let endpoint: HttpUrl = format!("http://localhost:{port}").parse().unwrap();
        let allow = ["127.0.0.2/32".parse().unwrap()].into_iter().collect();
        let deadline = Instant::now() + Duration::from_secs(10);
        let looked_up = async { Ok(vec![judged]) };
        let pinned = resolve(&endpoint, &allow, deadline, looked_up).await;
        let later = resolve(&endpoint, &allow, deadline, lookup(&endpoint)).await;
        assert!(later.is_none(), "that would be refused: {later:?}");
        let clients = ClientFactory::new(ClientSettings::new(&Config::default(), 1)).unwrap();
        let client = clients.for_probe(&endpoint.clone().into(), pinned.unwrap());
        let request = TransportRequest::get(endpoint.get().as_str());
        let client = client.unwrap();
        let (answer, ()) = tokio::join!(client.fetch(&request), async {
            tokio::select! {
                accepted = listener.accept() => drop(accepted.unwrap()),
                _ = elsewhere.accept() => panic!("it was asked again"),
            }
        });
        let error = answer.unwrap_err();
        assert!(!matches!(error, TransportError::Dns(_)), "{error:?}");
    }

    async fn addresses(url: &str, allow: &[&str]) -> Option<Vec<String>> {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        let deadline = Instant::now() + Duration::from_secs(5);
        let endpoint = url.parse().unwrap();
        let pinned = resolve(&endpoint, &allow, deadline, lookup(&endpoint)).await?;
        Some(pinned.0.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn every_way_to_write_an_address_is_judged_as_the_address() {
        for url in [
            "http://127.0.0.1:1",
            "http://127.1:1",
            "http://2130706433:1",
            "http://0x7f000001:1",
            "http://0x7f.1:1",
            "http://0177.0.0.1:1",
            "http://017700000001:1",
            "http://127.0.0.1.:1",
            "http://%31%32%37.0.0.1:1",
            "http://１２７.0.0.1:1",
            "http://127。0。0。1:1",
            "http://[::ffff:127.0.0.1]:1",
            "http://[::ffff:7f00:1]:1",
        ] {
            assert_eq!(
                addresses(url, &["10.0.0.0/8", "127.0.0.1.nip.io"]).await,
                None,
                "{url}"
            );
            let admitted = addresses(url, &["127.0.0.0/8"]).await.unwrap();
            assert_eq!(admitted.len(), 1, "{url}");
        }
        for url in [
            "http://0:1",
            "http://0.0.0.0:1",
            "http://[::]:1",
            "http://[::1]:1",
            "http://[0:0::1]:1",
            "http://[::127.0.0.1]:1",
            "http://[64:ff9b::127.0.0.1]:1",
            "http://[2002:7f00:1::]:1",
            "http://169.254.169.254:1",
            "http://[::ffff:169.254.169.254]:1",
            "http://0xa9fea9fe:1",
            "http://[fd00:ec2::254]:1",
            "http://[fe80::1]:1",
        ] {
            let wide = ["10.0.0.0/8", "0.0.0.0/0", "::/0"];
            assert_eq!(addresses(url, &wide).await, None, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        assert_eq!(addresses("http://localhost:1", &["localhost"]).await, None);
        assert_eq!(addresses("http://LOCALHOST:1", &["10.0.0.0/8"]).await, None);
        let admitted = addresses("http://localhost:1", &["127.0.0.0/8"]).await;
        assert_eq!(admitted.unwrap(), ["127.0.0.1:1"]);
        assert_eq!(addresses("http://node.invalid:1", &["other"]).await, None);
        let unresolved = addresses("http://node.invalid:1", &["node.invalid"]).await;
        assert_eq!(unresolved, Some(Vec::new()));
    }
}
