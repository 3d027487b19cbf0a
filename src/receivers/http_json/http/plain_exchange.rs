//! The usual exchange, without a state machine: a `GET`, and an answer that is small and says how
//! long it is.
//!
//! hyper makes queues, tasks' wakers and buffers for each connection that it drives, which cost
//! more than the request itself. What is usual is written and read here; for all else hyper drives
//! the connection, and first reads what was read here. So the rules of HTTP are in one place.

use std::{cell::RefCell, future::poll_fn, io, pin::Pin, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use url::Position;

use super::{resumed_socket::ResumedSocket, socket::Socket, transport::TransportRequest};
use crate::{
    client::{content_encoding::ACCEPTED, headers},
    definition::Method,
    pipeline::LARGE_BYTES,
};

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// An answer with more headers is not usual.
const HEADERS_MAX: usize = 32;

thread_local! {
    /// What is read goes here first: a target that waits for an answer needs no buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What came of an exchange.
pub(super) enum PlainExchange {
    /// The usual.
    Answered(PlainAnswer),
    /// The request was sent. hyper reads the answer, from its beginning.
    Unusual(ResumedSocket),
}

/// A whole answer.
pub(super) struct PlainAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The socket, if the server lets the connection live on.
    pub(super) socket: Option<Socket>,
}

/// The text of a request, if it is a usual one.
pub(super) fn request_text(request: &TransportRequest) -> Option<Vec<u8>> {
    let url = &request.url;
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let is_usual =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=._~%:,;@!$()*+-".contains(&byte);
    if request.method != Method::Get
        || !request.body.is_empty()
        || !path.starts_with('/')
        || !path.bytes().all(is_usual)
        || request.headers.keys().any(frames)
    {
        return None;
    }
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(b"GET ");
    text.extend_from_slice(path.as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &HeaderName, value: &[u8]| {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    };
    for (name, value) in &request.headers {
        line(name, value.as_bytes());
    }
    let accepted = ACCEPTED;
    let ours = [
        (header::HOST, host.as_bytes()),
        (header::USER_AGENT, headers::USER_AGENT.as_bytes()),
        (header::ACCEPT, b"*/*".as_slice()),
        (header::ACCEPT_ENCODING, accepted.as_bytes()),
    ];
    for (name, value) in ours {
        if !request.headers.contains_key(&name) {
            line(&name, value);
        }
    }
    text.extend_from_slice(b"\r\n");
    Some(text)
}

/// Whether a header of a request changes how what follows is read.
fn frames(name: &HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::UPGRADE,
        header::EXPECT,
    ]
    .contains(name)
}

/// Sends the text of a request and reads the answer, if it is a usual one.
pub(super) async fn exchange(mut socket: Socket, text: &[u8]) -> PlainExchange {
    if socket.write_all(text).await.is_err() {
        // hyper finds out what is wrong with the connection.
        return PlainExchange::Unusual(ResumedSocket::after(socket, Vec::new()));
    }
    let mut before = Vec::new();
    let found = poll_fn(|context| {
        loop {
            let found = BUFFER.with_borrow_mut(|buffer| {
                let mut into = ReadBuf::new(buffer);
                let read = Pin::new(&mut socket).poll_read(context, &mut into);
                read.map(|read| look(&mut before, into.filled(), read))
            });
            match found {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Look::Partial) => {}
                Poll::Ready(other) => return Poll::Ready(other),
            }
        }
    });
    match found.await {
        Look::Whole(mut answer, keeps) => {
            answer.socket = keeps.then_some(socket);
            PlainExchange::Answered(answer)
        }
        Look::Partial | Look::Unusual => {
            PlainExchange::Unusual(ResumedSocket::after(socket, before))
        }
    }
}

/// What was read so far.
enum Look {
    /// The answer, and whether the connection lives on.
    Whole(PlainAnswer, bool),
    /// There is more to come.
    Partial,
    Unusual,
}

/// Looks at what was read `before` and `now`, and keeps it unless the answer is whole.
fn look(before: &mut Vec<u8>, now: &[u8], read: io::Result<()>) -> Look {
    let is_over = read.is_err() || now.is_empty();
    let look = match (is_over, before.is_empty()) {
        (true, _) => Look::Unusual,
        (false, true) => usual(now),
        (false, false) => {
            before.extend_from_slice(now);
            return usual(before);
        }
    };
    if !matches!(look, Look::Whole(..)) {
        before.extend_from_slice(now);
    }
    look
}

