//! Tests of labels that the configuration adds to every series.

use std::collections::BTreeMap;

use super::{
    BOTH, Config, export,
    fixture::{exporter_of, gauges, samples, scrape, target},
};
use crate::exporters::prometheus::{ResourceConversion, ResourceLabels};

/// The only series and the `target_info` of a target with the label `region`.
fn shown(config: &Config) -> (String, String) {
    let exporter = exporter_of(config);
    let target = target("n", &[("region", "eu")]);
    let metrics = [gauges("betanet/network", &[("x", "a", 1)])];
    export(&exporter, &target, BOTH, &metrics);
    let text = scrape(&exporter);
    let info = text.lines().find(|line| line.contains("target_info{"));
    let sample = samples(&exporter);
    let sample = sample
        .into_iter()
        .find(|line| !line.contains("target_info{"));
    (sample.unwrap(), info.unwrap().to_owned())
}

#[test]
fn a_namespace_and_constant_labels_are_everywhere() {
    let labels = [("cluster", "a"), ("region", "of the collector")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config {
        namespace: "my-space".to_owned(),
        const_labels: BTreeMap::from(labels),
        ..Config::default()
    };
    let constant = r#"target="n",cluster="a",region="of the collector""#;
    let (sample, info) = shown(&config);
    // A label of the target itself gets another name, as in every conflict.
    let expected = format!(r#"my_space_x{{{constant},exported_region="eu",id="a"}} 1"#);
    assert_eq!(sample, expected);
    let attributes = r#"server_port="9000",service_name="betanet""#;
    assert_eq!(
        info,
        format!("my_space_target_info{{{constant},{attributes}}} 1")
    );
}

#[test]
fn the_scope_becomes_a_label_if_configured() {
    let config = Config {
        without_scope_info: false,
        ..Config::default()
    };
    let (sample, _) = shown(&config);
    let expected = r#"x{target="n",region="eu",otel_scope_name="betanet/network",id="a"} 1"#;
    assert_eq!(sample, expected);
    let (sample, _) = shown(&Config::default());
    assert_eq!(sample, r#"x{target="n",region="eu",id="a"} 1"#);
}

#[test]
fn attributes_of_the_resource_become_labels_if_configured() {
    let conversion = |excludes| ResourceConversion {
        enabled: true,
        exclude_service_attributes: excludes,
    };
    let owned = |patterns: &[&str]| patterns.iter().map(|of| (*of).to_owned()).collect();
    let chosen = |included: &[&str], excluded: &[&str]| ResourceLabels {
        included: owned(included),
        excluded: owned(excluded),
    };
    let none = ResourceConversion::default();
    let (port, service) = (r#",server_port="9000""#, r#",service_name="betanet""#);
    for (resource_to_telemetry_conversion, resource_constant_labels, expected) in [
        (
            conversion(false),
            chosen(&[], &[]),
            format!("{port}{service}"),
        ),
        (conversion(true), chosen(&[], &[]), port.to_owned()),
        (none, chosen(&["service.*"], &[]), service.to_owned()),
        (none, chosen(&[], &["service.*"]), port.to_owned()),
        (none, chosen(&["s*"], &["*.port"]), service.to_owned()),
        // The newer key wins.
        (conversion(false), chosen(&["*.port"], &[]), port.to_owned()),
        (none, chosen(&[], &[]), String::new()),
    ] {
        let (sample, _) = shown(&Config {
            resource_to_telemetry_conversion,
            resource_constant_labels,
            ..Config::default()
        });
        let expected = format!(r#"x{{target="n",region="eu"{expected},id="a"}} 1"#);
        assert_eq!(sample, expected);
    }
}
