//! Expands `${env:NAME}` and `${file:PATH}` in values.
//!
//! It works as in the Collector, with one difference: the content of a variable or a file is not
//! expanded again, so nothing can be injected through it.

use crate::{
    runtime::read_text,
    yaml::{self, Diagnostics, Expansion, Node, Place, Scalar, Value},
};
use std::{path::Path, sync::Arc};

/// Returns the value of a variable, so that tests never have to set one.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// How references inside of a text are treated, by the keys that lead to the text.
#[derive(Clone, Copy)]
pub struct Within<'w> {
    /// Writes an inserted value inside of a longer text.
    pub written: &'w dyn Fn(&[String], String) -> String,
    /// Whether references of other schemes stay as they are, because they are expanded later. In
    /// such a text every dollar becomes `$$`, also one of an inserted value.
    pub is_filled_in_later: &'w dyn Fn(&[String]) -> bool,
}

/// The largest total size of all variables and files of a configuration, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// The largest file of a `${file:…}`, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Expands the references in all values of `node`, never in keys:
///
/// - `${env:NAME}`, or short `${NAME}`, is the variable. `${env:NAME:-default}` has a default for a
///   variable that is not set (an empty variable is set).
/// - `${file:PATH}` is the content of the regular file, without one line end at its end. A relative
///   path starts at the working directory.
/// - As the whole value, the content is parsed as YAML, so that a number is a number; where a
///   string is expected, its text is used. Inside of a longer text it is inserted as it is.
/// - `$$` is a `$`.
pub fn expand(node: Node, environment: &Environment<'_>, diagnostics: &mut Diagnostics) -> Node {
    let within = Within {
        written: &|_, value| value,
        is_filled_in_later: &|_| false,
    };
    expand_within(node, environment, &within, diagnostics)
}

/// Expands the references, and treats texts as `within` says.
pub fn expand_within(
    mut node: Node,
    environment: &Environment<'_>,
    within: &Within<'_>,
    diagnostics: &mut Diagnostics,
) -> Node {
    let mut expander = Expander {
        environment,
        within: *within,
        diagnostics,
        text: 0,
    };
    expander.node(&mut node, &mut Vec::new());
    node
}

/// A text with each reference as `{NAME}`, without its value: for labels and logs.
pub fn without_values(text: &str) -> String {
    let Ok(pieces) = split(text, true) else {
        return String::new();
    };
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Variable { name, .. } => format!("{{{name}}}"),
        Piece::File(path) => {
            let name = Path::new(path).file_name();
            format!("{{{}}}", name.unwrap_or_default().display())
        }
        Piece::Later(inner) => format!("{{{}}}", inner.split(":-").next().unwrap_or_default()),
    });
    shown.collect()
}

struct Expander<'e> {
    environment: &'e Environment<'e>,
    within: Within<'e>,
    diagnostics: &'e mut Diagnostics,
    text: usize,
}

/// The parts of a scalar as one text.
#[derive(Default)]
struct Joined {
    text: String,
    /// Whether a part is a variable without a value.
    unset: bool,
}

/// A mistake in a reference, and its position in the text, in characters.
struct Mistake {
    offset: usize,
    message: String,
}

