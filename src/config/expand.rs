//! `${env:NAME}` in values.
//!
//! As in the Collector, with one departure: what a variable holds is final. It is not searched for
//! further references, so nothing can be injected through the environment.

use crate::yaml::{self, Diagnostics, Expansion, Node, Place, Scalar, Value};
use std::sync::Arc;

/// Where the variables come from, so that tests never have to set one.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// How much text the variables of a configuration may hold together, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Replaces the references in all values of `node`, never in keys:
///
/// - `${env:NAME}`, for short `${NAME}`, is the variable; with `${env:NAME:-default}` the default if
///   it is not set (set but empty is set);
/// - as the whole value it is read as YAML, so that a number is a number, and its text is kept for
///   where a string is wanted; within a text it is put in as it is;
/// - `$$` is a `$`.
pub fn expand(
    mut node: Node,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> Node {
    let mut expander = Expander {
        environment,
        diagnostics,
        text: 0,
    };
    expander.node(&mut node, &mut Vec::new());
    node
}

struct Expander<'e> {
    environment: &'e Environment<'e>,
    diagnostics: &'e mut Diagnostics,
    text: usize,
}

/// A mistake in a reference, and how many characters into the text it is.
struct Mistake {
    offset: usize,
    message: String,
}

/// A piece of a text.
#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    Reference {
        name: &'t str,
        default: Option<&'t str>,
    },
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
                let path = path.join("::");
                match split(&scalar.text) {
                    Ok(pieces) => {
                        if let Some((value, expansion)) =
                            self.replace(scalar, &pieces, &node.place, &path)
                        {
                            (node.value, node.expansion) = (value, expansion.map(Arc::new));
                        }
                    }
                    Err(Mistake { offset, message }) => {
                        let place = within(&node.place, scalar, offset);
                        self.diagnostics.error(&place, path, message);
                    }
                }
            }
            Value::Scalar(_) => {}
        }
    }

    /// What the pieces of a scalar come to; nothing if there is too much of it.
    fn replace(
        &mut self,
        scalar: &Scalar,
        pieces: &[Piece<'_>],
        place: &Place,
        path: &str,
    ) -> Option<(Value, Option<Expansion>)> {
        let mut text = String::new();
        let mut expanded = false;
        let mut unset = false;
        for piece in pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Reference { name, default } => {
                    expanded = true;
                    match (self.environment)(name).or_else(|| default.map(str::to_owned)) {
                        Some(value) => text.push_str(&value),
                        None => {
                            unset = true;
                            let message = format!(
                                "configuration references unset environment variable {name:?}"
                            );
                            self.diagnostics.warning(place, path, message);
                        }
                    }
                }
            }
            if self.text + text.len() > MAX_TEXT {
                let message = format!("more than {MAX_TEXT} bytes of environment variables");
                self.diagnostics.error(place, path, message);
                return None;
            }
        }
        self.text += text.len();
        let whole = matches!(pieces, [Piece::Reference { .. }]);
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
}

fn plain_text(text: String, plain: bool) -> Value {
    Value::Scalar(Scalar { text, plain })
}

/// A variable that is a whole value, read as YAML; what is no YAML is a text, such as a password.
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

/// Everything in a variable is where its reference is, and as secret as the variable.
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

/// The place of a character of a scalar; of its beginning if it has several lines.
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

