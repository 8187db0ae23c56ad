//! What one namespace, or one owner that fails again and again, costs.

use super::*;
use proptest::prelude::*;

/// A refused pod's record, generously.
const BYTES: u64 = 1200;

fn start() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn refusal(namespace: &str, owner: &str) -> Refusal {
    Refusal {
        namespace: namespace.into(),
        owner: owner.into(),
        effect: Effect::Deny,
        reasons: vec!["ApprovalMissing".into(), "TestReportMissing".into()],
    }
}

#[test]
fn the_same_refusal_within_a_minute_is_a_count() {
    let mut budget = Budget::new(Limits::default(), start());
    let same = refusal("credit", "rs-1");
    assert_eq!(budget.refusal(&same, BYTES, start()), Ruling::Record { repeats: 0 });
    let later = after(start(), Duration::from_secs(59));
    assert_eq!(budget.refusal(&same, BYTES, later), Ruling::Count);
    assert_eq!(budget.refusal(&refusal("credit", "rs-2"), BYTES, later), Ruling::Record { repeats: 0 });
    let other = Refusal { reasons: vec!["ImageNotPinned".into()], ..same.clone() };
    assert_eq!(budget.refusal(&other, BYTES, later), Ruling::Record { repeats: 0 });
    let after_it = after(start(), Duration::from_secs(60));
    assert_eq!(budget.refusal(&same, BYTES, after_it), Ruling::Record { repeats: 1 });
}

#[test]
fn whoever_writes_just_below_the_budget_all_day_writes_no_more_than_a_day_s_part() {
    let mut budget = Budget::new(Limits::default(), start());
    let (mut written, mut named) = (0u64, None);
    // 64 KiB twice a second, half of what is gained: for two days.
    for half in 0..2 * 48 * 3600u32 {
        let now = after(start(), Duration::from_millis(500) * half);
        if budget.record("mallory", 64 << 10, now) == (Ruling::Record { repeats: 0 }) {
            written += 64 << 10;
        }
        if named.is_none() && budget.nearly_used(80, now) == ["mallory"] {
            named = Some(written);
        }
    }
    assert!(written.abs_diff(3 << 30) < 1 << 20, "{written}: what it had, and two days' part");
    assert!(named.is_some_and(|at| at < 1 << 30), "{named:?}");
    assert_eq!(
        budget.record("other", 64 << 10, after(start(), Duration::from_hours(48))),
        Ruling::Record { repeats: 0 }
    );
}

#[test]
fn counts_are_flushed_once_and_none_is_lost() {
    let mut budget = Budget::new(Limits::default(), start());
    let mut recorded = 0;
    for n in 0..1000 {
        let now = after(start(), Duration::from_millis(100 * n));
        if let Ruling::Record { repeats } = budget.refusal(&refusal("credit", "rs-1"), BYTES, now) {
            recorded += 1 + repeats;
        }
    }
    let end = after(start(), Duration::from_secs(3600));
    let mut told = budget.flush(Vec::new(), false, end);
    assert_eq!(told.len(), 1);
    // The log took none: it is told the next time, with what came meanwhile.
    for one in told {
        budget.give_back(one, end);
    }
    assert_eq!(
        budget.refusal(&refusal("credit", "rs-1"), BYTES, end),
        Ruling::Record { repeats: 1000 - recorded }
    );
    budget.unrecorded(&refusal("credit", "rs-1"), 1000 - recorded, end);
    told = budget.flush(Vec::new(), false, end);
    assert_eq!(recorded + told[0].body.refusals[0].count, 1001);
    assert_eq!(told[0].body.refusals[0].refusal, refusal("credit", "rs-1").code());
    assert!(budget.flush(Vec::new(), false, end).is_empty(), "an idle hour writes nothing");
    assert!(budget.flush(Vec::new(), true, end).is_empty());
}

