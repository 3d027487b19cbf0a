//! Who the collector is to APIs and backends: tokens that expire, are revoked or cannot be had,
//! sessions, redirects, and secrets that nothing shows. All of it in the real program.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};

use crate::support::{
    PATIENCE, collector::Collector, command::run_in, eventually, free_port, get, scrape::Scrape,
    server::Server, source::root,
};

const DEFINITION: &str = "
endpoints: {value: {path: /value}}
metrics: [{name: value, instrument: gauge, value: $.value}]
";

/// What a server has seen, by path.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn authorization(request: &Request<Bytes>) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    Some(value.to_str().unwrap().to_owned())
}

/// An authorization server, and an API that accepts its last token.
#[derive(Clone, Default)]
struct Tokens {
    /// How many it has given out.
    given: Arc<AtomicUsize>,
    /// The first one that is valid.
    valid_from: Arc<AtomicUsize>,
    is_down: Arc<AtomicBool>,
    expires_in: u64,
    accepted: Arc<AtomicUsize>,
}

impl Tokens {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() == "/token" {
            return self.token(request);
        }
        let token = authorization(request).unwrap_or_default();
        let number = token.strip_prefix("Bearer hunter2-token-");
        let number: usize = number.and_then(|of| of.parse().ok()).unwrap_or_default();
        if number < self.valid_from.load(Ordering::SeqCst).max(1) {
            return status(StatusCode::UNAUTHORIZED);
        }
        self.accepted.fetch_add(1, Ordering::SeqCst);
        Response::new("{\"value\": 3}".into())
    }

    fn token(&self, request: &Request<Bytes>) -> Response<Bytes> {
        // collector:hunter2-client
        let is_client =
            authorization(request).as_deref() == Some("Basic Y29sbGVjdG9yOmh1bnRlcjItY2xpZW50");
        let body = String::from_utf8_lossy(request.body());
        if self.is_down.load(Ordering::SeqCst) {
            let text = "{\"error\": \"server_error\", \"error_description\": \"hunter2-client?\"}";
            let mut response = Response::new(text.into());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        if !is_client || body != "grant_type=client_credentials&scope=read+write&audience=api" {
            return status(StatusCode::UNAUTHORIZED);
        }
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        let text = format!(
            "{{\"access_token\": \"hunter2-token-{number}\", \"token_type\": \"bearer\", \
             \"expires_in\": {}}}",
            self.expires_in
        );
        Response::new(text.into())
    }

    async fn serve(&self) -> Server {
        let tokens = self.clone();
        Server::start(move |request| tokens.answer(request)).await
    }

    fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits until the API has accepted so many more requests.
    async fn accept(&self, more: usize) {
        let goal = self.accepted() + more;
        eventually("the API accepts requests", PATIENCE, async || {
            (self.accepted() >= goal).then_some(())
        })
        .await;
    }
}

fn oauth2(server: &Server) -> String {
    format!(
        "  oauth2client:
    client_id: collector
    client_secret: hunter2-client
    token_url: {}/token
    scopes: [read, write]
    endpoint_params: {{audience: api}}
    expiry_buffer: 1s
",
        server.url()
    )
}

/// A running collector with one receiver, which `/metrics` and `/health` show.
struct Stand {
    collector: Collector,
    base: String,
}

