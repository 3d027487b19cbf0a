//! Checks that imports follow the order of the modules in `src/lib.rs`.

use std::path::Path;

use crate::support::source::{Token, files, root, tokens};

/// They are next to each other in the list, and must not import one another.
const SIBLINGS: [&str; 4] = ["receivers", "processors", "exporters", "extensions"];

#[test]
fn every_import_goes_down_the_list_in_lib_rs() {
    let order = order(&std::fs::read_to_string(root().join("src/lib.rs")).unwrap());
    assert!(order.len() > 10, "src/lib.rs lists its modules: {order:?}");
    let mut wrong = Vec::new();
    for (path, text) in files() {
        if let Some(module) = module(&path) {
            let is_top =
                path.components().count() == 1 || path.ends_with(format!("{module}/mod.rs"));
            let complaints = complaints(&order, module, is_top, &text);
            wrong.extend(
                complaints.map(|(line, what)| format!("src/{}:{line}: {what}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The modules in `src/lib.rs`, top first.
fn order(lib: &str) -> Vec<String> {
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// The module of a file below `src/`. `None` for the two root files.
fn module(path: &Path) -> Option<&str> {
    let first = path.iter().next()?.to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// The mistakes in the paths of a file of `module`. `is_top` says that it is the module's own file,
/// whose `super` is the crate.
fn complaints(
    order: &[String],
    module: &str,
    is_top: bool,
    text: &str,
) -> impl Iterator<Item = (usize, String)> {
    let tokens = tokens(text);
    let inner = tokens.windows(3).position(|three| match three {
        [word, _, open] => word.text == "mod" && open.text == "{",
        _ => false,
    });
    let top_end = if is_top {
        inner.unwrap_or(tokens.len())
    } else {
        0
    };
    let mut found = Vec::new();
    for (at, path) in paths(&tokens) {
        let line = tokens.get(at).unwrap().line;
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let complaint = match names.as_slice() {
            [_, rest @ ..] if rest.contains(&"super") => {
                Some("`super::super`: say `crate::…`".to_owned())
            }
            ["super", ..] if at < top_end => {
                Some("`super` is the crate here: say `crate::…`".to_owned())
            }
            ["crate", used, ..] => forbidden(order, module, used),
            ["crate"] => Some("the crate itself under another name".to_owned()),
            _ => None,
        };
        found.extend(complaint.map(|what| (line, what)));
    }
    found.into_iter()
}

fn forbidden(order: &[String], user: &str, used: &str) -> Option<String> {
    let place = |name: &str| order.iter().position(|module| module == name);
    let (Some(from), Some(to)) = (place(user), place(used)) else {
        return Some(format!("`{user}` or `{used}` is no module of src/lib.rs"));
    };
    let allowed = match (user, used) {
        (user, used) if user == used => true,
        ("cli", _) => true,
        (_, "simulator") => false,
        ("simulator", used) => used == "runtime",
        (user, used) if SIBLINGS.contains(&user) && SIBLINGS.contains(&used) => false,
        _ => from < to,
    };
    (!allowed).then(|| format!("`{user}` must not use `{used}`"))
}

/// Every path that starts with `crate`, `super` or `self`, with groups expanded, and its position.
/// `crate` alone counts only with `as`.
fn paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_root = ["crate", "super", "self"].contains(&word(at));
        if is_root && word(at + 1) == "::" {
            let start = at;
            let mut tree = Vec::new();
            at = walk(tokens, at, &[], &mut tree);
            found.extend(tree.into_iter().map(|path| (start, path)));
        } else {
            if word(at) == "crate" && word(at + 1) == "as" {
                found.push((at, vec!["crate".to_owned()]));
            }
            at += 1;
        }
    }
    found
}

/// Reads one tree of a path from `at` on, adds its branches to `stem`, and returns its end.
fn walk(tokens: &[Token], mut at: usize, stem: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = stem.to_vec();
    loop {
        if word(at) == "{" {
            at += 1;
            while at < tokens.len() && word(at) != "}" {
                at = match word(at) {
                    "," => at + 1,
                    _ => walk(tokens, at, &path, found),
                };
            }
            return at + 1;
        }
        path.push(word(at).to_owned());
        at += 1;
        if word(at) != "::" {
            break;
        }
        at += 1;
    }
    if word(at) == "as" {
        at += 2;
    }
    found.push(path);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(module: &str, text: &str) -> Vec<String> {
        let lib = "pub mod cli;\npub mod simulator;\npub mod service;\npub mod receivers;\n\
                   pub mod exporters;\npub mod delivery;\npub mod pipeline;\npub mod runtime;\n";
        complaints(&order(lib), module, true, text)
            .map(|(_, what)| what)
            .collect()
    }

    #[test]
    fn imports_down_the_list_are_allowed() {
        for (module, text) in [
            ("receivers", "use crate::pipeline::Poll;"),
            (
                "receivers",
                "use crate::{pipeline::{self, Poll}, runtime::Clock as C, receivers::x};",
            ),
            (
                "receivers",
                "pub(crate) fn f() -> crate::pipeline::Poll { self::g() }",
            ),
            ("receivers", "mod tests { use super::*; }"),
            (
                "receivers",
                "//! [`crate::service`]\nconst A: &str = \"crate::service\";",
            ),
            ("cli", "use crate::{service, simulator};"),
            ("simulator", "use crate::runtime::Clock;"),
        ] {
            assert_eq!(
                judge(module, text),
                Vec::<String>::new(),
                "{module}: {text}"
            );
        }
    }

    #[test]
    fn imports_up_the_list_are_refused_in_every_form() {
        for text in [
            "use crate::receivers::x;",
            "pub(crate) use crate::receivers;",
            "use crate::{pipeline, receivers::x};",
            "use crate::{\n    pipeline::{\n        Poll,\n        Body,\n    },\n    receivers::{x, y::{z}},\n};",
            "fn f() { crate::receivers::x::y(); }",
            "fn f(_: Vec<crate::receivers::X>) {}",
            "macro_rules! m { () => { $crate::receivers::x() } }",
            "mod tests { use crate::receivers::x; }",
        ] {
            let complaints = judge("delivery", text);
            assert!(!complaints.is_empty(), "{text}");
            for complaint in complaints {
                assert_eq!(complaint, "`delivery` must not use `receivers`", "{text}");
            }
        }
    }

    #[test]
    fn siblings_and_the_simulator_must_not_import_one_another() {
        for (module, text) in [
            ("receivers", "use crate::exporters::x;"),
            ("exporters", "use crate::receivers::x;"),
            ("service", "use crate::simulator::Fleet;"),
            ("simulator", "use crate::pipeline::Poll;"),
            ("simulator", "use crate::cli::x;"),
        ] {
            assert_eq!(judge(module, text).len(), 1, "{module}: {text}");
        }
    }

    #[test]
    fn indirect_imports_are_refused() {
        for text in [
            "use super::receivers::x;",
            "use super::super::receivers::x;",
            "use super::{super::receivers};",
            "use self::super::receivers;",
            "mod tests { use super::super::receivers; }",
            "use crate as root;",
            "use crate::*;",
            "use crate::{self as root};",
            "use crate::Unlisted;",
        ] {
            assert_eq!(judge("delivery", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_complaint_names_its_line() {
        let lib = order("pub mod service;\npub mod pipeline;\n");
        let text = "//! Text.\n\nuse crate::service::x;\n";
        assert_eq!(
            complaints(&lib, "pipeline", true, text).next().unwrap().0,
            3
        );
    }
}
