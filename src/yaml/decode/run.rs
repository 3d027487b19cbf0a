//! What one decoding remembers from attempt to attempt.

use super::{
    path::Path,
    problem::{DecodeError, Problem, did_you_mean},
};
use crate::yaml::{
    Diagnostic, Diagnostics, Foreign, ForeignFate, ForeignKey, MapEntry, Node, Place, Value, list,
    nearest,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// Which node: its address, as the tree does not move while it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(*const Node);

impl From<&Node> for NodeId {
    fn from(node: &Node) -> Self {
        Self(std::ptr::from_ref(node))
    }
}

/// The state of one decoding.
#[derive(Debug)]
pub(super) struct Run {
    state: RefCell<DecodeState>,
    foreign: &'static Foreign,
}

#[derive(Debug, Default)]
struct DecodeState {
    found: Diagnostics,
    /// Entries that are left out.
    rejected: HashSet<NodeId>,
    /// The keys that were missing in a struct and are stood in for.
    stand_ins: HashMap<NodeId, Vec<&'static str>>,
    /// Keys that are missing because their name was misspelt.
    misspelt: HashSet<(NodeId, &'static str)>,
}

impl Run {
    /// A decoding of what has these foreign keys.
    pub(super) fn new(foreign: &'static Foreign) -> Self {
        Self {
            state: RefCell::default(),
            foreign,
        }
    }

    /// Leaves out the entry of `node` from now on; false if it already was.
    pub(super) fn reject(&self, node: NodeId) -> bool {
        self.state.borrow_mut().rejected.insert(node)
    }

    pub(super) fn rejected(&self, node: &Node) -> bool {
        self.state.borrow().rejected.contains(&node.into())
    }

    pub(super) fn stand_ins(&self, node: &Node) -> Vec<&'static str> {
        self.state
            .borrow()
            .stand_ins
            .get(&node.into())
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn into_diagnostics(self) -> Diagnostics {
        self.state.into_inner().found
    }

    /// Reports a key that a struct does not know: a mistake, unless it is one of another program
    /// that does no harm here.
    pub(super) fn unknown_key(
        &self,
        map: &Node,
        path: &Path<'_>,
        entry: &MapEntry,
        known: &'static [&'static str],
    ) {
        let key = entry.key.as_str();
        let foreign = path.foreign(self.foreign).and_then(|here| here.key(key));
        let near = nearest(key, known).filter(|_| foreign.is_none());
        let mut state = self.state.borrow_mut();
        if let Some(near) = near {
            state.misspelt.insert((map.into(), near));
        }
        // A map that came from the environment must not show its keys either, nor one of secrets
        // a key without a value: it may be one of them.
        let is_absent = entry.value.is_null();
        let (path, subject) = match &map.expansion {
            None if near.is_none() && is_absent && path.is_secret() => {
                (path.to_string(), String::new())
            }
            None => (path.child(key).to_string(), String::new()),
            Some(_) => (path.to_string(), format!(" in {}", map.describe())),
        };
        let message = match foreign {
            Some(foreign) if foreign.is_met_by(entry.value.text()) => return,
            Some(ForeignKey { fate, why, .. }) => match fate {
                ForeignFate::Ignored => {
                    let key = map.expansion.as_ref().map_or("", |_| "a key ");
                    let message = format!("{key}has no effect{subject}: {why}");
                    state.found.warning(&entry.key_place, path, message);
                    return;
                }
                ForeignFate::Only(values) => {
                    format!("is not supported{subject}: {why}; write {}", list(values))
                }
                ForeignFate::Refused => format!("is not supported{subject}: {why}"),
            },
            None => match (near, known) {
                (None, []) => format!("unknown key{subject}; none is expected here"),
                (None, known) => format!("unknown key{subject}; expected one of {}", list(known)),
                (Some(_), _) => format!("unknown key{subject}"),
            },
        };
        state.found.push(Diagnostic {
            place: entry.key_place.clone(),
            path,
            message,
            help: near.map(did_you_mean),
        });
    }

    /// Reports what is wrong with `node`, unless it follows from what is known already, and says
    /// how to go on.
    pub(super) fn blame(
        &self,
        error: DecodeError,
        node: &Node,
        path: &Path<'_>,
        at: &Place,
    ) -> DecodeError {
        let DecodeError::Problem(problem) = error else {
            return error;
        };
        let mut state = self.state.borrow_mut();
        if !state.follows(&problem, node) {
            let is_secret = path.is_secret();
            let (message, help) = problem.explain(node, is_secret);
            let path = path.to_string();
            state.found.push(Diagnostic {
                place: at.clone(),
                path,
                message,
                help,
            });
        }
        if let Problem::Missing(key) = problem {
            let stand_ins = state.stand_ins.entry(node.into()).or_default();
            if !stand_ins.contains(&key) {
                stand_ins.push(key);
                return DecodeError::Retry;
            }
        }
        DecodeError::Reported(node.into())
    }

    /// Warns of a number from the environment that was written with zeros before it, such as an id
    /// `007`: they are lost.
    pub(super) fn note_zeros(&self, node: &Node, path: &Path<'_>) {
        let Some(expansion) = &node.expansion else {
            return;
        };
        let digits = expansion.text.trim().trim_start_matches(['+', '-']);
        let mut digits = digits.bytes();
        let is_padded =
            digits.next() == Some(b'0') && digits.next().is_some_and(|d| d.is_ascii_digit());
        if is_padded {
            let message = format!(
                "{} is read as a number, which loses the zeros before it",
                node.describe()
            );
            let mut state = self.state.borrow_mut();
            state.found.warning(&node.place, path.to_string(), message);
        }
    }

    /// Leaves out an entry without a value, so that its default is taken.
    pub(super) fn absent(&self, node: &Node) -> DecodeError {
        DecodeError::Reported(node.into())
    }
}

impl DecodeState {
    /// Whether `problem` is there only because of what was left out of `node`.
    fn follows(&self, problem: &Problem, node: &Node) -> bool {
        match problem {
            Problem::Consequence => true,
            Problem::Missing(key) => {
                let wrong =
                    |value: &Node| !value.is_null() && self.rejected.contains(&value.into());
                node.get(key).is_some_and(wrong) || self.misspelt.contains(&(node.into(), key))
            }
            // The type may dislike a default or a stand-in.
            Problem::Expected(_) | Problem::Variant(_) | Problem::Custom(_) => {
                self.stand_ins.contains_key(&node.into()) || self.left_out_of(node)
            }
        }
    }

    fn left_out_of(&self, node: &Node) -> bool {
        let wrong = |child: &Node| self.rejected.contains(&child.into());
        match &node.value {
            Value::Map(entries) => entries.iter().any(|entry| wrong(&entry.value)),
            Value::Seq(items) => items.iter().any(wrong),
            Value::Null | Value::Scalar(_) => false,
        }
    }
}
