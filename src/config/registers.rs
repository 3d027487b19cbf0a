//! Tests that every registered type is decoded as itself, and that nothing else is decoded.

use crate::{
    exporters, extensions, processors, receivers,
    settings::ComponentType,
    yaml::{self, Cursor, Diagnostics},
};

/// The mistakes in an empty configuration of a type.
fn mistakes<T>(
    kind: &ComponentType,
    decode: fn(&ComponentType, &Cursor<'_>, &mut Diagnostics) -> Option<T>,
) -> String {
    let mut diagnostics = Diagnostics::new();
    let node = yaml::parse("test", "{}", &mut diagnostics).unwrap();
    decode(kind, &Cursor::new(&node, "it"), &mut diagnostics);
    diagnostics.errors().map(ToString::to_string).collect()
}

/// Checks that an unknown type is an error, and that all registered types are known.
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
fn an_unregistered_type_is_an_error_and_no_other_component() {
    is_whole(receivers::KINDS, receivers::Config::decode);
    is_whole(processors::KINDS, processors::Config::decode);
    is_whole(exporters::KINDS, exporters::Config::decode);
    is_whole(extensions::KINDS, extensions::Config::decode);
}
