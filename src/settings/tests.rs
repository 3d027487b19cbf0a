//! Tests of these types in a configuration.

use super::*;
use crate::yaml::{Diagnostics, decode, parse};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct All {
    id: ComponentId,
    timeout: Duration,
    offset: SignedDuration,
    limit: ByteSize,
    token: Secret,
    headers: Headers,
    listen: Endpoint,
    url: HttpUrl,
    compression: Compression,
}

impl Default for All {
    fn default() -> Self {
        Self {
            id: "nop".parse().unwrap(),
            timeout: Duration::from_secs(90),
            offset: SignedDuration::default(),
            limit: ByteSize::from_mib(4),
            token: Secret::default(),
            headers: Headers::default(),
            listen: "localhost:9200".parse().unwrap(),
            url: "https://example.com/".parse().unwrap(),
            compression: Compression::Gzip,
        }
    }
}

fn read(text: &str) -> Result<All, String> {
    let mut diagnostics = Diagnostics::new();
    let node = parse("f", text, &mut diagnostics).unwrap();
    decode(&node, "", &mut diagnostics).ok_or_else(|| diagnostics.to_string())
}

#[test]
fn error_messages_name_the_place_and_the_problem() {
    for (text, message) in [
        (
            "timeout: 10",
            "1:10: timeout: expected a duration such as 15s, 1m30s, found the integer 10 (write 10s?)",
        ),
        (
            "timeout: '10'",
            "1:10: timeout: expected a duration with its unit, such as 15s, 1m30s, found the string \"10\"",
        ),
        (
            "timeout: 1.5",
            "1:10: timeout: expected a duration such as 15s, 1m30s, found the number 1.5",
        ),
        (
            "timeout: -1s",
            "1:10: timeout: expected a duration that is not negative, found the string \"-1s\"",
        ),
        (
            "limit: 4mb",
            "1:8: limit: expected a number of bytes or a size such as 4MiB, 512KiB, 10MB, \
             found the string \"4mb\"",
        ),
        (
            "listen: ':9200'",
            "1:9: listen: expected a host before the colon: localhost for this machine only, \
             0.0.0.0 for everyone, found the string \":9200\"",
        ),
        (
            "url: https://u:hunter2@a",
            "1:6: url: a user or password must not be part of the URL: use `auth` or `headers`",
        ),
        (
            "id: a/",
            "1:5: id: in \"a/\" id: the part after / should not be empty",
        ),
        (
            "token: [hunter2]",
            "1:8: token: expected a string, found a list",
        ),
        (
            "headers: [{name: a}]",
            "1:11: headers::0: missing key `value`",
        ),
        (
            "headers: a",
            "1:10: headers: expected a map of headers, or a list of {name, value}, found a string",
        ),
        (
            "compression: gzpi",
            "1:14: compression: expected one of `none`, `gzip`, `zstd`, found the string \"gzpi\" \
             (did you mean `gzip`?)",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), format!("f:{message}"), "{text}");
    }
}

#[test]
fn values_print_as_they_were_read() {
    let text = "id: a/b\ntimeout: 0\nlimit: 1048576\ntoken: 0123\nlisten: '[::1]:1'\n\
                headers: [{name: X-Key, value: 0123}]\noffset: -5s\ncompression: zstd\n";
    let all = read(text).unwrap();
    assert_eq!(all.token.expose(), "0123");
    assert_eq!(all.headers.get("x-key").map(Secret::expose), Some("0123"));
    assert_eq!(all.headers, read("headers: {X-Key: 0123}").unwrap().headers);
    assert_eq!(
        serde_json::to_value(&all).unwrap(),
        serde_json::json!({
            "id": "a/b",
            "timeout": "0s",
            "offset": "-5s",
            "limit": "1MiB",
            "token": REDACTED,
            "headers": {"X-Key": REDACTED},
            "listen": "[::1]:1",
            "url": "https://example.com/",
            "compression": "zstd",
        })
    );
    assert!(!format!("{all:?}").contains("0123"));
    assert_eq!(read(""), Ok(All::default()));
}

#[test]
fn the_schema_accepts_what_the_types_accept() {
    let schema = serde_json::to_value(schema_for!(All)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let default = serde_json::to_value(All::default()).unwrap();
    assert!(validator.is_valid(&default));
    assert!(validator.is_valid(&serde_json::json!({"timeout": "${env:TIMEOUT}"})));
    for wrong in [
        serde_json::json!({"timeout": "10"}),
        serde_json::json!({"limit": "4 apples"}),
        serde_json::json!({"listen": ":9200"}),
        serde_json::json!({"url": "example.com"}),
        serde_json::json!({"headers": 5}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}