/// Reads an answer.
fn usual(text: &[u8]) -> Look {
    let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut lines);
    let head_bytes = match head.parse(text) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if text.len() < READ_BYTES => return Look::Partial,
        Ok(httparse::Status::Partial) | Err(_) => return Look::Unusual,
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| has_body(*status) && head.version == Some(1));
    let (Some(status), Some(framing)) = (status, Framing::of(head.headers)) else {
        return Look::Unusual;
    };
    let body = text.get(head_bytes..).unwrap_or_default();
    let Some(of_answer) = body.get(..framing.body_bytes) else {
        return Look::Partial;
    };
    let Some(headers) = headers_of(head.headers) else {
        return Look::Unusual;
    };
    let keeps = framing.keeps && body.len() == framing.body_bytes;
    let answer = PlainAnswer {
        status,
        headers,
        body: Bytes::copy_from_slice(of_answer),
        socket: None,
    };
    Look::Whole(answer, keeps)
}

/// Whether an answer with this status has a body, whatever its headers say.
fn has_body(status: StatusCode) -> bool {
    let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    !status.is_informational() && !without.contains(&status)
}

/// Where an answer ends.
struct Framing {
    body_bytes: usize,
    keeps: bool,
}

impl Framing {
    /// That of an answer which says it in the usual way.
    fn of(lines: &[httparse::Header<'_>]) -> Option<Self> {
        let (mut body_bytes, mut keeps) = (None, true);
        for line in lines {
            let is = |name: &str| line.name.eq_ignore_ascii_case(name);
            if is("transfer-encoding") || is("upgrade") {
                return None;
            }
            if is("content-length") {
                let before = body_bytes.replace(length(line.value)?);
                before.is_none().then_some(())?;
            }
            if is("connection") {
                match line.value {
                    value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                    value if value.eq_ignore_ascii_case(b"close") => keeps = false,
                    _ => return None,
                }
            }
        }
        let body_bytes = body_bytes.filter(|bytes| *bytes <= LARGE_BYTES)?;
        Some(Self { body_bytes, keeps })
    }
}

/// A length in digits.
fn length(value: &[u8]) -> Option<usize> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(value).ok().filter(|_| is_number)?;
    text.parse().ok()
}

