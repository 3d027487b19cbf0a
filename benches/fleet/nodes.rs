//! The simulated nodes, in a separate process: one listener, one thread, no state.
//!
//! Node n has the address 127.1.0.0 + n. Its values are a function of its number and of time, so
//! that readers know what they must be.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use crate::Error;

/// The address of node 0.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// The end of a request.
const END: &[u8] = b"\r\n\r\n";

/// The beginning of a request for the number of documents that were sent.
const COUNT: &[u8] = b"GET /count ";

/// The address of a node.
pub(crate) fn address(node: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + node)
}

/// The node at an address.
pub(crate) fn number(address: Ipv4Addr) -> Option<u32> {
    address.to_bits().checked_sub(FIRST.to_bits())
}

/// The definition of the nodes: this number of endpoints, with four series each.
pub(crate) fn definition(endpoints: u32) -> String {
    let mut text = String::from("description: A simulated node.\nendpoints:\n");
    for endpoint in 0..endpoints {
        text.push_str(&format!("  e{endpoint}: {{ path: /e{endpoint} }}\n"));
    }
    text.push_str("metrics:\n");
    for endpoint in 0..endpoints {
        for (name, instrument, value) in [
            ("packets_total", "counter", "packets"),
            ("bytes_total", "counter", "bytes"),
            ("number", "gauge", "number"),
            ("latency_seconds", "gauge", "latency_seconds"),
        ] {
            text.push_str(&format!(
                "  - {{ name: fleet_e{endpoint}_{name}, description: Of a simulated node., \
                 instrument: {instrument}, endpoint: e{endpoint}, value: $.{value} }}\n"
            ));
        }
    }
    text
}

/// Serves all nodes forever. A node whose number in a hundred is below `failing` fails, in one of
/// four ways. Prints the port.
pub(crate) async fn serve(failing: u32) -> Result<(), Error> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    let (started, sent) = (Instant::now(), Rc::default());
    loop {
        // Without descriptors for one more connection, it must wait until one is closed.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let fleet = Fleet {
            failing,
            started,
            sent: Rc::clone(&sent),
        };
        tokio::task::spawn_local(async move {
            // A client that disconnects is not an error.
            drop(connection(stream, fleet).await);
        });
    }
}

/// What all nodes have in common.
struct Fleet {
    failing: u32,
    started: Instant,
    /// The documents that were sent.
    sent: Rc<Cell<u64>>,
}

async fn connection(mut stream: TcpStream, fleet: Fleet) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let IpAddr::V4(address) = stream.local_addr()?.ip() else {
        return Ok(());
    };
    let node = number(address).unwrap_or_default();
    let (mut request, mut answer) = (Vec::with_capacity(512), String::new());
    loop {
        request.clear();
        while !request.ends_with(END) {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        answer.clear();
        if request.starts_with(COUNT) {
            let count = fleet.sent.get();
            stream
                .write_all(with_head(&count.to_string()).as_bytes())
                .await?;
            continue;
        }
        match (node % 100 < fleet.failing).then_some(node % 4) {
            None => healthy(&mut answer, node, fleet.started),
            // Until the client disconnects. A client that does not would use up its descriptors.
            Some(0) => {
                while stream.read_buf(&mut request).await? > 0 {
                    request.clear();
                }
                return Ok(());
            }
            Some(1) => return Ok(()),
            Some(2) => answer.push_str("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
            Some(_) => answer.push_str("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{oops"),
        }
        stream.write_all(answer.as_bytes()).await?;
        fleet.sent.update(|sent| sent + 1);
        if closes(&request) {
            return stream.shutdown().await;
        }
    }
}

/// Whether the client wants the connection closed after the answer.
fn closes(request: &[u8]) -> bool {
    const CLOSE: &[u8] = b"connection: close";
    let mut windows = request.windows(CLOSE.len());
    windows.any(|window| window.eq_ignore_ascii_case(CLOSE))
}

fn healthy(answer: &mut String, node: u32, started: Instant) {
    let packets = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let bytes = packets.saturating_mul(1000);
    let latency = f64::from(node % 1000) / 1000.0;
    let body = format!(
        "{{\"id\":\"node-{node:08}\",\"status\":\"active\",\"packets\":{packets},\
         \"bytes\":{bytes},\"number\":{node},\"latency_seconds\":{latency}}}"
    );
    answer.push_str(&with_head(&body));
}

fn with_head(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
