//! Secrets of authenticators, one case for each: the real program sends them, also where a server
//! refuses them, repeats them or is down, and shows them nowhere.

mod credentials;
mod server;

use credentials::{Sent, basic, has_authorization, has_digest, header_of, is_signed};
use server::{Right, serve};

use crate::support::{PATIENCE, collector::Collector, command::run_in, eventually, free_port, get};

/// An authenticator with its secrets.
struct Case {
    /// The extensions; `SERVER` is the server, `GONE` a port at which nothing listens.
    extensions: &'static str,
    /// The ids of the extensions. The first one works.
    ids: &'static [&'static str],
    /// More exporters, by name and settings.
    exporters: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    /// Whether a request has what the authenticator has to send.
    is_accepted: fn(&Sent) -> bool,
    /// Whether a request for a token or a session has what it needs.
    logs_in: fn(&Sent) -> bool,
    /// The answer to such a request.
    token: &'static str,
    /// What else nothing may show, beside all that begins with `hunter2`.
    hidden: &'static [&'static str],
    /// The paths at which the right credentials must have arrived.
    arrives: &'static [&'static str],
    /// What to write in place of what, so that a secret stands where none belongs.
    misplaced: &'static [(&'static str, &'static str)],
}

const CONFIG: &str = "
extensions:
  health_check: {endpoint: '127.0.0.1:PORT'}
  status_page: {endpoint: '127.0.0.1:PORT'}
EXTENSIONS
receivers:
  http_json:
    definition: DEFINITION
    collection_interval: 500ms
    timeout: 400ms
    retry: {max_retries: 1}
    targets:
TARGETS
exporters:
  prometheus: {endpoint: '127.0.0.1:PORT', probe: {allow: [127.0.0.0/8]}}
  debug: {verbosity: detailed}
EXPORTERS
service:
  extensions: [health_check, status_page, IDS]
  telemetry:
    logs: {level: debug}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: OWN}}}}]}
  pipelines: {metrics: {receivers: [http_json], exporters: [prometheus, debug, NAMES]}}
";

const DEFINITION: &str = "
endpoints: {value: {path: /value}}
metrics: [{name: value, instrument: gauge, value: $.value}]
";

/// Nothing is logged in.
fn never(_: &Sent) -> bool {
    false
}

const BASIC: Case = Case {
    extensions: "  basicauth: {client_auth: {username: fleet, password: hunter2-basic}}",
    ids: &["basicauth"],
    exporters: &[("otlp_http", "SERVER/refused"), ("otlp_grpc", "SERVER")],
    environment: &[],
    is_accepted: |sent| has_authorization(sent, &basic("fleet", "hunter2-basic")),
    logs_in: never,
    token: "",
    // The beginning of it in Base64.
    hidden: &["ZmxlZXQ6aHVudGVyMi1iYXNpY"],
    arrives: &[
        "/works/value",
        "/refused/value",
        "/odd/value",
        "/refused/v1/metrics",
    ],
    misplaced: &[
        ("client_auth: {", "client_auth: {oops: 1, "),
        ("hunter2-basic", "[hunter2-basic]"),
    ],
};

const BEARER: Case = Case {
    extensions: "  bearertokenauth: {token: hunter2-bearer}",
    ids: &["bearertokenauth"],
    exporters: &[("otlp_http", "SERVER/refused"), ("otlp_grpc", "SERVER")],
    environment: &[],
    is_accepted: |sent| has_authorization(sent, "Bearer hunter2-bearer"),
    logs_in: never,
    token: "",
    hidden: &[],
    arrives: &[
        "/works/value",
        "/refused/value",
        "/odd/value",
        "/refused/v1/metrics",
    ],
    misplaced: &[("hunter2-bearer", "[hunter2-bearer]")],
};

const OAUTH2: Case = Case {
    extensions: "  oauth2client: {token_url: 'SERVER/works/token', CLIENT}
  oauth2client/down: {token_url: 'SERVER/down/token', CLIENT}
  oauth2client/unauthorized: {token_url: 'SERVER/unauthorized/token', CLIENT}
  oauth2client/gone: {token_url: 'http://127.0.0.1:GONE/token', CLIENT}",
    ids: &[
        "oauth2client",
        "oauth2client/down",
        "oauth2client/unauthorized",
        "oauth2client/gone",
    ],
    exporters: &[("otlp_http", "SERVER/refused"), ("otlp_grpc", "SERVER")],
    environment: &[],
    is_accepted: |sent| has_authorization(sent, "Bearer hunter2-token"),
    logs_in: |sent| {
        let body = String::from_utf8_lossy(sent.body());
        has_authorization(sent, &basic("collector", "hunter2-client"))
            && body.contains("assertion=hunter2-parameter")
    },
    token: "{\"access_token\": \"hunter2-token\", \"expires_in\": 1}",
    hidden: &["Y29sbGVjdG9yOmh1bnRlcjItY2xpZW50"],
    arrives: &[
        "/works/token",
        "/down/token",
        "/unauthorized/token",
        "/works/value",
        "/refused/value",
        "/odd/value",
        "/refused/v1/metrics",
    ],
    misplaced: &[(
        "client_secret: hunter2-client",
        "client_secret: [hunter2-client]",
    )],
};

