//! Detects that a port uses another protocol. The messages of libraries do not make that clear.

use std::{error::Error, io};

use rustls::{AlertDescription, InvalidMessage};
use tokio_rustls::rustls;

/// The expected protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http,
    /// gRPC, which uses HTTP/2.
    Grpc,
}

/// Names the protocol that the port probably uses, if an exchange failed because it is another one.
pub fn explain(spoken: Spoken, error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(text) = of_tls(spoken, error).or_else(|| of_http(spoken, error)) {
            return Some(text);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn of_tls(spoken: Spoken, error: &(dyn Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref()? {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(match spoken {
            Spoken::Http => "the port does not use TLS: is it for http://?",
            Spoken::Grpc => {
                "the port does not use TLS: is it for plain text (http://, or `tls: \
                 {insecure: true}`)?"
            }
        }),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            Some(match spoken {
                Spoken::Http => "the port does not use HTTP/1.1: is it for gRPC?",
                Spoken::Grpc => "the port does not use gRPC: is it for OTLP over HTTP?",
            })
        }
        _ => None,
    }
}

fn of_http(spoken: Spoken, error: &(dyn Error + 'static)) -> Option<&'static str> {
    match spoken {
        Spoken::Http => {
            // A gRPC server sends first, perhaps before it gets a request.
            let speaks_first = error.to_string().starts_with("received unexpected message");
            let is_other = |error: &hyper::Error| error.is_parse();
            let is_other = speaks_first || error.downcast_ref().is_some_and(is_other);
            is_other
                .then_some("the port does not use HTTP/1.1: is it for gRPC, or for TLS (https://)?")
        }
        Spoken::Grpc => {
            // The first bytes of HTTP/1.1 or TLS look like a frame of invalid size.
            let is_other = error.to_string().contains("frame with invalid size");
            is_other.then_some(
                "the port does not use gRPC: is it for OTLP over HTTP, or for TLS \
                 (https://)?",
            )
        }
    }
}
