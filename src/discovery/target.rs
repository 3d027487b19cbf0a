//! From the labels of a target to what is polled.

use std::{collections::BTreeMap, sync::Arc};

use super::Labels;
use crate::settings::TargetUrl;

/// Label: `host:port` of a target.
pub(super) const ADDRESS: &str = "__address__";
/// Label: `http` or `https`.
pub(super) const SCHEME: &str = "__scheme__";
/// Label: what stands between the address and the paths of the definition.
pub(super) const METRICS_PATH: &str = "__metrics_path__";
/// Label: the pool of which the address is an instance.
pub(super) const POOL: &str = "__pool__";
/// Label: what a target is called, if there is no `target`.
const INSTANCE: &str = "instance";
/// Label: what a target is called. It is also the label that the collector sets.
const TARGET: &str = "target";

/// The most labels of a target, and the longest of their names and values in bytes.
const LABELS_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 4096;

/// A target that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredTarget {
    /// What it is called: its label `__pool__`, `target` or `instance`, or else its address.
    pub name: String,
    /// `__scheme__`, `__address__` and `__metrics_path__`.
    pub located: Address,
    /// Its other labels but for those that begin with `__`.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// It is one instance.
    Single(TargetUrl),
    /// Any of these instances answers for it: they have the same `__pool__`. At least one, in a
    /// lasting order.
    Replicas(Vec<TargetUrl>),
}

/// Why labels make no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LabelError {
    #[error("no `__address__`")]
    NoAddress,
    #[error("`__address__` is neither a host and port nor a socket such as unix:///run/api.sock")]
    Address,
    #[error("`__scheme__` is neither http nor https")]
    Scheme,
    #[error("`__scheme__` is http where `scheme` is https")]
    Downgrade,
    #[error("`__metrics_path__` is no path that begins with `/`")]
    Path,
    #[error("`__metrics_path__` of a Unix socket: the paths of the definition are all there is")]
    SocketPath,
    #[error("more than {LABELS_MAX} labels")]
    TooMany,
    #[error("a label of more than {LABEL_BYTES_MAX} bytes")]
    TooLong,
}

impl Address {
    /// Whether it is a pool.
    pub(super) fn is_pool(&self) -> bool {
        matches!(self, Self::Replicas(_))
    }

    /// Where all of it is.
    pub(super) fn into_urls(self) -> impl Iterator<Item = TargetUrl> {
        let (one, several) = match self {
            Self::Single(url) => (Some(url), Vec::new()),
            Self::Replicas(urls) => (None, urls),
        };
        one.into_iter().chain(several)
    }
}

/// What decides which collector polls the target with these labels, so that the instances of a
/// pool stay together.
pub(super) fn shard_key(labels: &Labels) -> &str {
    let of = |name| labels.get(name).filter(|value: &&String| !value.is_empty());
    of(POOL).or_else(|| of(ADDRESS)).map_or("", String::as_str)
}

impl DiscoveredTarget {
    /// The target with these labels, after relabelling. An instance of a pool is a pool of one.
    pub(super) fn new(mut labels: Labels) -> Result<Self, LabelError> {
        let address = labels.remove(ADDRESS).ok_or(LabelError::NoAddress)?;
        let scheme = labels.remove(SCHEME).unwrap_or_default();
        let path = labels.remove(METRICS_PATH).unwrap_or_default();
        if !["http", "https"].contains(&scheme.as_str()) {
            return Err(LabelError::Scheme);
        }
        if address.starts_with("unix://") {
            let socket = address
                .parse::<TargetUrl>()
                .map_err(|_| LabelError::Address)?;
            if !["", "/"].contains(&path.as_str()) {
                return Err(LabelError::SocketPath);
            }
            return Self::at(socket.address(), socket, labels);
        }
        // What could end the host, or name a user and a password.
        if address.contains(['/', '\\', '@', '?', '#']) || address.contains(char::is_whitespace) {
            return Err(LabelError::Address);
        }
        let is_path = path.is_empty() || path.starts_with('/');
        if !is_path || path.contains(['?', '#']) {
            return Err(LabelError::Path);
        }
        let endpoint = format!("{scheme}://{address}{path}");
        let endpoint: TargetUrl = endpoint.parse().map_err(|_| LabelError::Address)?;
        Self::at(address, endpoint, labels)
    }

