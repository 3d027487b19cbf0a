//! Tests of TLS to a destination, over HTTP and gRPC: trust, client certificates, and changes of
//! both while the program runs.

use std::path::Path;

use betanet_collector::{
    client::Tls,
    delivery::{
        ClientSettings, Destination, SendOutcome, grpc::GrpcDestination, http::HttpDestination,
    },
    http::TlsVersion,
    runtime::Clock,
    settings::{Compression, Duration, Headers, Secret},
    telemetry::chain,
};
use bytes::Bytes;
use tokio_rustls::rustls::version::TLS12;

use crate::support::{
    PATIENCE,
    certificates::{Authority, Identity},
    eventually,
    tls_sink::{Protocol, Shows, TlsSink},
};

/// A test for each protocol.
macro_rules! each_protocol {
    ($($name:ident),+) => {$(
        mod $name {
            use super::Protocol;

            #[tokio::test]
            async fn over_http() {
                super::$name(Protocol::Http).await;
            }

            #[tokio::test]
            async fn over_grpc() {
                super::$name(Protocol::Grpc).await;
            }
        }
    )+};
}

each_protocol!(
    only_the_named_authority_is_trusted,
    a_certificate_that_signs_itself_is_trusted_where_it_is_named,
    an_expired_certificate_is_refused,
    the_name_has_to_be_the_endpoints_or_the_one_that_is_configured,
    any_certificate_will_do_if_told_so,
    a_server_that_asks_who_we_are_is_told,
    an_old_version_is_refused,
    a_new_authority_is_trusted_once_its_file_is_there,
    a_new_certificate_is_shown_once_its_files_are_there,
    a_broken_file_changes_nothing
);

fn destination(protocol: Protocol, sink: &TlsSink, tls: &Tls) -> Box<dyn Destination> {
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls,
        proxy_url: None,
        clock: &Clock::System,
    };
    match protocol {
        Protocol::Http => {
            let url = sink.url().parse().unwrap();
            Box::new(HttpDestination::new(url, &remote).unwrap())
        }
        Protocol::Grpc => Box::new(GrpcDestination::new(&sink.url(), &remote).unwrap()),
    }
}

/// Why an attempt on a new connection failed. `None` if it succeeded.
async fn failure(destination: &dyn Destination) -> Option<String> {
    destination.timed_out(); // closes any existing connection
    match destination.send(Bytes::new()).await {
        SendOutcome::Sent(_) => None,
        SendOutcome::Retry { error, .. } => Some(chain(error.as_ref())),
        outcome @ (SendOutcome::Permanent { .. } | SendOutcome::TooLarge { .. }) => {
            panic!("{outcome:?}")
        }
    }
}

async fn failure_with(protocol: Protocol, sink: &TlsSink, tls: &Tls) -> Option<String> {
    failure(destination(protocol, sink, tls).as_ref()).await
}

fn assert_failed(failure: Option<String>, because: &str) {
    let failure = failure.unwrap_or_default();
    assert!(failure.contains(because), "{failure}");
}

fn trusts(authority: &Authority) -> Tls {
    Tls {
        ca_pem: Some(Secret::from(authority.pem())),
        ..Tls::default()
    }
}

/// Settings with files that are read again for every connection.
fn watches(folder: &Path) -> Tls {
    Tls {
        ca_file: Some(folder.join("ca.pem")),
        reload_interval: Duration::from_millis(1),
        ..Tls::default()
    }
}

async fn only_the_named_authority_is_trusted(protocol: Protocol) {
    let (named, other) = (Authority::new(), Authority::new());
    let sink = TlsSink::start(protocol, &Shows::identity(named.issue("localhost"))).await;
    assert_eq!(failure_with(protocol, &sink, &trusts(&named)).await, None);
    assert_failed(
        failure_with(protocol, &sink, &trusts(&other)).await,
        "UnknownIssuer",
    );
    let system_too = Tls {
        include_system_ca_certs_pool: true,
        ..trusts(&named)
    };
    assert_eq!(failure_with(protocol, &sink, &system_too).await, None);
}

/// `openssl req -x509` creates such certificates: they are marked as an authority.
async fn a_certificate_that_signs_itself_is_trusted_where_it_is_named(protocol: Protocol) {
    let (named, other) = (Identity::self_signed("localhost"), Authority::new());
    let sink = TlsSink::start(protocol, &Shows::identity(named.clone())).await;
    let tls = Tls {
        ca_pem: Some(Secret::from(named.certificate)),
        ..Tls::default()
    };
    assert_eq!(failure_with(protocol, &sink, &tls).await, None);
    assert!(
        failure_with(protocol, &sink, &trusts(&other))
            .await
            .is_some()
    );
    let named_otherwise = Tls {
        server_name_override: Some("example.com".to_owned()),
        ..tls
    };
    assert_failed(
        failure_with(protocol, &sink, &named_otherwise).await,
        "not valid for name",
    );
}

