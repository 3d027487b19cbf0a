//! The address of a listener.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// The address of a listener: `localhost:9200`, `0.0.0.0:9200`, `[::1]:9200`. Port 0 means any free
/// port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// Why a text is not an address to listen on. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EndpointError {
    #[error("expected an address with its port, such as localhost:9200")]
    NoPort,
    #[error("expected a port from 0 to 65535 behind the colon")]
    Port,
    #[error(
        "expected a host before the colon: localhost for this machine only, 0.0.0.0 for everyone"
    )]
    NoHost,
    #[error("expected a host and a port only, such as localhost:9200, without a scheme or a path")]
    Url,
    #[error("expected an IPv6 address in brackets, such as [::1]:9200")]
    Ipv6,
    #[error("expected a host name of letters, digits, dots and dashes, or an IP address")]
    Host,
}

impl Endpoint {
    /// A port that only this machine can reach.
    pub fn localhost(port: u16) -> Self {
        Self {
            host: "localhost".to_owned(),
            port,
        }
    }

    /// The host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to listen on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        if text.contains('/') {
            return Err(EndpointError::Url);
        }
        let (host, port) = text.rsplit_once(':').ok_or(EndpointError::NoPort)?;
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(address) => {
                address
                    .parse::<Ipv6Addr>()
                    .map_err(|_| EndpointError::Ipv6)?;
                address
            }
            None if host.contains([':', '[', ']']) => return Err(EndpointError::Ipv6),
            None => host,
        };
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        let known = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
        if !host.chars().all(known) {
            return Err(EndpointError::Host);
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EndpointError::Port);
        }
        let port = port.parse().map_err(|_| EndpointError::Port)?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

written_as_text!(Endpoint, "an address with its port, such as localhost:9200", {
    "type": "string",
    "description": "Where to listen: a host name or IP address, and a port.",
    "pattern": "^\\s*([0-9A-Za-z._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}\\s*$|\\$\\{",
    "examples": ["localhost:9200", "0.0.0.0:9200", "[::1]:9200"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_ports() {
        for (text, host, port) in [
            ("localhost:9200", "localhost", 9200),
            ("0.0.0.0:0", "0.0.0.0", 0),
            ("[::1]:9200", "::1", 9200),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port));
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn error_messages_say_what_to_write() {
        for (text, error) in [
            ("localhost", EndpointError::NoPort),
            (":9200", EndpointError::NoHost),
            ("localhost:", EndpointError::Port),
            ("localhost:70000", EndpointError::Port),
            ("localhost:+80", EndpointError::Port),
            ("http://localhost:9200", EndpointError::Url),
            ("::1:9200", EndpointError::Ipv6),
            ("[localhost]:9200", EndpointError::Ipv6),
            ("local host:9200", EndpointError::Host),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
    }
}
