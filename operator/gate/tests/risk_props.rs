//! Scores are monotone: whoever writes a higher likelihood, severity or stakeholder impact never gets a lower level, by any
//! matrix that a policy may have; and a control that counts no more never lowers one.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]

use placet_api::common::Level;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_gate::risk::{self, ISO_27005, Matrix, Score};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any matrix that never falls: each cell is at least the one before it along both axes.
fn matrix() -> impl Strategy<Value = Matrix> {
    prop::collection::vec(0_usize..3, 25).prop_map(|steps| {
        let mut ranks = [[0_usize; 5]; 5];
        for i in 0..5 {
            for j in 0..5 {
                let before =
                    if i > 0 { ranks[i - 1][j] } else { 0 }.max(if j > 0 { ranks[i][j - 1] } else { 0 });
                // Mostly flat, or everything would be VeryHigh soon.
                ranks[i][j] = (before + steps[5 * i + j] / 2).min(4);
            }
        }
        let rows: Vec<Vec<Level>> =
            ranks.iter().map(|row| row.iter().map(|r| Level::from_rank(*r)).collect()).collect();
        risk::matrix(&rows).unwrap()
    })
}

/// Likelihood, severity, reach, reversibility by its weight, vulnerable.
type Harm = (i32, i32, i32, usize, bool);

const REVERSIBILITY: [&str; 4] = ["Easy", "Moderate", "Difficult", "Irreversible"];

fn harm() -> impl Strategy<Value = Harm> {
    (1..=5, 1..=5, 1..=5, 0..4_usize, prop::bool::ANY)
}

fn assessment(
    harms: &[Harm],
    impacts: [i32; 4],
    lower: (i32, i32),
    controls: &Value,
) -> ImpactAssessmentSpec {
    let (mut listed, mut ids) = (Vec::new(), Vec::new());
    for (i, (likelihood, severity, reach, reversibility, vulnerable)) in harms.iter().enumerate() {
        ids.push(format!("H{i}"));
        listed.push(json!({"id": ids[i], "affects": "Individuals", "description": "x", "likelihood": likelihood,
            "severity": severity, "reach": reach, "reversibility": REVERSIBILITY[*reversibility], "vulnerable": vulnerable}));
    }
    let inherent = |of: fn(&Harm) -> i32| harms.iter().map(of).max().unwrap_or(1);
    let residual = json!({"likelihood": (inherent(|h| h.0) - lower.0).max(1), "severity": (inherent(|h| h.1) - lower.1).max(1)});
    let [likelihood, confidentiality, integrity, availability] = impacts;
    let ai = json!({"id": "R1", "domain": "AI", "harms": ids, "residual": residual, "controls": controls});
    let information = json!({"id": "R2", "domain": "Information", "impacts": {"likelihood": likelihood,
        "confidentiality": confidentiality, "integrity": integrity, "availability": availability}});
    let spec = json!({"system": "s", "scope": {"datasets": []}, "harms": listed, "risks": [ai, information]});
    serde_json::from_value(spec).unwrap()
}

fn scores(spec: &ImpactAssessmentSpec, matrix: &Matrix) -> Vec<Score> {
    risk::scores(spec, matrix).into_iter().map(Result::unwrap).collect()
}

fn control(status: &str) -> Value {
    json!({"control": "ISO42001/A.6.2.4", "status": status, "owner": "x", "implementedAt": "2026-10-01"})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_higher_value_never_gives_a_lower_level(
        matrix in matrix(),
        harms in prop::collection::vec(harm(), 1..4),
        impacts in prop::array::uniform4(1..=5_i32),
        lower in (0..3_i32, 0..3_i32),
        which in 0..9_usize,
        of in any::<prop::sample::Index>(),
    ) {
        let (mut more, mut worse) = (harms.clone(), impacts);
        let harm = &mut more[of.index(harms.len())];
        match which {
            0 => harm.0 = (harm.0 + 1).min(5),
            1 => harm.1 = (harm.1 + 1).min(5),
            2 => harm.2 = (harm.2 + 1).min(5),
            3 => harm.3 = (harm.3 + 1).min(3),
            4 => harm.4 = true,
            axis => worse[axis - 5] = (worse[axis - 5] + 1).min(5),
        }
        let controls = json!([control("Implemented")]);
        let before = scores(&assessment(&harms, impacts, lower, &controls), &matrix);
        let after = scores(&assessment(&more, worse, lower, &controls), &matrix);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(after.inherent >= before.inherent, "{before:?} {after:?}");
            prop_assert!(after.residual >= before.residual, "{before:?} {after:?}");
            prop_assert!(before.residual <= before.inherent, "{before:?}");
        }
    }

    #[test]
    fn a_control_that_counts_no_more_lowers_nothing(
        matrix in matrix(),
        harms in prop::collection::vec(harm(), 1..4),
        lower in (0..3_i32, 0..3_i32),
        status in prop::sample::select(vec!["Planned", "InProgress"]),
    ) {
        let of = |controls: Value| scores(&assessment(&harms, [1; 4], lower, &controls), &matrix).remove(0);
        let with = of(json!([control("Implemented")]));
        prop_assert!(with.raised.is_none() && with.residual <= with.inherent);
        for without in [of(json!([control(status)])), of(json!([]))] {
            prop_assert_eq!(without.residual, with.inherent);
            prop_assert_eq!(without.inherent, with.inherent);
        }
    }
}

/// The property above is about something: levels do rise.
#[test]
fn levels_rise_somewhere_along_each_axis() {
    let level = |harm: Harm| scores(&assessment(&[harm], [1; 4], (0, 0), &json!([])), &ISO_27005)[0].residual;
    let from = level((2, 3, 1, 0, false));
    for higher in [
        (5, 3, 1, 0, false),
        (2, 5, 1, 0, false),
        (2, 3, 4, 0, false),
        (2, 3, 1, 2, false),
        (2, 3, 1, 0, true),
    ] {
        assert!(level(higher) > from, "{higher:?}");
    }
}
