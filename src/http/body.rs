//! The body of an answer. It is created while the socket takes it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use hyper::body::{Frame, SizeHint};
use tokio::{sync::watch, time::Instant};

use super::{
    crowd::{Busy, Slot},
    encoding::{Compressed, Encoding},
    shared::{AnswerKey, SharedAnswers},
};

/// After this number of pieces of about 64 KiB, other tasks run first: half a millisecond of work,
/// as much as a poll. A task that yields waits behind all tasks that are ready, and a busy
/// collector has many. Yielding after each piece, a scrape of 100 MB took longer than
/// `write_timeout`.
const RESTS: usize = 16;

/// The number of pieces if each piece is compressed first.
const COMPRESSED_RESTS: usize = 4;

/// How long a client may take for a piece of a live body. It is also the longest that a shutdown
/// waits for the end of one.
const LIVE_PATIENCE: Duration = Duration::from_secs(3);

/// The body of an answer.
pub struct Body {
    pieces: Pieces,
    /// The length in bytes, if it is known in advance.
    length: Option<u64>,
    /// The number of pieces after which other tasks run first.
    rests: usize,
    /// The other clients that get the same answer.
    shared: Option<(Arc<SharedAnswers>, AnswerKey)>,
}

/// Where the pieces of a body come from.
enum Pieces {
    /// They can be made at any time.
    Made(Box<dyn Iterator<Item = io::Result<Bytes>> + Send>),
    /// They come when something happens.
    Live(BoxStream<'static, Bytes>),
}

impl Body {
    /// A body whose pieces come when something happens, at least one each second. It may go on for
    /// longer than other exchanges may, as long as the client takes each piece soon.
    pub fn live(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self {
            pieces: Pieces::Live(pieces.boxed()),
            length: None,
            rests: RESTS,
            shared: None,
        }
    }

    /// Whether its pieces come when something happens.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.pieces, Pieces::Live(_))
    }

    /// A body in pieces. Each piece is created after the client has taken the previous ones. HEAD
    /// creates none.
    pub fn stream(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            pieces: Pieces::Made(Box::new(pieces.map(Ok))),
            length: None,
            rests: RESTS,
            shared: None,
        }
    }

    /// A body in pieces. It is compressed once for all clients that ask for the same version and
    /// form of it.
    pub fn shared(
        answers: &Arc<SharedAnswers>,
        key: AnswerKey,
        pieces: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> Self {
        Self {
            shared: Some((Arc::clone(answers), key)),
            ..Self::stream(pieces)
        }
    }

    /// The whole body, for tests of handlers.
    #[cfg(test)]
    pub(crate) fn into_text(self) -> String {
        let Pieces::Made(pieces) = self.pieces else {
            panic!("a live body has no end");
        };
        let pieces: Result<Vec<_>, _> = pieces.collect();
        String::from_utf8(pieces.unwrap().concat()).unwrap()
    }

    /// The length in bytes, if it is known in advance.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The compressed body. A live body stays as it is, because each piece must arrive at once.
    pub(super) fn compressed(self, encoding: Encoding) -> io::Result<Self> {
        let Pieces::Made(pieces) = self.pieces else {
            return Ok(self);
        };
        let compress = || Ok(Box::new(Compressed::new(encoding, pieces)?) as Box<_>);
        let pieces: Box<dyn Iterator<Item = _> + Send> = match self.shared {
            Some((answers, key)) => Box::new(answers.read(key, encoding, compress)?),
            None => compress()?,
        };
        Ok(Self {
            pieces: Pieces::Made(pieces),
            length: None,
            rests: COMPRESSED_RESTS,
            shared: None,
        })
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        let whole = whole.into();
        Self {
            length: Some(whole.len() as u64),
            pieces: Pieces::Made(Box::new(std::iter::once(Ok(whole)))),
            rests: RESTS,
            shared: None,
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

/// A body that is being sent, and what is held until the end.
pub(super) struct Sending {
    body: Body,
    /// The pieces that were created since other tasks ran.
    since_rest: usize,
    exchange: Exchange,
    _slot: Option<Slot>,
}

impl Sending {
    pub(super) fn new(body: Body, exchange: Exchange, slot: Option<Slot>) -> Self {
        if body.is_live() {
            exchange.extend(LIVE_PATIENCE);
        }
        Self {
            body,
            since_rest: 0,
            exchange,
            _slot: slot,
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
        let Self { body, exchange, .. } = &mut *self;
        if let Pieces::Live(pieces) = &mut body.pieces {
            let piece = ready!(pieces.poll_next_unpin(context));
            exchange.extend(LIVE_PATIENCE);
            return Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))));
        }
        // A client that reads fast must not occupy a worker thread alone.
        while self.since_rest < self.body.rests {
            self.since_rest += 1;
            let Pieces::Made(pieces) = &mut self.body.pieces else {
                break;
            };
            match pieces.next() {
                // The compressor has taken a piece and returned nothing yet.
                Some(Ok(piece)) if piece.is_empty() => {}
                piece => return Poll::Ready(piece.map(|piece| piece.map(Frame::data))),
            }
        }
        self.since_rest = 0;
        context.waker().wake_by_ref();
        Poll::Pending
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

/// Sets the deadline of a connection from the header of a request to the end of its answer.
pub(super) struct Exchange {
    connection: watch::Sender<Option<Instant>>,
    _busy: Option<Busy>,
}

impl Exchange {
    /// Starts an exchange that must end by `deadline`, and holds its slot until then.
    pub(super) fn begin(
        connection: &watch::Sender<Option<Instant>>,
        deadline: Instant,
        busy: Option<Busy>,
    ) -> Self {
        connection.send_replace(Some(deadline));
        Self {
            connection: connection.clone(),
            _busy: busy,
        }
    }
}

impl Exchange {
    /// It may go on for so long from now.
    fn extend(&self, patience: Duration) {
        self.connection
            .send_replace(Some(Instant::now() + patience));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use hyper::body::Body as _;

    use super::*;

    /// The number of yields, and of the bytes that the client got.
    fn send(body: Body) -> (usize, usize) {
        let (deadline, _) = watch::channel(None);
        let exchange = Exchange::begin(&deadline, Instant::now(), None);
        let mut sending = Sending::new(body, exchange, None);
        let mut context = Context::from_waker(Waker::noop());
        let (mut rests, mut bytes) = (0, 0);
        loop {
            match Pin::new(&mut sending).poll_frame(&mut context) {
                Poll::Pending => rests += 1,
                Poll::Ready(None) => return (rests, bytes),
                Poll::Ready(Some(frame)) => bytes += frame.unwrap().into_data().unwrap().len(),
            }
        }
    }

    fn hundred() -> Body {
        Body::stream((0..100).map(|_| Bytes::from_static(&[0; 1000])))
    }

    #[test]
    fn other_tasks_run_now_and_then_but_not_after_each_piece() {
        assert_eq!(send(hundred()), (100 / RESTS, 100_000));
        let (rests, bytes) = send(hundred().compressed(Encoding::Gzip).unwrap());
        assert!(bytes < 1000);
        assert_eq!(rests, 100 / COMPRESSED_RESTS);
        assert_eq!(send(Body::from("short")), (0, 5));
    }
}
