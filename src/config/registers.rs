//! Every kind of a register is read as itself, and nothing else is read at all.

use crate::{
    exporters, extensions, processors, receivers,
    settings::ComponentType,
    yaml::{self, Cursor, Diagnostics},
};

/// What is wrong with an empty configuration of a kind.
fn mistakes<T>(
    kind: &ComponentType,
    decode: fn(&ComponentType, &Cursor<'_>, &mut Diagnostics) -> Option<T>,
) -> String {
    let mut diagnostics = Diagnostics::new();
    let node = yaml::parse("test", "{}", &mut diagnostics).unwrap();
    decode(kind, &Cursor::new(&node, "it"), &mut diagnostics);
    diagnostics.errors().map(ToString::to_string).collect()
}

/// A kind that nobody knows is no other one, and all that are listed are known.
fn is_whole<T>(
    kinds: &[ComponentType],
    decode: fn(&ComponentType, &Cursor<'_>, &mut Diagnostics) -> Option<T>,
) {
    let unread = |kind: &ComponentType| {
        let message = format!("this build has no component of type `{}` here", kind.name);
        mistakes(kind, decode).contains(&message)
    };
    for kind in kinds {
        assert!(!unread(kind), "{} is listed and not read", kind.name);
        let unknown = ComponentType {
            name: "another",
            ..*kind
        };
        assert!(unread(&unknown), "read as {}", kind.name);
    }
}

#[test]
fn a_kind_that_no_register_reads_is_an_error_and_no_other_component() {
    is_whole(receivers::KINDS, receivers::Config::decode);
    is_whole(processors::KINDS, processors::Config::decode);
    is_whole(exporters::KINDS, exporters::Config::decode);
    is_whole(extensions::KINDS, extensions::Config::decode);
}
