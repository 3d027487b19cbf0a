//! Checks what a file says of requests for each element of another endpoint's answer.

use std::cell::RefCell;

use super::{
    Derivation, ElementNeeds, Path, derivation_file::DerivationFile, endpoint_compiler::Compiler,
};
use crate::yaml::nearest;

/// The most requests of a poll if the file does not say it.
const REQUESTS_DEFAULT: usize = 100;

/// The largest number that a file may say.
const REQUESTS_MAX: usize = 1000;

/// Names that mean something else in a request or in an attribute.
const TAKEN: [&str; 6] = ["env", "file", "target", "param", "now", "document"];

impl Compiler<'_, '_> {
    /// The requests for elements; none if that is wrong. `known` are the names of all endpoints, in
    /// their order.
    pub(super) fn derivation(
        &mut self,
        file: &DerivationFile,
        known: &[&str],
        needs: RefCell<ElementNeeds>,
    ) -> Option<Derivation> {
        let max = file.max.unwrap_or(REQUESTS_DEFAULT);
        if !(1..=REQUESTS_MAX).contains(&max) {
            let message = format!("expected 1 to {REQUESTS_MAX} requests");
            self.error(&["for_each", "max"], message);
        }
        let name = file.name.as_str();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            let message =
                format!("`{name}` is no name of an element: letters, digits, `_` and `-`");
            self.error(&["for_each", "as"], message);
        }
        if TAKEN.contains(&name) {
            let message = format!("`{name}` means something else: choose another name");
            self.error(&["for_each", "as"], message);
        }
        let needs = needs.into_inner();
        if !needs.is_referenced {
            let message = format!(
                "all requests would be the same: write `${{{name}:id}}` into the path, the query, \
                 the headers or the body"
            );
            self.error(&["for_each"], message);
        }
        let path = match Path::parse(&file.path) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(&["for_each", "path"], error.to_string());
                None
            }
        };
        let asked = file.endpoint.as_str();
        let Some(parent) = known.iter().position(|name| *name == asked) else {
            let hint = match nearest(asked, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            let message = format!("there is no endpoint `{asked}` ({hint})");
            self.error(&["for_each", "endpoint"], message);
            return None;
        };
        Some(Derivation {
            parent,
            path: path?,
            name: name.into(),
            max,
            is_optional: file.optional,
            needs,
        })
    }

    /// Whether requests for elements of this endpoint's answers would need these answers.
    pub(super) fn check_origin(&mut self, index: usize, parents: &[Option<usize>]) {
        let mut at = parents.get(index).copied().flatten();
        for _ in parents {
            match at {
                Some(parent) if parent == index => {
                    let message = "goes in a circle: the endpoint would have to be polled before \
                                   itself";
                    return self.error(&["for_each", "endpoint"], message);
                }
                Some(parent) => at = parents.get(parent).copied().flatten(),
                None => return,
            }
        }
    }
}
