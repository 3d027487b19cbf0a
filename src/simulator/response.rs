//! One HTTP/1.1 response: header and body are separate, so that a fault can come between them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::dialect::Content;

/// The response, before it is decided how it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SimulatorResponse {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// One more header, in addition to the type and the length.
    pub(super) header: Option<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl SimulatorResponse {
    pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: "application/json",
            header: None,
            body: body.into(),
        }
    }

    /// `{"error": …}` with the text of the status, like the real server.
    pub(super) fn error(status: u16) -> Self {
        Self::json(status, json!({ "error": reason(status) }).to_string())
    }

    /// The bytes before the body. `says_close` adds `connection: close`.
    pub(super) fn head(&self, says_close: bool) -> String {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
            self.status,
            reason(self.status),
            self.content_type,
            self.body.len(),
        );
        if let Some((name, value)) = &self.header {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if says_close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head
    }
}

impl From<Content> for SimulatorResponse {
    fn from(content: Content) -> Self {
        match content {
            Content::Json(value) => Self::json(200, value.to_string()),
            Content::Prometheus(text) => Self {
                status: 200,
                content_type: "text/plain; version=0.0.4",
                header: None,
                body: text.into(),
            },
        }
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_with_the_text_of_its_status() {
        let response = SimulatorResponse::error(404);
        assert_eq!(response.body, r#"{"error":"Not Found"}"#);
        assert_eq!(
            response.head(false),
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n"
        );
    }

    #[test]
    fn a_head_ends_with_the_extra_headers() {
        let mut response = SimulatorResponse::error(503);
        response.header = Some(("retry-after", "7".to_owned()));
        assert!(
            response
                .head(true)
                .ends_with("retry-after: 7\r\nconnection: close\r\n\r\n")
        );
    }
}