const SIGV4: Case = Case {
    extensions: "  sigv4auth: {region: eu-central-1, service: aps}",
    ids: &["sigv4auth"],
    exporters: &[("prometheusremotewrite", "SERVER/refused/write")],
    environment: &[
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2-aws"),
        ("AWS_SESSION_TOKEN", "hunter2-aws-session"),
    ],
    is_accepted: |sent| {
        is_signed(sent, "hunter2-aws")
            && header_of(sent, "x-amz-security-token") == "hunter2-aws-session"
    },
    logs_in: never,
    token: "",
    hidden: &["Signature="],
    arrives: &[
        "/works/value",
        "/refused/value",
        "/odd/value",
        "/refused/write",
    ],
    // Its secrets are not in the configuration.
    misplaced: &[("service: aps", "service: [aps]")],
};

const DIGEST: Case = Case {
    extensions: "  digestauth: {username: fleet, password: hunter2-digest}",
    ids: &["digestauth"],
    exporters: &[("otlp_http", "SERVER/refused")],
    environment: &[],
    is_accepted: |sent| has_digest(sent, "hunter2-digest"),
    logs_in: never,
    token: "",
    hidden: &["response="],
    arrives: &["/works/value", "/refused/value", "/odd/value"],
    misplaced: &[("hunter2-digest", "[hunter2-digest]")],
};

/// A log-in by a form, and a cookie.
const SESSION: Case = Case {
    extensions: "  session: {login: {path: /login, headers: {X-Key: hunter2-header}, body: {form: {password: hunter2-form}}}, renew_on: [401]}",
    ids: &["session"],
    exporters: &[("otlp_http", "SERVER/refused")],
    environment: &[],
    is_accepted: |sent| header_of(sent, "cookie") == "SID=hunter2-cookie",
    logs_in: |sent| {
        header_of(sent, "x-key") == "hunter2-header" && &sent.body()[..] == b"password=hunter2-form"
    },
    token: "{}",
    hidden: &[],
    arrives: &[
        "/works/login",
        "/down/login",
        "/unauthorized/login",
        "/works/value",
        "/refused/value",
        "/odd/value",
    ],
    misplaced: &[("path: /login", "path: login, oops: {a: hunter2-form}")],
};

/// A log-in by JSON, and a token.
const SESSION_TOKEN: Case = Case {
    extensions: "  session: {login: {path: /login, body: {json: {password: hunter2-json}}}, token: {path: $.token, header: X-Token}}",
    is_accepted: |sent| header_of(sent, "x-token") == "hunter2-session",
    logs_in: |sent| &sent.body()[..] == b"{\"password\":\"hunter2-json\"}",
    token: "{\"token\": \"hunter2-session\"}",
    misplaced: &[("path: /login", "path: [hunter2-json]")],
    ..SESSION
};

/// A log-in by any text.
const SESSION_TEXT: Case = Case {
    extensions: "  session: {login: {path: /login, body: {text: hunter2-text}}}",
    logs_in: |sent| &sent.body()[..] == b"hunter2-text",
    misplaced: &[("text: hunter2-text", "text: [hunter2-text]")],
    ..SESSION
};

impl Case {
    fn config(&self, server: &str, [port, own]: [u16; 2], definition: &str) -> String {
        let id = self.ids[0];
        let mut targets = String::new();
        let mut target = |name: &str, base: &str, auth: &str| {
            targets.push_str(&format!(
                "      - {{endpoint: '{base}', name: {name}, auth: {{authenticator: {auth}}}}}\n"
            ));
        };
        for name in ["works", "refused", "odd", "down", "unauthorized"] {
            let own = format!("{id}/{name}");
            let own = self.ids.iter().find(|of| **of == own).unwrap_or(&id);
            target(name, &format!("{server}/{name}"), own);
        }
        let gone = self.ids.iter().find(|id| id.ends_with("/gone"));
        match gone {
            Some(gone) => target("gone", &format!("{server}/works"), gone),
            None => target("gone", "http://127.0.0.1:GONE", id),
        }
        let exporters = self.exporters.iter();
        let exporters = exporters.map(|(kind, endpoint)| {
            format!("  {kind}: {{endpoint: '{endpoint}', auth: {{authenticator: {id}}}}}\n")
        });
        let names = self.exporters.iter().map(|(kind, _)| *kind);
        let client = "client_id: collector, client_secret: hunter2-client, \
                      endpoint_params: {assertion: hunter2-parameter}";
        CONFIG
            .replace("EXTENSIONS", self.extensions)
            .replace("CLIENT", client)
            .replace("IDS", &self.ids.join(", "))
            .replace("TARGETS\n", &targets)
            .replace("EXPORTERS\n", &exporters.collect::<String>())
            .replace("NAMES", &names.collect::<Vec<_>>().join(", "))
            .replace("DEFINITION", definition)
            .replace("SERVER", server)
            .replace("GONE", &free_port().to_string())
            .replace("PORT", &port.to_string())
            .replace("OWN", &own.to_string())
    }
}

