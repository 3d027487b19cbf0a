//! Where a target is: the URL of a server, or a socket of this machine.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use reqwest::Url;

use super::{HttpUrl, HttpUrlError};

/// What stands before the path of a socket.
const UNIX: &str = "unix://";

/// The longest path of a socket that the operating system takes, in bytes.
const SOCKET_BYTES_MAX: usize = 107;

/// The URL of a server, or a Unix socket: `unix:///run/podman/podman.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    /// What HTTP sees.
    url: HttpUrl,
    socket: Option<Arc<Path>>,
}

/// Why a text is not the address of a target. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TargetUrlError {
    #[error(transparent)]
    Url(#[from] HttpUrlError),
    #[error(
        "expected the path of a socket behind `unix://`, from the root: unix:///run/podman/podman.sock"
    )]
    Socket,
    #[error("the path of a socket has at most {SOCKET_BYTES_MAX} bytes")]
    TooLong,
}

impl TargetUrl {
    /// What HTTP sees: the URL, or `http://localhost` for a socket.
    pub fn get(&self) -> &Url {
        self.url.get()
    }

    /// The path of the socket, if it is one.
    pub fn socket(&self) -> Option<&Arc<Path>> {
        self.socket.as_ref()
    }

    /// The host name or IP address, or the path of the socket.
    pub fn host(&self) -> &str {
        let socket = self.socket.as_deref().and_then(Path::to_str);
        socket.unwrap_or_else(|| self.url.host())
    }

    /// The port; 0 for a socket.
    pub fn port(&self) -> u16 {
        match self.socket {
            Some(_) => 0,
            None => self.url.port(),
        }
    }

    /// The address as `host:port`, or the path of the socket.
    pub fn address(&self) -> String {
        match self.socket {
            Some(_) => self.host().to_owned(),
            None => self.url.address(),
        }
    }

    /// Whether a path can be appended: the URL has neither a query nor a fragment.
    pub fn is_base(&self) -> bool {
        self.url.is_base()
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.url.is_https()
    }
}

impl From<HttpUrl> for TargetUrl {
    fn from(url: HttpUrl) -> Self {
        Self { url, socket: None }
    }
}

impl FromStr for TargetUrl {
    type Err = TargetUrlError;

    fn from_str(text: &str) -> Result<Self, TargetUrlError> {
        let text = text.trim();
        let scheme = text.get(..UNIX.len());
        if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(UNIX)) {
            return Ok(text.parse::<HttpUrl>()?.into());
        }
        let path = text.get(UNIX.len()..).unwrap_or_default();
        let is_path = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
        if !is_path {
            return Err(TargetUrlError::Socket);
        }
        if path.len() > SOCKET_BYTES_MAX {
            return Err(TargetUrlError::TooLong);
        }
        Ok(Self {
            url: "http://localhost".parse()?,
            socket: Some(Path::new(path).into()),
        })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket {
            Some(_) => write!(f, "{UNIX}{}", self.host()),
            None => self.url.fmt(f),
        }
    }
}

written_as_text!(TargetUrl, "a URL such as https://example.com/api or unix:///run/api.sock", {
    "type": "string",
    "description": "An absolute URL, without a user and password, or a Unix socket.",
    "pattern": "^\\s*([hH][tT][tT][pP][sS]?|[uU][nN][iI][xX])://|\\$\\{",
    "examples": ["http://localhost:9000", "https://example.com/api", "unix:///run/podman/podman.sock"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_an_address() {
        let url: TargetUrl = " unix:///run/podman/podman.sock".parse().unwrap();
        assert_eq!(url.to_string(), "unix:///run/podman/podman.sock");
        assert_eq!(url.get().as_str(), "http://localhost/");
        let address = (url.host(), url.port(), url.address());
        let path = "/run/podman/podman.sock";
        assert_eq!(address, (path, 0, path.to_owned()));
        assert!(url.is_base() && !url.is_https());
        let url: TargetUrl = "https://a/b?c".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.socket()), ("a", 443, None));
        assert!(!url.is_base());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("unix:///{}", "x".repeat(107));
        for (text, error) in [
            ("unix://run/a.sock", TargetUrlError::Socket),
            ("unix://", TargetUrlError::Socket),
            ("unix:///run/", TargetUrlError::Socket),
            (long.as_str(), TargetUrlError::TooLong),
            (
                "unix:/run/a.sock",
                TargetUrlError::Url(HttpUrlError::Scheme),
            ),
            ("/run/a.sock", TargetUrlError::Url(HttpUrlError::Scheme)),
            (
                "http://u:p@a",
                TargetUrlError::Url(HttpUrlError::Credentials),
            ),
        ] {
            assert_eq!(text.parse::<TargetUrl>(), Err(error), "{text}");
        }
    }
}
