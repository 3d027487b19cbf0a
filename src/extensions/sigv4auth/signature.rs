//! Signature Version 4, in the header `Authorization`.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::{collections::BTreeMap, time::SystemTime};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use url::Position;

use super::keys::AwsKeys;
use crate::{client::auth::AuthRequest, settings::Secret};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Headers that are not signed, because the client or a proxy sets or changes them on the way.
const UNSIGNED: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::USER_AGENT,
];

/// What a signature is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) service: String,
    pub(super) region: String,
}

impl Scope {
    /// What the host of an AWS service says: `aps-workspaces.eu-central-1.amazonaws.com`,
    /// `search-x.eu-central-1.es.amazonaws.com`.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        let name = host.strip_suffix(".amazonaws.com");
        let name = name.or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
        let labels: Vec<_> = name.split('.').collect();
        let is_region = |label: &&str| label.split('-').count() >= 3 && label.ends_with(is_digit);
        let at = labels.iter().rposition(is_region)?;
        let region = labels.get(at)?;
        let service = match at + 1 == labels.len() {
            true => labels.get(at.checked_sub(1)?)?,
            false => labels.get(at + 1)?,
        };
        let service = match *service {
            "aps-workspaces" => "aps",
            service => service,
        };
        Some(Self {
            service: service.to_owned(),
            region: (*region).to_owned(),
        })
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// What of a request is signed, besides its headers.
struct Signed<'r> {
    method: &'r str,
    host: &'r str,
    path: &'r str,
    query: &'r str,
    body: &'r [u8],
    /// Whether a header shows the hash of the body. S3 wants it.
    shows_body_hash: bool,
}

/// Sets the headers of the signature.
pub(super) fn sign(request: AuthRequest<'_>, keys: &AwsKeys, scope: &Scope, now: SystemTime) {
    let url = request.url;
    let signed = Signed {
        method: request.method.as_str(),
        host: &url[Position::BeforeHost..Position::AfterPort],
        path: url.path(),
        query: url.query().unwrap_or_default(),
        body: request.body,
        shows_body_hash: scope.service == "s3",
    };
    signed.sign(request.headers, keys, scope, now);
}

impl Signed<'_> {
    fn sign(&self, headers: &mut HeaderMap, keys: &AwsKeys, scope: &Scope, now: SystemTime) {
        let time = Timestamp::try_from(now).unwrap_or_default();
        let time = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let body_hash = hex(digest(&SHA256, self.body).as_ref());
        set(headers, &DATE, &time);
        match &keys.session_token {
            Some(token) => set(headers, &TOKEN, token.expose()),
            None => drop(headers.remove(&TOKEN)),
        }
        if self.shows_body_hash {
            set(headers, &BODY_HASH, &body_hash);
        }
        let CanonicalHeaders { names, lines } = canonical_headers(headers, self.host);
        let canonical = [
            self.method,
            &canonical_path(self.path, scope),
            &canonical_query(self.query),
            &lines,
            &names,
            &body_hash,
        ]
        .join("\n");
        let day = time.get(..8).unwrap_or_default();
        let credential_scope = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
        let canonical_hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let to_sign = [ALGORITHM, &time, &credential_scope, &canonical_hash].join("\n");
        let signature = hex(&hmac_of(&signing_key(&keys.secret, day, scope), &to_sign));
        let id = keys.access_key_id.expose();
        let authorization = format!(
            "{ALGORITHM} Credential={id}/{credential_scope}, SignedHeaders={names}, \
             Signature={signature}"
        );
        set(headers, &header::AUTHORIZATION, &authorization);
    }
}

