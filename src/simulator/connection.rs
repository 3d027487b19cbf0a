//! One client's connection: reads requests and writes responses, byte by byte if a fault requires
//! it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::behavior::{Behavior, Reply};
use super::fault::NodeFault;
use super::request::SimulatorRequest;

/// The longest request header in bytes. A connection with a longer one is closed.
const MAX_HEAD: usize = 8 * 1024;
/// How much the real server reads of a request, and the simulator at once, in bytes.
const READ_SIZE: usize = 4 * 1024;
/// How long a client may neither send a complete header nor read its answer.
const IDLE: Duration = Duration::from_secs(60);
/// Pieces per second of a slow body, at speeds that allow this many.
const DRIPS_PER_SECOND: u32 = 10;

/// How responses end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// As in HTTP/1.1: the connection stays open until the client closes it.
    KeepAlive,
    /// Like the real server: one read, one response, and closed without an announcement.
    CloseUnannounced,
}

/// Serves one client until it leaves, fails or is idle, or a fault ends the connection.
pub(super) async fn serve(
    mut stream: TcpStream,
    behavior: &Behavior,
    manners: Manners,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    while let Some(head) = timeout(IDLE, read_head(&mut stream, &mut buffer, manners)).await?? {
        let Some(request) = SimulatorRequest::parse(&head) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let reply = behavior.reply(&request);
        let says_close = request.closes && manners == Manners::KeepAlive;
        let stays = deliver(&mut stream, reply, says_close).await?;
        if !stays || request.closes || manners == Manners::CloseUnannounced {
            break;
        }
    }
    Ok(())
}

/// The next header. `None` when the client has left.
async fn read_head(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    manners: Manners,
) -> io::Result<Option<BytesMut>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut chunk = [0; READ_SIZE];
    loop {
        if let Some(start) = buffer.windows(END.len()).position(|window| window == END) {
            return Ok(Some(buffer.split_to(start + END.len())));
        }
        let room = READ_SIZE.min(MAX_HEAD - buffer.len());
        if room == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = stream.read(&mut chunk[..room]).await?;
        if read == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(&chunk[..read]);
        if manners == Manners::CloseUnannounced {
            return Ok(Some(buffer.split()));
        }
    }
}

