//! Ingresses: a target for each path of each host.

use k8s_openapi::api::networking::v1::{Ingress, IngressRule, IngressSpec};

use super::{FoundTarget, PlainRecord, Record, Recorded};
use crate::discovery::kubernetes::labels::MetaLabels;

impl Recorded for Ingress {
    fn record(&self) -> Record {
        let (metadata, mut labels) = (&self.metadata, MetaLabels::default());
        labels.set_some("ingress_name", metadata.name.as_ref());
        labels.set_some("namespace", metadata.namespace.as_ref());
        let spec = self.spec.clone().unwrap_or_default();
        labels.set_some("ingress_class_name", spec.ingress_class_name.as_ref());
        labels.set_metadata("ingress", metadata);
        let rules = spec.rules.iter().flatten();
        let targets = rules.flat_map(|rule| targets(rule, &spec));
        Record::Plain(PlainRecord {
            labels,
            targets: targets.collect(),
        })
    }
}

fn targets(rule: &IngressRule, spec: &IngressSpec) -> Vec<FoundTarget> {
    let host = rule.host.as_deref().unwrap_or_default();
    let mut encrypted = spec.tls.iter().flatten();
    let is_encrypted = encrypted.any(|tls| {
        let mut hosts = tls.hosts.iter().flatten();
        hosts.any(|pattern| matches(pattern, host))
    });
    let scheme = if is_encrypted { "https" } else { "http" };
    let paths: Vec<&str> = match &rule.http {
        None => vec!["/"],
        Some(http) => {
            let paths = http.paths.iter();
            let paths = paths.map(|of| of.path.as_deref().unwrap_or_default());
            paths
                .map(|path| if path.is_empty() { "/" } else { path })
                .collect()
        }
    };
    let targets = paths.into_iter().map(|path| {
        let mut labels = MetaLabels::default();
        labels.set("ingress_scheme", scheme);
        labels.set("ingress_host", host);
        labels.set("ingress_path", path);
        FoundTarget {
            address: host.to_owned(),
            labels,
        }
    });
    targets.collect()
}

/// Whether the host is that of the pattern; `*` at its beginning is any one part.
fn matches(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    let rest = pattern.strip_prefix("*.");
    let of_host = host.split_once('.');
    rest.is_some_and(|rest| of_host.is_some_and(|(_, parts)| parts == rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_part_of_a_host() {
        for (pattern, host, expected) in [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "b.a.example.com", false),
            ("*.example.com", "*.example.com", true),
            ("a.example.com", "", false),
        ] {
            assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
        }
    }
}