fn headers_of(lines: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Response;
    use proptest::prelude::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream,
        runtime::Builder,
        time::timeout,
    };

    use super::*;
    use crate::receivers::http_json::http::connection::{self, Exchange};

    /// What an answer came to: its status, headers and body, and whether the socket is kept.
    type Got = Result<(StatusCode, HeaderMap, Vec<u8>, bool), String>;

    /// A socket whose other end sends these pieces, and then closes or not.
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    fn server(pieces: Vec<Vec<u8>>, closes: bool) -> Socket {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let mut asked = [0; 1024];
            let read = theirs.read(&mut asked).await.unwrap();
            assert!(asked[..read].starts_with(b"GET /a?b=c HTTP/1.1\r\n"));
            for piece in pieces {
                if theirs.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if !closes {
                // Until the other end is gone.
                drop(theirs.read(&mut asked).await);
            }
        });
        Socket::Unix(ours)
    }

    fn request() -> TransportRequest {
        TransportRequest::get("http://node:80/a?b=c")
    }

    async fn by_hyper(socket: ResumedSocket) -> Got {
        let sent = connection::request(&request()).unwrap();
        let said = |error: hyper::Error| error.to_string();
        let (mut exchange, answer) = Exchange::send(socket, sent).await.map_err(said)?;
        let (head, mut body): (_, hyper::body::Incoming) = Response::into_parts(answer);
        let mut text = Vec::new();
        while let Some(chunk) = exchange.chunk(&mut body).await.map_err(said)? {
            text.extend_from_slice(&chunk);
        }
        drop(body);
        let is_kept = exchange.into_socket().is_some();
        Ok((head.status, head.headers, text, is_kept))
    }

    /// The answer as hyper alone reads it, and as it is read here; whether it was a usual one.
    async fn both(pieces: &[Vec<u8>], closes: bool) -> (Option<Got>, Option<Got>, bool) {
        let patience = Duration::from_millis(match closes {
            true => 5000,
            false => 20,
        });
        let socket = ResumedSocket::from(server(pieces.to_vec(), closes));
        let expected = timeout(patience, by_hyper(socket)).await.ok();
        let text = request_text(&request()).unwrap();
        let mut is_usual = false;
        let here = async {
            match exchange(server(pieces.to_vec(), closes), &text).await {
                PlainExchange::Answered(answer) => {
                    is_usual = true;
                    let PlainAnswer {
                        status,
                        headers,
                        body,
                        socket,
                    } = answer;
                    Ok((status, headers, body.to_vec(), socket.is_some()))
                }
                PlainExchange::Unusual(resumed) => by_hyper(resumed).await,
            }
        };
        let found = timeout(patience, here).await.ok();
        (expected, found, is_usual)
    }

    fn run(pieces: &[Vec<u8>], closes: bool) -> (Option<Got>, Option<Got>, bool) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(both(pieces, closes))
    }

    #[test]
    fn a_small_answer_with_a_length_needs_no_state_machine() {
        for (answer, is_kept) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", true),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
                false,
            ),
            (
                "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\ncontent-length: 3\r\n\r\none",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 408 Late\r\n\r\n",
                false,
            ),
        ] {
            let (expected, found, is_usual) = run(&[answer.as_bytes().to_vec()], false);
            let Some(Ok((_, headers, body, kept))) = &found else {
                panic!("{found:?}");
            };
            assert_eq!(
                (body.as_slice(), *kept),
                (b"one".as_slice(), is_kept),
                "{answer}"
            );
            assert_eq!(headers["content-length"], "3");
            assert!(is_usual, "{answer}");
            assert_eq!(found, expected, "{answer}");
        }
    }

    #[test]
    fn what_is_not_usual_is_read_by_hyper_from_its_beginning() {
        for (answer, closes) in [
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
                false,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                true,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", true),
            ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", true),
            ("SSH-2.0-x\r\n\r\n", true),
            ("", true),
        ] {
            let (expected, found, is_usual) = run(&[answer.as_bytes().to_vec()], closes);
            assert!(expected.is_some() && !is_usual, "{answer}");
            assert_eq!(found, expected, "{answer}");
        }
    }

    #[test]
    fn a_request_that_is_not_usual_is_sent_by_hyper() {
        let mut posted = request();
        posted.method = Method::Post;
        assert!(request_text(&posted).is_none());
        let mut expecting = request();
        let proceed = HeaderValue::from_static("100-continue");
        expecting.headers.insert(header::EXPECT, proceed);
        assert!(request_text(&expecting).is_none());
        assert!(request_text(&TransportRequest::get("http://node/a|b")).is_none());
        let mut own = request();
        own.headers
            .insert(header::ACCEPT, HeaderValue::from_static("x/y"));
        let text = String::from_utf8(request_text(&own).unwrap()).unwrap();
        assert!(text.contains("\r\nhost: node\r\n"), "{text}");
        assert!(
            text.contains("accept: x/y\r\n") && !text.contains("*/*"),
            "{text}"
        );
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => (0_usize..12).prop_map(|length| format!("Content-Length: {length}")),
            1 => Just("Transfer-Encoding: chunked".to_owned()),
            1 => prop_oneof!["close", "keep-alive", "Keep-Alive, x"].prop_map(|value| format!("Connection: {value}")),
            1 => "[A-Za-z-]{1,8}: ?[ -~]{0,8}".prop_map(|line| line),
            1 => "[ -~]{0,8}".prop_map(|line| line),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_answer_is_what_hyper_reads(
            start in prop_oneof![8 => Just("HTTP/1.1 200 OK".to_owned()), 1 => "HTTP/1.[01] [1-6][0-9]{2} ?[a-z]{0,3}", 1 => "[ -~]{0,12}"],
            lines in proptest::collection::vec(line(), 0..4),
            body in "[ -~]{0,12}",
            cuts in proptest::collection::vec(0_usize..90, 0..4),
        ) {
            let text = format!("{start}\r\n{}\r\n{body}", lines.iter().map(|line| format!("{line}\r\n")).collect::<String>());
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(text.as_bytes()[from..cut].to_vec());
                from = cut;
            }
            let (expected, found, _) = run(&pieces, true);
            // Whether the server has closed the socket when it is kept is a matter of moments.
            let compared = |got: Option<Got>| got.map(|got| got.map(|(status, headers, body, _)| (status, headers, body)));
            prop_assert_eq!(compared(found), compared(expected), "{:?}", text);
        }
    }
}
