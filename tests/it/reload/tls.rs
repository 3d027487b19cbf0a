//! Tests of reloads that change the trusted authorities of a receiver.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::stand::{FIRST, Reloading};
use crate::support::{
    PATIENCE, certificates::Authority, eventually, stand::polls, tls_sink::Shows,
};

/// A TLS server in front of a node. Its connections stay open as long as both sides want.
struct Door {
    address: SocketAddr,
    shows: Arc<Mutex<Shows>>,
    /// The number of successful TLS handshakes.
    opened: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Door {
    async fn before(node: SocketAddr, shows: Shows) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shows, opened) = (Arc::new(Mutex::new(shows)), Arc::new(AtomicUsize::new(0)));
        let (shown, counted) = (Arc::clone(&shows), Arc::clone(&opened));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(shown.lock().unwrap().config());
                let counted = Arc::clone(&counted);
                connections.spawn(async move {
                    let Ok(mut client) = acceptor.accept(stream).await else {
                        return;
                    };
                    counted.fetch_add(1, Ordering::Relaxed);
                    let mut node = TcpStream::connect(node).await.unwrap();
                    // Either side may close the connection at any time.
                    copy_bidirectional(&mut client, &mut node).await.ok();
                });
            }
        });
        Self {
            address,
            shows,
            opened,
            _tasks: tasks,
        }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

/// The configuration in which `n0` is behind the TLS server, and `ca` is trusted.
fn behind(stand: &Reloading, door: &Door, ca: &Path) -> String {
    let url = stand.world.nodes[0].url();
    let config = stand.world.config(FIRST);
    let inside = format!("https://localhost:{}", door.address.port());
    let tls = format!("tls: {{ca_file: \"{}\"}}, targets:", ca.display());
    assert!(config.contains(&url), "{config}");
    config.replace(&url, &inside).replace("targets:", &tls)
}

#[tokio::test]
async fn connections_are_made_anew_when_another_authority_is_trusted() {
    let stand = Reloading::start(FIRST, &[]).await;
    let (first, second, folder) = (Authority::new(), Authority::new(), TempDir::new().unwrap());
    let file = |name: &str, authority: &Authority| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.pem()).unwrap();
        path
    };
    let (trusting_first, trusting_second) = (file("first", &first), file("second", &second));
    let shows = Shows::identity(first.issue("localhost"));
    let door = Door::before(stand.world.nodes[0].address(), shows).await;
    let go_over = async |ca: &Path| {
        let (status, text) = stand.reload(&behind(&stand, &door, ca)).await;
        assert_eq!(status, 200, "{text}");
    };
    let is_up = async |up: f64| {
        let what = format!("`up` of the node behind the door is {up}");
        eventually(&what, PATIENCE, async || {
            let scrape = stand.scrape().await;
            let shown = scrape.value("betanet_up{target=\"n0\"}");
            (shown == Some(up) && door.opened() > 0).then(|| polls(&scrape, "n0"))
        })
        .await
    };
    go_over(&trusting_first).await;
    let polled = is_up(1.0).await;
    stand.until_polled("n0", polled + 1.0).await;
    let opened = door.opened();
    // The change applies to new connections; open ones do not notice.
    *door.shows.lock().unwrap() = Shows::identity(second.issue("localhost"));
    stand.until_polled("n0", polled + 3.0).await;
    assert_eq!(door.opened(), opened, "the connections last");
    go_over(&trusting_second).await;
    let anew = "connections are made anew";
    eventually(anew, PATIENCE, async || {
        (door.opened() > opened).then_some(())
    })
    .await;
    let polled = polls(&stand.scrape().await, "n0");
    let scrape = stand.until_polled("n0", polled + 2.0).await;
    assert_eq!(scrape.value("betanet_up{target=\"n0\"}"), Some(1.0));
    let opened = door.opened();
    go_over(&trusting_first).await;
    is_up(0.0).await;
    assert_eq!(door.opened(), opened, "nobody who is not trusted is polled");
}
