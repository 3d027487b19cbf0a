//! A socket on which an exchange has begun, for who goes on with it from the beginning.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;

/// A socket, and what was read from it before. A request that was sent already is not sent again:
/// what is written to this goes nowhere then.
#[derive(Debug)]
pub(super) struct ResumedSocket {
    socket: Socket,
    read: Vec<u8>,
    /// How much of that was read again.
    position: usize,
    request: Request,
}

/// What becomes of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// It is sent.
    New,
    /// It was sent before. There is no answer to read before it is written again: to hyper an answer
    /// before its request is none.
    Sent,
    /// It was written again.
    Repeated,
}

impl ResumedSocket {
    /// One on which the request was sent and this much of the answer was read.
    pub(super) fn after(socket: Socket, read: Vec<u8>) -> Self {
        Self {
            socket,
            read,
            position: 0,
            request: Request::Sent,
        }
    }

    /// The socket, if nothing is left of what was read.
    pub(super) fn into_socket(self) -> Option<Socket> {
        (self.position >= self.read.len()).then_some(self.socket)
    }
}

impl From<Socket> for ResumedSocket {
    fn from(socket: Socket) -> Self {
        Self {
            request: Request::New,
            ..Self::after(socket, Vec::new())
        }
    }
}

impl AsyncRead for ResumedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.request == Request::Sent {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = self.read.get(self.position..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, into);
        }
        let taken = left.len().min(into.remaining());
        into.put_slice(left.get(..taken).unwrap_or_default());
        self.position += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ResumedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.request == Request::New {
            return Pin::new(&mut self.socket).poll_write(context, bytes);
        }
        self.request = Request::Repeated;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.request == Request::New {
            return Pin::new(&mut self.socket).poll_write_vectored(context, buffers);
        }
        self.request = Request::Repeated;
        Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
