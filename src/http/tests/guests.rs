//! Tests of the share of one client, and of requests that are always answered.

use tokio::net::TcpSocket;

use super::*;

fn live() -> Route {
    Route::get("health_check", "/livez", |_| async {
        Response::text("ok\n")
    })
    .vital()
}

fn large() -> Route {
    Route::get("large", "/large", |_| async {
        // This is more than the buffers of two sockets can hold.
        let pieces = std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 64);
        Response::text(Body::stream(pieces))
    })
}

fn few(connections: usize) -> ClientLimits {
    ClientLimits {
        connections,
        // No connection is closed as idle in this time.
        header_timeout: PATIENCE * 100,
        exchange_timeout: PATIENCE * 100,
    }
}

/// Sends a request from another address of this machine.
async fn ask_from(client: &str, address: SocketAddr, request: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let text = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    until_closed(stream).await
}

#[tokio::test]
async fn idle_and_incomplete_connections_do_not_block_others() {
    let (registry, counting) = counted();
    let server = ServerConfig::plain(ENDPOINT);
    let meter = Meter::of(&counting);
    let routes = vec![live(), metrics()];
    let (address, _tasks) = start_as(&server, few(64), &meter, routes).await;
    let mut held = Vec::new();
    for n in 0..300 {
        let sent = match n % 3 {
            0 => "",
            1 => "GET /metrics HTTP/1.1\r\nho",
            _ => "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n",
        };
        held.push(send(address, sent).await);
    }
    for client in ["127.0.0.1", "127.0.0.2"] {
        for path in ["GET /livez", "GET /metrics"] {
            let answer = ask_from(client, address, path).await;
            assert!(
                answer.starts_with("HTTP/1.1 200"),
                "{client} {path}: {answer}"
            );
        }
    }
    let text = text(&registry);
    assert!(
        text.contains("connections_refused_total{reason=\"idle\"} "),
        "{text}"
    );
    assert!(!text.contains("reason=\"limit\""), "{text}");
}

#[tokio::test]
async fn a_slow_reader_gets_only_its_share_and_liveness_is_answered() {
    let (registry, counting) = counted();
    let server = ServerConfig::plain(ENDPOINT);
    let meter = Meter::of(&counting);
    let routes = vec![live(), large(), metrics()];
    let (address, _tasks) = start_as(&server, few(4), &meter, routes).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = send(address, "GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
        stream.read_u8().await.unwrap();
        slow.push(stream);
    }
    let answer = ask(address, "GET /metrics HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let answer = ask(address, "GET /livez HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = ask_from("127.0.0.2", address, "GET /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let busy = "betanet_http_requests_refused_total{reason=\"busy\"} 1";
    assert!(text(&registry).contains(busy), "{}", text(&registry));
}

#[tokio::test]
async fn a_client_gets_half_of_the_slots_of_a_route() {
    let (address, _tasks) = start(few(64), vec![large().at_most_shared(2), metrics()]).await;
    let mut slow = send(address, "GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    slow.read_u8().await.unwrap();
    let answer = ask(address, "HEAD /large HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let answer = ask_from("127.0.0.2", address, "HEAD /large").await;
    assert!(answer.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn invalid_requests_are_refused_and_counted() {
    let (registry, counting) = counted();
    let server = ServerConfig::plain(ENDPOINT);
    let meter = Meter::of(&counting);
    let (address, _tasks) = start_as(&server, few(64), &meter, vec![metrics(), echo()]).await;
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(101)
    );
    for (request, expected) in [
        ("GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        (
            "GET /metrics HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            "400",
        ),
        ("GET /metrics HTTP/1.0\r\n\r\n", "200"),
        ("nonsense\r\n\r\n", "400"),
        (&many, "431"),
        (
            "POST /echo HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
            "403",
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: a\r\norigin: http://b\r\nconnection: close\r\n\r\n",
            "403",
        ),
    ] {
        let answer = until_closed(send(address, request).await).await;
        let status = answer.split(' ').nth(1);
        assert_eq!(status, Some(expected), "{request}: {answer}");
        let is_ours = !answer.contains("content-length: 0\r\n");
        let is_marked = answer.contains("x-content-type-options: nosniff\r\n");
        assert_eq!(is_marked, is_ours, "{answer}");
    }
    for (reason, count) in [
        ("host", 2),
        ("malformed", 1),
        ("head_too_large", 1),
        ("foreign", 2),
    ] {
        let line = format!("requests_refused_total{{reason=\"{reason}\"}} {count}\n");
        // A refusal by hyper is counted when the connection has ended.
        let is_counted = async {
            while !text(&registry).contains(&line) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, is_counted).await.expect(&line);
    }
}