/// Sends a response as its fault requires. Returns whether the connection can have another one.
async fn deliver(stream: &mut TcpStream, reply: Reply, says_close: bool) -> io::Result<bool> {
    let Reply {
        response,
        fault,
        restarted,
    } = reply;
    let head = Bytes::from(response.head(says_close));
    let mut body = response.body;
    match fault {
        Some(NodeFault::Refuse) => {
            // After this, closing sends RST in place of FIN.
            stream.set_zero_linger()?;
            Ok(false)
        }
        Some(NodeFault::HangBeforeHeaders | NodeFault::Grey) => {
            restarted
                .run_until_cancelled(until_client_leaves(stream))
                .await;
            Ok(false)
        }
        Some(NodeFault::HangMidBody) => {
            send(stream, &[head, body.split_to(body.len() / 2)].concat()).await?;
            restarted
                .run_until_cancelled(until_client_leaves(stream))
                .await;
            Ok(false)
        }
        Some(NodeFault::CutBody) => {
            send(stream, &[head, body.split_to(body.len() / 2)].concat()).await?;
            Ok(false)
        }
        Some(NodeFault::Drip { bytes_per_second }) => {
            send(stream, &head).await?;
            drip(stream, &body, bytes_per_second.max(1)).await?;
            Ok(true)
        }
        _ => {
            send(stream, &[head, body].concat()).await?;
            Ok(true)
        }
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(IDLE, stream.write_all(bytes)).await?
}

async fn drip(stream: &mut TcpStream, body: &[u8], bytes_per_second: u32) -> io::Result<()> {
    let drop_size = (bytes_per_second / DRIPS_PER_SECOND).max(1);
    let pause = Duration::from_secs(1) * drop_size / bytes_per_second;
    for drop in body.chunks(drop_size as usize) {
        sleep(pause).await;
        send(stream, drop).await?;
    }
    Ok(())
}

/// Reads and discards data until the client closes its side.
async fn until_client_leaves(stream: &mut TcpStream) {
    let mut chunk = [0; READ_SIZE];
    while matches!(stream.read(&mut chunk).await, Ok(1..)) {}
}

/// Tests of each fault as a client sees it on the wire.
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read};

    use flate2::read::GzDecoder;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use crate::simulator::client::SimulatorClient;
    use crate::simulator::{Dialect, Node, NodeOptions};

    const PATH: &str = "/api/v1/metrics";
    const BODY: &str = r#"{"packets_dropped":10,"packets_processed":5000}"#;

    fn node() -> Node {
        started(NodeOptions::new(Dialect::Betanet))
    }

    fn started(options: NodeOptions) -> Node {
        let node = Node::start(options).expect("a free port");
        node.update(|state| {
            state.packets_processed = 5_000;
            state.packets_dropped = 10;
        });
        node
    }

    async fn failing(fault: NodeFault) -> (Node, SimulatorClient) {
        let node = node();
        node.set_fault(Some(PATH), fault);
        let client = SimulatorClient::connect(&node).await;
        (node, client)
    }

    /// Checks that nothing arrives for a while, and nothing has arrived when the client leaves.
    async fn assert_silent(client: &mut SimulatorClient) {
        let byte = timeout(Duration::from_millis(20), client.0.read_u8()).await;
        assert!(
            byte.is_err(),
            "expected silence, found a byte or an end: {byte:?}"
        );
        client.0.shutdown().await.expect("still open");
        assert_eq!(client.rest().await.expect("closed in order"), b"");
    }

    #[tokio::test]
    async fn a_connection_serves_many_requests() {
        let node = node();
        let mut client = SimulatorClient::connect(&node).await;
        for _ in 0..3 {
            let answer = client.get(PATH).await;
            assert_eq!((answer.status, &answer.body[..]), (200, BODY.as_bytes()));
            assert!(answer.head.contains("content-type: application/json\r\n"));
        }
    }

    #[tokio::test]
    async fn requests_may_come_in_pieces_or_together() {
        let node = node();
        let mut client = SimulatorClient::connect(&node).await;
        client.write("GET /status?x=1 HT").await;
        client
            .write(&format!("TP/1.1\r\n\r\nGET {PATH} HTTP/1.1\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.status, 404);
        assert_eq!(client.answer().await.status, 200);
    }

    #[tokio::test]
    async fn a_client_that_asks_for_it_gets_its_connection_closed() {
        let node = node();
        let mut client = SimulatorClient::connect(&node).await;
        client
            .write(&format!("GET {PATH} HTTP/1.1\r\nConnection: Close\r\n\r\n"))
            .await;
        assert!(client.answer().await.head.contains("connection: close\r\n"));
        assert_eq!(client.rest().await.expect("closed"), b"");
    }

    #[tokio::test]
    async fn the_real_server_closes_unannounced_after_one_read() {
        let options = NodeOptions {
            close_after_response: true,
            ..NodeOptions::new(Dialect::Betanet)
        };
        let node = started(options);
        let mut client = SimulatorClient::connect(&node).await;
        client
            .write(&format!("GET {PATH} HTTP/1.1\r\nhost: not the whole he"))
            .await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.head.contains("connection"));
        assert_eq!(client.rest().await.expect("closed"), b"");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_not_found() {
        let node = node();
        for request in ["GET /status", "POST /deploy", "POST /api/v1/metrics"] {
            let mut client = SimulatorClient::connect(&node).await;
            client.write(&format!("{request} HTTP/1.1\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!(
                (answer.status, answer.json()),
                (404, json!({"error": "Not Found"}))
            );
        }
    }

    #[tokio::test]
    async fn a_head_too_long_or_no_head_at_all_ends_the_connection() {
        let node = node();
        for head in ["a".repeat(MAX_HEAD), "nonsense\r\n\r\n".to_owned()] {
            let mut client = SimulatorClient::connect(&node).await;
            client.write(&head).await;
            assert_eq!(client.rest().await.expect("closed"), b"");
        }
        assert_eq!(node.requests(), 0);
    }

    #[tokio::test]
    async fn refuse_resets_without_a_byte() {
        let (node, mut client) = failing(NodeFault::Refuse).await;
        client.send(PATH).await;
        let error = client.rest().await.expect_err("no orderly end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(node.requests_to(PATH), 1);
    }

    #[tokio::test]
    async fn a_hang_before_the_headers_sends_nothing() {
        let (_node, mut client) = failing(NodeFault::HangBeforeHeaders).await;
        client.send(PATH).await;
        assert_silent(&mut client).await;
    }

    #[tokio::test]
    async fn a_hang_in_the_body_sends_half_of_it() {
        let (_node, mut client) = failing(NodeFault::HangMidBody).await;
        client.send(PATH).await;
        assert_eq!(client.head().await.1, BODY.len());
        let mut half = vec![0; BODY.len() / 2];
        client.0.read_exact(&mut half).await.expect("half a body");
        assert_silent(&mut client).await;
    }

    #[tokio::test]
    async fn a_cut_body_is_half_of_it_and_a_close() {
        let (_node, mut client) = failing(NodeFault::CutBody).await;
        client.send(PATH).await;
        assert_eq!(client.head().await.1, BODY.len());
        let half = client.rest().await.expect("an orderly end");
        assert_eq!(half, &BODY.as_bytes()[..BODY.len() / 2]);
    }

    #[tokio::test]
    async fn a_slow_body_is_complete_and_late() {
        let (_node, mut client) = failing(NodeFault::Drip {
            bytes_per_second: 500,
        })
        .await;
        let start = Instant::now();
        assert_eq!(client.get(PATH).await.body, BODY.as_bytes());
        let least = Duration::from_secs(1) * u32::try_from(BODY.len()).expect("short") / 500;
        assert!(start.elapsed() >= least);
    }

    #[tokio::test]
    async fn a_status_may_have_retry_after() {
        let retry_after = Some(Duration::from_secs(7));
        let (node, mut client) = failing(NodeFault::Status {
            code: 429,
            retry_after,
        })
        .await;
        let answer = client.get(PATH).await;
        assert_eq!(
            (answer.status, answer.json()),
            (429, json!({"error": "Too Many Requests"}))
        );
        assert!(answer.head.contains("retry-after: 7\r\n"));
        node.set_fault(
            Some(PATH),
            NodeFault::Status {
                code: 500,
                retry_after: None,
            },
        );
        let answer = client.get(PATH).await;
        assert!(answer.status == 500 && !answer.head.contains("retry-after"));
    }

    #[tokio::test]
    async fn bodies_may_be_broken_or_odd() {
        let (node, mut client) = failing(NodeFault::InvalidJson).await;
        let answer = client.get(PATH).await;
        assert!(answer.status == 200 && serde_json::from_slice::<Value>(&answer.body).is_err());
        node.set_fault(
            Some(PATH),
            NodeFault::MissingField("packets_dropped".to_owned()),
        );
        assert_eq!(
            client.get(PATH).await.json(),
            json!({"packets_processed": 5000})
        );
        node.set_fault(
            Some(PATH),
            NodeFault::WrongType("packets_dropped".to_owned()),
        );
        assert_eq!(client.get(PATH).await.json()["packets_dropped"], "n/a");
        node.clear_faults();
        assert_eq!(client.get(PATH).await.body, BODY.as_bytes());
    }

    #[tokio::test]
    async fn bodies_may_be_huge_directly_or_after_decompression() {
        let (node, mut client) = failing(NodeFault::HugeBody { bytes: 8 << 20 }).await;
        assert_eq!(client.get(PATH).await.body.len(), 8 << 20);
        node.set_fault(Some(PATH), NodeFault::GzipBomb { bytes: 8 << 20 });
        let answer = client.get(PATH).await;
        assert!(answer.head.contains("content-encoding: gzip\r\n"));
        assert!(answer.body.len() < 1 << 17);
        let mut opened = Vec::new();
        GzDecoder::new(&answer.body[..])
            .read_to_end(&mut opened)
            .expect("valid gzip");
        assert_eq!(opened.len(), 8 << 20);
    }

    #[tokio::test]
    async fn a_fault_of_one_path_does_not_affect_the_others() {
        let (node, mut client) = failing(NodeFault::Status {
            code: 500,
            retry_after: None,
        })
        .await;
        assert_eq!(client.get("/api/v1/nodes/status").await.status, 200);
        node.set_fault(
            None,
            NodeFault::Status {
                code: 503,
                retry_after: None,
            },
        );
        assert_eq!(client.get("/api/v1/nodes/status").await.status, 503);
        assert_eq!(client.get(PATH).await.status, 500);
    }
}