/// Sets a header. A text that no header can have was refused when the keys were read.
fn set(headers: &mut HeaderMap, name: &HeaderName, text: &str) {
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

fn signing_key(secret: &Secret, day: &str, scope: &Scope) -> Vec<u8> {
    let first = format!("AWS4{}", secret.expose());
    let steps = [day, &scope.region, &scope.service, "aws4_request"];
    let steps = steps.into_iter();
    steps.fold(first.into_bytes(), |key, step| hmac_of(&key, step))
}

fn hmac_of(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The headers that are signed.
struct CanonicalHeaders {
    names: String,
    /// A line for each.
    lines: String,
}

fn canonical_headers(headers: &HeaderMap, host: &str) -> CanonicalHeaders {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    lines.insert("host", host.to_owned());
    for name in headers.keys().filter(|name| !UNSIGNED.contains(name)) {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        });
        lines.insert(name.as_str(), values.collect::<Vec<_>>().join(","));
    }
    let names: Vec<_> = lines.keys().copied().collect();
    let text = lines
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"));
    CanonicalHeaders {
        names: names.join(";"),
        lines: text.collect(),
    }
}

/// The path without empty and dot segments, and encoded once more than it is sent. S3 wants it as it
/// is sent.
fn canonical_path(path: &str, scope: &Scope) -> String {
    if scope.service == "s3" {
        return path.to_owned();
    }
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encoded(segment.as_bytes())),
        }
    }
    let is_folder = path.ends_with('/') && !segments.is_empty();
    let end = if is_folder { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// The parameters in their order, encoded as AWS does it.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let again = |text: &str| encoded(&percent_decode_str(text).collect::<Vec<_>>());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (again(name), again(value))
        })
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes all bytes except letters, digits and `-._~`.
fn encoded(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// A vector of AWS' signing test suite: `tests/fixtures/sigv4/README.md`.
    #[derive(Deserialize)]
    struct Vector {
        name: String,
        method: String,
        path: String,
        query: String,
        headers: Vec<[String; 2]>,
        body: String,
        token: Option<Secret>,
        sign_body: bool,
        authorization: String,
    }

    #[test]
    fn signatures_are_those_of_the_published_test_suite() {
        let vectors = include_str!("../../../tests/fixtures/sigv4/vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
        assert_eq!(vectors.len(), 29);
        let scope = Scope {
            service: "service".to_owned(),
            region: "us-east-1".to_owned(),
        };
        // 2015-08-30T12:36:00Z
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160);
        for vector in vectors {
            let mut headers = HeaderMap::new();
            let mut host = String::new();
            for [name, value] in &vector.headers {
                match name.eq_ignore_ascii_case("host") {
                    true => host.clone_from(value),
                    false => {
                        let name: HeaderName = name.parse().unwrap();
                        headers.append(name, value.parse().unwrap());
                    }
                }
            }
            let keys = AwsKeys {
                access_key_id: "AKIDEXAMPLE".into(),
                secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
                session_token: vector.token,
            };
            let signed = Signed {
                method: &vector.method,
                host: &host,
                path: &vector.path,
                query: &vector.query,
                body: vector.body.as_bytes(),
                shows_body_hash: vector.sign_body,
            };
            signed.sign(&mut headers, &keys, &scope, now);
            let authorization = headers[header::AUTHORIZATION].to_str().unwrap();
            assert_eq!(authorization, vector.authorization, "{}", vector.name);
            assert!(headers[header::AUTHORIZATION].is_sensitive());
        }
    }

    #[test]
    fn hosts_of_aws_tell_the_service_and_the_region() {
        for (host, expected) in [
            (
                "aps-workspaces.us-west-2.amazonaws.com",
                Some("aps us-west-2"),
            ),
            (
                "search-x-abc.eu-central-1.es.amazonaws.com",
                Some("es eu-central-1"),
            ),
            (
                "monitoring.us-gov-west-1.amazonaws.com",
                Some("monitoring us-gov-west-1"),
            ),
            ("s3.cn-north-1.amazonaws.com.cn", Some("s3 cn-north-1")),
            ("us-east-1.amazonaws.com", None),
            ("iam.amazonaws.com", None),
            ("127.0.0.1", None),
        ] {
            let found = Scope::of_host(host);
            let found = found.map(|it| format!("{} {}", it.service, it.region));
            assert_eq!(found.as_deref(), expected, "{host}");
        }
    }
}
