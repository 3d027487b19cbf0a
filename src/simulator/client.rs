//! A client for tests that sees each byte of a response.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::node::Node;

pub(super) struct SimulatorClient(pub(super) TcpStream);

#[derive(Debug)]
pub(super) struct ClientAnswer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl SimulatorClient {
    pub(super) async fn connect(node: &Node) -> Self {
        Self(
            TcpStream::connect(node.address())
                .await
                .expect("the node listens"),
        )
    }

    pub(super) async fn send(&mut self, path: &str) {
        self.write(&format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n"))
            .await;
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.0
            .write_all(text.as_bytes())
            .await
            .expect("the node reads");
    }

    /// Sends a request and reads one complete response. The connection stays open if the node
    /// leaves it open.
    pub(super) async fn get(&mut self, path: &str) -> ClientAnswer {
        self.send(path).await;
        self.answer().await
    }

    pub(super) async fn answer(&mut self) -> ClientAnswer {
        let (head, length) = self.head().await;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("a whole body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        ClientAnswer { status, head, body }
    }

    /// The header, and the length in it.
    pub(super) async fn head(&mut self) -> (String, usize) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length
            .and_then(|length| length.parse().ok())
            .expect("a length");
        (head, length)
    }

    /// Everything until the node closes the connection.
    pub(super) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await?;
        Ok(rest)
    }
}

impl ClientAnswer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

pub(super) async fn refused(address: SocketAddr) -> bool {
    let error = TcpStream::connect(address).await.err();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}
