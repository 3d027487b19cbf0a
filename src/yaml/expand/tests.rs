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

/// The expanded value of `key: value`, and all findings.
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
fn each_invalid_reference_has_its_message() {
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
            "${target:zone}",
            "1:6: key: unsupported scheme \"target\" in ${target:…}; use ${env:NAME} or \
             ${file:PATH}, and $$ for a dollar",
        ),
        ("${file:}", "1:6: key: a path is missing in ${file:…}"),
        (
            "${file:/dev/zero}",
            "1:6: key: cannot read the file \"/dev/zero\" of a reference: not a regular file",
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
fn the_value_of_a_file_is_its_content_without_one_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let reference = format!("${{file:{}}}", path.display());
    for (held, read_as) in [
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("a\n\n", "a\n"),
        ("${env:HOST}$$", "${env:HOST}$$"),
        ("0123", "0123"),
    ] {
        std::fs::write(&path, held).unwrap();
        assert_eq!(read::<String>(&reference).as_deref(), Some(read_as));
        let within = read::<String>(&format!("'a${{env:HOST}}/{reference}'"));
        assert_eq!(within, Some(format!("aexample.com/{read_as}")));
    }
    assert_eq!(read::<u16>(&reference), Some(123));
    let (node, _) = expanded(&reference);
    assert_eq!(format!("{node:?}"), reference);
    std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
    let (node, diagnostics) = expanded(&reference);
    let message = diagnostics.to_string();
    assert!(message.ends_with("it is larger than 1048576 bytes"));
    assert!(node.is_null());
}

#[test]
fn labels_show_only_the_names_of_references() {
    for (text, shown) in [
        ("/a?b=c", "/a?b=c"),
        ("/a/${env:KEY:-hunter2}/$$?k=${KEY}", "/a/{KEY}/$?k={KEY}"),
        ("/${file:/etc/x/key?}", "/{key?}"),
    ] {
        assert_eq!(without_values(text), shown);
    }
}

#[test]
fn lost_leading_zeros_are_a_warning() {
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
