//! From the bytes of a body to one document, which takes a bounded amount of memory.
//!
//! In reading order: `charset` makes UTF-8 of it; `reader` chooses by the format of the endpoint
//! and counts; `json`, and `lossy_json` where the text is not quite JSON; `ndjson`, `csv`, `xml` and
//! `lines` (plain text), of which several have `rows`; `prometheus` reads Prometheus text; `budget`
//! bounds the memory of a document; `error` says why a body is not a document.

mod budget;
pub(super) mod charset;
mod csv;
pub(super) mod error;
mod json;
mod lines;
mod lossy_json;
mod ndjson;
mod prometheus;
pub(super) mod reader;
mod rows;
mod transform;
mod xml;
