//! What all HTTP clients of the collector have in common.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, Url, redirect::Policy};
use tokio_rustls::rustls::ClientConfig;

use super::{BoxError, ConfigError, Proxy, Tls, headers::USER_AGENT};

/// Through which proxy a client speaks.
#[derive(Debug, Clone)]
pub enum ProxyChoice {
    /// None, whatever the environment says.
    None,
    /// The one that the environment names.
    Environment,
    /// This one.
    Through(Box<reqwest::Proxy>),
}

/// The beginning of a client; who needs more adds it. Without `tls` it speaks clear text only, which
/// a machine without certificates can.
///
/// It follows no redirect, because whoever answers must not choose who gets our headers, and tries
/// nothing again: the caller decides on both.
pub fn client_builder(tls: Option<ClientConfig>, proxy: ProxyChoice) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never());
    let builder = match proxy {
        ProxyChoice::None => builder.no_proxy(),
        ProxyChoice::Environment => builder,
        ProxyChoice::Through(proxy) => builder.no_proxy().proxy(*proxy),
    };
    match tls {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder.tls_certs_only([]),
    }
}

/// Leaves it to [`super::content_encoding`] to unpack answers: bodies of several members, and those
/// that are cut.
pub fn without_decoding(builder: ClientBuilder) -> ClientBuilder {
    builder.no_gzip().no_zstd().no_deflate()
}

/// A client for one server, through the proxy that the environment names for it.
///
/// # Errors
/// If a value of the configuration cannot be used. The error names its key.
pub fn server_client(tls: &Tls, url: &Url) -> Result<Client, ConfigError> {
    let uri = url.as_str().parse();
    let uri = uri.map_err(|error| ConfigError::new("endpoint", BoxError::from(error)))?;
    let proxy = Proxy::of(&uri, None)?;
    client_through(tls, url.scheme() == "https", proxy.as_ref())
}

/// A client for the server behind a Unix socket, which knows no other way.
///
/// # Errors
/// If there is no client.
pub fn socket_client(socket: &Path) -> Result<Client, ConfigError> {
    client_builder(None, ProxyChoice::None)
        .unix_socket(socket)
        .build()
        .map_err(|error| ConfigError::new("endpoint", error))
}

/// A client for one server, through `proxy`.
///
/// # Errors
/// If a value of the configuration cannot be used. The error names its key.
pub fn client_through(
    tls: &Tls,
    is_encrypted: bool,
    proxy: Option<&Proxy>,
) -> Result<Client, ConfigError> {
    if let Some(mistake) = tls.check_for_urls(is_encrypted).into_iter().next() {
        return Err(mistake);
    }
    let is_secure = |proxy: &Proxy| proxy.uri.scheme_str() == Some("https");
    let is_needed = is_encrypted || proxy.is_some_and(is_secure);
    let tls = is_needed.then(|| tls.client_config()).transpose()?;
    let proxy = match proxy {
        Some(proxy) => {
            let through = reqwest::Proxy::all(proxy.uri.to_string());
            let through = through.map_err(|error| ConfigError::new("proxy_url", error))?;
            ProxyChoice::Through(Box::new(match &proxy.auth {
                Some(auth) => through.custom_http_auth(auth.clone()),
                None => through,
            }))
        }
        None => ProxyChoice::None,
    };
    client_builder(tls, proxy)
        .build()
        .map_err(|error| ConfigError::new("tls", error))
}

/// The decompressed body of an answer. `None` if it is larger than `max_bytes`.
///
/// # Errors
/// If the connection breaks.
pub async fn read_body(
    response: &mut Response,
    max_bytes: usize,
) -> reqwest::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}
