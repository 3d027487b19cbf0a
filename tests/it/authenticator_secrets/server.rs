//! A server that tells in each answer what it got, as badly written servers do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{
    Case,
    credentials::{Sent, header_of},
};
use crate::support::server::Server;

/// How often each path was asked with the right credentials.
pub(super) type Right = Arc<Mutex<BTreeMap<String, usize>>>;

/// The first part of a path says how requests below it are answered.
pub(super) async fn serve(case: &'static Case, right: &Right) -> Server {
    let right = Arc::clone(right);
    Server::start(move |request| {
        let path = request.uri().path();
        let is_login = path.ends_with("/login") || path.ends_with("/token");
        let is_right = match is_login {
            true => (case.logs_in)(request),
            false => (case.is_accepted)(request),
        };
        if is_right {
            let mut right = right.lock().unwrap();
            *right.entry(path.to_owned()).or_default() += 1;
        }
        let first = path.split('/').nth(1).unwrap_or_default();
        let status = match first {
            "down" if is_login => StatusCode::SERVICE_UNAVAILABLE,
            "unauthorized" if is_login => StatusCode::UNAUTHORIZED,
            "refused" if !is_login => StatusCode::UNAUTHORIZED,
            _ if !is_right && !is_login => StatusCode::UNAUTHORIZED,
            _ => StatusCode::OK,
        };
        let sound = match (status, first) {
            (StatusCode::OK, _) if is_login => Some(case.token),
            (StatusCode::OK, "works") => Some("{\"value\": 3}"),
            _ => None,
        };
        answer(request, status, sound)
    })
    .await
}

fn answer(request: &Sent, status: StatusCode, sound: Option<&str>) -> Response<Bytes> {
    let body = match sound {
        Some(sound) => sound.to_owned(),
        None => {
            let body = String::from_utf8_lossy(request.body());
            format!("{status}: {} {:?} {body}", request.uri(), plain(request))
        }
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let cookie = HeaderValue::from_static("SID=hunter2-cookie");
    headers.insert(header::SET_COOKIE, cookie);
    if status == StatusCode::UNAUTHORIZED && !request.uri().path().ends_with("/token") {
        let challenge = HeaderValue::from_static("Digest realm=a, nonce=b, qop=auth");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The headers as they came: `http` hides those that are marked as sensitive.
fn plain(request: &Sent) -> Vec<String> {
    let names = request.headers().keys();
    names
        .map(|name| format!("{name}: {}", header_of(request, name.as_str())))
        .collect()
}
