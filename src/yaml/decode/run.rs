//! The state of one decoding over all its attempts.

use super::{
    node_id::NodeId,
    path::Path,
    problem::{DecodeError, Problem, did_you_mean},
};
use crate::yaml::{
    Diagnostic, Diagnostics, Foreign, ForeignHandling, ForeignKey, MapEntry, Node, Place, Value,
    list, nearest,
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

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
    /// The missing keys of each struct that have a stand-in.
    stand_ins: HashMap<NodeId, Vec<&'static str>>,
    /// Keys that are missing because their names were misspelled.
    misspelt: HashSet<(NodeId, &'static str)>,
}

impl Run {
    /// Starts a decoding of a type with these foreign keys.
    pub(super) fn new(foreign: &'static Foreign) -> Self {
        Self {
            state: RefCell::default(),
            foreign,
        }
    }

    /// Leaves out the entry of `node` in the following attempts. Returns false if it already was.
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

    /// Reports an unknown key of a struct: a mistake, unless it is a harmless key of another
    /// program.
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
        // A map from the environment must not show its keys either. A key without a value below a
        // key for secrets is not shown, because it may be a secret.
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
            Some(ForeignKey { handling, why, .. }) => match handling {
                ForeignHandling::Ignored => {
                    let key = map.expansion.as_ref().map_or("", |_| "a key ");
                    let message = format!("{key}has no effect{subject}: {why}");
                    state.found.warning(&entry.key_place, path, message);
                    return;
                }
                ForeignHandling::Only(values) => {
                    format!("is not supported{subject}: {why}; write {}", list(values))
                }
                ForeignHandling::Refused => format!("is not supported{subject}: {why}"),
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

    /// Reports what is wrong with `node`, unless it is a consequence of a known problem, and
    /// returns how to continue.
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

    /// Warns about a number from the environment with leading zeros, such as an id `007`, because
    /// they are lost.
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

    /// Leaves out an entry without a value, so that its default applies.
    pub(super) fn absent(&self, node: &Node) -> DecodeError {
        DecodeError::Reported(node.into())
    }
}

impl DecodeState {
    /// Whether `problem` exists only because of what was left out of `node`.
    fn follows(&self, problem: &Problem, node: &Node) -> bool {
        match problem {
            Problem::Consequence => true,
            Problem::Missing(key) => {
                let wrong =
                    |value: &Node| !value.is_null() && self.rejected.contains(&value.into());
                node.get(key).is_some_and(wrong) || self.misspelt.contains(&(node.into(), key))
            }
            // The type may refuse a default or a stand-in.
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
