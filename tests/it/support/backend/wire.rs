//! The two transports of OTLP, and their answers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{HeaderMap, Request, Response, body::Frame};
use tonic::{Code, Status};

/// Ends a connection without an answer, or within one.
#[derive(Debug, thiserror::Error)]
#[error("reset")]
pub(super) struct Reset;

pub(super) type Body = UnsyncBoxBody<Bytes, Reset>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Wire {
    Http,
    Grpc,
}

impl Wire {
    /// The transport of a request.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        match request.headers().get("content-type") {
            Some(kind) if kind == "application/grpc" => Self::Grpc,
            _ => Self::Http,
        }
    }

    /// The request as it would look over HTTP.
    pub(super) fn unwrap(self, mut request: Request<Bytes>) -> Request<Bytes> {
        if self == Self::Http {
            return request;
        }
        assert!(request.uri().path().ends_with(".MetricsService/Export"));
        *request.uri_mut() = "/v1/metrics".parse().unwrap();
        let headers = request.headers_mut();
        headers.insert("content-type", "application/x-protobuf".parse().unwrap());
        if let Some(encoding) = headers.remove("grpc-encoding") {
            headers.insert("content-encoding", encoding);
        }
        let body = request.body_mut();
        let (is_compressed, length) = (body.get_u8(), body.get_u32());
        assert_eq!(body.len(), length as usize, "one message");
        if is_compressed == 0 {
            request.headers_mut().remove("content-encoding");
        }
        request
    }

    /// The answer that accepts a request.
    pub(super) fn taken(self, message: &[u8]) -> Response<Body> {
        match self {
            Self::Http => whole(Response::builder(), Bytes::copy_from_slice(message)),
            Self::Grpc => {
                let mut framed = BytesMut::from(self.start(message.len() as u64));
                framed.extend_from_slice(message);
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())]);
                let frames = [Frame::data(framed.freeze()), Frame::trailers(trailers)];
                self.parts(stream::iter(frames.map(Ok)))
            }
        }
    }

    /// The answer that asks for a pause, in seconds.
    pub(super) fn busy(self, retry_after: u64) -> Response<Body> {
        match self {
            Self::Http => {
                let answer = Response::builder().status(503);
                whole(answer.header("retry-after", retry_after), Bytes::new())
            }
            Self::Grpc => {
                let details = retry_info(retry_after).into();
                let status = Status::with_details(Code::Unavailable, "busy", details);
                status.into_http::<Full<Bytes>>().map(boxed)
            }
        }
    }

    /// The answer that refuses a request because of its size.
    pub(super) fn too_large(self) -> Response<Body> {
        match self {
            Self::Http => whole(Response::builder().status(413), Bytes::new()),
            Self::Grpc => {
                let message = "grpc: received message larger than max (9 vs. 8)";
                let status = Status::resource_exhausted(message);
                status.into_http::<Full<Bytes>>().map(boxed)
            }
        }
    }

    /// What comes before a message of this number of bytes.
    pub(super) fn start(self, length: u64) -> Bytes {
        let mut start = BytesMut::new();
        if self == Self::Grpc {
            start.put_u8(0);
            start.put_u32(u32::try_from(length).unwrap());
        }
        start.freeze()
    }

    /// An answer in several parts.
    pub(super) fn parts(
        self,
        frames: impl Stream<Item = Result<Frame<Bytes>, Reset>> + Send + 'static,
    ) -> Response<Body> {
        let kind = match self {
            Self::Http => "application/x-protobuf",
            Self::Grpc => "application/grpc",
        };
        let answer = Response::builder().header("content-type", kind);
        let body = StreamBody::new(frames).boxed_unsync();
        answer.body(body).unwrap()
    }
}

fn whole(answer: http::response::Builder, body: Bytes) -> Response<Body> {
    answer.body(boxed(Full::new(body))).unwrap()
}

fn boxed(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// `google.rpc.Status` with a `google.rpc.RetryInfo`.
fn retry_info(seconds: u64) -> Vec<u8> {
    /// A message with one field: another message, or text.
    fn field(tag: u32, value: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        prost::encoding::bytes::encode(tag, &value.to_vec(), &mut message);
        message
    }
    let mut delay = Vec::new();
    prost::encoding::uint64::encode(1, &seconds, &mut delay);
    let kind = field(1, b"type.googleapis.com/google.rpc.RetryInfo");
    let any = [kind, field(2, &field(1, &delay))].concat();
    field(3, &any)
}
