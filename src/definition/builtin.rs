//! The definitions that are part of the binary.

/// A definition that is part of the binary.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Its name in the configuration.
    pub name: &'static str,
    /// The file in `pipelines/`.
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

/// All of them, by name.
pub const BUILTIN: &[Builtin] = &[
    builtin!("betanet"),
    builtin!("betanet-mixnode"),
    builtin!("betanet-mixnode-full"),
    builtin!("couchdb"),
    builtin!("elasticsearch"),
    builtin!("nats"),
    builtin!("rabbitmq"),
];