/// A part of a text.
#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    Variable {
        name: &'t str,
        default: Option<&'t str>,
    },
    File(&'t str),
    /// What is between the braces of a reference that is filled in later.
    Later(&'t str),
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, path: &mut Vec<String>) {
        match &mut node.value {
            Value::Null => {}
            Value::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    self.node(item, path);
                    path.pop();
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    path.push(entry.key.clone());
                    self.node(&mut entry.value, path);
                    path.pop();
                }
            }
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                match split(&scalar.text, (self.within.is_filled_in_later)(path)) {
                    Ok(pieces) => {
                        if let Some((value, expansion)) =
                            self.replace(scalar, &pieces, &node.place, path)
                        {
                            (node.value, node.expansion) = (value, expansion.map(Arc::new));
                        }
                    }
                    Err(Mistake { offset, message }) => {
                        let place = within(&node.place, scalar, offset);
                        self.diagnostics.error(&place, path.join("::"), message);
                    }
                }
            }
            Value::Scalar(_) => {}
        }
    }

    /// Joins the parts of a scalar. Returns nothing if the result is too large.
    fn replace(
        &mut self,
        scalar: &Scalar,
        pieces: &[Piece<'_>],
        place: &Place,
        keys: &[String],
    ) -> Option<(Value, Option<Expansion>)> {
        let expanded = pieces.iter().any(Piece::is_expanded);
        let whole = expanded && pieces.len() == 1;
        let Joined { text, unset } = self.join(pieces, whole, place, keys)?;
        self.text += text.len();
        if whole && unset {
            return Some((Value::Null, None));
        }
        if !expanded {
            return Some((
                Value::Scalar(Scalar {
                    text,
                    plain: scalar.plain,
                }),
                None,
            ));
        }
        let expansion = Expansion {
            reference: scalar.text.clone(),
            text: text.clone(),
        };
        let value = if whole {
            read(text, place, &expansion)
        } else {
            plain_text(text, false)
        };
        Some((value, Some(expansion)))
    }

    /// The text of all parts. `whole` says that a reference is all that the scalar has.
    fn join(
        &mut self,
        pieces: &[Piece<'_>],
        whole: bool,
        place: &Place,
        keys: &[String],
    ) -> Option<Joined> {
        let path = keys.join("::");
        let mut joined = Joined::default();
        let is_later = (self.within.is_filled_in_later)(keys);
        let kept = |value: &str| match is_later {
            true => value.replace('$', "$$"),
            false => value.to_owned(),
        };
        let text = &mut joined.text;
        for piece in pieces {
            let found = match piece {
                Piece::Text(literal) => {
                    text.push_str(&kept(literal));
                    continue;
                }
                Piece::Later(inner) => {
                    text.extend(["${", inner, "}"]);
                    continue;
                }
                Piece::Variable { name, default } => self.variable(name, *default, place, &path),
                Piece::File(file) => self.file(file, place, &path),
            };
            match found {
                Some(value) if whole => text.push_str(&kept(&value)),
                Some(value) => text.push_str(&kept(&(self.within.written)(keys, value))),
                None => joined.unset = true,
            }
            if self.text + text.len() > MAX_TEXT {
                let message = format!("more than {MAX_TEXT} bytes of variables and files");
                self.diagnostics.error(place, path, message);
                return None;
            }
        }
        Some(joined)
    }

    /// The value of a variable, or its default. Warns if there is neither.
    fn variable(
        &mut self,
        name: &str,
        default: Option<&str>,
        place: &Place,
        path: &str,
    ) -> Option<String> {
        let value = (self.environment)(name).or_else(|| default.map(str::to_owned));
        if value.is_none() {
            let message = format!("configuration references unset environment variable {name:?}");
            self.diagnostics.warning(place, path, message);
        }
        value
    }

    /// The content of a file, without one line end. Reports an error if it cannot be read.
    fn file(&mut self, file: &str, place: &Place, path: &str) -> Option<String> {
        self.diagnostics.note_file(file);
        match read_text(Path::new(file), MAX_FILE) {
            Ok(mut text) => {
                let end = text.strip_suffix('\n').unwrap_or(&text);
                let end = end.strip_suffix('\r').unwrap_or(end).len();
                text.truncate(end);
                Some(text)
            }
            Err(error) => {
                let message = format!("cannot read the file {file:?} of a reference: {error}");
                self.diagnostics.error(place, path, message);
                None
            }
        }
    }
}

fn plain_text(text: String, plain: bool) -> Value {
    Value::Scalar(Scalar { text, plain })
}

/// A variable that is a whole value, parsed as YAML. If it is not valid YAML, it is a text, such as
/// a password.
fn read(text: String, place: &Place, expansion: &Expansion) -> Value {
    let Some(mut node) = yaml::parse("", &text, &mut Diagnostics::new()) else {
        return plain_text(text, false);
    };
    match node.value {
        Value::Map(_) | Value::Seq(_) => {
            mark(&mut node, place, &expansion.reference);
            node.value
        }
        Value::Null | Value::Scalar(_) => plain_text(text, true),
    }
}

/// Everything in a variable has the place of its reference, and is as secret as the variable.
fn mark(node: &mut Node, place: &Place, reference: &str) {
    node.place = place.clone();
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(Scalar { text, .. }) => {
            let expansion = Expansion {
                reference: reference.to_owned(),
                text: text.clone(),
            };
            node.expansion = Some(Arc::new(expansion));
        }
        Value::Seq(items) => items
            .iter_mut()
            .for_each(|item| mark(item, place, reference)),
        Value::Map(entries) => {
            for entry in entries {
                entry.key_place = place.clone();
                mark(&mut entry.value, place, reference);
            }
        }
    }
}

