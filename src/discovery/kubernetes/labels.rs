//! The names of labels, and those that all kinds of object have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::discovery::Labels;

/// What all names begin with.
const PREFIX: &str = "__meta_kubernetes_";

/// Labels of one target or one object. An empty value is no label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MetaLabels(pub(super) Labels);

impl MetaLabels {
    /// Sets `__meta_kubernetes_NAME`.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(format!("{PREFIX}{name}"), value);
        }
    }

    /// Sets `__meta_kubernetes_NAME`, if there is a value.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, value.to_string());
        }
    }

    /// Sets the labels and annotations of an object of this kind, and that they are there.
    pub(super) fn set_metadata(&mut self, kind: &str, metadata: &ObjectMeta) {
        for (key, value) in metadata.labels.iter().flatten() {
            self.set_pair(&format!("{kind}_label"), key, value);
        }
        for (key, value) in metadata.annotations.iter().flatten() {
            self.set_pair(&format!("{kind}_annotation"), key, value);
        }
    }

    /// Sets `PREFIX_KEY` to the value and `PREFIXpresent_KEY` to `true`.
    fn set_pair(&mut self, prefix: &str, key: &str, value: &str) {
        let key = sanitized(key);
        self.set(&format!("{prefix}_{key}"), value);
        self.set(&format!("{prefix}present_{key}"), "true");
    }

    /// Adds the labels of `other`, which go before those that are there.
    pub(super) fn extend(&mut self, other: &Self) {
        let pairs = other.0.iter();
        self.0
            .extend(pairs.map(|(name, value)| (name.clone(), value.clone())));
    }

    /// What a Node gives to the targets on it: its name and its labels, not its annotations.
    pub(super) fn of_node(&self) -> Self {
        let is_given = |name: &str| {
            let name = name.strip_prefix(PREFIX).unwrap_or_default();
            name == "node_name" || name.starts_with("node_label")
        };
        let pairs = self.0.iter().filter(|(name, _)| is_given(name));
        Self(pairs.map(|(n, v)| (n.clone(), v.clone())).collect())
    }

    /// How much memory it takes, roughly.
    pub(super) fn size_bytes(&self) -> usize {
        let of_pair = |(name, value): (&String, &String)| name.len() + value.len() + 64;
        self.0.iter().map(of_pair).sum()
    }
}

/// The name with an underscore in place of each character that Prometheus' label names do not have.
pub(super) fn sanitized(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let letters = name.chars();
    letters
        .map(|letter| if allowed(letter) { letter } else { '_' })
        .collect()
}

/// `host:port`; an IPv6 address in brackets.
pub(super) fn host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
