use std::time::Duration;

use tokio::time::Instant;

use super::secs;
use crate::resilience::cache::{
    CacheCounts, CacheHeaders, CachePolicy, CacheSlot, Fallback, Freshness, Reader,
};

const POLICY: CachePolicy = CachePolicy {
    ttl: Duration::from_secs(10),
    max_stale: Duration::from_secs(300),
    honor_origin: false,
};

fn stored(origin: CacheHeaders) -> (CacheSlot<&'static str>, Instant) {
    let sent = Instant::now();
    let mut slot = CacheSlot::default();
    slot.store(Reader::Poll, sent, origin, "a");
    (slot, sent)
}

#[test]
fn an_answer_is_fresh_then_stale_then_expired() {
    let (slot, sent) = stored(CacheHeaders::default());
    for (age_ms, expected) in [
        (0, Freshness::Fresh),
        (9_999, Freshness::Fresh),
        (10_000, Freshness::Stale),
        (300_000, Freshness::Stale),
        (300_001, Freshness::Expired),
    ] {
        assert_eq!(
            slot.freshness(&POLICY, sent + Duration::from_millis(age_ms)),
            expected,
            "{age_ms}"
        );
    }
    let empty = CacheSlot::<()>::default();
    assert_eq!(
        (empty.freshness(&POLICY, sent), empty.age(sent)),
        (Freshness::Empty, None)
    );
}

#[test]
fn serving_a_stale_answer_does_not_renew_it_and_ends_at_max_stale() {
    let age = secs(100);
    let (mut slot, sent) = stored(CacheHeaders {
        age,
        ..CacheHeaders::default()
    });
    for seconds in [0, 50, 200] {
        let value = &"a";
        let age = secs(100 + seconds);
        let fallback = slot.fallback(&POLICY, sent + secs(seconds), Reader::Poll);
        assert_eq!(
            fallback,
            Fallback::Stale { value, age },
            "including its Age header"
        );
    }
    assert_eq!(
        slot.fallback(&POLICY, sent + secs(201), Reader::Poll),
        Fallback::Expired
    );
    assert_eq!(
        slot.age(sent + secs(1000)),
        Some(secs(1100)),
        "the age keeps growing"
    );
}

#[test]
fn a_failure_does_not_overwrite_the_last_good_answer() {
    let (mut slot, sent) = stored(CacheHeaders::default());
    slot.fallback(&POLICY, sent + secs(15), Reader::Poll);
    assert_eq!(slot.hit(&POLICY, sent + secs(5), Reader::Api), Some(&"a"));
    slot.clear();
    assert_eq!(
        slot.fallback(&POLICY, sent + secs(15), Reader::Poll),
        Fallback::Empty,
        "but 410 drops it"
    );
}

#[test]
fn not_modified_freshens_and_keeps_the_validators() {
    let origin = CacheHeaders {
        etag: Some("\"1\"".to_owned()),
        last_modified: Some("yesterday".to_owned()),
        ..CacheHeaders::default()
    };
    let (mut slot, sent) = stored(origin.clone());
    let later = sent + secs(60);
    let renewed = CacheHeaders {
        etag: Some("\"2\"".to_owned()),
        ..CacheHeaders::default()
    };
    assert_eq!(
        slot.revalidated(Reader::Poll, later, renewed.clone()),
        Some(&"a")
    );
    assert_eq!(slot.age(later), Some(Duration::ZERO));
    let etag = renewed.etag;
    assert_eq!(slot.origin(), Some(&CacheHeaders { etag, ..origin }));
    let nothing = CacheSlot::<()>::default()
        .revalidated(Reader::Poll, sent, CacheHeaders::default())
        .copied();
    assert_eq!(nothing, None);
}

#[test]
fn cache_headers_apply_only_if_configured() {
    let origin = CacheHeaders {
        max_age: Some(secs(30)),
        must_revalidate: true,
        ..CacheHeaders::default()
    };
    let honoring = CachePolicy {
        honor_origin: true,
        ..POLICY
    };
    for (policy, at_20, at_40) in [
        (POLICY, Freshness::Stale, Freshness::Stale),
        (honoring, Freshness::Fresh, Freshness::Expired),
    ] {
        let (slot, sent) = stored(origin.clone());
        assert_eq!(slot.freshness(&policy, sent + secs(20)), at_20);
        assert_eq!(slot.freshness(&policy, sent + secs(40)), at_40);
    }
}

#[test]
fn each_read_counts_once_for_its_reader() {
    let (mut slot, sent) = stored(CacheHeaders::default());
    slot.revalidated(Reader::Poll, sent, CacheHeaders::default());
    slot.fallback(&POLICY, sent + secs(20), Reader::Poll);
    slot.fallback(&POLICY, sent + secs(301), Reader::Poll);
    assert_eq!(slot.hit(&POLICY, sent + secs(5), Reader::Api), Some(&"a"));
    assert_eq!(
        slot.hit(&POLICY, sent + secs(20), Reader::Api),
        None,
        "counted when the node was asked"
    );
    slot.clear();
    slot.fallback(&POLICY, sent, Reader::Api);
    let poll = CacheCounts {
        hit: 0,
        miss: 1,
        stale: 1,
        revalidated: 1,
        expired: 1,
    };
    let api = CacheCounts {
        hit: 1,
        miss: 1,
        ..CacheCounts::default()
    };
    assert_eq!(
        (slot.counts(Reader::Poll), slot.counts(Reader::Api)),
        (&poll, &api)
    );
}