/// Splits a text at its references.
fn split(text: &str) -> Result<Vec<Piece<'_>>, Mistake> {
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
            pieces.push(reference(inner).map_err(mistake)?);
            behind
        } else {
            // `$NAME` is no reference.
            pieces.push(Piece::Text("$"));
            from.strip_prefix('$').unwrap_or_default()
        };
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Reads what is between the braces.
fn reference(inner: &str) -> Result<Piece<'_>, String> {
    if inner.contains("${") {
        return Err(
            "a reference inside of a reference, such as ${env:${env:NAME}}, is not \
                    supported"
                .to_owned(),
        );
    }
    let body = match inner.split_once(':') {
        Some(("env", body)) => body,
        Some((scheme, behind)) if !behind.starts_with('-') => {
            return Err(format!(
                "unsupported scheme {scheme:?} in ${{{scheme}:…}}; use ${{env:NAME}}"
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
    Ok(Piece::Reference { name, default })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::DeserializeOwned;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "PORT" => "0123",
            "HOST" => "example.com",
            "EMPTY" => "",
            "MAP" => "{a: 1, b: [x, 2]}",
            "NASTY" => "${env:HOST}$$ # *x: {",
            "QUOTED" => "'1'",
            "LINE" => "7\n",
            _ => return None,
        };
        Some(value.to_owned())
    }

    /// The expanded value of `key: value`, and everything that was said about it.
    fn expanded(value: &str) -> (Node, Diagnostics) {
        let mut diagnostics = Diagnostics::new();
        let text = format!("key: {value}\n");
        let node = yaml::parse("f", &text, &mut diagnostics).unwrap();
        let node = expand(node, &environment, &mut diagnostics);
        (node.get("key").cloned().unwrap(), diagnostics)
    }

    fn read<T: DeserializeOwned>(value: &str) -> Option<T> {
        let (node, mut diagnostics) = expanded(value);
        yaml::decode(&node, "key", &mut diagnostics)
    }

    #[test]
    fn gives_texts() {
        for (value, text) in [
            ("${env:HOST}", "example.com"),
            ("${HOST}", "example.com"),
            ("'${env:HOST}'", "example.com"),
            ("http://${env:HOST}:${PORT}/", "http://example.com:0123/"),
            ("${env:PORT}", "0123"),
            ("${env:EMPTY}", ""),
            ("a${env:EMPTY}b", "ab"),
            ("a${env:NONE}b", "ab"),
            ("${env:NONE:-x:-y}", "x:-y"),
            ("${NONE:-x}", "x"),
            ("${env:NONE:-}", ""),
            ("${env:EMPTY:-x}", ""),
            ("$${env:HOST}", "${env:HOST}"),
            ("$$${env:HOST}", "$example.com"),
            ("a$$b", "a$b"),
            ("$HOST", "$HOST"),
            ("a$", "a$"),
            ("${env:NASTY}", "${env:HOST}$$ # *x: {"),
            ("${env:QUOTED}", "'1'"),
            ("${env:MAP}", "{a: 1, b: [x, 2]}"),
        ] {
            assert_eq!(read::<String>(value).as_deref(), Some(text), "{value}");
        }
    }

    #[test]
    fn a_whole_value_is_yaml() {
        assert_eq!(read::<u16>("${env:PORT}"), Some(123));
        assert_eq!(read::<u16>("${env:LINE}"), Some(7));
        assert_eq!(read::<u16>("${env:PORT}${env:PORT}"), None);
        assert_eq!(read::<Option<u16>>("${env:NONE}"), Some(None));
        assert_eq!(read::<u16>("${env:NONE:-8}"), Some(8));
        let (map, _) = expanded("${env:MAP}");
        let mut diagnostics = Diagnostics::new();
        let b = map.get("b").unwrap();
        assert_eq!(
            yaml::decode::<Vec<String>>(b, "b", &mut diagnostics).unwrap(),
            ["x", "2"]
        );
        assert_eq!(b.place.to_string(), "f:1:6");
        assert_eq!(
            format!("{map:?} {b:?}"),
            "${env:MAP} [${env:MAP}, ${env:MAP}]"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (value, message) in [
            (
                "a ${env:HOST",
                "1:8: key: unterminated `${`: a `}` is missing",
            ),
            (
                "'${env:${env:HOST}}'",
                "1:7: key: a reference inside of a reference, such as ${env:${env:NAME}}, is not \
                 supported",
            ),
            (
                "${file:/etc/passwd}",
                "1:6: key: unsupported scheme \"file\" in ${file:…}; use ${env:NAME}",
            ),
            (
                "${env:1A}",
                "1:6: key: environment variable \"1A\" has invalid name: must match regex \
                 ^[a-zA-Z_][a-zA-Z0-9_]*$",
            ),
            (
                "node_${1}",
                "1:11: key: environment variable \"1\" has invalid name; what a group of an \
                 expression found is written $${1} in a file",
            ),
            (
                "${}",
                "1:6: key: environment variable \"\" has invalid name: must match regex \
                 ^[a-zA-Z_][a-zA-Z0-9_]*$",
            ),
        ] {
            assert_eq!(
                expanded(value).1.to_string(),
                format!("f:{message}"),
                "{value}"
            );
        }
        let (node, diagnostics) = expanded("${env:NONE}");
        assert!(node.is_null() && diagnostics.is_empty());
        assert_eq!(
            diagnostics
                .warnings()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["f:1:6: key: configuration references unset environment variable \"NONE\""]
        );
    }

    #[test]
    fn messages_do_not_show_the_keys_of_a_variable() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "it is only read")]
        struct Settings {
            timeout: u8,
        }
        let (node, mut diagnostics) = expanded("${env:MAP}");
        yaml::decode::<Settings>(&node, "key", &mut diagnostics);
        assert_eq!(
            diagnostics.to_string(),
            "f:1:6: key: missing key `timeout`\n\
             f:1:6: key: unknown key in the value of ${env:MAP}; expected one of `timeout`"
        );
    }

    #[test]
    fn zeros_that_are_lost_are_a_warning() {
        let warnings = |decode: &dyn Fn(&Node, &mut Diagnostics), value: &str| {
            let (node, mut diagnostics) = expanded(value);
            decode(&node, &mut diagnostics);
            diagnostics
                .warnings()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let number = |node: &Node, into: &mut Diagnostics| {
            assert_eq!(yaml::decode::<u16>(node, "key", into), Some(123));
        };
        let text = |node: &Node, into: &mut Diagnostics| {
            assert!(yaml::decode::<String>(node, "key", into).is_some());
        };
        assert_eq!(
            warnings(&number, "${env:PORT}"),
            [
                "f:1:6: key: the value of ${env:PORT} is read as a number, which loses the zeros before it"
            ]
        );
        assert_eq!(warnings(&text, "${env:PORT}"), [""; 0]);
        assert_eq!(warnings(&number, "${env:NONE:-123}"), [""; 0]);
    }

    #[test]
    fn keys_and_comments_are_left_alone() {
        let mut diagnostics = Diagnostics::new();
        let text = "# ${file:x}\n'${env:HOST}': 1 # ${env:1}\n";
        let node = yaml::parse("f", text, &mut diagnostics).unwrap();
        let node = expand(node, &environment, &mut diagnostics);
        assert_eq!(format!("{node:?}"), r#"{"${env:HOST}": 1}"#);
        assert_eq!(diagnostics, Diagnostics::new());
    }

    proptest! {
        #[test]
        fn never_panics(text in r"(\$|\{|\}|env:|:-|HOST|MAP|\n|\PC){0,20}", value in r"\PC{0,30}") {
            let place = Place::whole("f");
            let node = Node::new(plain_text(text, true), place);
            expand(node, &|_| Some(value.clone()), &mut Diagnostics::new());
        }
    }
}