/// What pages, `print-config`, `validate` and the log show.
async fn shown(case: &Case, collector: &Collector, base: &str) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    let pages = [
        "/metrics",
        "/health",
        "/",
        "/pipelines",
        "/config",
        "/discovery",
        "/api/v1/targets",
    ];
    let mut pages: Vec<_> = pages.map(str::to_owned).into();
    for name in ["works", "refused", "odd", "down", "unauthorized", "gone"] {
        pages.push(format!("/targets/{name}"));
        pages.push(format!("/api/v1/targets/{name}"));
        pages.push(format!("/debug/resilience/{name}"));
        pages.push(format!("/probe?target={name}"));
    }
    for page in pages {
        let text = get(format!("{base}{page}")).await.unwrap().text().await;
        shown.push((page, text.unwrap()));
    }
    let print = ["print-config", "--config", "otel-config.yaml"];
    let printed = run_in(collector.folder(), &print, case.environment);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let sound = std::fs::read_to_string(collector.file()).unwrap();
    let has_secrets = sound.contains("hunter2");
    assert_eq!(
        printed.stdout.contains("[REDACTED]"),
        has_secrets,
        "{}",
        printed.stdout
    );
    shown.push(("print-config".to_owned(), printed.stdout));
    for (right, wrong) in case.misplaced {
        assert!(sound.contains(right), "{right}");
        std::fs::write(
            collector.folder().join("wrong.yaml"),
            sound.replace(right, wrong),
        )
        .unwrap();
        let validate = ["validate", "--config", "wrong.yaml"];
        let refused = run_in(collector.folder(), &validate, case.environment);
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        shown.push((format!("validate with {wrong}"), refused.stderr));
    }
    shown.push(("log".to_owned(), collector.log()));
    shown
}

/// The secrets of a case are sent, and nothing shows them.
async fn are_sent_and_never_shown(case: &'static Case) {
    let right = Right::default();
    let server = serve(case, &right).await;
    let (port, own) = (free_port(), free_port());
    let base = format!("http://127.0.0.1:{port}");
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("value.yaml");
    std::fs::write(&definition, DEFINITION).unwrap();
    let config = case.config(&server.url(), [port, own], definition.to_str().unwrap());
    // What other programs take for the most verbose logs.
    let environment = [case.environment, &[("RUST_LOG", "trace")]].concat();
    let collector = Collector::start(&config, &environment, &format!("{base}/livez")).await;
    eventually("the secrets arrive", PATIENCE, async || {
        let right = right.lock().unwrap();
        let arrived = |path: &&str| {
            // A session stays.
            let wanted = if path.ends_with("/login") { 1 } else { 2 };
            right.get(*path).is_some_and(|count| *count >= wanted)
        };
        case.arrives.iter().all(arrived).then_some(())
    })
    .await;
    let log = eventually("each failure was reported", PATIENCE, async || {
        let log = collector.log();
        let is_there = |name: &&str| log.contains(&format!("target=\"{name}\" up=false"));
        let failing = ["refused", "odd", "gone"];
        failing.iter().all(is_there).then_some(log)
    })
    .await;
    // The server repeated what it got, and that was hidden.
    assert!(log.contains("401") && log.contains("[REDACTED]"), "{log}");
    let mut all = shown(case, &collector, &base).await;
    let own = get(format!("http://127.0.0.1:{own}/metrics"))
        .await
        .unwrap();
    all.push(("own metrics".to_owned(), own.text().await.unwrap()));
    for (what, text) in all {
        for secret in ["hunter2"].iter().chain(case.hidden) {
            if let Some((before, after)) = text.split_once(secret) {
                let before: String = before.chars().rev().take(300).collect();
                let before: String = before.chars().rev().collect();
                let after: String = after.chars().take(100).collect();
                panic!("{what} shows {secret}: {before}<<<{secret}>>>{after}");
            }
        }
    }
}

#[tokio::test]
async fn secrets_of_basicauth() {
    are_sent_and_never_shown(&BASIC).await;
}

#[tokio::test]
async fn secrets_of_bearertokenauth() {
    are_sent_and_never_shown(&BEARER).await;
}

#[tokio::test]
async fn secrets_of_oauth2client() {
    are_sent_and_never_shown(&OAUTH2).await;
}

#[tokio::test]
async fn secrets_of_sigv4auth() {
    are_sent_and_never_shown(&SIGV4).await;
}

#[tokio::test]
async fn secrets_of_digestauth() {
    are_sent_and_never_shown(&DIGEST).await;
}

#[tokio::test]
async fn secrets_of_a_session_with_a_form_and_a_cookie() {
    are_sent_and_never_shown(&SESSION).await;
}

#[tokio::test]
async fn secrets_of_a_session_with_json_and_a_token() {
    are_sent_and_never_shown(&SESSION_TOKEN).await;
}

#[tokio::test]
async fn secrets_of_a_session_with_a_text() {
    are_sent_and_never_shown(&SESSION_TEXT).await;
}
