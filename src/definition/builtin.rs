//! The definitions that are part of the binary.

/// A definition that is part of the binary.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The name that a configuration uses for it.
    pub name: &'static str,
    /// The text of its file in `pipelines/`.
    pub text: &'static str,
}

macro_rules! builtin {
    ($name:literal) => {
        Builtin {
            name: $name,
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/pipelines/",
                $name,
                ".yaml"
            )),
        }
    };
}

/// All built-in definitions, in the order of their names.
pub const BUILTIN: &[Builtin] = &[
    builtin!("betanet"),
    builtin!("betanet-mixnode"),
    builtin!("betanet-mixnode-full"),
    builtin!("couchdb"),
    builtin!("elasticsearch"),
    builtin!("nats"),
    builtin!("rabbitmq"),
];
