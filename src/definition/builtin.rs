//! The definitions that are part of the binary.

/// A definition that is part of the binary.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The name that a configuration uses for it.
    pub name: &'static str,
    /// The text of its file in `pipelines/`.
    pub text: &'static str,
    /// The text of its tests beside it, whose bodies a demo serves.
    pub test: &'static str,
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
            test: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/pipelines/",
                $name,
                ".test.yaml"
            )),
        }
    };
}

/// All built-in definitions, in the order of their names.
pub const BUILTIN: &[Builtin] = &[
    builtin!("adguard-home"),
    builtin!("apache"),
    builtin!("aria2"),
    builtin!("betanet"),
    builtin!("betanet-mixnode"),
    builtin!("betanet-mixnode-full"),
    builtin!("caddy"),
    builtin!("couchdb"),
    builtin!("dnsdist"),
    builtin!("elasticsearch"),
    builtin!("etcd"),
    builtin!("haproxy"),
    builtin!("influxdb"),
    builtin!("jenkins"),
    builtin!("kafka-connect"),
    builtin!("lighttpd"),
    builtin!("nats"),
    builtin!("nextcloud"),
    builtin!("nginx"),
    builtin!("php-fpm"),
    builtin!("podman"),
    builtin!("powerdns"),
    builtin!("prometheus-tsdb"),
    builtin!("proxmox"),
    builtin!("qbittorrent"),
    builtin!("rabbitmq"),
    builtin!("spark"),
    builtin!("spring-boot"),
    builtin!("traefik"),
    builtin!("transmission"),
    builtin!("vault"),
];