/// The place of a character in a scalar. For a scalar with several lines it is its start.
fn within(place: &Place, scalar: &Scalar, offset: usize) -> Place {
    if scalar.text.contains('\n') {
        return place.clone();
    }
    let quote = usize::from(!scalar.plain);
    Place {
        column: place.column + quote + offset,
        ..place.clone()
    }
}

impl Piece<'_> {
    /// Whether something is put in for it.
    fn is_expanded(&self) -> bool {
        matches!(self, Self::Variable { .. } | Self::File(_))
    }
}

/// Splits a text at its references; whether those of other schemes are filled in later.
fn split(text: &str, is_later: bool) -> Result<Vec<Piece<'_>>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, from)) = rest.find('$').and_then(|at| rest.split_at_checked(at)) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        rest = if let Some(behind) = from.strip_prefix("$$") {
            pieces.push(Piece::Text("$"));
            behind
        } else if let Some(inner) = from.strip_prefix("${") {
            let offset = text.chars().count() - from.chars().count();
            let mistake = |message| Mistake { offset, message };
            let unterminated = || mistake("unterminated `${`: a `}` is missing".to_owned());
            let (inner, behind) = inner.split_once('}').ok_or_else(unterminated)?;
            pieces.push(reference(inner, is_later).map_err(mistake)?);
            behind
        } else {
            // `$NAME` is not a reference.
            pieces.push(Piece::Text("$"));
            from.strip_prefix('$').unwrap_or_default()
        };
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Parses the text between the braces.
fn reference(inner: &str, is_later: bool) -> Result<Piece<'_>, String> {
    if inner.contains("${") {
        return Err(
            "a reference inside of a reference, such as ${env:${env:NAME}}, is not \
                    supported"
                .to_owned(),
        );
    }
    let body = match inner.split_once(':') {
        Some(("env", body)) => body,
        Some(("file", "")) => return Err("a path is missing in ${file:…}".to_owned()),
        Some(("file", path)) => return Ok(Piece::File(path)),
        Some((_, behind)) if is_later && !behind.starts_with('-') => {
            return Ok(Piece::Later(inner));
        }
        Some((scheme, behind)) if !behind.starts_with('-') => {
            return Err(format!(
                "unsupported scheme {scheme:?} in ${{{scheme}:…}}; use ${{env:NAME}} or \
                 ${{file:PATH}}, and $$ for a dollar"
            ));
        }
        _ => inner,
    };
    let (name, default) = match body.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (body, None),
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let digit = name.starts_with(|first: char| first.is_ascii_digit());
    if !name.is_empty() && name.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!(
            "environment variable {name:?} has invalid name; what a group of an expression found \
             is written $${{{name}}} in a file"
        ));
    }
    if name.is_empty() || digit || !name.chars().all(letters) {
        return Err(format!(
            "environment variable {name:?} has invalid name: must match regex \
             ^[a-zA-Z_][a-zA-Z0-9_]*$"
        ));
    }
    Ok(Piece::Variable { name, default })
}

#[cfg(test)]
mod tests;
