//! Whether a request has the right credentials, computed as a server does it.

use std::collections::BTreeMap;

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, header};
use md5::{Digest as _, Md5};

pub(super) type Sent = Request<Bytes>;

/// A header as text; empty if it is not there.
pub(super) fn header_of<'r>(request: &'r Sent, name: &str) -> &'r str {
    let value = request.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

fn authorization(request: &Sent) -> &str {
    header_of(request, header::AUTHORIZATION.as_str())
}

/// The header of basic authentication.
pub(super) fn basic(username: &str, password: &str) -> String {
    let pair = format!("{username}:{password}");
    format!("Basic {}", STANDARD.encode(pair))
}

pub(super) fn has_authorization(request: &Sent, expected: &str) -> bool {
    authorization(request) == expected
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `key=value` pairs with commas between them.
fn pairs(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='));
    let unquoted = pairs.map(|(key, value)| (key, value.trim_matches('"')));
    unquoted.collect()
}

/// Whether it answers a challenge with `qop=auth` and MD5 (RFC 7616 §3.4.1).
pub(super) fn has_digest(request: &Sent, password: &str) -> bool {
    let Some(sent) = authorization(request).strip_prefix("Digest ") else {
        return false;
    };
    let sent = pairs(sent);
    let md5 = |text: String| hex(&Md5::digest(text));
    let of = |key: &str| sent.get(key).copied().unwrap_or_default();
    let user = md5(format!("{}:{}:{password}", of("username"), of("realm")));
    let asked = md5(format!("{}:{}", request.method(), of("uri")));
    let nonce = [of("nonce"), of("nc"), of("cnonce"), of("qop")].join(":");
    of("response") == md5(format!("{user}:{nonce}:{asked}"))
}

/// Whether it is signed with the key (AWS Signature Version 4).
pub(super) fn is_signed(request: &Sent, secret: &str) -> bool {
    let Some(sent) = authorization(request).strip_prefix("AWS4-HMAC-SHA256 ") else {
        return false;
    };
    let sent = pairs(sent);
    let of = |key: &str| sent.get(key).copied().unwrap_or_default();
    let credential = of("Credential");
    let scope = credential.split_once('/').map_or("", |(_, scope)| scope);
    let names = of("SignedHeaders");
    let lines = names.split(';');
    let lines = lines.map(|name| format!("{name}:{}\n", header_of(request, name).trim()));
    let canonical = [
        request.method().as_str(),
        request.uri().path(),
        request.uri().query().unwrap_or_default(),
        &lines.collect::<String>(),
        names,
        &hex(digest(&SHA256, request.body()).as_ref()),
    ];
    let hash = hex(digest(&SHA256, canonical.join("\n").as_bytes()).as_ref());
    let date = header_of(request, "x-amz-date");
    let to_sign = ["AWS4-HMAC-SHA256", date, scope, &hash].join("\n");
    let key = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(key, |key, step| sign(&key, step));
    of("Signature") == hex(&sign(&key, &to_sign))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}
