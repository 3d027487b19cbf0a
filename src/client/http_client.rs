//! What all HTTP clients of the collector have in common.

use reqwest::{Client, ClientBuilder, redirect::Policy};
use tokio_rustls::rustls::ClientConfig;

use super::headers::USER_AGENT;

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
