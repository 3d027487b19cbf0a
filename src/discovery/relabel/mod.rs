//! Relabelling: rewrites the labels of a target, or drops it, before it is polled.
//!
//! The rules and their order are Prometheus' (3.x, where a label may have any name):
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config>

mod config;
mod re2;
#[cfg(test)]
mod tests;

use md5::{Digest as _, Md5};
use regex::{Captures, Regex};

pub use self::config::{RelabelAction, RelabelConfig};
use super::Labels;

/// One compiled step.
#[derive(Debug)]
pub(super) struct RelabelRule {
    config: RelabelConfig,
    regex: Regex,
}

impl RelabelRule {
    pub(super) fn new(config: &RelabelConfig) -> Result<Self, regex::Error> {
        Ok(Self {
            regex: re2::anchored(&config.regex)?,
            config: config.clone(),
        })
    }

    /// The rule as it is configured.
    pub(super) fn config(&self) -> &RelabelConfig {
        &self.config
    }

    /// Rewrites `labels`; false if the target is to be dropped.
    pub(super) fn apply(&self, labels: &mut Labels) -> bool {
        let is_match = |text: &str| self.regex.is_match(text);
        let target = &self.config.target_label;
        match self.config.action {
            RelabelAction::Keep => return is_match(&self.joined(labels)),
            RelabelAction::Drop => return !is_match(&self.joined(labels)),
            RelabelAction::KeepEqual => return get(labels, target) == self.joined(labels),
            RelabelAction::DropEqual => return get(labels, target) != self.joined(labels),
            RelabelAction::Replace => self.replace(labels),
            RelabelAction::HashMod => {
                let rest = low_half_of_md5(&self.joined(labels)) % self.config.modulus.max(1);
                set(labels, target, rest.to_string());
            }
            RelabelAction::Lowercase => set(labels, target, self.joined(labels).to_lowercase()),
            RelabelAction::Uppercase => set(labels, target, self.joined(labels).to_uppercase()),
            RelabelAction::LabelMap => {
                for (name, value) in labels.clone() {
                    if let Some(groups) = self.regex.captures(&name) {
                        let name = expand(&groups, &self.config.replacement);
                        set(labels, &name, value);
                    }
                }
            }
            RelabelAction::LabelDrop => labels.retain(|name, _| !is_match(name)),
            RelabelAction::LabelKeep => labels.retain(|name, _| is_match(name)),
        }
        true
    }

    fn replace(&self, labels: &mut Labels) {
        let joined = self.joined(labels);
        if let Some(groups) = self.regex.captures(&joined) {
            let target = expand(&groups, &self.config.target_label);
            let value = expand(&groups, &self.config.replacement);
            set(labels, &target, value);
        }
    }

    fn joined(&self, labels: &Labels) -> String {
        let values = self.config.source_labels.iter();
        let values: Vec<&str> = values.map(|name| get(labels, name)).collect();
        values.join(&self.config.separator)
    }
}

/// The last eight bytes of the MD5 of `text`, the highest first: what Prometheus shards by.
pub(super) fn low_half_of_md5(text: &str) -> u64 {
    let hash: [u8; 16] = Md5::digest(text).into();
    let [_, _, _, _, _, _, _, _, low @ ..] = hash;
    u64::from_be_bytes(low)
}

/// Replaces `$1`, `${1}` and `${name}` in `template` by what the groups matched.
fn expand(groups: &Captures<'_>, template: &str) -> String {
    let mut expanded = String::new();
    groups.expand(template, &mut expanded);
    expanded
}

fn get<'l>(labels: &'l Labels, name: &str) -> &'l str {
    labels.get(name).map_or("", String::as_str)
}

/// An empty label is an absent one.
fn set(labels: &mut Labels, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else if !name.is_empty() {
        labels.insert(name.to_owned(), value);
    }
}