impl Stand {
    async fn start(extensions: &str, used: &str, receiver: &str) -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let folder = tempfile::tempdir().unwrap();
        let definition = folder.path().join("value.yaml");
        std::fs::write(&definition, DEFINITION).unwrap();
        let config = format!(
            "extensions:
  health_check: {{endpoint: '127.0.0.1:{port}'}}
{extensions}
receivers:
  http_json:
    definition: '{}'
    collection_interval: 2s
    timeout: 1500ms
    retry: {{max_retries: 0}}
    target_metrics: detailed
{receiver}
exporters:
  prometheus: {{endpoint: '127.0.0.1:{port}'}}
service:
  extensions: [health_check, {used}]
  telemetry: {{logs: {{level: debug}}, metrics: {{level: none}}}}
  pipelines: {{metrics: {{receivers: [http_json], exporters: [prometheus]}}}}
",
            definition.display()
        );
        let collector = Collector::start(&config, &[], &format!("{base}/livez")).await;
        // The definition has been read.
        drop(folder);
        Self { collector, base }
    }

    async fn scrape(&self) -> Scrape {
        let text = get(format!("{}/metrics", self.base)).await.unwrap();
        Scrape::parse(text.text().await.unwrap())
    }

    /// How many polls had no answer, for this reason.
    async fn failures(&self, reason: &str) -> f64 {
        let scrape = self.scrape().await;
        let polls = scrape.select("http_json_poll_results_total");
        let failed = polls.iter().filter(|sample| {
            let error = sample.labels.get("error_type");
            error.is_some_and(|error| error.contains(reason))
        });
        failed
            .map(|sample| sample.value.parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until a scrape has a sample with this value.
    async fn shows(&self, selector: &str, value: f64) {
        eventually(&format!("{selector} is {value}"), PATIENCE, async || {
            (self.scrape().await.value(selector) == Some(value)).then_some(())
        })
        .await;
    }
}

fn target(server: &Server, auth: &str) -> String {
    format!(
        "    auth: {{authenticator: {auth}}}
    targets: [{{endpoint: '{}', name: node}}]",
        server.url()
    )
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires_and_after_it_was_revoked() {
    let tokens = Tokens {
        expires_in: 2,
        ..Tokens::default()
    };
    let server = tokens.serve().await;
    let receiver = target(&server, "oauth2client");
    let stand = Stand::start(&oauth2(&server), "oauth2client", &receiver).await;
    stand.shows("value", 3.0).await;
    // It expires, again and again.
    eventually("four tokens", PATIENCE, async || {
        (tokens.given() >= 4).then_some(())
    })
    .await;
    assert_eq!(stand.scrape().await.value("value"), Some(3.0));
    assert_eq!(stand.failures("").await, 0.0, "nothing failed meanwhile");

    // All tokens so far are revoked. The request is repeated with another one.
    tokens
        .valid_from
        .store(tokens.given() + 1, Ordering::SeqCst);
    tokens.accept(3).await;
    assert_eq!(stand.failures("").await, 0.0, "the request was repeated");
}

#[tokio::test]
async fn a_token_server_that_is_down_fails_polls_and_is_no_fault_of_the_node() {
    let tokens = Tokens {
        expires_in: 600,
        ..Tokens::default()
    };
    tokens.is_down.store(true, Ordering::SeqCst);
    let server = tokens.serve().await;
    let receiver = target(&server, "oauth2client");
    let stand = Stand::start(&oauth2(&server), "oauth2client", &receiver).await;
    stand.shows("http_json_source_up", 0.0).await;
    // So many failures of the node would have opened its breakers.
    eventually("polls fail", PATIENCE, async || {
        (stand.failures("credentials").await >= 6.0).then_some(())
    })
    .await;
    let scrape = stand.scrape().await;
    assert!(!scrape.select("http_json_circuit_breaker_state").is_empty());
    assert_eq!(
        scrape.sum("http_json_circuit_breaker_state"),
        0.0,
        "{}",
        scrape.text
    );
    assert_eq!(tokens.accepted(), 0);
    let health = get(format!("{}/health", stand.base)).await.unwrap();
    let health = health.text().await.unwrap();
    assert!(
        health.contains("answered 503 Service Unavailable: server_error"),
        "{health}"
    );
    assert!(
        health.contains("[REDACTED]?") && !health.contains("hunter2"),
        "{health}"
    );

    tokens.is_down.store(false, Ordering::SeqCst);
    stand.shows("value", 3.0).await;
    assert_eq!(tokens.given(), 1);
}

#[tokio::test]
async fn ten_thousand_targets_share_one_token() {
    let tokens = Tokens {
        expires_in: 3600,
        ..Tokens::default()
    };
    let server = tokens.serve().await;
    let mut targets = String::from("    auth: {authenticator: oauth2client}\n    targets:\n");
    for number in 0..10_000 {
        let url = server.url();
        writeln!(
            targets,
            "      - {{endpoint: '{url}/{number}', name: n{number}}}"
        )
        .unwrap();
    }
    let stand = Stand::start(&oauth2(&server), "oauth2client", &targets).await;
    let all = Duration::from_secs(120);
    eventually("all of them were polled", all, async || {
        (tokens.accepted() >= 10_000).then_some(())
    })
    .await;
    assert_eq!(tokens.given(), 1);
    drop(stand);
}

/// A server that asks for a digest with a nonce of its choice, and notes what it gets.
async fn elsewhere(seen: &Seen) -> Server {
    let kept = Arc::clone(seen);
    Server::start(move |request| {
        let mut headers = request.headers().clone();
        headers.remove("host");
        let seen = (format!("{headers:?}"), authorization(request));
        kept.lock().unwrap().push(seen);
        let mut response = status(StatusCode::UNAUTHORIZED);
        let challenge = HeaderValue::from_static("Digest realm=evil, nonce=evil");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        response
    })
    .await
}

/// A node that leads to `to`, gives out tokens, and notes what it gets.
async fn leading(to: String, seen: &Seen) -> Server {
    let (tokens, kept) = (Tokens::default(), Arc::clone(seen));
    Server::start(move |request| {
        let path = request.uri().path().to_owned();
        if path == "/token" {
            return tokens.token(request);
        }
        kept.lock().unwrap().push((path, authorization(request)));
        let mut response = status(StatusCode::FOUND);
        let to = HeaderValue::from_str(&to).unwrap();
        response.headers_mut().insert(header::LOCATION, to);
        response
    })
    .await
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_credentials() {
    let (seen, asked) = (Seen::default(), Seen::default());
    let elsewhere = elsewhere(&seen).await;
    let node = leading(format!("{}/value", elsewhere.url()), &asked).await;
    let digest = "  digestauth: {username: fleet, password: hunter2-digest}\n";
    let extensions = format!("{}{digest}", oauth2(&node));
    let targets = format!(
        "    max_redirects: 3
    targets:
      - {{endpoint: '{0}', name: token, auth: {{authenticator: oauth2client}}}}
      - {{endpoint: '{0}', name: digest, auth: {{authenticator: digestauth}}}}",
        node.url()
    );
    let stand = Stand::start(&extensions, "oauth2client, digestauth", &targets).await;
    eventually("both were redirected", PATIENCE, async || {
        (seen.lock().unwrap().len() >= 8).then_some(())
    })
    .await;
    for (headers, authorization) in seen.lock().unwrap().iter() {
        assert_eq!(*authorization, None, "{headers}");
        let is_clean = !headers.contains("hunter2") && !headers.contains("referer");
        assert!(is_clean, "{headers}");
    }
    let asked = asked.lock().unwrap();
    let sent: Vec<_> = asked.iter().filter_map(|(_, sent)| sent.as_ref()).collect();
    assert!(
        sent.iter().all(|it| *it == "Bearer hunter2-token-1"),
        "{sent:?}"
    );
    assert!(!sent.is_empty() && sent.len() < asked.len(), "{asked:?}");
    drop(stand);
}

/// APIs that want a session: one sets a cookie, one gives a token in JSON, one gives it with 409.
fn session_api(
    request: &Request<Bytes>,
    logins: &AtomicUsize,
    ends: &AtomicBool,
) -> Response<Bytes> {
    let text = |text: &str| Response::new(Bytes::from(text.to_owned()));
    let sent = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let number = logins.load(Ordering::SeqCst);
    let is_over = ends.swap(false, Ordering::SeqCst);
    let answer = |is_right: bool, otherwise: StatusCode| match is_right && !is_over {
        true => text("{\"value\": 3}"),
        false => status(otherwise),
    };
    match request.uri().path() {
        "/cookie/login" => {
            assert_eq!(request.method(), "POST");
            assert_eq!(
                &request.body()[..],
                b"password=hunter2+cookie&username=fleet"
            );
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            let mut response = text("Ok.");
            let cookie = format!("SID=hunter2-sid-{number}; HttpOnly; path=/");
            let cookie = HeaderValue::from_str(&cookie).unwrap();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        "/cookie/value" => {
            let right = format!("SID=hunter2-sid-{number}");
            answer(sent("cookie") == Some(right), StatusCode::FORBIDDEN)
        }
        "/json/login" => {
            let body = String::from_utf8_lossy(request.body());
            assert_eq!(body, "{\"password\":\"hunter2-json\",\"user\":\"fleet\"}");
            let number = logins.fetch_add(1, Ordering::SeqCst) + 1;
            text(&format!(
                "{{\"data\": {{\"token\": \"hunter2-json-{number}\", \"ttl\": 600}}}}"
            ))
        }
        "/json/value" => {
            let right = format!("Token hunter2-json-{number}");
            answer(sent("x-auth") == Some(right), StatusCode::UNAUTHORIZED)
        }
        "/header/value" => {
            if is_over {
                logins.fetch_add(1, Ordering::SeqCst);
            }
            let right = format!("hunter2-id-{}", logins.load(Ordering::SeqCst));
            if sent("x-session-id").as_ref() == Some(&right) {
                return text("{\"value\": 3}");
            }
            let mut response = status(StatusCode::CONFLICT);
            let id = HeaderValue::from_str(&right).unwrap();
            response.headers_mut().insert("x-session-id", id);
            response
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_session_is_a_cookie_a_token_or_the_header_of_a_refusal() {
    for (kind, extension) in [
        (
            "cookie",
            "{login: {path: /login, body: {form: {username: fleet, password: hunter2 cookie}}}}",
        ),
        (
            "json",
            "{login: {path: /login, body: {json: {user: fleet, password: hunter2-json}}}, \
             token: {path: $.data.token, header: X-Auth, format: 'Token {}', \
             expires_in: $.data.ttl}}",
        ),
        (
            "header",
            "{token: {header_of_answer: X-Session-Id, header: X-Session-Id}, renew_on: [409]}",
        ),
    ] {
        let (logins, ends) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (of_server, ending) = (Arc::clone(&logins), Arc::clone(&ends));
        let server = Server::start(move |request| session_api(request, &of_server, &ending)).await;
        let receiver = format!(
            "    auth: {{authenticator: session}}
    targets:
      - {{endpoint: '{0}/{kind}', name: node}}
      - {{endpoint: '{0}/{kind}', name: other}}",
            server.url()
        );
        let extension = format!("  session: {extension}\n");
        let stand = Stand::start(&extension, "session", &receiver).await;
        stand.shows("value{target=\"node\"}", 3.0).await;
        stand.shows("value{target=\"other\"}", 3.0).await;
        let first = logins.load(Ordering::SeqCst);
        assert_eq!(
            first,
            usize::from(kind != "header"),
            "{kind}: both share a session"
        );
        // The server forgets the session.
        ends.store(true, Ordering::SeqCst);
        eventually("another login", PATIENCE, async || {
            (logins.load(Ordering::SeqCst) == first + 1).then_some(())
        })
        .await;
        assert_eq!(stand.failures("").await, 0.0, "{kind}");
        assert!(!stand.collector.log().contains("hunter2"), "{kind}");
    }
}

#[test]
fn the_examples_of_the_page_are_sound() {
    let page = std::fs::read_to_string(root().join("docs/authentication.md")).unwrap();
    let blocks: Vec<_> = page.split("```yaml\n").skip(1).collect();
    assert_eq!(blocks.len(), 7);
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "NODE_PASSWORD",
        "QBITTORRENT_PASSWORD",
        "ROUTER_PASSWORD",
    ];
    let environment = environment.map(|name| (name, "hunter2"));
    for block in blocks {
        let text = block.split("```").next().unwrap();
        std::fs::write(folder.path().join("example.yaml"), text).unwrap();
        let arguments = ["validate", "--config", "example.yaml"];
        let output = run_in(folder.path(), &arguments, &environment);
        assert_eq!(output.code, Some(0), "{}{text}", output.stderr);
    }
}
