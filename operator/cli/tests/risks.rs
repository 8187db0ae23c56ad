//! `placet risks` over a fixture directory: the register in each format, the heat map, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use common::{Ran, golden, placet};
use serde_json::Value;

fn risks(more: &[&str]) -> Ran {
    let given = ["risks", "--now", "2026-11-20T12:00:00Z", "--as", "dana"];
    placet(&[&given[..], more, &["-f", "risks"]].concat())
}

#[test]
fn the_register_as_table_json_and_csv() {
    for (format, file) in [("table", "risks.txt"), ("json", "risks.json"), ("csv", "risks.csv")] {
        let ran = risks(&["-o", format]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        golden(file, &ran.out);
        golden("risks.err", &ran.err);
    }
}

#[test]
fn what_shows_that_a_control_works_lowers_its_risk() {
    let level = |ran: &Ran| {
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        let risk = &json["assessments"][0]["risks"][1];
        (risk["residual"]["level"].as_str().unwrap().to_owned(), risk["raised"].as_bool().unwrap())
    };
    // The report that a control names is not there.
    assert_eq!(level(&risks(&["-o", "json"])), ("High".to_owned(), true));
    // It is there, by who wrote the assessment; then by somebody else.
    assert_eq!(level(&risks(&["-f", "pentest.yaml", "-o", "json"])), ("High".to_owned(), true));
    let by_sam = risks(&["--as", "tr/pentest=sam", "-f", "pentest.yaml", "-o", "json"]);
    assert_eq!(level(&by_sam), ("Low".to_owned(), false));
    // It is there, and nobody is known to have written it.
    let of_nobody = placet(&[
        "risks",
        "--now",
        "2026-11-20T12:00:00Z",
        "--as",
        "ia/impact=olga",
        "--as",
        "ReleasePolicy/high=platform",
        "--as",
        "AISystem/scoring=olga",
        "-f",
        "risks",
        "pentest.yaml",
        "-o",
        "json",
    ]);
    assert_eq!(of_nobody.code, 0, "{}", of_nobody.err);
    let json: Value = serde_json::from_str(&of_nobody.out).unwrap();
    assert_eq!(json["assessments"][0]["risks"][1]["raised"], true, "{}", of_nobody.out);
}

#[test]
fn the_heat_map_is_drawn_into_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("map.svg");
    let ran = risks(&["--svg", file.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("heat map: "), "{}", ran.err);
    #[expect(clippy::disallowed_methods, reason = "a test reads what it made")]
    let drawn = std::fs::read_to_string(&file).unwrap();
    golden("risks.svg", &drawn);
}

#[test]
fn one_assessment_is_shown_by_name_also_where_another_supersedes_it() {
    let ran = risks(&["ia/impact-2025"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("ImpactAssessment lending/impact-2025 of scoring (class High): level VeryLow\n"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("lending/impact of"), "{}", ran.out);
}

#[test]
fn what_cannot_be_asked_is_said() {
    for (args, says) in [
        (&["ia/none"][..], "wanted the ImpactAssessment none that is understood, found none"),
        (&["mr/impact"][..], "mr/impact"),
        (&["-o", "xml"][..], "invalid value 'xml'"),
        (&["--now", "yesterday"][..], "--now"),
        (&["-A"][..], "cannot be used with"),
    ] {
        let ran = if args == ["--now", "yesterday"] {
            placet(&["risks", "-f", "risks", "--now", "yesterday"])
        } else {
            risks(args)
        };
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    let nothing = placet(&["risks", "-f", "risks/policy.yaml"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.err.contains("wanted at least one ImpactAssessment"), "{}", nothing.err);
    // Without files a cluster is asked, and there is none.
    let ran = placet(&["risks"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cluster"), "{}", ran.err);
}
