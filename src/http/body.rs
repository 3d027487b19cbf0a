//! The body of an answer, made as the socket takes it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::encoding::{Compressed, Encoding};

/// What an answer carries.
pub struct Body {
    pieces: Box<dyn Iterator<Item = io::Result<Bytes>> + Send>,
    /// In bytes, where it is known before.
    length: Option<u64>,
}

impl Body {
    /// A body in pieces, each of which is made when the client has taken those before it. Nothing
    /// is made for HEAD.
    pub fn stream(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            pieces: Box::new(pieces.map(Ok)),
            length: None,
        }
    }

    /// In bytes, where it is known before.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The same, compressed.
    pub(super) fn compressed(self, encoding: Encoding) -> io::Result<Self> {
        let pieces = Compressed::new(encoding, self.pieces)?;
        Ok(Self {
            pieces: Box::new(pieces),
            length: None,
        })
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        let whole = whole.into();
        Self {
            length: Some(whole.len() as u64),
            pieces: Box::new(std::iter::once(Ok(whole))),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { length, .. } = self;
        f.debug_struct("Body")
            .field("length", length)
            .finish_non_exhaustive()
    }
}

/// A body on its way to the client, and what is held until it is there.
pub(super) struct Sending {
    body: Body,
    /// Whether the next piece may be made at once.
    rested: bool,
    _exchange: Exchange,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Sending {
    pub(super) fn new(
        body: Body,
        exchange: Exchange,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            body,
            rested: true,
            _exchange: exchange,
            _permit: permit,
        }
    }
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // A client that reads fast must not keep a worker from everyone else, so after each piece
        // the others come first.
        if !std::mem::replace(&mut self.rested, false) {
            self.rested = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.body.pieces.next() {
            Some(Ok(piece)) if piece.is_empty() => {
                self.rested = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            piece => Poll::Ready(piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.length == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .length
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Holds the deadline of a connection from the header of a request to the end of its answer.
pub(super) struct Exchange(watch::Sender<Option<Instant>>);

impl Exchange {
    /// An exchange must end by `deadline`.
    pub(super) fn begin(connection: &watch::Sender<Option<Instant>>, deadline: Instant) -> Self {
        connection.send_replace(Some(deadline));
        Self(connection.clone())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}
