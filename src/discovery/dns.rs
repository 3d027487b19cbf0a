//! `dns_sd_configs`: the records of names, looked up again and again.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use futures_util::future::join_all;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::NetError,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData, RecordType},
};

use super::{
    Labels,
    config::{Check, DnsSdConfig, RecordKind, check_interval},
    group::{Group, Parsed},
    source::{Provider, RefreshError, SourcePart},
};
use crate::{
    settings::Endpoint,
    yaml::{Cursor, Diagnostics},
};

/// Label: the name that was looked up.
const NAME: &str = "__meta_dns_name";
/// Label: the host that an `SRV` record names, as it stands there.
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
/// Label: the port that an `SRV` record names.
const SRV_PORT: &str = "__meta_dns_srv_record_port";

/// One `dns_sd_configs` entry.
pub(super) struct DnsSd {
    config: DnsSdConfig,
    resolver: TokioResolver,
}

impl Check for DnsSdConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        check_interval(self.refresh_interval, at, diagnostics);
        if self.names.is_empty() {
            at.error(&["names"], "must have at least one name", diagnostics);
        }
        for (position, name) in self.names.iter().enumerate() {
            if name.parse::<Name>().is_err() {
                at.error(
                    &["names", &position.to_string()],
                    "is no DNS name",
                    diagnostics,
                );
            }
        }
        for (position, server) in self.nameservers.iter().enumerate() {
            if nameserver(server).is_none() {
                let message = "expected an IP address with its port, such as 127.0.0.1:8600";
                at.error(
                    &["nameservers", &position.to_string()],
                    message,
                    diagnostics,
                );
            }
        }
        if self.r#type != RecordKind::Srv && self.port.is_none_or(|port| port == 0) {
            let message = "is required for all types of record but `SRV`";
            at.error(&["port"], message, diagnostics);
        }
    }
}

impl DnsSd {
    /// Within a tokio runtime.
    pub(super) fn new(config: &DnsSdConfig) -> Result<Self, NetError> {
        let mut builder = match config.nameservers.as_slice() {
            [] => TokioResolver::builder_tokio()?,
            servers => {
                let servers = servers.iter().filter_map(nameserver).collect();
                let servers = ResolverConfig::from_name_servers(servers);
                TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
            }
        };
        builder.options_mut().timeout = config.refresh_interval.get() / 4;
        Ok(Self {
            config: config.clone(),
            resolver: builder.build()?,
        })
    }

    async fn look_up(&self, name: &str) -> SourcePart {
        let kind = match self.config.r#type {
            RecordKind::Srv => RecordType::SRV,
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
        };
        let result = match self.resolver.lookup(name, kind).await {
            Ok(found) => {
                let records = found.answers().iter().map(|record| &record.data);
                let groups = records.filter_map(|data| self.group(name, data));
                let mut parsed = Parsed {
                    groups: groups.collect(),
                    ..Parsed::default()
                };
                parsed.sort();
                Ok(parsed)
            }
            // That there is no such name is an answer: a service without instances has none.
            Err(error) if error.is_no_records_found() => Ok(Parsed::default()),
            Err(error) => Err(RefreshError::Lookup(Box::new(error))),
        };
        SourcePart {
            key: name.to_owned(),
            result,
        }
    }

    /// The target that a record names. `CNAME` records on the way name none.
    fn group(&self, name: &str, record: &RData) -> Option<Group> {
        let port = self.config.port.unwrap_or_default();
        let mut labels = Labels::from([(NAME.to_owned(), name.to_owned())]);
        let address = match record {
            RData::A(address) => SocketAddr::new(IpAddr::V4(address.0), port).to_string(),
            RData::AAAA(address) => SocketAddr::new(IpAddr::V6(address.0), port).to_string(),
            RData::SRV(srv) => {
                let target = srv.target.to_utf8();
                let address = format!("{}:{}", target.trim_end_matches('.'), srv.port);
                labels.insert(SRV_TARGET.to_owned(), target);
                labels.insert(SRV_PORT.to_owned(), srv.port.to_string());
                address
            }
            _ => return None,
        };
        Some(Group::new(vec![address.into_boxed_str()], labels))
    }
}

#[async_trait]
impl Provider for DnsSd {
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError> {
        // `refresh_interval` says how old an answer may be, as in Prometheus; not its TTL.
        self.resolver.clear_cache();
        let lookups = self.config.names.iter().map(|name| self.look_up(name));
        Ok(join_all(lookups).await)
    }
}

/// The server at an IP address and port.
fn nameserver(address: &Endpoint) -> Option<NameServerConfig> {
    let host = address.host().parse().ok()?;
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    Some(NameServerConfig::new(host, true, connections.into()))
}
