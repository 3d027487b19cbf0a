//! An open port with its tasks: listens, accepts, and leaves no task when it closes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::behavior::Behavior;
use super::connection::{self, Manners};
use super::listener::Listener;

/// The most open connections. Others wait in the backlog of the kernel.
const MAX_CONNECTIONS: usize = 256;
/// The pause after a failed `accept`, which is usually caused by missing file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// An open port and the tasks that serve it. Dropping it ends them.
#[derive(Debug)]
pub(super) struct SimulatorServer {
    tasks: TaskTracker,
    cancel: DropGuard,
}

/// Takes a port without listening on it: clients are refused, and no other process can have it.
pub(super) fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of an earlier server on this port may still be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl SimulatorServer {
    /// Listens on a reserved port and serves it.
    pub(super) fn listen(
        socket: TcpSocket,
        behavior: Arc<Behavior>,
        manners: Manners,
    ) -> io::Result<Self> {
        let listener = Listener::new(socket.listen(1024)?);
        let cancel = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = accept(listener, behavior, manners, cancel.clone(), tasks.clone());
        tasks.spawn(cancel.clone().run_until_cancelled_owned(accepting));
        Ok(Self {
            tasks,
            cancel: cancel.drop_guard(),
        })
    }

    /// Closes the port and all connections, and returns when they are closed.
    pub(super) async fn close(self) {
        drop(self.cancel);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: Listener,
    behavior: Arc<Behavior>,
    manners: Manners,
    cancel: CancellationToken,
    tasks: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed, so the loop ends only by cancellation.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let behavior = Arc::clone(&behavior);
        let serving = async move {
            let _slot = slot;
            if let Err(error) = connection::serve(stream, &behavior, manners).await {
                debug!(%peer, %error, "a connection ended early");
            }
        };
        tasks.spawn(cancel.clone().run_until_cancelled_owned(serving));
    }
}
