//! What an endpoint is asked for: a request whose texts are filled in for each target and time.
//!
//! In reading order: `template` is a text with references, `reference` says where a value comes
//! from, `moment` is a time, `parameters` are values by name; `body` is what is sent along; `element` is what another
//! endpoint's answer gives; `status` says of which answers the body
//! is read; `compiled` puts a request together; `shown` says how much of its path is shown.

mod body;
mod compiled;
mod element;
mod moment;
mod parameters;
mod reference;
pub(super) mod shown;
mod status;
mod template;

pub use compiled::{RenderedRequest, Request};
pub use element::{ELEMENT_BYTES_MAX, ElementNeeds, RequestElement};
pub use parameters::Parameters;
pub(super) use reference::{Known, KnownElement};
pub use status::AcceptedStatuses;
pub use template::{RenderError, Scope};
