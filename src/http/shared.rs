//! Compresses an answer once for all clients that ask for it before it changes.
//!
//! The pieces of an answer are a linked list. The client that reads fastest makes the next piece;
//! the others find it. A piece is freed when the slowest client has it, or when the answer changes
//! if nobody reads it any more.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;

use super::encoding::Encoding;

/// The current answers of a route.
#[derive(Default)]
pub struct SharedAnswers(Mutex<Vec<SharedAnswer>>);

/// The version of what a route shows, and the form in which a client wants it.
pub type AnswerKey = (u64, String);

struct SharedAnswer {
    key: AnswerKey,
    encoding: Encoding,
    reader: Reader,
}

/// The pieces of an answer, from one of them on.
#[derive(Clone)]
pub(super) struct Reader {
    source: Arc<Mutex<Pieces>>,
    next: Link,
}

type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;
/// The next piece, once a client needs it: `None` at the end.
type Link = Arc<OnceLock<Option<Piece>>>;

struct Piece {
    bytes: Result<Bytes, io::ErrorKind>,
    next: Option<Link>,
}

impl SharedAnswers {
    /// Forgets all answers, because there is a new version.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The answer for `key`, which `make` creates unless there is one.
    ///
    /// # Errors
    /// If `make` fails.
    pub(super) fn read(
        &self,
        key: AnswerKey,
        encoding: Encoding,
        make: impl FnOnce() -> io::Result<Pieces>,
    ) -> io::Result<Reader> {
        let mut answers = self.lock();
        answers.retain(|answer| answer.key.0 == key.0);
        let mut known = answers.iter();
        if let Some(answer) = known.find(|of| of.key == key && of.encoding == encoding) {
            return Ok(answer.reader.clone());
        }
        let reader = Reader {
            source: Arc::new(Mutex::new(make()?)),
            next: Link::default(),
        };
        answers.push(SharedAnswer {
            key,
            encoding,
            reader: reader.clone(),
        });
        Ok(reader)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SharedAnswer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for Reader {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        let link = Arc::clone(&self.next);
        if link.get().is_none() {
            let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            // Another client may have made it while this one waited.
            link.get_or_init(|| {
                let bytes = source.next()?.map_err(|error| error.kind());
                let next = Some(Link::default());
                Some(Piece { bytes, next })
            });
        }
        let piece = link.get()?.as_ref()?;
        self.next = Arc::clone(piece.next.as_ref()?);
        Some(piece.bytes.clone().map_err(io::Error::from))
    }
}

impl Drop for Piece {
    /// Drops the pieces after it one by one, and not each within the one before it.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(link) = next.and_then(Arc::into_inner) {
            next = link
                .into_inner()
                .flatten()
                .and_then(|mut piece| piece.next.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(from: usize, count: usize) -> io::Result<Pieces> {
        let pieces = (from..from + count).map(|n| Ok(Bytes::from(n.to_string())));
        Ok(Box::new(pieces))
    }

    fn rest(reader: Reader) -> Vec<Bytes> {
        reader.map(Result::unwrap).collect()
    }

    /// The answer in version 0.
    fn read(answers: &SharedAnswers, form: &str, made: io::Result<Pieces>) -> Reader {
        let key = (0, form.to_owned());
        answers.read(key, Encoding::Gzip, || made).unwrap()
    }

    #[test]
    fn clients_of_one_state_get_the_same_pieces_which_are_made_once() {
        let answers = SharedAnswers::default();
        let mut first = read(&answers, "a", pieces(0, 3));
        assert_eq!(first.next().unwrap().unwrap(), "0");
        let second = read(&answers, "a", pieces(9, 1));
        assert_eq!(rest(second), ["0", "1", "2"]);
        assert_eq!(rest(first), ["1", "2"]);
    }

    #[test]
    fn a_client_gets_another_answer_for_another_form_encoding_or_version() {
        let answers = SharedAnswers::default();
        let other = |version, form: &str, encoding, from| {
            let key = (version, form.to_owned());
            rest(answers.read(key, encoding, || pieces(from, 1)).unwrap())
        };
        assert_eq!(other(0, "a", Encoding::Gzip, 1), ["1"]);
        assert_eq!(other(0, "b", Encoding::Gzip, 2), ["2"]);
        assert_eq!(other(0, "a", Encoding::Zstd, 3), ["3"]);
        assert_eq!(other(0, "a", Encoding::Gzip, 4), ["1"]);
        assert_eq!(other(1, "a", Encoding::Gzip, 5), ["5"]);
        assert_eq!(answers.lock().len(), 1, "older versions are forgotten");
        answers.clear();
        assert_eq!(other(1, "a", Encoding::Gzip, 6), ["6"]);
    }

    #[test]
    fn pieces_are_freed_when_all_clients_have_them() {
        let answers = SharedAnswers::default();
        let mut reader = read(&answers, "a", pieces(0, 2));
        let first = Arc::downgrade(&reader.next);
        drop(reader.next());
        assert!(first.upgrade().is_some(), "another client may come");
        answers.clear();
        assert!(first.upgrade().is_none());
        assert_eq!(rest(reader), ["1"]);
    }

    #[test]
    fn a_long_answer_can_be_dropped() {
        let answers = SharedAnswers::default();
        let reader = read(&answers, "a", pieces(0, 1_000_000));
        assert_eq!(reader.count(), 1_000_000);
        answers.clear();
    }

    #[test]
    fn an_error_reaches_every_client() {
        let answers = SharedAnswers::default();
        let fail = || -> io::Result<Pieces> {
            Ok(Box::new(std::iter::once(Err(
                io::ErrorKind::OutOfMemory.into()
            ))))
        };
        for _ in 0..2 {
            let mut reader = read(&answers, "a", fail());
            assert!(reader.next().unwrap().is_err());
        }
    }
}
