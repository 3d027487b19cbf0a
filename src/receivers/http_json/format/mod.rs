//! From the bytes of a body to one document, which takes a bounded amount of memory.
//!
//! In reading order: `reader` chooses by the format of the endpoint and counts; `json`, and
//! `lossy_json` where the text is not quite JSON; `prometheus` reads Prometheus text; `budget`
//! bounds the memory of a document; `error` says why a body is not a document.

mod budget;
pub(super) mod error;
mod json;
mod lossy_json;
mod prometheus;
pub(super) mod reader;
mod transform;