    /// The target at an address, with the labels that do not say where it is.
    fn at(address: String, endpoint: TargetUrl, mut labels: Labels) -> Result<Self, LabelError> {
        let pool = labels.remove(POOL).filter(|name| !name.is_empty());
        labels.retain(|name, _| !name.starts_with("__"));
        let mut named = |name| labels.remove(name).filter(|name| !name.is_empty());
        let (name, located) = match pool {
            Some(pool) => {
                // What one of them is called is not said of all of them.
                let _ = (named(TARGET), named(INSTANCE));
                (pool, Address::Replicas(vec![endpoint]))
            }
            None => {
                let name = named(TARGET).or_else(|| named(INSTANCE));
                (name.unwrap_or(address), Address::Single(endpoint))
            }
        };
        if labels.len() > LABELS_MAX {
            return Err(LabelError::TooMany);
        }
        let texts = labels.iter().flat_map(|(name, value)| [name, value]);
        if texts
            .chain([&name])
            .any(|text| text.len() > LABEL_BYTES_MAX)
        {
            return Err(LabelError::TooLong);
        }
        // A map that was emptied keeps the memory of what it had.
        let labels = match labels.is_empty() {
            true => BTreeMap::new(),
            false => labels,
        };
        Ok(Self {
            name,
            located,
            labels: Arc::new(labels),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(labels: &[(&str, &str)]) -> Result<DiscoveredTarget, LabelError> {
        let default = [(SCHEME, "http"), (ADDRESS, "node:8080")];
        let labels = default.iter().chain(labels);
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        DiscoveredTarget::new(labels.collect())
    }

    #[test]
    fn the_url_is_made_of_scheme_address_and_path() {
        for (labels, url) in [
            (&[][..], "http://node:8080/"),
            (&[(SCHEME, "https"), (ADDRESS, "node")], "https://node/"),
            (&[(METRICS_PATH, "/api")], "http://node:8080/api"),
            (&[(METRICS_PATH, "")], "http://node:8080/"),
            (&[(ADDRESS, "[::1]:9000")], "http://[::1]:9000/"),
            (&[(ADDRESS, "unix:///run/a.sock")], "unix:///run/a.sock"),
        ] {
            let located = target(labels).unwrap().located;
            assert_eq!(located, Address::Single(url.parse().unwrap()));
        }
    }

    #[test]
    fn the_name_is_a_label_or_the_address() {
        for (labels, name, left) in [
            (&[][..], "node:8080", &[][..]),
            (&[("instance", "n1"), ("env", "x")], "n1", &["env"]),
            (&[("instance", "n1"), ("target", "t1")], "t1", &["instance"]),
            (&[("instance", ""), ("__meta_x", "y")], "node:8080", &[]),
            (&[(POOL, ""), ("target", "t1")], "t1", &[]),
            (&[(ADDRESS, "unix:///run/a.sock")], "/run/a.sock", &[]),
            (
                &[
                    (POOL, "p"),
                    ("target", "t1"),
                    ("instance", "n1"),
                    ("a", "b"),
                ],
                "p",
                &["a"],
            ),
        ] {
            let target = target(labels).unwrap();
            assert_eq!(target.name, name);
            assert_eq!(target.labels.keys().collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn nothing_but_an_address_passes_for_one() {
        for address in [
            "",
            "user:secret@node",
            "node/path",
            "node?q",
            "node#f",
            "no de",
            "node:port",
            "node:70000",
            "::1:80",
            r"node\@other",
            "http://node",
            "unix://run/a.sock",
            "unix:///run/a b/",
        ] {
            let error = target(&[(ADDRESS, address)]).unwrap_err();
            assert_eq!(error, LabelError::Address, "{address}");
        }
        let nothing = DiscoveredTarget::new(Labels::new()).unwrap_err();
        assert_eq!(nothing, LabelError::NoAddress);
        for scheme in ["", "ftp", "HTTP", "http://evil/"] {
            assert_eq!(target(&[(SCHEME, scheme)]), Err(LabelError::Scheme));
        }
        for path in ["api", "/api?key=1", "/#"] {
            assert_eq!(target(&[(METRICS_PATH, path)]), Err(LabelError::Path));
        }
    }

    #[test]
    fn labels_are_bounded() {
        let long = "x".repeat(LABEL_BYTES_MAX + 1);
        assert_eq!(target(&[("a", &long)]), Err(LabelError::TooLong));
        assert_eq!(target(&[("target", &long)]), Err(LabelError::TooLong));
        assert_eq!(target(&[(POOL, &long)]), Err(LabelError::TooLong));
        let names: Vec<String> = (0..=LABELS_MAX).map(|n| format!("l{n}")).collect();
        let labels: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(target(&labels), Err(LabelError::TooMany));
    }
}
