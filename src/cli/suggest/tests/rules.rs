//! What the rules make of names and of several documents.

use serde_json::json;

use super::{Selection, endpoints, metrics, observation, selected, suggestion};

#[test]
fn what_an_instance_lacks_is_optional() {
    let with = |n: u64| json!({"clients": 3, "cluster": {"routes": n}, "mode": "leader"});
    let without = json!({"clients": 3, "cluster": {}, "mode": "single"});
    let mut observed = observation("/stats", with(2), with(1));
    observed.documents.push([without.clone(), without]);
    let text = suggestion("x", &[observed]);
    for part in [
        "# it stayed in all of 2\n  - { name: x.clients, instrument: updowncounter, unit: \"{client}\", value: $.clients }\n",
        "# it fell from 2 to 1; not always there\n  - { name: x.cluster.routes, instrument: updowncounter, unit: \"{route}\", value: $.cluster.routes, optional: true }\n",
        "states: [leader, single], value: $.mode }\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_says_how_a_program_is_set_up_is_left_out() {
    let document = |now: u64, used: u64| {
        json!({
            "now": now, "port": 80, "ping_interval": 5, "max_payload": 100, "drain_timeout": "5s", "keepalive_enabled": true,
            "config": {"workers": 4}, "memory_max": i64::MAX,
            "max_connections": 100, "connections": 5, "pool_used": used, "pool_limit": 7, "queue_timeout": used,
            "RequestsTotal": 7, "RequestAverage5s": 1,
        })
    };
    let text = metrics(document(1_782_900_000, 3), document(1_782_900_010, 4));
    for part in [
        "#   $.now: the time of the answer\n",
        "#   $.port: a number that names something\n",
        "#   $.ping_interval: `interval` calls a setting, and it stayed\n",
        "#   $.drain_timeout: `timeout` calls a setting, and it stayed\n",
        "#   $.keepalive_enabled: `enabled` calls a setting, and it stayed\n",
        "#   $.max_payload: it bounds nothing that is here, and stayed\n",
        "#   $.config: settings\n",
        "#   $.memory_max: it means that there is no limit\n",
        "#   $.RequestAverage5s: the total beside it says it\n",
        "  - { name: api.connections.limit, instrument: updowncounter, unit: \"{connection}\", value: $.max_connections }\n",
        "value: $.pool_limit }\n",
        "value: $.queue_timeout }\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn values_that_differ_in_a_known_word_are_one_metric() {
    let document = |n: u64| {
        json!({
            "in_msgs": n, "out_msgs": 0, "rx_bytes": n, "tx_bytes": 4, "cache": {"hits": n, "misses": 0},
            "udp-errors": 0, "tcp-errors": 0, "cpu_user_ms": n, "cpu_sys_ms": 1, "busyWorkers": 1, "idleWorkers": 3,
            "disk_read_ms": 4, "disk_write_ms": 9 - n, "read_requests": 1, "write_requests": 1, "read": 4, "in_flight": 1, "user": 3, "sys": 3,
        })
    };
    let text = metrics(document(1), document(2));
    for part in [
        r#"  - name: api.messages
    instrument: counter
    unit: "{message}"
    metrics:
      # it grew from 1 to 2
      - { value: $.in_msgs, attributes: { network.io.direction: receive } }
"#,
        "  - name: api.io\n    instrument: counter\n    unit: By\n",
        "  - name: api.cache.lookups\n    instrument: counter\n    unit: \"{lookup}\"\n",
        "  - name: api.errors\n    instrument: counter\n    unit: \"{error}\"\n",
        "  - name: api.cpu.time\n    instrument: counter\n    unit: s\n    scale: 0.001\n",
        "  - name: api.workers\n    instrument: updowncounter\n    unit: \"{worker}\"\n",
        "  - name: api.disk\n    instrument: gauge\n    unit: s\n    scale: 0.001\n",
        "{ name: api.read_requests, instrument: counter",
        "{ value: $.disk_write_ms, attributes: { disk.io.direction: write } }\n",
        "value: $.in_flight }\n",
        "value: $.read }\n",
        "value: $.user }\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn only_what_is_wanted_is_suggested() {
    let document = json!({"startedAt": "2026-01-01T00:00:00Z", "a": {"x": 1, "y": 2}, "b": 3, "note": "hello", "build": "1.2"});
    let observed = [observation("/stats", document.clone(), document)];
    let of = |only: &[&str], without: &[&str]| {
        let owned = |all: &[&str]| all.iter().map(|of| (*of).to_owned()).collect();
        let selection = Selection {
            only: owned(only),
            without: owned(without),
        };
        let text = selected("x", &observed, &selection);
        assert!(text.contains("start_time: { path: $.startedAt"), "{text}");
        let lines = text.lines().filter(|line| line.contains("name: x."));
        lines
            .map(|line| line.split([' ', ',']).nth(5).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[], &[]), ["x.a.x", "x.a.y", "x.b", "x.info"]);
    assert_eq!(of(&["a.*"], &[]), ["x.a.x", "x.a.y"]);
    assert_eq!(of(&["a.*", "b"], &["y"]), ["x.a.x", "x.b"]);
    let text = selected(
        "x",
        &observed,
        &Selection {
            only: vec!["b".to_owned()],
            without: Vec::new(),
        },
    );
    assert!(!text.contains("hello"), "{text}");
}

#[test]
fn an_envelope_names_nothing() {
    let document = json!({"status": "success", "took": "3ms", "data": {"headStats": {"numSeries": 4, "chunkCount": 5}, "goVersion": "1.2"}});
    let text = metrics(document.clone(), document);
    for part in [
        "name: api.head.series, instrument: updowncounter, unit: \"{series}\", value: $.data.headStats.numSeries }",
        "name: api.head.chunks, instrument: updowncounter, unit: \"{chunk}\", value: $.data.headStats.chunkCount }",
        "attributes: { go_version: $.data.goVersion } }",
        "#   $.status: it says how the request went\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn objects_of_one_value_are_called_as_they_are() {
    let document = |hits: u64| {
        json!({
            "auth": {"cache_hits": {"value": hits, "type": "counter", "desc": "number of hits"}, "cache_misses": {"value": 2, "desc": "x"}},
            "open_files": {"value": 6, "desc": "number of open files"},
            "status_codes": {"200": {"value": hits, "desc": "a"}, "404": {"value": 0, "desc": "b"}},
            "-": 3,
        })
    };
    let text = metrics(document(1), document(2));
    for part in [
        "  - name: api.auth.cache.lookups\n",
        "{ value: $.auth.cache_hits.value, attributes: { result: hit } }\n",
        "value: $.open_files.value, description: \"Number of open files.\" }\n",
        "for_each: $.status_codes, value: $.value, attributes: { http.response.status_code: \"@key\" } }\n",
        "#   $['-']: a name without letters\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn names_that_begin_with_a_kind_are_elements() {
    let document = json!({
        "httpd:0.0.0.0:80": {"req": 5}, "httpd:[::1]:80": {"req": 1},
        "database:x": {"numSeries": 3}, "runtime": {"latency_count": 4, "latency_sum": 20, "sockets_total": 9, "sockets_used": 2},
    });
    let text = metrics(document.clone(), document);
    for part in [
        r#"{ name: api.httpd.requests, instrument: counter, unit: "{request}", for_each: { path: $, keys: "^httpd:(?P<name>.+)$" }, value: $.req, attributes: { httpd: "@key.name" } }"#,
        r#"for_each: { path: $, keys: "^database:(?P<name>.+)$" }, value: $.numSeries, attributes: { database: "@key.name" } }"#,
        "{ name: api.runtime.latency_count, instrument: counter, value: $.runtime.latency_count }",
        "{ name: api.runtime.latency_sum, instrument: counter, value: $.runtime.latency_sum }",
        "{ name: api.runtime.sockets_total, instrument: updowncounter, unit: \"{socket}\", value: $.runtime.sockets_total }",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn endpoints_are_called_by_what_their_paths_say() {
    for (path, name) in [
        ("/api/v2/transfer/info", "transfer"),
        ("/api/v1/servers/localhost", "servers"),
        ("/stats;csv", "stats"),
        ("/computer/api/json?depth=1", "computer"),
        ("/api/v1", "v1"),
        ("/", "root"),
    ] {
        assert_eq!(endpoints(&[path.to_owned()], None)[0].name, name, "{path}");
    }
}

#[test]
fn an_uptime_is_in_the_unit_in_which_it_grows() {
    let document = |up: u64| json!({"uptime": up, "sent": 1});
    let text = suggestion("x", &[observation("/", document(5_000), document(15_000))]);
    assert!(
        text.contains("\nuptime: { path: $.uptime, scale: 0.001 }\n"),
        "{text}"
    );
    let text = suggestion("x", &[observation("/", document(50), document(60))]);
    assert!(text.contains("\nuptime: { path: $.uptime }\n"), "{text}");
    let text = suggestion("x", &[observation("/", document(50), document(55_000_000))]);
    assert!(
        text.contains("name: x.uptime, instrument: gauge, unit: s, value: $.uptime }"),
        "{text}"
    );
}
