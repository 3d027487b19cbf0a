//! The ways in which a node fails, by path.

use std::collections::HashMap;
use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use serde_json::{Value, json};

use super::dialect::Content;
use super::response::SimulatorResponse;

/// The paths on which the real server takes a lock twice.
pub(super) const DEADLOCKED_PATHS: [&str; 2] = ["/status", "/metrics"];

/// One way to fail a request.
///
/// A closed port is not a fault; use [`Node::stop`](super::Node::stop).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeFault {
    /// The connection is reset after the request is read, without an answer.
    Refuse,
    /// There is no answer until the client leaves.
    HangBeforeHeaders,
    /// The header and half of the body, then nothing until the client leaves.
    HangMidBody,
    /// The header at once, then the body at this speed.
    Drip {
        /// The speed of the body in bytes per second; 0 counts as 1.
        bytes_per_second: u32,
    },
    /// The header announces the whole body; half of it is sent, then the connection closes.
    CutBody,
    /// This status, with a JSON body.
    Status {
        /// The status code.
        code: u16,
        /// The `Retry-After` header, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// A 200 whose body ends in the middle of an object.
    InvalidJson,
    /// A 200 with one long JSON object.
    HugeBody {
        /// The length of the body, in bytes.
        bytes: usize,
    },
    /// A long JSON object compressed with gzip to about a thousandth, whatever the client accepts.
    GzipBomb {
        /// The length of the decompressed body, in bytes.
        bytes: usize,
    },
    /// This field is missing in each JSON object of the body.
    MissingField(String),
    /// This field of each JSON object of the body is the string `"n/a"`.
    WrongType(String),
    /// After the first request, that request and all later ones hang, on any path.
    ///
    /// For all paths, it is the failure of the real server, and starts with a request to `/status`
    /// or `/metrics`. For one path, it starts with a request to that path. Only
    /// [`Node::restart`](super::Node::restart) ends the fault.
    Grey,
}

/// A fault with bytes that are too expensive to create for each request.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    pub(super) fault: NodeFault,
    body: Bytes,
}

impl Armed {
    pub(super) fn new(fault: NodeFault) -> Self {
        let mut body = Vec::new();
        let made = match fault {
            NodeFault::HugeBody { bytes } => long_json(bytes).read_to_end(&mut body),
            NodeFault::GzipBomb { bytes } => {
                GzEncoder::new(long_json(bytes), Compression::fast()).read_to_end(&mut body)
            }
            _ => Ok(0),
        };
        debug_assert!(made.is_ok(), "reading from memory cannot fail");
        Self {
            fault,
            body: body.into(),
        }
    }

    /// The response in place of the normal one. `None` is an unknown path.
    pub(super) fn response(&self, honest: Option<Content>) -> SimulatorResponse {
        match (&self.fault, honest) {
            (NodeFault::Status { code, retry_after }, _) => SimulatorResponse {
                header: retry_after.map(|wait| ("retry-after", wait.as_secs().to_string())),
                ..SimulatorResponse::error(*code)
            },
            (NodeFault::InvalidJson, _) => {
                SimulatorResponse::json(200, r#"{"packets_processed": 12, "#)
            }
            (NodeFault::HugeBody { .. }, _) => SimulatorResponse::json(200, self.body.clone()),
            (NodeFault::GzipBomb { .. }, _) => SimulatorResponse {
                header: Some(("content-encoding", "gzip".to_owned())),
                ..SimulatorResponse::json(200, self.body.clone())
            },
            (NodeFault::MissingField(name), Some(Content::Json(value))) => {
                Content::Json(without(value, name)).into()
            }
            (NodeFault::WrongType(name), Some(Content::Json(value))) => {
                Content::Json(mistyped(value, name)).into()
            }
            (_, Some(content)) => content.into(),
            (_, None) => SimulatorResponse::error(404),
        }
    }
}

/// The fault of a request: that of its path, else that of all paths.
#[derive(Debug, Default)]
pub(super) struct Faults {
    everywhere: Option<Armed>,
    by_path: HashMap<String, Armed>,
}

impl Faults {
    pub(super) fn set(&mut self, path: Option<&str>, armed: Armed) {
        match (path, &armed.fault) {
            (Some(path), _) => {
                self.by_path.insert(path.to_owned(), armed);
            }
            (None, NodeFault::Grey) => {
                for path in DEADLOCKED_PATHS {
                    self.by_path.insert(path.to_owned(), armed.clone());
                }
            }
            (None, _) => self.everywhere = Some(armed),
        }
    }

