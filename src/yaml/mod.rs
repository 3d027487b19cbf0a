//! YAML with positions: a tree, a decoder that finds all mistakes, and diagnostics.
//!
//! Nothing here depends on the collector. A text becomes a [`Node`] ([`parse()`]), a node becomes a
//! typed value ([`decode()`]), and [`Diagnostics`] collects every mistake with its file, line and
//! column, so that one run shows all of them.

mod cursor;
mod decode;
mod diagnostics;
mod expand;
mod foreign;
mod hidden;
mod node;
mod parse;
mod scalar;
mod suggest;

pub use cursor::Cursor;
pub use decode::{decode, decode_foreign};
pub use diagnostics::{Diagnostic, Diagnostics};
pub use expand::{Environment, Within, expand, expand_within, without_values};
pub use foreign::{Foreign, ForeignHandling, ForeignKey};
pub use hidden::beginning_of_url;
pub use node::{Expansion, MapEntry, Node, Place, Value};
pub use parse::{MAX_DEPTH, MAX_NODES, parse};
pub use scalar::{Plain, Scalar};
pub use suggest::{list, nearest};
