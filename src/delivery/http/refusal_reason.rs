//! Why a server refuses a request, in its own words: a gRPC status as protobuf or JSON, as OTLP
//! says, or any other text.

use std::time::Duration;

use ::http::{HeaderMap, header};
use bytes::BytesMut;
use prost::Message as _;
use tokio::time::timeout;

/// The longest wait for the message: the status alone decides what happens next.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest part of the message that is read.
const MAX_BYTES: usize = 64 * 1024;

/// `google.rpc.Status`, as far as it is needed here.
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The message of the server as it arrived; empty if there is none.
pub(super) async fn words(mut response: reqwest::Response) -> Vec<u8> {
    let headers = response.headers().clone();
    let mut body = BytesMut::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() >= MAX_BYTES {
                break;
            }
        }
    };
    // The part that has arrived until then is enough.
    drop(timeout(PATIENCE, read).await);
    message(&headers, &body)
}

fn message(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    if content_type.contains("protobuf")
        && let Ok(status) = Status::decode(body)
    {
        return status.message.into_bytes();
    }
    of_json(body)
        .or_else(|| of_page(body))
        .unwrap_or_else(|| body.to_vec())
}

/// The message in a JSON object, under one of the usual names.
fn of_json(body: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let inner = value.get("error").filter(|error| error.is_object());
    let object = inner.unwrap_or(&value);
    let names = ["message", "error", "detail", "title"];
    let message = names.iter().find_map(|name| object.get(*name)?.as_str())?;
    Some(message.as_bytes().to_vec())
}

/// The title of a page, which is for people.
fn of_page(body: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    let small = text.to_ascii_lowercase();
    if !small.trim_start().starts_with('<') {
        return None;
    }
    let (_, after) = small.split_once("<title>")?;
    let start = small.len() - after.len();
    let end = start + after.find("</title>")?;
    let title = text.get(start..end)?.trim();
    Some(format!("an HTML page, `{title}`").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content_type: &'static str, body: &[u8]) -> String {
        let value = ::http::HeaderValue::from_static(content_type);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
        String::from_utf8(message(&headers, body)).unwrap()
    }

    #[test]
    fn the_reason_is_found_in_many_formats() {
        let status = Status {
            code: 3,
            message: "bad metric".to_owned(),
        };
        let status = status.encode_to_vec();
        assert_eq!(said("application/x-protobuf", &status), "bad metric");
        for (body, expected) in [
            (r#"{"code":3,"message":"bad metric"}"#, "bad metric"),
            (
                r#"{"status":"error","error":"out of order"}"#,
                "out of order",
            ),
            (
                r#"{"error":{"code":404,"message":"no tenant"}}"#,
                "no tenant",
            ),
            (r#"{"other":1}"#, r#"{"other":1}"#),
            (
                "<html><HEAD><title> 413 Too Large </title></head>",
                "an HTML page, `413 Too Large`",
            ),
            ("<nothing>", "<nothing>"),
            ("out of order sample\n", "out of order sample\n"),
            ("", ""),
        ] {
            assert_eq!(said("text/plain", body.as_bytes()), expected);
        }
    }
}
