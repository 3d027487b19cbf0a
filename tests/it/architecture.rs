//! Checks that imports follow the order of the modules in `src/lib.rs`, and that no two files import
//! each other in a circle.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

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

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = files();
    let texts = files
        .iter()
        .map(|(path, text)| (path.as_path(), text.as_str()));
    let circles = circles(&imports(texts));
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The files that each file imports, as modules. Imports between a folder's `mod.rs` and the files
/// below it are left out: `mod.rs` names its contents, and they use what it re-exports.
fn imports<'f>(
    files: impl Iterator<Item = (&'f Path, &'f str)>,
) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let paths: BTreeMap<Vec<String>, Vec<Vec<String>>> = files
        .filter_map(|(path, text)| Some((module_path(path)?, absolute_paths(path, text))))
        .collect();
    let names = paths.iter().map(|(module, used)| {
        let named = used
            .iter()
            .filter_map(|path| Some((path.last()?.as_str(), path.as_slice())));
        (module.as_slice(), named.collect())
    });
    let names: ImportedNames<'_> = names.collect();
    let graph = paths.iter().map(|(module, used)| {
        let used = used.iter().filter_map(|path| definition(&names, path, 0));
        let used = used.filter(|other| !other.starts_with(module) && !module.starts_with(other));
        (module.clone(), used.map(<[String]>::to_vec).collect())
    });
    graph.collect()
}

/// The names that each module imports, with their paths.
type ImportedNames<'p> = HashMap<&'p [String], HashMap<&'p str, &'p [String]>>;

/// The module of a file below `src/`. `None` for the root and for tests.
fn module_path(path: &Path) -> Option<Vec<String>> {
    let path = path.with_extension("");
    let mut names: Vec<String> = path
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    let is_root = names.len() == 1 && ["lib", "main"].contains(&names.first()?.as_str());
    let is_test = names.iter().any(|name| name == "tests");
    (!is_root && !is_test).then_some(names)
}

/// The paths in a file before its own tests, from the crate on, without the word `crate`.
fn absolute_paths(file: &Path, text: &str) -> Vec<Vec<String>> {
    let module = module_path(file).unwrap_or_default();
    let tokens = tokens(text);
    let tests = tokens.windows(3).position(|three| {
        matches!(three, [word, name, open] if word.text == "mod" && name.text == "tests" && open.text == "{")
    });
    let code = tokens.get(..tests.unwrap_or(tokens.len())).unwrap();
    let absolute = paths(code).into_iter().filter_map(|(_, path)| {
        let (root, rest) = path.split_first()?;
        let start = match root.as_str() {
            "self" => module.as_slice(),
            "super" => module.split_last()?.1,
            _ => &[],
        };
        Some([start, rest].concat())
    });
    absolute.collect()
}

/// The module that defines what `path` names, through the re-exports on the way.
fn definition<'p>(
    names: &ImportedNames<'p>,
    path: &'p [String],
    depth: usize,
) -> Option<&'p [String]> {
    let mut prefixes = (1..=path.len())
        .rev()
        .filter_map(|length| path.get(..length));
    let module = prefixes.find(|prefix| names.contains_key(prefix))?;
    let name = path.get(module.len());
    let exported = name.and_then(|name| names.get(module)?.get(name.as_str()));
    match exported.filter(|exported| **exported != path && depth < 8) {
        Some(exported) => definition(names, exported, depth + 1),
        None => Some(module),
    }
}

/// The shortest circle through each module that is in one, in words.
fn circles(graph: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> BTreeSet<String> {
    let through = graph.keys().filter_map(|start| {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for next in graph.get(*way.last()?).into_iter().flatten() {
                    if next == start {
                        let mut names: Vec<_> =
                            way.iter().map(|module| module.join("::")).collect();
                        names.sort();
                        return Some(names.join(", "));
                    }
                    if seen.insert(next) {
                        longer.push([way.as_slice(), &[next]].concat());
                    }
                }
            }
            ways = longer;
        }
        None
    });
    through.collect()
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
    fn a_circle_of_files_is_found_through_a_re_export() {
        let found = |files: &[(&str, &str)]| {
            let files = files.iter().map(|(path, text)| (Path::new(*path), *text));
            circles(&imports(files)).into_iter().collect::<Vec<_>>()
        };
        let parent = ("a/mod.rs", "mod b;\nmod c;\npub use self::c::C;");
        let through = [
            parent,
            ("a/b.rs", "use super::C;"),
            ("a/c.rs", "use crate::a::b::B;"),
        ];
        assert_eq!(found(&through), ["a::b, a::c"]);
        let only_in_tests = "mod tests { use super::super::b::B; }";
        let sound = [
            parent,
            ("a/b.rs", "use super::C;"),
            ("a/c.rs", only_in_tests),
        ];
        assert!(found(&sound).is_empty());
        let three = [
            ("a.rs", "use crate::b;"),
            ("b.rs", "fn f() { crate::c::g(); }"),
            ("c.rs", "use crate::{a::{self, A}};"),
        ];
        assert_eq!(found(&three), ["a, b, c"]);
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
