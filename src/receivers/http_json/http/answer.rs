//! An answer whose body has not been read, over a connection of the target's own or by reqwest.

use std::{error::Error as _, io};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use tokio_rustls::rustls::{self, InvalidMessage};

use super::{
    connection::{self, Connector, Exchange, KeptSockets},
    plain_exchange::{self, PlainAnswer, PlainExchange},
    socket::Socket,
    transport::{TransportError, TransportRequest},
};

/// An answer whose body has not been read.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives as long as a request, which an allocation would cost more"
)]
pub(crate) enum Answer {
    /// With its body.
    Plain(PlainAnswer),
    Direct(Exchange, Response<Incoming>),
    Pooled(reqwest::Response),
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Plain(answer) => answer.status,
            Self::Direct(_, head) => head.status(),
            Self::Pooled(answer) => answer.status(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Plain(answer) => &answer.headers,
            Self::Direct(_, head) => head.headers(),
            Self::Pooled(answer) => answer.headers(),
        }
    }

    /// The whole body, if it was read already.
    pub(crate) fn take_body(&mut self) -> Option<Bytes> {
        match self {
            Self::Plain(answer) => Some(std::mem::take(&mut answer.body)),
            Self::Direct(..) | Self::Pooled(_) => None,
        }
    }

    /// The next piece of the body; none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        match self {
            Self::Plain(answer) => {
                let body = std::mem::take(&mut answer.body);
                Ok(Some(body).filter(|body| !body.is_empty()))
            }
            Self::Direct(exchange, head) => {
                let chunk = exchange.chunk(head.body_mut()).await;
                chunk.map_err(connection::classify)
            }
            Self::Pooled(answer) => answer.chunk().await.map_err(classify),
        }
    }
}

/// Asks over a socket that was kept, or over a new one.
pub(crate) async fn ask_directly(
    connector: &Connector,
    sockets: &KeptSockets,
    request: &TransportRequest,
) -> Result<Answer, TransportError> {
    if let Some(socket) = sockets.take() {
        match send(socket, request).await? {
            // The server closed it at this moment, which says nothing of the host.
            Err(error) if connection::is_lost(&error) => {}
            answered => return begun(answered, request),
        }
    }
    let socket = connector.connect(&request.url).await?;
    begun(send(socket, request).await?, request)
}

/// Sends a request. What goes wrong on the connection is inside.
async fn send(
    socket: Socket,
    request: &TransportRequest,
) -> Result<hyper::Result<Answer>, TransportError> {
    let socket = match plain_exchange::request_text(request) {
        None => socket.into(),
        Some(text) => match plain_exchange::exchange(socket, &text).await {
            PlainExchange::Answered(answer) => return Ok(Ok(Answer::Plain(answer))),
            PlainExchange::Unusual(socket) => socket,
        },
    };
    // Boxed: most requests do not come here, and need no room for it.
    let sent = Box::pin(Exchange::send(socket, connection::request(request)?)).await;
    Ok(sent.map(|(exchange, head)| Answer::Direct(exchange, head)))
}

fn begun(
    answered: hyper::Result<Answer>,
    request: &TransportRequest,
) -> Result<Answer, TransportError> {
    let answer = answered.map_err(connection::classify)?;
    request.begin();
    Ok(answer)
}

/// Sorts what reqwest says of a request that gave no whole answer.
pub(crate) fn classify(error: reqwest::Error) -> TransportError {
    // The URL is the target's, said elsewhere; in an error it would repeat at every poll.
    let error = error.without_url();
    let is_connect = error.is_connect();
    let (mut dns, mut tls, mut not_tls) = (false, false, false);
    let mut head = None;
    let mut source = error.source();
    while let Some(cause) = source {
        dns |= cause.to_string().starts_with("dns error");
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let wrapped = cause.get_ref();
            let of_tls = of_tls(cause);
            not_tls |= matches!(
                of_tls,
                Some(rustls::Error::InvalidMessage(
                    InvalidMessage::InvalidContentType
                ))
            );
            // A client's certificate is refused when the handshake is over for us.
            tls |= of_tls.is_some();
            // What TCP says comes from the operating system; what is wrapped comes from rustls,
            // and so does an end of the stream while connecting.
            let is_end = wrapped.is_some() || cause.kind() == io::ErrorKind::UnexpectedEof;
            tls |= is_connect && is_end;
        }
        if let Some(cause) = cause.downcast_ref::<hyper::Error>()
            && cause.is_parse()
        {
            let is_version = cause.to_string().contains("version");
            head = Some(is_version || cause.is_parse_version_h2());
        }
        source = cause.source();
    }
    let error = Box::new(error);
    match (is_connect, head) {
        (true, _) if dns => TransportError::Dns(error),
        _ if not_tls => TransportError::NotTls(error),
        _ if tls => TransportError::Tls(error),
        (true, _) => TransportError::Connect(error),
        (false, Some(true)) => TransportError::Protocol(error),
        (false, Some(false)) => TransportError::Header(error),
        (false, None) => TransportError::Cut(error),
    }
}

/// What rustls says, however often it is wrapped.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    let mut error = error.get_ref()?;
    loop {
        let of_tls = error.downcast_ref::<rustls::Error>();
        match error.downcast_ref::<io::Error>() {
            None => return of_tls,
            Some(wrapped) => error = wrapped.get_ref()?,
        }
    }
}
