//! Where polls come from: the register of receivers.

pub mod http_json;

use schemars::SchemaGenerator;
use serde::Serialize;

use crate::{
    client,
    settings::ComponentType,
    yaml::{Cursor, Diagnostics, Foreign, ForeignKey},
};

/// All kinds of receivers.
pub const KINDS: &[ComponentType] = &[
    ComponentType {
        name: "betanet",
        aliases: &[],
        about: "Polls Betanet nodes: `http_json` with the definitions of both dialects.",
        schema: SchemaGenerator::subschema_for::<http_json::Config>,
        foreign: &FOREIGN,
    },
    ComponentType {
        name: "http_json",
        aliases: &[],
        about: "Polls any JSON API over HTTP, as a definition in `pipelines/` says.",
        schema: SchemaGenerator::subschema_for::<http_json::Config>,
        foreign: &FOREIGN,
    },
];

/// Keys that only the Collector's clients have, and one that was removed.
const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["hedge"],
        "hedging was removed; with a shorter `timeout`, a poll tries another instance sooner",
    )],
    below: &[
        ("tls", &client::TLS_FOREIGN),
        ("auth", &client::AUTH_FOREIGN),
    ],
    ..Foreign::NONE
};

/// What the configuration says of one receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// Polls HTTP APIs.
    HttpJson(http_json::Config),
}

impl Config {
    /// Reads and checks the configuration of a receiver of kind `kind`.
    pub fn decode(
        kind: &ComponentType,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let is_preset = match kind.name {
            "betanet" => true,
            "http_json" => false,
            _ => return kind.not_read(at, diagnostics),
        };
        let mut config: http_json::Config = kind.decode(at, diagnostics)?;
        if is_preset && config.definition.is_empty() {
            config.definition = vec!["betanet".to_owned(), "betanet-mixnode".to_owned()];
        }
        config.check(at, diagnostics);
        Some(Self::HttpJson(config))
    }
}
