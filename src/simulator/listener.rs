//! A listener whose port is closed when it is dropped.

use std::{io, net::SocketAddr};

use rustix::net::{Shutdown, shutdown};
use tokio::net::{TcpListener, TcpStream};

/// A listener that stops listening when it is dropped, so that another one can have its port at
/// once.
///
/// A process that starts a program shares its sockets with it for a moment, and a socket listens
/// until the last of those that share it has closed it.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Takes connections of this socket.
    pub fn new(listener: TcpListener) -> Self {
        Self(listener)
    }

    /// The next connection.
    ///
    /// # Errors
    /// If the system has none to give, as without file descriptors.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Err(error) = shutdown(&self.0, Shutdown::Both) {
            tracing::debug!(%error, "the port is closed a moment later");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    /// A socket with this address.
    fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    }

    #[tokio::test]
    async fn the_port_is_free_though_another_process_has_the_socket() {
        let listening = bound("127.0.0.1:0".parse().unwrap())
            .unwrap()
            .listen(1)
            .unwrap();
        let address = listening.local_addr().unwrap();
        let shared = listening.into_std().unwrap();
        let of_other_process = shared.try_clone().unwrap();
        let listener = Listener::new(TcpListener::from_std(shared).unwrap());
        assert!(bound(address).is_err(), "somebody listens");
        drop(listener);
        bound(address).unwrap().listen(1).unwrap();
        drop(of_other_process);
    }
}
