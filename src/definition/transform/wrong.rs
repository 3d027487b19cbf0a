//! What is wrong with a program, and where.

use jaq_core::{
    compile,
    load::{self, lex, parse},
};

/// A text that is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct WrongProgram {
    /// What is wrong.
    pub why: String,
    /// The byte of the program; none if all of it is meant.
    pub at: Option<usize>,
}

impl WrongProgram {
    pub(super) fn too_long(limit_bytes: usize) -> Self {
        Self {
            why: format!("a program has at most {limit_bytes} bytes"),
            at: None,
        }
    }

    pub(super) fn unknown() -> Self {
        Self {
            why: "the program cannot be read".to_owned(),
            at: None,
        }
    }

    pub(super) fn of_loading(code: &str, errors: load::Errors<&str, ()>) -> Self {
        let first = errors.into_iter().next().map(|(_, error)| error);
        match first {
            Some(load::Error::Lex(errors)) => match errors.into_iter().next() {
                Some((expected, found)) => Self::new(code, found, &lexed(&expected)),
                None => Self::unknown(),
            },
            Some(load::Error::Parse(errors)) => match errors.into_iter().next() {
                Some((expected, found)) => Self::new(code, found, &parsed(&expected)),
                None => Self::unknown(),
            },
            Some(load::Error::Io(imports)) => match imports.into_iter().next() {
                Some((found, _)) => Self::new(code, found, "a program imports nothing"),
                None => Self::unknown(),
            },
            None => Self::unknown(),
        }
    }

    pub(super) fn of_compiling(code: &str, errors: compile::Errors<&str, ()>) -> Self {
        let all = errors.into_iter().flat_map(|(_, errors)| errors);
        let Some((found, undefined)) = all.into_iter().next() else {
            return Self::unknown();
        };
        let what = match undefined {
            compile::Undefined::Filter(0) => format!("there is no filter `{found}`"),
            compile::Undefined::Filter(arity) => {
                format!("there is no filter `{found}` with {arity} arguments")
            }
            other => format!("there is no {} `{found}`", other.as_str()),
        };
        Self::new(code, found, &what)
    }

    fn new(code: &str, found: &str, why: &str) -> Self {
        // What is found stands in the program; at its end it may be an empty text of elsewhere.
        let at = (found.as_ptr().addr()).checked_sub(code.as_ptr().addr());
        let at = at.filter(|at| *at <= code.len());
        Self {
            why: why.to_owned(),
            at: Some(at.unwrap_or(code.len())),
        }
    }

    /// The line and the column of the program, in characters from 1.
    pub fn place(&self, code: &str) -> Option<(usize, usize)> {
        let before = code.get(..self.at?)?;
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        Some((line, last.chars().count() + 1))
    }
}

fn lexed(expected: &lex::Expect<&str>) -> String {
    match expected {
        lex::Expect::Delim(open) => format!("`{open}` is not closed"),
        other => format!("expected a {}", other.as_str()),
    }
}

fn parsed(expected: &parse::Expect<&str>) -> String {
    match expected {
        parse::Expect::Just(word) => format!("expected `{word}`"),
        parse::Expect::Nothing => "nothing of this is expected here".to_owned(),
        other => format!("expected a {}", other.as_str()),
    }
}
