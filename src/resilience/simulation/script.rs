//! Outages that the user describes.
//! ```yaml
//! - fault: hang
//!   at: 60s
//!   for: 4m
//! - { fault: status, code: 500, endpoint: metrics }
//! - { fault: slow, latency: 2s }
//! ```

use serde::Deserialize;

use super::{Incident, SimulatedFault, SimulationSettings};
use crate::{
    definition::EndpointId,
    settings::Duration,
    yaml::{self, Cursor, Diagnostics, list},
};

/// One outage of the script. Each is simulated separately.
#[derive(Debug, Clone, Deserialize)]
struct ScriptEntry {
    fault: OutageKind,
    /// The start, after the first poll. Default: a random time.
    #[serde(default)]
    at: Option<Duration>,
    /// The length. Default: 240 to 300 s, and 10 s for a restart.
    #[serde(default, rename = "for")]
    length: Option<Duration>,
    /// The only affected endpoint, by its name in the definition.
    #[serde(default)]
    endpoint: Option<String>,
    /// The HTTP status, for `status`.
    #[serde(default)]
    code: Option<u16>,
    /// The response time, for `slow`.
    #[serde(default)]
    latency: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutageKind {
    Hang,
    Refuse,
    Status,
    Flap,
    Slow,
    Restart,
}

/// Reads a script. `source` is its name in messages.
///
/// # Errors
/// All mistakes at once, each with its place. An endpoint that the definition does not have is a
/// mistake.
pub fn incidents(
    source: &str,
    text: &str,
    settings: &SimulationSettings,
) -> Result<Vec<Incident>, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let Some(node) = yaml::parse(source, text, &mut diagnostics) else {
        return Err(diagnostics);
    };
    let root = Cursor::new(&node, "");
    let entries = yaml::decode::<Vec<ScriptEntry>>(&node, "", &mut diagnostics).unwrap_or_default();
    if entries.is_empty() && diagnostics.is_empty() {
        root.error(&[], "expected at least one outage", &mut diagnostics);
    }
    let incidents = root
        .children()
        .zip(&entries)
        .filter_map(|(at, entry)| entry.incident(&at, settings, &mut diagnostics))
        .collect();
    diagnostics.into_result().map(|()| incidents)
}

impl ScriptEntry {
    fn incident(
        &self,
        at: &Cursor<'_>,
        settings: &SimulationSettings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Incident> {
        let endpoint = match &self.endpoint {
            Some(name) => Some(position(name, at, settings, diagnostics)?),
            None => None,
        };
        let length = match self.fault {
            OutageKind::Restart => self.length.or(Some(Duration::from_secs(10))),
            _ => self.length,
        };
        Some(Incident {
            fault: self.fault(at, diagnostics)?,
            name: self.name(),
            endpoint,
            at: self.at.map(Duration::get),
            length: length.map(Duration::get),
        })
    }

    fn fault(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) -> Option<SimulatedFault> {
        for (key, given, of) in [
            ("code", self.code.is_some(), OutageKind::Status),
            ("latency", self.latency.is_some(), OutageKind::Slow),
        ] {
            let message = match (given, self.fault == of) {
                (true, false) => format!("`{key}` does not belong to this fault"),
                (false, true) => format!("missing key `{key}`"),
                (true, true) | (false, false) => continue,
            };
            at.error(&["fault"], message, diagnostics);
            return None;
        }
        if self.code.is_some_and(|code| !(300..600).contains(&code)) {
            let message = "expected a status from 300 to 599";
            at.error(&["code"], message, diagnostics);
            return None;
        }
        Some(match self.fault {
            OutageKind::Hang => SimulatedFault::Hang,
            OutageKind::Refuse => SimulatedFault::Refuse,
            OutageKind::Status => SimulatedFault::Status(self.code?),
            OutageKind::Flap => SimulatedFault::Flap,
            OutageKind::Slow => SimulatedFault::Slow(self.latency?.get()),
            OutageKind::Restart => SimulatedFault::Restart,
        })
    }

    /// The entry in a few words: `status 500 of metrics at 1m for 4m`.
    fn name(&self) -> String {
        let mut words = vec![format!("{:?}", self.fault).to_lowercase()];
        words.extend(self.code.map(|code| code.to_string()));
        words.extend(self.latency.map(|latency| latency.to_string()));
        words.extend(self.endpoint.as_ref().map(|name| format!("of {name}")));
        words.extend(self.at.map(|at| format!("at {at}")));
        words.extend(self.length.map(|length| format!("for {length}")));
        words.join(" ")
    }
}

fn position(
    name: &str,
    at: &Cursor<'_>,
    settings: &SimulationSettings,
    diagnostics: &mut Diagnostics,
) -> Option<usize> {
    let found = settings
        .endpoints
        .iter()
        .position(|known| known.as_str() == name);
    if found.is_none() {
        let known: Vec<&str> = settings.endpoints.iter().map(EndpointId::as_str).collect();
        let message = format!(
            "is not an endpoint of the definition; it has: {}",
            list(&known)
        );
        at.error(&["endpoint"], message, diagnostics);
    }
    found
}
