//! A port on which something else is spoken: what libraries say of it, nobody understands.

use std::{error::Error, io};

use rustls::{AlertDescription, InvalidMessage};
use tokio_rustls::rustls;

/// What an exchange was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http,
    /// gRPC, which is HTTP/2.
    Grpc,
}

/// What is probably spoken on the port of a server with which an exchange failed, if something else
/// is.
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
            Spoken::Http => "no TLS is spoken on that port: is it one for http://?",
            Spoken::Grpc => {
                "no TLS is spoken on that port: is it one for clear text (http://, or `tls: \
                 {insecure: true}`)?"
            }
        }),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            Some(match spoken {
                Spoken::Http => "no HTTP/1.1 is spoken on that port: is it one for gRPC?",
                Spoken::Grpc => "no gRPC is spoken on that port: is it one for OTLP over HTTP?",
            })
        }
        _ => None,
    }
}

fn of_http(spoken: Spoken, error: &(dyn Error + 'static)) -> Option<&'static str> {
    match spoken {
        Spoken::Http => {
            // A server of gRPC speaks first, perhaps before it is asked.
            let speaks_first = error.to_string().starts_with("received unexpected message");
            let is_other = |error: &hyper::Error| error.is_parse();
            let is_other = speaks_first || error.downcast_ref().is_some_and(is_other);
            is_other.then_some(
                "no HTTP/1.1 is spoken on that port: is it one for gRPC, or for TLS (https://)?",
            )
        }
        Spoken::Grpc => {
            // The first bytes of HTTP/1.1 and of TLS, taken for the head of a frame.
            let is_other = error.to_string().contains("frame with invalid size");
            is_other.then_some(
                "no gRPC is spoken on that port: is it one for OTLP over HTTP, or for TLS \
                 (https://)?",
            )
        }
    }
}
