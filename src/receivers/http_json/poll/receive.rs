//! From a response to a body that is read and mapped.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, header};

use super::{
    body_mapper::{BodyMapper, MappedPart},
    failure::ResponseError,
};
use crate::{
    client::content_encoding::DecodeError,
    definition::Pages,
    pipeline::{Allowance, Body, BodyPart, LARGE_BYTES, Share},
    receivers::http_json::{
        format::{
            charset::{Charset, TooLong, Utf8Body},
            error::DocumentError,
        },
        http::{
            telltale,
            transport::{TransportError, TransportRequest, TransportResponse},
        },
    },
};

/// Reserves memory for a large body of so many bytes, no more and no less.
pub(super) fn hold(
    share: &mut Option<Share>,
    bytes: u64,
    memory: &Arc<Allowance>,
) -> Result<(), TransportError> {
    let has_room = match share.as_mut() {
        None => {
            *share = memory.take(bytes);
            share.is_some()
        }
        Some(share) => {
            share.shrink(bytes);
            share.grow(bytes - share.bytes())
        }
    };
    has_room.then_some(()).ok_or(TransportError::Memory)
}

/// The text of a response.
struct Text {
    raw: Bytes,
    headers: HeaderMap,
    share: Option<Share>,
    /// The number of characters that its charset does not allow.
    replaced: u64,
}

/// Decompresses the body of a response, reads it and maps it.
pub(super) fn read_body(
    mapper: &BodyMapper,
    response: TransportResponse,
    request: &TransportRequest,
    received: SystemTime,
) -> Result<(Body, Option<Share>), ResponseError> {
    let text = text(mapper, response, request)?;
    let body = mapper.body(text.raw.clone(), received);
    let mut body = body.map_err(|error| text.unreadable(error, request))?;
    body.repaired += text.replaced;
    Ok((body, text.share))
}

/// Reads and maps one of several responses, which belongs to `part`.
pub(super) fn read_part(
    mapper: &BodyMapper,
    response: TransportResponse,
    request: &TransportRequest,
    part: &mut BodyPart,
    pages: Option<&Pages>,
) -> Result<(MappedPart, Option<Share>), ResponseError> {
    let text = text(mapper, response, request)?;
    part.raw = text.raw.clone();
    let mapped = mapper.part(part, pages);
    let mut mapped = mapped.map_err(|error| text.unreadable(error, request))?;
    mapped.repaired += text.replaced;
    Ok((mapped, text.share))
}

/// The text of a response, decompressed and in UTF-8.
fn text(
    mapper: &BodyMapper,
    response: TransportResponse,
    request: &TransportRequest,
) -> Result<Text, ResponseError> {
    let TransportResponse {
        status,
        headers,
        body: sent,
        codings,
        mut share,
        is_from_elsewhere: _,
        redirected_to: _,
    } = response;
    let limit_bytes = request.body_limit_bytes;
    let raw = codings
        .decode(sent, limit_bytes)
        .map_err(|error| match error {
            DecodeError::TooLarge => TransportError::TooLarge { limit_bytes },
            other => other.into(),
        })?;
    let content_type = headers.get(header::CONTENT_TYPE);
    let charset = Charset {
        content_type: content_type.and_then(|value| value.to_str().ok()),
        is_xml: mapper.reader.is_xml(),
    };
    let Utf8Body {
        body: raw,
        replaced,
    } = utf8(charset, raw, limit_bytes)?;
    if raw.len() > LARGE_BYTES {
        hold(&mut share, raw.len() as u64, &request.memory)?;
    }
    if mapper.reader.needs_text() && telltale::is_empty(&raw) {
        let status = status.as_u16();
        return Err(ResponseError::Empty { status });
    }
    Ok(Text {
        raw,
        headers,
        share,
        replaced,
    })
}

impl Text {
    /// Why no document can be made of it.
    fn unreadable(&self, error: DocumentError, request: &TransportRequest) -> ResponseError {
        match error {
            DocumentError::TooLarge(_)
            | DocumentError::Rows
            | DocumentError::Transform { .. }
            | DocumentError::NotRun { .. } => error.into(),
            source => ResponseError::Unreadable {
                what: telltale::of_body(request, &self.headers, &self.raw),
                source,
            },
        }
    }
}

/// A body in UTF-8.
pub(super) fn utf8(
    charset: Charset<'_>,
    raw: Bytes,
    limit_bytes: u64,
) -> Result<Utf8Body, ResponseError> {
    let decoded = charset.to_utf8(raw, limit_bytes);
    decoded.map_err(|TooLong| TransportError::TooLarge { limit_bytes }.into())
}