    pub(super) fn meeting(&self, path: &str) -> Option<&Armed> {
        self.by_path.get(path).or(self.everywhere.as_ref())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Removes the faults that a restart ends.
    pub(super) fn clear_grey(&mut self) {
        self.by_path
            .retain(|_, armed| armed.fault != NodeFault::Grey);
    }
}

/// A JSON object of this many bytes, created while it is read.
fn long_json(bytes: usize) -> impl Read {
    let (open, close): (&[u8], &[u8]) = (br#"{"padding":""#, br#""}"#);
    let padding = bytes.saturating_sub(open.len() + close.len());
    open.chain(io::repeat(b'0').take(padding as u64))
        .chain(close)
}

fn without(value: Value, name: &str) -> Value {
    map_objects(value, |fields| {
        fields.remove(name);
    })
}

fn mistyped(value: Value, name: &str) -> Value {
    map_objects(value, |fields| {
        if let Some(field) = fields.get_mut(name) {
            *field = json!("n/a");
        }
    })
}

/// Changes the object that is the body, or each object in its list.
fn map_objects(mut value: Value, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Value {
    match &mut value {
        Value::Object(fields) => change(fields),
        Value::Array(elements) => {
            elements
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(change);
        }
        _ => {}
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;

    fn body(fault: NodeFault, honest: Value) -> Bytes {
        Armed::new(fault).response(Some(Content::Json(honest))).body
    }

    #[test]
    fn a_field_is_missing_from_an_object_and_from_each_element() {
        let missing = || NodeFault::MissingField("b".to_owned());
        assert_eq!(body(missing(), json!({"a": 1, "b": 2})), r#"{"a":1}"#);
        assert_eq!(
            body(missing(), json!([{"b": 1}, {"a": 2}])),
            r#"[{},{"a":2}]"#
        );
    }

    #[test]
    fn a_field_of_the_wrong_type_is_a_string_and_is_never_added() {
        let wrong = || NodeFault::WrongType("b".to_owned());
        assert_eq!(
            body(wrong(), json!({"a": 1, "b": 2})),
            r#"{"a":1,"b":"n/a"}"#
        );
        assert_eq!(
            body(wrong(), json!([{"b": 1}, {"a": 2}])),
            r#"[{"b":"n/a"},{"a":2}]"#
        );
    }

    #[test]
    fn an_unknown_path_stays_unknown_with_a_fault_of_a_field() {
        let armed = Armed::new(NodeFault::MissingField("b".to_owned()));
        assert_eq!(armed.response(None), SimulatorResponse::error(404));
    }

    #[test]
    fn a_huge_body_is_valid_json_of_that_size() {
        let body = body(NodeFault::HugeBody { bytes: 8 << 20 }, json!({}));
        assert_eq!(body.len(), 8 << 20);
        assert!(serde_json::from_slice::<Value>(&body).is_ok());
    }

    #[test]
    fn a_compressed_bomb_is_small() {
        let bomb = body(NodeFault::GzipBomb { bytes: 1 << 20 }, json!({}));
        assert!(bomb.len() < 16 << 10);
        let mut opened = Vec::new();
        GzDecoder::new(&bomb[..])
            .read_to_end(&mut opened)
            .expect("valid gzip");
        assert_eq!(opened.len(), 1 << 20);
        assert!(serde_json::from_slice::<Value>(&opened).is_ok());
    }

    #[test]
    fn an_invalid_body_is_not_json() {
        let body = body(NodeFault::InvalidJson, json!({}));
        assert!(serde_json::from_slice::<Value>(&body).is_err());
    }

    #[test]
    fn the_fault_of_a_path_wins_over_that_of_all() {
        let mut faults = Faults::default();
        faults.set(None, Armed::new(NodeFault::CutBody));
        faults.set(Some("/a"), Armed::new(NodeFault::Refuse));
        let met = |faults: &Faults, path| faults.meeting(path).map(|armed| armed.fault.clone());
        assert_eq!(met(&faults, "/a"), Some(NodeFault::Refuse));
        assert_eq!(met(&faults, "/b"), Some(NodeFault::CutBody));
        faults.clear();
        assert_eq!(met(&faults, "/a"), None);
        assert_eq!(met(&faults, "/b"), None);
    }

    #[test]
    fn a_grey_fault_starts_on_the_two_deadlocked_paths() {
        let mut faults = Faults::default();
        faults.set(None, Armed::new(NodeFault::Grey));
        assert!(faults.meeting("/status").is_some());
        assert!(faults.meeting("/metrics").is_some());
        assert!(faults.meeting("/mixnodes").is_none());
        faults.clear_grey();
        assert!(faults.meeting("/status").is_none());
    }
}
