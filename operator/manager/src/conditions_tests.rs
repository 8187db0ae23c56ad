//! What the installation's conditions say, and that they change no more often than what they tell of.

use std::collections::BTreeSet;

use placet_evidence::{Head, Usage};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn log(percent: u8, full: bool) -> Health {
    let head = Head::empty("placet.dev/test");
    Health {
        poisoned: None,
        full,
        head_error: None,
        outside: None,
        published: head.clone(),
        durable: head,
        usage: Usage { percent, ..Usage::default() },
    }
}

fn differs(seconds: i64) -> Trust {
    Trust::Untrusted { why: Distrust::Differs { seconds } }
}

/// (type, status, reason) of each condition.
fn told(installation: &Installation) -> Vec<(String, String, String)> {
    let text = |c: &Value, key: &str| c[key].as_str().unwrap().to_owned();
    let all = installation.conditions(Some(1));
    all.iter().map(|c| (text(c, "type"), text(c, "status"), text(c, "reason"))).collect()
}

fn message(installation: &Installation, type_: &str) -> String {
    let all = installation.conditions(Some(1));
    all.iter().find(|c| c["type"] == type_).unwrap()["message"].as_str().unwrap().to_owned()
}

#[test]
fn types_and_reasons_are_unique_and_fit_the_schema() {
    assert_eq!(types::ALL.iter().collect::<BTreeSet<_>>().len(), types::ALL.len());
    assert_eq!(reasons::ALL.iter().collect::<BTreeSet<_>>().len(), reasons::ALL.len());
    for word in types::ALL.iter().chain(&reasons::ALL) {
        assert!(word.len() <= 63 && word.bytes().all(|b| b.is_ascii_alphanumeric()), "{word}");
    }
}

#[test]
fn all_is_well() {
    let mut installation = Installation::default();
    assert!(!installation.observe(at(0), &Trust::Trusted, &log(79, false), vec![]));
    let wanted = [
        ("TimeTrusted", "True", "ClocksAgree"),
        ("EvidenceWritable", "True", "Writable"),
        ("EvidenceSpace", "True", "Room"),
    ];
    assert_eq!(told(&installation), wanted.map(|(t, s, r)| (t.into(), s.into(), r.into())));
}

#[test]
fn a_clock_that_differs_is_told_once_until_the_difference_is_another() {
    let mut installation = Installation::default();
    assert!(installation.observe(at(0), &differs(3600), &log(1, false), vec![]));
    assert_eq!(told(&installation)[0], ("TimeTrusted".into(), "False".into(), "ClockDiffers".into()));
    assert!(message(&installation, types::TIME_TRUSTED).contains("3600 s, more than the 30 s allowed"));
    // Dates are whole seconds, so that the difference wavers.
    for seconds in [3599, 3601, 3600, 3350] {
        assert!(!installation.observe(at(1), &differs(seconds), &log(1, false), vec![]), "{seconds}");
    }
    assert!(installation.observe(at(2), &differs(60), &log(1, false), vec![]));
    assert!(installation.observe(at(3), &differs(-60), &log(1, false), vec![]));
    let jumped = Trust::Untrusted { why: Distrust::Jumped { seconds: -60 } };
    assert!(installation.observe(at(4), &jumped, &log(1, false), vec![]));
    assert_eq!(told(&installation)[0].2, "ClockJumped");
    assert!(installation.observe(at(5), &Trust::Trusted, &log(1, false), vec![]));
    assert_eq!(told(&installation)[0].1, "True");
}

#[test]
fn a_volume_warns_from_eighty_percent_in_steps() {
    let mut installation = Installation::default();
    let mut seen = Vec::new();
    for percent in [79, 80, 81, 84, 80, 79, 76, 85, 83, 91, 90, 86, 84, 76, 74, 78, 80] {
        let changed = installation.observe(at(0), &Trust::Trusted, &log(percent, false), vec![]);
        seen.push((percent, changed, installation.volume));
    }
    let changes: Vec<_> = seen.iter().filter(|(_, changed, _)| *changed).map(|(p, _, v)| (*p, *v)).collect();
    let wanted = [(80, Some(80)), (85, Some(85)), (91, Some(90)), (84, Some(80)), (74, None), (80, Some(80))];
    assert_eq!(changes, wanted, "{seen:?}");
    assert_eq!(told(&installation)[2], ("EvidenceSpace".into(), "False".into(), "VolumeNearlyFull".into()));
    assert!(message(&installation, types::EVIDENCE_SPACE).contains("more than 80 % full"));
    assert!(installation.observe(at(0), &Trust::Trusted, &log(100, true), vec![]));
    assert_eq!(told(&installation)[1], ("EvidenceWritable".into(), "False".into(), "VolumeFull".into()));
}

#[test]
fn a_namespace_that_nearly_used_its_budget_is_named_for_ten_minutes() {
    let mut installation = Installation::default();
    let used = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert!(installation.observe(at(0), &Trust::Trusted, &log(1, false), used(&["noisy"])));
    assert_eq!(told(&installation)[2], ("EvidenceSpace".into(), "False".into(), "BudgetNearlyUsed".into()));
    assert!(message(&installation, types::EVIDENCE_SPACE).contains(": noisy;"));
    // It refills and is used again: nothing new to tell.
    for second in 1..500 {
        let again = if second % 2 == 0 { used(&["noisy"]) } else { vec![] };
        assert!(!installation.observe(at(second), &Trust::Trusted, &log(1, false), again));
    }
    assert!(!installation.observe(at(498 + 599), &Trust::Trusted, &log(1, false), vec![]));
    assert!(installation.observe(at(498 + 600), &Trust::Trusted, &log(1, false), vec![]));
    assert_eq!(told(&installation)[2].2, "Room");
    let many: Vec<String> = (0..7).map(|n| format!("ns-{n}")).collect();
    assert!(installation.observe(at(2000), &Trust::Trusted, &log(1, false), many));
    assert!(message(&installation, types::EVIDENCE_SPACE).contains("ns-4 and 2 more"));
}
