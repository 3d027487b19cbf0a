//! Tests of TLS and credentials.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::*;
use crate::settings::Duration as Span;

/// A certificate authority, and a directory for its certificates.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key in PEM: of a server with a name, or of a client without one.
    fn sign(&self, name: Option<&str>) -> (String, String) {
        let names: Vec<_> = name.map(str::to_owned).into_iter().collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![match name {
            Some(_) => ExtendedKeyUsagePurpose::ServerAuth,
            None => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a new certificate for the server.
    fn renew(&self) {
        let (certificate, key) = self.sign(Some("localhost"));
        std::fs::write(self.file("server.pem"), certificate).unwrap();
        std::fs::write(self.file("server.key"), key).unwrap();
    }

    fn server(&self) -> ServerConfig {
        self.renew();
        std::fs::write(self.file("ca.pem"), self.issuer.pem()).unwrap();
        let tls = TlsConfig {
            cert_file: self.file("server.pem"),
            key_file: self.file("server.key"),
            client_ca_file: None,
            min_version: TlsVersion::Tls12,
            max_version: None,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            reload_interval: Span::from_millis(10),
        };
        ServerConfig {
            tls: Some(tls),
            ..ServerConfig::plain(ENDPOINT)
        }
    }

    fn client(&self) -> ClientBuilder {
        let root = Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap();
        Client::builder().no_proxy().tls_certs_only([root])
    }
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}/metrics", address.port())
}

async fn start_secured(server: &ServerConfig, meter: &Meter) -> (SocketAddr, Tasks) {
    start_as(server, ClientLimits::default(), meter, vec![metrics()]).await
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_answered_over_tls() {
    let authority = Authority::new();
    let (address, _tasks) = start_secured(&authority.server(), &meter()).await;
    let client = authority.client().build().unwrap();
    let answer = client.get(url(address)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let stranger = Authority::new().client().build().unwrap();
    stranger.get(url(address)).send().await.unwrap_err();
}

#[tokio::test]
async fn a_client_needs_a_certificate_if_one_is_required() {
    let (registry, counting) = counted();
    let meter = Meter::of(&counting);
    let authority = Authority::new();
    let mut server = authority.server();
    server.tls.as_mut().unwrap().client_ca_file = Some(authority.file("ca.pem"));
    let (address, _tasks) = start_secured(&server, &meter).await;

    let identity = |of: &Authority| {
        let (certificate, key) = of.sign(None);
        Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    };
    let known = authority.client().identity(identity(&authority));
    let answer = known.build().unwrap().get(url(address)).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let nobody = authority.client().build().unwrap();
    nobody.get(url(address)).send().await.unwrap_err();
    let other = authority.client().identity(identity(&Authority::new()));
    let other = other.build().unwrap().get(url(address)).send().await;
    other.unwrap_err();

    let refused = "betanet_http_connections_refused_total{reason=\"tls\"} 2";
    until(|| text(&registry).contains(refused)).await;
}

#[tokio::test]
async fn an_old_version_of_tls_is_refused() {
    let authority = Authority::new();
    let mut server = authority.server();
    server.tls.as_mut().unwrap().min_version = TlsVersion::Tls13;
    let (address, _tasks) = start_secured(&server, &meter()).await;
    let old = authority
        .client()
        .max_tls_version(reqwest::tls::Version::TLS_1_2);
    let old = old.build().unwrap().get(url(address)).send().await;
    old.unwrap_err();
    let new = authority.client().build().unwrap();
    new.get(url(address)).send().await.unwrap();
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_does_not_delay_others() {
    let (registry, counting) = counted();
    let meter = Meter::of(&counting);
    let authority = Authority::new();
    let limits = ClientLimits {
        header_timeout: Duration::from_millis(50),
        ..ClientLimits::default()
    };
    let server = authority.server();
    let (address, _tasks) = start_as(&server, limits, &meter, vec![metrics()]).await;
    let silent: Vec<_> = [send(address, "").await, send(address, "\x16").await].into();
    let garbage = send(address, "GET /metrics HTTP/1.1\r\n\r\n").await;
    let client = authority.client().build().unwrap();
    assert!(client.get(url(address)).send().await.is_ok());
    for stream in silent {
        assert_eq!(until_closed(stream).await, "");
    }
    assert!(!until_closed_raw(garbage).await.starts_with(b"HTTP"));
    let timeouts = "betanet_http_connections_refused_total{reason=\"tls_timeout\"} 2";
    let failed = "betanet_http_connections_refused_total{reason=\"tls\"} 1";
    until(|| text(&registry).contains(timeouts) && text(&registry).contains(failed)).await;
}

#[tokio::test]
async fn a_new_certificate_is_used_and_an_invalid_one_is_not() {
    let authority = Authority::new();
    let (address, _tasks) = start_secured(&authority.server(), &meter()).await;
    let shown = || certificate(&authority, address);
    let first = shown().await;
    authority.renew();
    let second = loop {
        match shown().await {
            same if same == first => tokio::task::yield_now().await,
            other => break other,
        }
    };
    // The third certificate is written only after the invalid one was read, because it would hide
    // it.
    std::fs::write(authority.file("server.pem"), "no certificate").unwrap();
    let looked_again = Instant::now() + Duration::from_millis(100);
    while Instant::now() < looked_again {
        assert_eq!(shown().await, second);
    }
}

/// The certificate of the server.
async fn certificate(authority: &Authority, address: SocketAddr) -> Vec<u8> {
    let client = authority.client().tls_info(true).build().unwrap();
    let answer = client.get(url(address)).send().await.unwrap();
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec()
}

async fn until(happened: impl Fn() -> bool) {
    let happens = async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, happens).await.expect("it happens");
}

async fn until_closed_raw(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
    drop(read.await.expect("the server closes the connection"));
    answer
}

#[test]
fn errors_name_the_files_that_cannot_be_used() {
    let authority = Authority::new();
    let server = authority.server();
    let refused = |change: &dyn Fn(&mut TlsConfig)| {
        let mut server = server.clone();
        change(server.tls.as_mut().unwrap());
        let mut listeners = Listeners::new(ClientLimits::default(), &meter());
        let error = listeners.route(&server, metrics()).unwrap_err();
        crate::telemetry::chain(&error)
    };
    let error = refused(&|tls| tls.cert_file = "none.pem".into());
    let expected = "failed to set up TLS on 127.0.0.1:0 for prometheus: failed to read `none.pem`";
    assert!(error.starts_with(expected), "{error}");
    let error = refused(&|tls| tls.cert_file = tls.key_file.clone());
    assert!(
        error.contains("does not hold certificates in PEM"),
        "{error}"
    );
    let error = refused(&|tls| tls.key_file = tls.cert_file.clone());
    assert!(
        error.contains("does not hold a private key in PEM"),
        "{error}"
    );
    let (_, key) = authority.sign(None);
    std::fs::write(authority.file("other.key"), key).unwrap();
    let error = refused(&|tls| tls.key_file = authority.file("other.key"));
    assert!(error.contains("and its key cannot be used"), "{error}");
}

#[test]
fn components_of_one_listener_must_have_the_same_tls() {
    let authority = Authority::new();
    let server = authority.server();
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    listeners.route(&server, metrics()).unwrap();
    let plain = ServerConfig::plain(ENDPOINT);
    let error = listeners.route(&plain, echo()).unwrap_err();
    let expected = "prometheus and echo share 127.0.0.1:0 but differ in `tls`";
    assert_eq!(error.to_string(), expected);
}

fn authenticated_by(auth: ServerAuthConfig) -> ServerConfig {
    ServerConfig {
        auth,
        ..ServerConfig::plain(ENDPOINT)
    }
}

fn basic(password: &str) -> ServerAuthConfig {
    let basic = BasicConfig {
        username: "user".to_owned(),
        password: password.into(),
        password_file: None,
    };
    ServerAuthConfig {
        basic: Some(basic),
        bearer: None,
    }
}

fn token_from(file: &Path) -> ServerAuthConfig {
    let bearer = BearerConfig {
        token_file: Some(file.to_owned()),
        ..BearerConfig::default()
    };
    ServerAuthConfig {
        basic: None,
        bearer: Some(bearer),
    }
}

async fn ask_as(address: SocketAddr, authorization: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nauthorization: {authorization}");
    ask(address, &request).await
}

#[tokio::test]
async fn only_the_right_password_is_accepted() {
    let (registry, counting) = counted();
    let meter = Meter::of(&counting);
    let (address, _tasks) = start_secured(&authenticated_by(basic("right")), &meter).await;
    let of = |pair: &str| BASE64_STANDARD.encode(pair);
    let right = of("user:right");
    for scheme in ["Basic", "basic"] {
        let answer = ask_as(address, &format!("{scheme} {right}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let wrong = [
        format!("Basic {}", of("user:wrong")),
        format!("Basic {}", of("user:right and more")),
        format!("Basic {}", of("user")),
        format!("Bearer {right}"),
        "Basic".to_owned(),
        String::new(),
    ];
    for authorization in &wrong {
        let answer = ask_as(address, authorization).await;
        assert!(
            answer.starts_with("HTTP/1.1 401"),
            "{authorization}: {answer}"
        );
        assert!(
            answer.contains("www-authenticate: Basic realm="),
            "{answer}"
        );
    }
    let refused = "betanet_http_requests_refused_total{reason=\"unauthorized\"} 6";
    assert!(text(&registry).contains(refused), "{}", text(&registry));
}

#[tokio::test]
async fn a_token_from_a_file_gives_access_only_to_its_routes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "t0k3n\n").unwrap();
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let guarded = authenticated_by(token_from(&file));
    listeners.route(&guarded, metrics()).unwrap();
    let open = Route::get("health_check", "/health", |_| async {
        Response::text("ok")
    });
    listeners
        .route(&ServerConfig::plain(ENDPOINT), open)
        .unwrap();
    let bound = listeners.bind().await.unwrap();
    let address = bound.local_addr(ENDPOINT).unwrap();
    let (tasks, _failures) = Tasks::new();
    bound.serve(&tasks, &Components::new(&Clock::System, &tasks));

    assert!(
        ask(address, "GET /health HTTP/1.1")
            .await
            .contains("200 OK")
    );
    assert!(
        ask(address, "GET /metrics HTTP/1.1")
            .await
            .contains(" 401 ")
    );
    assert!(ask_as(address, "Bearer t0k3n").await.contains("200 OK"));
    assert!(ask_as(address, "Bearer t0k3").await.contains(" 401 "));
}

#[test]
fn a_missing_token_file_ends_the_start() {
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let guarded = authenticated_by(token_from(Path::new("none")));
    let error = listeners.route(&guarded, metrics()).unwrap_err();
    let text = crate::telemetry::chain(&error);
    let expected = "failed to read the credentials of prometheus: failed to read `none`";
    assert!(text.starts_with(expected), "{text}");
}