#[test]
fn a_hundred_thousand_refused_pods_cost_under_five_megabytes() {
    // From a storm (1,000 a second) to the slow drip of a controller that backs off (one in 1,000 seconds).
    for millis in [1, 10, 300, 1_000, 10_000, 30_000, 60_000, 61_000, 600_000, 1_000_000] {
        let mut budget = Budget::new(Limits::default(), start());
        let (mut bytes, mut accounted, mut now) = (0u64, 0u64, start());
        let mut heartbeat = after(now, Duration::from_secs(3600));
        let beat = |budget: &mut Budget, stopping, now| {
            let mut sum = (0, 0);
            for Counted { body, .. } in budget.flush(Vec::new(), stopping, now) {
                // Envelope of the record beside its body.
                sum.0 += serde_json::to_vec(&body).unwrap().len() as u64 + 400;
                sum.1 += body.refusals.iter().map(|r| r.count).sum::<u64>();
            }
            sum
        };
        for _ in 0..100_000 {
            now = after(now, Duration::from_millis(millis));
            if now >= heartbeat {
                let (b, n) = beat(&mut budget, false, now);
                (bytes, accounted) = (bytes + b, accounted + n);
                heartbeat = after(now, Duration::from_secs(3600));
            }
            match budget.refusal(&refusal("credit", "rs-1"), BYTES, now) {
                Ruling::Record { repeats } => {
                    (bytes, accounted) = (bytes + BYTES, accounted + 1 + repeats);
                }
                Ruling::Count => {}
                Ruling::Exhausted => panic!("one owner exhausts the budget"),
            }
        }
        let (b, n) = beat(&mut budget, true, now);
        (bytes, accounted) = (bytes + b, accounted + n);
        assert_eq!(accounted, 100_000, "{millis} ms");
        assert!(bytes < 5_000_000, "{millis} ms: {bytes} bytes");
    }
}

#[test]
fn who_repeats_many_refusals_slowly_all_day_stays_within_the_budget() {
    let mut budget = Budget::new(Limits::default(), start());
    let (mut bytes, mut asked, mut told) = (0u64, 0u64, 0u64);
    for minute in 0..24 * 60u32 {
        let now = after(start(), Duration::from_secs(60) * minute);
        for n in 0..12_000 {
            asked += 1;
            if let Ruling::Record { repeats } =
                budget.refusal(&refusal("mallory", &n.to_string()), BYTES, now)
            {
                (bytes, told) = (bytes + BYTES, told + 1 + repeats);
            }
        }
        if minute % 60 == 59 {
            for Counted { body, .. } in budget.flush(Vec::new(), minute == 24 * 60 - 1, now) {
                bytes += serde_json::to_vec(&body).unwrap().len() as u64 + 400;
                told += body.refusals.iter().map(|r| r.count).sum::<u64>();
            }
        }
    }
    assert_eq!(told, asked);
    assert!(bytes < Limits::default().day_bytes / 4, "{bytes}");
}

#[test]
fn one_namespace_takes_no_others_refusals_away() {
    let limits = Limits { max_refusals: 300, max_refusals_of_namespace: 100, ..Limits::default() };
    let mut budget = Budget::new(limits, start());
    let ruled = |budget: &mut Budget, namespace: &str, n: u32| {
        budget.refusal(&refusal(namespace, &format!("pod-{n}")), BYTES, start())
    };
    let recorded = (0..1000).filter(|n| ruled(&mut budget, "mallory", *n) != Ruling::Count).count();
    assert_eq!(recorded, 100);
    assert_eq!(ruled(&mut budget, "credit", 1), Ruling::Record { repeats: 0 });
    // What is told and over makes room again.
    let later = after(start(), Duration::from_hours(49));
    let _ = budget.flush(Vec::new(), false, later);
    assert_eq!(budget.parts.values().sum::<usize>(), budget.refusals.len());
    assert_eq!(budget.refusal(&refusal("mallory", "new"), BYTES, later), Ruling::Record { repeats: 0 });
}

#[test]
fn one_namespace_spends_nothing_of_another() {
    let mut budget = Budget::new(Limits::default(), start());
    let mut refused = 0;
    for _ in 0..100_000 {
        refused += u32::from(budget.record("noisy", BYTES, start()) == Ruling::Exhausted);
    }
    assert!(refused > 90_000, "{refused}");
    assert_eq!(budget.record("quiet", BYTES, start()), Ruling::Record { repeats: 0 });
    let later = after(start(), Duration::from_secs(10));
    assert_eq!(budget.record("noisy", BYTES, later), Ruling::Record { repeats: 0 });
}

