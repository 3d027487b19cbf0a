//! The server to which something authenticates.

use std::path::Path;

use reqwest::Url;

use crate::settings::TargetUrl;

/// A server: its URL, and the Unix socket that leads to it, if one does. All servers behind sockets
/// have the same URL, so that the URL alone does not say whose a session is.
#[derive(Debug, Clone, Copy)]
pub struct ServerAddress<'a> {
    /// The URL below which requests are sent.
    pub url: &'a Url,
    /// The path of the socket.
    pub socket: Option<&'a Path>,
}

impl ServerAddress<'_> {
    /// What tells the server from others, of which `url` is the part that matters.
    pub fn key(&self, url: &str) -> String {
        match self.socket {
            Some(path) => format!("unix://{}", path.display()),
            None => url.to_owned(),
        }
    }
}

impl<'a> From<&'a Url> for ServerAddress<'a> {
    fn from(url: &'a Url) -> Self {
        Self { url, socket: None }
    }
}

impl<'a> From<&'a TargetUrl> for ServerAddress<'a> {
    fn from(of: &'a TargetUrl) -> Self {
        Self {
            url: of.get(),
            socket: of.socket().map(|path| &**path),
        }
    }
}
