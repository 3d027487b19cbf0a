//! Tests of when values appear and disappear, with a paused clock.

use std::time::Duration;

use tokio::time::advance;

use super::fixture::{MAX_STALE, export, exporter, gauges, samples, scrape, show, target};
use crate::pipeline::Exporter as _;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_element_that_disappeared_is_gone_at_once() {
    let (exporter, target) = (exporter(), target("n", &[]));
    let before = gauges(
        "betanet/mixnodes",
        &[("x", "a", 1), ("x", "b", 2), ("y", "a", 3)],
    );
    export(&exporter, &target, [true, true], &[before]);
    let after = gauges("betanet/mixnodes", &[("x", "b", 4)]);
    export(&exporter, &target, [false, true], &[after]);
    assert_eq!(samples(&exporter), ["x{target=\"n\",id=\"b\"} 4"]);
    export(&exporter, &target, [false, true], &[]);
    assert!(samples(&exporter).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_a_body_keeps_its_values_for_max_stale() {
    let (exporter, target) = (exporter(), target("n", &[]));
    let parts = [
        gauges("betanet/network", &[("x", "a", 1)]),
        gauges("betanet/mixnodes", &[("y", "a", 1)]),
        gauges("betanet-collector", &[("up", "", 1)]),
    ];
    export(&exporter, &target, [true, true], &parts);
    advance(MAX_STALE - SECOND).await;
    let parts = [
        gauges("betanet/mixnodes", &[("y", "a", 2)]),
        gauges("betanet-collector", &[("up", "", 2)]),
    ];
    export(&exporter, &target, [false, true], &parts);
    let stale = "x{target=\"n\",id=\"a\"} 1";
    let others = ["up{target=\"n\",id=\"\"} 2", "y{target=\"n\",id=\"a\"} 2"];
    assert_eq!(samples(&exporter), [others[0], stale, others[1]]);

    // No poll happens any more, and the old values still disappear.
    advance(SECOND).await;
    assert_eq!(samples(&exporter), others);
    advance(MAX_STALE).await;
    assert_eq!(samples(&exporter), others[..1]);
}

#[tokio::test(start_paused = true)]
async fn repeated_values_of_a_stale_endpoint_do_not_look_new() {
    let (exporter, target) = (exporter(), target("n", &[]));
    let part = || gauges("betanet/network", &[("x", "a", 1)]);
    export(&exporter, &target, [true, true], &[part()]);
    advance(MAX_STALE - SECOND).await;
    export(&exporter, &target, [false, false], &[part()]);
    advance(SECOND).await;
    export(&exporter, &target, [false, false], &[part()]);
    assert!(samples(&exporter).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_removed_target_removes_all_its_series() {
    let (exporter, gone, stays) = (exporter(), target("gone", &[]), target("stays", &[]));
    for target in [&gone, &stays] {
        export(
            &exporter,
            target,
            [true, true],
            &[gauges("betanet/network", &[("x", "a", 1)])],
        );
    }
    exporter.forget(&gone);
    assert_eq!(samples(&exporter), ["x{target=\"stays\",id=\"a\"} 1"]);
    exporter.forget(&stays);
    assert_eq!(scrape(&exporter), "");
}

#[tokio::test(start_paused = true)]
async fn a_target_with_the_same_name_replaces_the_old_one() {
    let (exporter, old, new) = (
        exporter(),
        target("n", &[("v", "1")]),
        target("n", &[("v", "2")]),
    );
    let part = |name| gauges("betanet/network", &[(name, "a", 1)]);
    export(&exporter, &old, [true, true], &[part("x")]);
    export(&exporter, &new, [true, true], &[part("y")]);
    // A reload may remove the old one after the new one has been polled.
    exporter.forget(&old);
    assert_eq!(samples(&exporter), ["y{target=\"n\",v=\"2\",id=\"a\"} 1"]);
}

#[tokio::test(start_paused = true)]
async fn where_memory_is_short_what_failed_endpoints_gave_goes_before_max_stale() {
    let (exporter, target) = (exporter(), target("n", &[]));
    let network = || gauges("betanet/network", &[("x", "a", 1), ("x", "b", 1)]);
    let mixnodes = || gauges("betanet/mixnodes", &[("y", "a", 1)]);
    export(&exporter, &target, [true, true], &[network(), mixnodes()]);
    assert_eq!(exporter.shed(), 0, "all of it is fresh");
    show(&exporter, &target, [[false; 2], [true; 2]], true, &[]);
    assert_eq!(exporter.shed(), 0, "it was not asked, and will be soon");
    let lost = [[false, true], [true, false]];
    show(&exporter, &target, lost, false, &[mixnodes()]);
    assert_eq!(samples(&exporter).len(), 3);
    assert_eq!(exporter.shed(), 2);
    assert_eq!(samples(&exporter), ["y{target=\"n\",id=\"a\"} 1"]);
    export(&exporter, &target, [true, false], &[network()]);
    assert_eq!(exporter.shed(), 0, "it answered again");
    assert_eq!(samples(&exporter).len(), 3);
}