#[test]
fn a_namespace_that_has_used_four_fifths_is_named_until_it_has_refilled() {
    let mut budget = Budget::new(Limits::default(), start());
    let burst = Limits::default().burst_records;
    let spend = |budget: &mut Budget, records: u64| {
        for _ in 0..records {
            assert_eq!(budget.record("noisy", 1, start()), Ruling::Record { repeats: 0 });
        }
    };
    budget.record("quiet", 1, start());
    spend(&mut budget, burst * 4 / 5 - 1);
    assert!(budget.nearly_used(80, start()).is_empty());
    spend(&mut budget, 2);
    assert_eq!(budget.nearly_used(80, start()), ["noisy"]);
    assert!(budget.nearly_used(80, after(start(), Duration::from_secs(1))).is_empty(), "200 a second");
}

#[test]
fn what_is_written_beyond_the_budget_is_taken_from_what_others_would_write() {
    let mut budget = Budget::new(Limits::default(), start());
    assert!(budget.has_room("credit", BYTES, start()));
    budget.written("credit", 1 << 29, start());
    assert!(!budget.has_room("credit", 1, start()));
    assert_eq!(budget.record("credit", 1, start()), Ruling::Exhausted);
    assert!(budget.has_room("other", BYTES, start()));
    assert!(budget.has_room("credit", 256 << 10, after(start(), Duration::from_secs(1))));
}

#[test]
fn a_heartbeat_is_recorded_whatever_the_owners_are_called() {
    use crate::record::{NewRecord, Payload, Prepared, Subject};
    let mut budget = Budget::new(Limits::default(), start());
    let long = "\u{1}".repeat(5_000);
    for n in 0..200 {
        let one = refusal(&"n".repeat(63), &format!("{n}{long}"));
        for _ in 0..2 {
            let _ = budget.refusal(&one, BYTES, start());
        }
    }
    let bodies = budget.flush(Vec::new(), true, start());
    assert_eq!(counted(&bodies), 200);
    for Counted { body, .. } in bodies {
        Prepared::new(NewRecord::new(start(), Subject::log(), Payload::Heartbeat(body)), "c").unwrap();
    }
}

#[test]
fn memory_is_bounded_and_what_it_costs_is_counted() {
    let limits = Limits { max_refusals: 100, ..Limits::default() };
    let mut budget = Budget::new(limits, start());
    for n in 0..1000 {
        let _ = budget.refusal(&refusal("credit", &format!("pod-{n}")), BYTES, start());
    }
    assert_eq!(budget.refusals.len(), 100);
    let bodies = budget.flush(Vec::new(), false, start());
    let stars: u64 =
        bodies.iter().flat_map(|b| &b.body.refusals).filter(|r| r.owner == "*").map(|r| r.count).sum();
    assert_eq!(stars, 900);
}

proptest! {
    #[test]
    fn every_refusal_is_a_record_or_counted(
        steps in proptest::collection::vec((0u64..200, 0u8..3, 0u8..3, any::<bool>()), 1..300),
        burst in 1u64..20,
    ) {
        let limits = Limits { burst_records: burst, records_per_second: 0, max_refusals: 5, ..Limits::default() };
        let mut budget = Budget::new(limits, start());
        let (mut now, mut accounted, mut asked) = (start(), 0u64, 0u64);
        for (seconds, namespace, owner, flush) in steps {
            now = after(now, Duration::from_secs(seconds));
            asked += 1;
            let one = refusal(&namespace.to_string(), &owner.to_string());
            if let Ruling::Record { repeats } = budget.refusal(&one, BYTES, now) {
                accounted += 1 + repeats;
            }
            if flush {
                accounted += counted(&budget.flush(Vec::new(), false, now));
            }
        }
        accounted += counted(&budget.flush(Vec::new(), true, now));
        prop_assert_eq!(accounted, asked);
    }
}

fn counted(bodies: &[Counted]) -> u64 {
    bodies.iter().flat_map(|b| &b.body.refusals).map(|r| r.count).sum()
}