async fn an_expired_certificate_is_refused(protocol: Protocol) {
    let authority = Authority::new();
    let shows = Shows::identity(authority.issue_expired("localhost"));
    let sink = TlsSink::start(protocol, &shows).await;
    let failure = failure_with(protocol, &sink, &trusts(&authority)).await;
    assert_failed(failure, "certificate expired");
}

async fn the_name_has_to_be_the_endpoints_or_the_one_that_is_configured(protocol: Protocol) {
    let authority = Authority::new();
    let shows = Shows::identity(authority.issue("otlp.example.com"));
    let sink = TlsSink::start(protocol, &shows).await;
    let mut tls = trusts(&authority);
    assert_failed(
        failure_with(protocol, &sink, &tls).await,
        "not valid for name",
    );
    tls.server_name_override = Some("otlp.example.com".to_owned());
    assert_eq!(failure_with(protocol, &sink, &tls).await, None);
}

async fn any_certificate_will_do_if_told_so(protocol: Protocol) {
    let shows = Shows::identity(Authority::new().issue_expired("elsewhere"));
    let sink = TlsSink::start(protocol, &shows).await;
    let tls = Tls {
        insecure_skip_verify: true,
        ..Tls::default()
    };
    assert_eq!(failure_with(protocol, &sink, &tls).await, None);
}

async fn a_server_that_asks_who_we_are_is_told(protocol: Protocol) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let shows = Shows::identity(authority.issue("localhost")).asks_for(&authority);
    let sink = TlsSink::start(protocol, &shows).await;
    let nobody = trusts(&authority);
    assert!(failure_with(protocol, &sink, &nobody).await.is_some());
    for (issuer, is_known) in [(&authority, true), (&stranger, false)] {
        let client = issuer.issue("collector");
        let tls = Tls {
            cert_pem: Some(Secret::from(client.certificate)),
            key_pem: Some(Secret::from(client.key)),
            ..nobody.clone()
        };
        let failure = failure_with(protocol, &sink, &tls).await;
        assert_eq!(failure.is_none(), is_known, "{failure:?}");
    }
}

async fn an_old_version_is_refused(protocol: Protocol) {
    let authority = Authority::new();
    let shows = Shows {
        newest: &TLS12,
        ..Shows::identity(authority.issue("localhost"))
    };
    let sink = TlsSink::start(protocol, &shows).await;
    let mut tls = trusts(&authority);
    assert_eq!(failure_with(protocol, &sink, &tls).await, None);
    tls.min_version = TlsVersion::Tls13;
    assert!(failure_with(protocol, &sink, &tls).await.is_some());
}

async fn a_new_authority_is_trusted_once_its_file_is_there(protocol: Protocol) {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    let sink = TlsSink::start(protocol, &Shows::identity(old.issue("localhost"))).await;
    std::fs::write(folder.path().join("ca.pem"), old.pem()).unwrap();
    let destination = destination(protocol, &sink, &watches(folder.path()));
    assert_eq!(failure(destination.as_ref()).await, None);

    sink.show(&Shows::identity(new.issue("localhost")));
    assert_failed(failure(destination.as_ref()).await, "UnknownIssuer");
    std::fs::write(folder.path().join("ca.pem"), new.pem()).unwrap();
    accepted(destination.as_ref()).await;
}

async fn a_new_certificate_is_shown_once_its_files_are_there(protocol: Protocol) {
    let folder = tempfile::tempdir().unwrap();
    let (server, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let shows = Shows::identity(server.issue("localhost"));
    let sink = TlsSink::start(protocol, &shows.clone().asks_for(&old)).await;
    std::fs::write(folder.path().join("ca.pem"), server.pem()).unwrap();
    let (certificate, key) = old.issue("collector").write(folder.path());
    let tls = Tls {
        cert_file: Some(certificate),
        key_file: Some(key),
        ..watches(folder.path())
    };
    let destination = destination(protocol, &sink, &tls);
    assert_eq!(failure(destination.as_ref()).await, None);

    sink.show(&shows.asks_for(&new));
    assert!(failure(destination.as_ref()).await.is_some());
    new.issue("collector").write(folder.path());
    accepted(destination.as_ref()).await;
}

async fn a_broken_file_changes_nothing(protocol: Protocol) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let sink = TlsSink::start(protocol, &Shows::identity(authority.issue("localhost"))).await;
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let destination = destination(protocol, &sink, &watches(folder.path()));
    for broken in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        std::fs::write(&file, broken).unwrap();
        assert_eq!(failure(destination.as_ref()).await, None, "{broken}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(failure(destination.as_ref()).await, None);
}

/// Waits until an attempt succeeds.
async fn accepted(destination: &dyn Destination) {
    eventually("the changed files to be used", PATIENCE, async || {
        failure(destination).await.is_none().then_some(())
    })
    .await;
}
