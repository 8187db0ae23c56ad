//! `placet bias`: what rows become, whatever they are written in and however they are read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "common/bias.rs"]
mod rows;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Int64Array, StringArray};
use rows::{REPORT, bias, counted, counts_of, csv, file, files, report, rows as made};

const BY_BOTH: [&str; 6] = ["--prediction", "prediction", "-a", "sex", "-a", "region"];

#[test]
fn rows_become_the_same_report_in_every_format_and_for_any_number_of_threads() {
    let rows = made(20_011);
    let wanted = counted(&rows);
    let mut said = Vec::new();
    for (name, bytes) in files(&rows) {
        let file = file(bytes);
        for threads in ["1", "2", "5"] {
            let ran =
                bias(&file, &[&BY_BOTH[..], &REPORT, &["--threads", threads, "--weight", "weight"]].concat());
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
            said.push((name, ran.out, ran.err));
        }
    }
    for (name, out, err) in &said[1..] {
        assert_eq!(*out, said[0].1, "{name}");
        assert_eq!(*err, said[0].2, "{name}");
    }
    let found: serde_json::Value = serde_saphyr::from_str(&said[0].1).unwrap();
    assert_eq!(found["spec"]["rows"], 20_011);
    let typed: placet_api::testreport::TestReportSpec =
        serde_json::from_value(found["spec"].clone()).unwrap();
    assert_eq!(typed.artifact.as_str(), rows::ARTIFACT);
    let found = counts_of(&found);
    assert_eq!(found.len(), 9, "three regions by female, male and (missing)");
    for ((sex, region), counts) in &wanted {
        assert_eq!(found[&vec![region.clone(), sex.clone()]], *counts, "{sex} {region}");
    }
}

#[test]
fn counting_one_by_one_and_by_a_table_is_the_same() {
    // With weights each row is counted on its own, without them by a table; the counts are the same.
    let file = file(csv(&made(5_000)));
    let (with, _) = report(&file, &[&BY_BOTH[..], &["--weight", "weight"]].concat());
    let (without, _) = report(&file, &BY_BOTH);
    assert_eq!(with, without);
}

#[test]
fn the_published_counts_of_compas_give_the_known_figures() {
    // ProPublica's counts, as in the oracles of the gate; rows that say nothing of anybody are made from them.
    let mut text = "race,label,prediction\n".to_owned();
    for (race, tp, fp, fn_, tn) in
        [("African-American", 1369, 805, 532, 990), ("Caucasian", 505, 349, 461, 1139)]
    {
        for (count, label, prediction) in [(tp, 1, 1), (fp, 0, 1), (fn_, 1, 0), (tn, 0, 0)] {
            for _ in 0..count {
                let _ = writeln!(text, "{race},{label},{prediction}");
            }
        }
    }
    let file = file(text);
    let base = ["bias", &file.path, "--label", "label", "--prediction", "prediction", "-a", "race"];
    let flagged = common::placet(&[&base[..], &["--positive-means", "Favourable"]].concat());
    assert_eq!((flagged.code, flagged.err.as_str()), (0, ""));
    for wanted in [
        "selection-rate ratio 0.592 (95 %: 0.557 to 0.629), Caucasian / African-American",
        "selection-rate difference 0.240 (95 %: 0.215 to 0.265), African-American − Caucasian",
        "equal-opportunity difference 0.197 ",
        "equalized-odds difference 0.214",
        "predictive-parity difference 0.038 ",
        "6,150 rows in 2 groups",
    ] {
        assert!(flagged.out.contains(wanted), "{wanted}\n{}", flagged.out);
    }
    // Not being flagged is the favourable outcome, and its ratio is another one.
    let free = common::placet(&[&base[..], &["--positive-means", "Unfavourable"]].concat());
    let wanted = "selection-rate ratio 0.632 (95 %: 0.602 to 0.663), African-American / Caucasian";
    assert!(free.out.contains(wanted), "{}", free.out);
    common::golden("bias-compas.txt", &free.out.replace(&file.path, "FILE"));
}

#[test]
fn the_verdict_is_the_gates_and_the_exit_code_says_it() {
    let pack = common::tests().join("../../../policies/packs/high-risk.yaml");
    let policy = ["--policy", pack.to_str().unwrap()];
    let table = |of: &[(&str, u32, u32)]| {
        let mut text = "sex,label,prediction\n".to_owned();
        for (sex, selected, rows) in of {
            for row in 0..*rows {
                let _ = writeln!(text, "{sex},{},{}", row % 2, u8::from(row < *selected));
            }
        }
        file(text)
    };
    let by_sex = ["--prediction", "prediction", "-a", "sex"];
    let says = |of: &[(&str, u32, u32)]| {
        let ran = bias(&table(of), &[&by_sex[..], &policy].concat());
        (ran.code, ran.out)
    };
    let (code, out) = says(&[("f", 2_000, 4_000), ("m", 2_000, 4_000)]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("Pass: high-risk wants SelectionRateRatio at least 0.80"), "{out}");
    let (code, out) = says(&[("f", 1_000, 4_000), ("m", 2_000, 4_000)]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("Fail: high-risk") && out.contains("sex=f / sex=m is 0.50"), "{out}");
    let (code, out) = says(&[("f", 180, 400), ("m", 200, 400)]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("Indeterminate, which holds a release") && out.contains(" more rows of sex="),
        "{out}"
    );
    let (code, out) = says(&[("f", 300, 400)]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("Indeterminate"), "{out}");
}

#[test]
fn a_system_says_which_sets_are_judged_and_what_positive_means() {
    let pack = common::tests().join("../../../policies/packs/high-risk.yaml");
    let data = file(csv(&made(4_000)));
    let system = |sets: &str, means: &str| {
        let text = include_str!("fixtures/bias-system.yaml").replace("SETS", sets).replace("MEANS", means);
        file(text)
    };
    let judged = |system: &rows::File, by: &[&str]| {
        let base =
            ["--prediction", "prediction", "--policy", pack.to_str().unwrap(), "--system", &system.path];
        bias(&data, &[&base[..], by].concat())
    };
    // Sex is not asked for, and a set of both is: the verdict is on both.
    let ran = judged(&system("[[sex, region]]", "Favourable"), &["-a", "sex", "-a", "region"]);
    assert!(ran.out.contains("verdict of the gate, by region × sex\n"), "{}", ran.out);
    // An attribute that the file was not grouped by cannot be judged.
    let ran = judged(&system("[[sex], [age]]", "Favourable"), &["-a", "sex"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("test with the attribute age"), "{}", ran.out);
    // Whoever tests does not choose what is favourable.
    let ran = judged(&system("[[sex]]", "Unfavourable"), &["-a", "sex"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("wanted Unfavourable, as AISystem"), "{}", ran.err);
}

#[test]
fn small_groups_are_put_together_in_what_leaves_and_named_to_whoever_tests() {
    let mut text = "race,label,prediction\n".to_owned();
    for (race, rows) in [("a", 300), ("b", 200), ("c", 40), ("d", 4)] {
        for row in 0..rows {
            let _ = writeln!(text, "{race},{},{}", row % 2, row % 3 % 2);
        }
    }
    let data = file(text);
    let svg = data.beside("rates.svg");
    let by = ["--prediction", "prediction", "-a", "race", "--svg", &svg];
    let (found, err) = report(&data, &by);
    let groups = counts_of(&found);
    let names: Vec<&str> = groups.keys().map(|k| k[0].as_str()).collect();
    assert_eq!(names, ["(small groups)", "a", "b"], "the four of d with the forty of c");
    assert_eq!(groups[&vec!["(small groups)".to_owned()]].iter().sum::<u64>(), 44);
    assert_eq!(found["spec"]["rows"], 544);
    assert!(err.contains("note: 2 groups with 44 rows are exported under (small groups)"), "{err}");
    assert!(err.lines().any(|line| line.trim_start().starts_with("d ") && line.contains(" 4 ")), "{err}");
    #[expect(clippy::disallowed_methods, reason = "a test reads what was written")]
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("(small groups)") && !picture.contains(">d<"), "{picture}");
    assert_eq!(picture.matches("class=\"bar\"").count(), 3);
}

#[test]
fn more_than_200_groups_are_shown_and_not_reported_and_10000_are_read() {
    let table = |groups: u32| {
        let mut text = "place,label,prediction\n".to_owned();
        for group in 0..groups {
            for row in 0..12 {
                let _ = writeln!(text, "p{group},{},{}", row % 2, row % 3 % 2);
            }
        }
        text
    };
    let by = ["--prediction", "prediction", "-a", "place"];
    let ran = bias(&file(table(201)), &by);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("201 groups"), "{}", ran.out);
    assert!(ran.err.contains("no TestReport can be made of this: wanted at most 200 groups"), "{}", ran.err);
    let ran = bias(&file(table(201)), &[&by[..], &REPORT].concat());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.contains("201 groups; label") && ran.err.contains("error: wanted at most 200 groups"),
        "{}",
        ran.err
    );
    let ran = bias(&file(table(10_000)), &by);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("120,000 rows in 10,000 groups"), "{}", ran.out);
    assert!(ran.out.contains("and 9,940 smaller groups"), "{}", ran.out);
    let e = rows::refused(table(10_001), &by);
    assert!(
        e.contains("column place: wanted at most 10000 different values, found more: put values together"),
        "{e}"
    );
    // Few values of each attribute, and too many of both together.
    let mut text = "a,b,label,prediction\n".to_owned();
    for group in 0..10_100 {
        let _ = writeln!(text, "{},{},1,0", group % 101, group / 101);
    }
    let e = rows::refused(text, &["--prediction", "prediction", "-a", "a", "-a", "b"]);
    assert!(e.contains("wanted at most 10000 groups, found more"), "{e}");
}

#[test]
fn a_score_above_a_threshold_is_a_positive_prediction() {
    let rows = made(3_001);
    let scored = |threshold: &str, positive: &dyn Fn(f64) -> bool| {
        let mut as_if = rows.clone();
        for row in &mut as_if {
            row.prediction = positive(row.score);
        }
        let wanted = counted(&as_if);
        for (name, bytes) in files(&rows) {
            let by = ["--score", "score", "--threshold", threshold, "-a", "sex", "-a", "region"];
            let (found, err) = report(&file(bytes), &by);
            let found = counts_of(&found);
            for ((sex, region), counts) in &wanted {
                assert_eq!(found[&vec![region.clone(), sex.clone()]], *counts, "{name} {threshold}: {err}");
            }
        }
    };
    scored("0.5", &|s| s >= 0.5);
    let mut sorted: Vec<f64> = rows.iter().map(|r| r.score).collect();
    sorted.sort_by(f64::total_cmp);
    // 3,001 scores: the median is the one in the middle, the ninth decile the 2,701st.
    scored("median", &|s| s > sorted[1_500]);
    scored("q0.9", &|s| s > sorted[2_700]);
}

#[test]
fn weights_are_shown_beside_what_is_judged() {
    let data = file("sex,label,prediction,w\nf,1,1,3\nf,0,0,1\nf,1,0,1\nm,1,1,1\nm,0,1,0\nm,0,0,1\n");
    let ran = bias(&data, &["--prediction", "prediction", "-a", "sex", "--weight", "w"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = |name: &str| {
        let all = ran.out.lines().skip_while(|l| !l.contains("effective n"));
        let line = all.filter(|l| l.trim_start().starts_with(name)).map(str::to_owned).next().unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    // f: (3 + 1 + 1)² / (9 + 1 + 1) = 2.27; selected 3 of 5, of the actually positive 3 of 4.
    assert_eq!(line("f"), "f 3 2.3 60.0, 33.3 75.0, 50.0 0.0, 0.0");
    // m: (1 + 0 + 1)² / 2 = 2; who weighs nothing changes no weighted rate.
    assert_eq!(line("m"), "m 3 2.0 50.0, 66.7 100.0, 100.0 0.0, 50.0");
}

#[test]
fn values_are_named_as_a_policy_names_them() {
    let data =
        file("Marital status;y;p\n Divorced ;yes;Yes\nNever-married;no;No\n?;yes;No\nDivorced;no;No\n");
    let ran = common::placet(&[
        "bias",
        &data.path,
        "--delimiter",
        ";",
        "--label",
        "y",
        "--prediction",
        "p",
        "-a",
        "maritalStatus=Marital status",
        "--positive",
        "yes",
        "--positive",
        "Yes",
        "--missing",
        "?",
        "--positive-means",
        "Favourable",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("by maritalStatus"), "{}", ran.out);
    for wanted in ["(missing)", "Divorced", "Never-married"] {
        assert!(ran.out.lines().any(|l| l.trim_start().starts_with(wanted)), "{wanted}\n{}", ran.out);
    }
}

#[test]
fn the_report_goes_where_it_is_told_and_the_tables_elsewhere() {
    let data = file(csv(&made(2_000)));
    let to = data.beside("report.yaml");
    let by = ["--prediction", "prediction", "-a", "sex"];
    let ran = bias(&data, &[&by[..], &REPORT, &["--report", &to]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("by sex") && !ran.out.contains("apiVersion"), "{}", ran.out);
    #[expect(clippy::disallowed_methods, reason = "a test reads what was written")]
    let written = std::fs::read_to_string(to).unwrap();
    let ran = bias(&data, &[&by[..], &REPORT].concat());
    assert_eq!(written, ran.out);
    assert!(ran.err.contains("by sex"), "{}", ran.err);
}

#[test]
fn json_has_what_the_tables_show_with_all_digits() {
    let ten = "f,1,1\nf,0,0\nf,0,0\nf,0,0\nm,1,1\nm,0,1\n".repeat(10);
    let data = file(format!("sex,label,prediction\n{ten}"));
    let ran = bias(&data, &["--prediction", "prediction", "-a", "sex", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&found["rows"], &found["gate"]), (&60.into(), &serde_json::Value::Null));
    let set = &found["sets"][0];
    assert_eq!(set["groups"][0]["group"], "f");
    assert_eq!(set["groups"][0]["rates"]["Selection"]["value"], 0.25);
    // Wilson's interval of 10 in 40 (statsmodels: 0.1418712).
    let lower = set["groups"][0]["rates"]["Selection"]["lower"].as_f64().unwrap();
    assert!((lower - 0.141_871_2).abs() < 1e-6, "{lower}");
    assert_eq!(set["metrics"][0]["metric"], "SelectionRateRatio");
    assert_eq!((&set["metrics"][0]["value"], &set["metrics"][0]["between"][0]), (&0.25.into(), &"f".into()));
    assert_eq!(set["groups"][1]["rates"]["FalsePositive"]["value"], 1.0);
}

#[test]
fn scores_are_counted_by_label_in_bins_and_judged() {
    let rows = made(4_003);
    let by = ["--score", "score", "--threshold", "0.5", "-a", "sex", "--score-bins", "0:1:20"];
    let mut said = Vec::new();
    for (name, bytes) in files(&rows) {
        for threads in ["1", "3"] {
            let (report, _) = report(&file(&bytes), &[&by[..], &["--threads", threads]].concat());
            said.push((name, report["spec"]["scores"].clone()));
        }
    }
    for (name, scores) in &said {
        assert_eq!(*scores, said[0].1, "{name}");
    }
    let scores = &said[0].1;
    assert_eq!(scores["bins"]["edges"].as_array().unwrap().len(), 21);
    assert_eq!(scores["bins"]["edges"][1], "0.05");
    for group in scores["groups"].as_array().unwrap() {
        let sex = group["attributes"]["sex"].as_str().unwrap();
        let mut wanted = [[0_u64; 20]; 2];
        let of_group: Vec<_> = rows.iter().filter(|r| r.sex.unwrap_or("(missing)") == sex).collect();
        for row in &of_group {
            // scores have three digits, so that no edge is missed by rounding
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 999")]
            let thousandths = (row.score * 1000.0).round() as usize;
            wanted[usize::from(row.label)][thousandths / 50] += 1;
        }
        assert_eq!(group["rows"], of_group.len(), "{sex}");
        assert_eq!(group["negative"], serde_json::json!(wanted[0]), "{sex}");
        assert_eq!(group["positive"], serde_json::json!(wanted[1]), "{sex}");
    }
    // Without bins there is no histogram, and a policy that binds one of its metrics says what it lacks.
    let file = file(csv(&rows));
    let policy = file.beside("policy.yaml");
    #[expect(clippy::disallowed_methods, reason = "a test writes what it reads")]
    std::fs::write(&policy, AUC).unwrap();
    let judged = |more: &[&str]| bias(&file, &[&by[..6], &["--policy", policy.as_str()], more].concat());
    let with = judged(&["--score-bins", "0:1:500"]);
    assert!(with.out.contains("AUC difference sex="), "{}{}", with.out, with.err);
    assert_eq!(with.code, 0, "{}", with.out);
    let wide = judged(&["--score-bins", "0:1:1"]);
    assert!(wide.code == 1 && wide.out.contains("narrower bins"), "{}", wide.out);
    let without = judged(&[]);
    assert!(without.code == 1 && without.out.contains("found none"), "{}", without.out);
}

/// A policy that binds the areas under the ROC curves.
const AUC: &str = "apiVersion: placet.dev/v1alpha1
kind: ReleasePolicy
metadata: {name: auc}
spec:
  appliesTo: {classes: [High]}
  tests: [{type: Bias, metric: AucDifference, atMost: '0.2'}]
  approvals: [{role: model-owner, count: 1}]
";

/// Rows of groups, each with how many of them are selected. Of every group, half are actually positive.
fn selected(header: &str, groups: &[(&str, u32, u32)]) -> rows::File {
    let mut text = format!("{header},label,prediction\n");
    for (group, of, chosen) in groups {
        for row in 0..*of {
            let _ = writeln!(text, "{group},{},{}", row % 2, u8::from(row < *chosen));
        }
    }
    file(text)
}

/// A text on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Four women of one region, who would take three more groups with them out of every comparison.
const FOUR_WOMEN: [(&str, u32, u32); 6] = [
    ("f,a", 4, 0),
    ("m,a", 900, 500),
    ("f,b", 800, 0),
    ("m,b", 700, 700),
    ("f,c", 3_000, 1_500),
    ("m,c", 3_000, 1_500),
];

fn system_with(sets: &str) -> rows::File {
    let text = include_str!("fixtures/bias-system.yaml");
    file(text.replace("SETS", sets).replace("MEANS", "Favourable"))
}

#[test]
fn four_people_of_an_attribute_that_nobody_asks_for_hide_nobody() {
    let data = selected("sex,region", &FOUR_WOMEN);
    let pack = common::tests().join("../../../policies/packs/high-risk.yaml");
    let by = ["--prediction", "prediction", "--policy", pack.to_str().unwrap(), "--system"];
    let asked = system_with("[[sex]]");
    for order in [["-a", "sex", "-a", "region"], ["-a", "region", "-a", "sex"]] {
        let ran = bias(&data, &[&by[..], &[asked.path.as_str()], &order].concat());
        assert_eq!(ran.code, 1, "{}", ran.out);
        // 1,500 of 3,804 women, and 2,700 of 4,600 men.
        assert!(
            flat(&ran.out).contains("Fail: high-risk") && flat(&ran.out).contains("sex=f / sex=m is 0.67"),
            "{}",
            ran.out
        );
        assert!(!ran.out.contains("on what is exported"), "{}", ran.out);
        // So it is for whoever has the report alone.
        let (found, err) = report(&data, &[&by[..], &[asked.path.as_str()], &order].concat());
        let mut women = [0; 2];
        for (values, counts) in counts_of(&found) {
            assert_ne!(values[1], "(small groups)", "{err}");
            if values[1] == "f" {
                women[0] += counts[0] + counts[1];
                women[1] += counts.iter().sum::<u64>();
            }
            assert!(counts.iter().sum::<u64>() >= 10, "{values:?}");
        }
        assert_eq!(women, [1_500, 3_804], "{err}");
        assert!(!counts_of(&found).contains_key(&vec!["a".to_owned(), "f".to_owned()]));
    }
}

#[test]
fn a_verdict_that_a_cluster_cannot_come_to_is_that_of_the_raw_counts_and_is_told() {
    // All women of region a are not selected, and nobody else is treated otherwise by sex or by region.
    let mut groups = FOUR_WOMEN;
    for (group, rows, chosen) in &mut groups {
        *chosen = if *group == "f,a" { 0 } else { *rows / 2 };
    }
    let data = selected("sex,region", &groups);
    let pack = common::tests().join("../../../policies/packs/high-risk.yaml");
    let asked = system_with("[[sex], [region]]");
    let by = ["--prediction", "prediction", "-a", "sex", "-a", "region", "--policy", pack.to_str().unwrap()];
    let ran = bias(&data, &[&by[..], &["--system", asked.path.as_str()]].concat());
    assert_eq!(ran.code, 1, "a cluster would not let it go on: {}", ran.out);
    let out = flat(&ran.out);
    let (raw, exported) = out.split_once("verdict of the gate on what is exported").unwrap();
    assert!(raw.contains("Pass: high-risk wants SelectionRateRatio at least 0.80"), "{raw}");
    assert!(
        exported.contains("Indeterminate, which holds")
            && exported.contains("by region 2404 rows are in (small"),
        "{exported}"
    );
    assert!(
        flat(&ran.err).contains("note: the report that is exported does not say all that was judged here"),
        "{}",
        ran.err
    );
    let ran = bias(&data, &[&by[..], &["--system", asked.path.as_str(), "-o", "json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let test = &found["gate"]["tests"][0];
    assert_eq!((&test["verdict"], &test["exportedVerdict"]), (&"Pass".into(), &"Indeterminate".into()));
    assert_eq!(found["gate"]["holds"], false);
}

#[test]
fn more_groups_than_are_judged_are_judged_by_what_is_asked_for() {
    // 220 places, of which 30 have four women each; by sex there are two groups.
    let mut text = "sex,place,label,prediction\n".to_owned();
    for place in 0..110_u32 {
        for (sex, rows) in [("f", if place < 30 { 4 } else { 100 }), ("m", 100)] {
            for row in 0..rows {
                let _ =
                    writeln!(text, "{sex},p{place},{},{}", row / 2 % 2, u8::from(sex == "m" || row % 2 == 0));
            }
        }
    }
    let data = file(text);
    let pack = common::tests().join("../../../policies/packs/high-risk.yaml");
    let asked = system_with("[[sex]]");
    let by = ["--prediction", "prediction", "-a", "sex", "-a", "place", "--policy", pack.to_str().unwrap()];
    let ran = bias(&data, &[&by[..], &["--system", asked.path.as_str()]].concat());
    assert!(ran.out.contains("19,120 rows in 220 groups"), "{}", ran.out);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(flat(&ran.out).contains("sex=f / sex=m is 0.50"), "{}{}", ran.out, ran.err);
}

#[test]
fn what_leaves_as_json_or_as_a_report_says_nothing_of_few_people() {
    let data = selected("sex,region", &FOUR_WOMEN);
    let by = ["--prediction", "prediction", "-a", "sex", "-a", "region", "-o", "json"];
    let ran = bias(&data, &by);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for set in found["sets"].as_array().unwrap() {
        for group in set["groups"].as_array().unwrap() {
            assert!(group["rows"].as_u64().unwrap() >= 10, "{group}");
        }
    }
    // Alone, sex and region have no small group and are as they were counted.
    let of = |set: usize, group: usize| {
        (
            found["sets"][set]["groups"][group]["group"].clone(),
            found["sets"][set]["groups"][group]["rows"].clone(),
        )
    };
    assert_eq!(of(0, 0), ("f".into(), 3_804.into()));
    assert_eq!(of(1, 0), ("a".into(), 904.into()));
    assert!(ran.err.contains("under (small groups)"), "{}", ran.err);
    // Nothing is said of nine people at all.
    let data = selected("sex", &[("f", 5, 2), ("m", 4, 2)]);
    let by = ["--prediction", "prediction", "-a", "sex"];
    let ran = bias(&data, &[&by[..], &REPORT].concat());
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("wanted at least 10 rows in a TestReport, found fewer"), "{}", ran.err);
    let ran = bias(&data, &[&by[..], &["-o", "json"]].concat());
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["sets"][0]["groups"], serde_json::json!([]), "{}", ran.out);
}

#[test]
fn a_number_of_32_bits_is_the_number_that_its_text_is() {
    let scores = [0.7_f32, 0.7, 0.1, 0.699_999_9, 0.9, 1e-7, 3.4e38, 0.7];
    let sex: Vec<&str> = (0..80).map(|row| if row % 2 == 0 { "f" } else { "m" }).collect();
    let label: Vec<i64> = (0..80).map(|row| row / 2 % 2).collect();
    let score: Vec<f32> = scores.iter().copied().cycle().take(80).collect();
    let mut text = "sex,label,score\n".to_owned();
    for ((sex, label), score) in sex.iter().zip(&label).zip(&score) {
        let _ = writeln!(text, "{sex},{label},{score}");
    }
    let batch = arrow_array::RecordBatch::try_from_iter([
        ("sex", Arc::new(StringArray::from(sex)) as ArrayRef),
        ("label", Arc::new(Int64Array::from(label))),
        ("score", Arc::new(Float32Array::from(score))),
    ])
    .unwrap();
    let parquet = rows::parquet(&batch, 20, parquet::basic::Compression::SNAPPY, true);
    for (threshold, at_least) in [("0.7", Some(0.7)), ("q0.5", None)] {
        let by = ["--score", "score", "--threshold", threshold, "-a", "sex"];
        let (wanted, said) = report(&file(&text), &by);
        for bytes in [parquet.clone(), rows::ipc(&batch, 30, true, None)] {
            let (found, err) = report(&file(bytes), &by);
            assert_eq!(found, wanted, "{threshold}: {err}");
            assert_eq!(err, said);
        }
        if let Some(limit) = at_least {
            // As many as are written 0.7 or more: five of eight.
            let positive: u64 = counts_of(&wanted).values().map(|c| c[0] + c[1]).sum();
            assert_eq!(positive, 50, "{limit}");
        }
    }
}

#[test]
fn weights_may_be_as_small_as_their_squares_are_not() {
    let by = ["--prediction", "prediction", "-a", "sex", "--weight", "w"];
    let with = |unit: &str| {
        let text = format!(
            "sex,label,prediction,w\nf,1,1,3{unit}\nf,0,0,1{unit}\nf,1,0,1{unit}\nm,1,1,1{unit}\nm,0,1,0\nm,0,0,1{unit}\n"
        );
        let ran = bias(&file(text), &by);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    assert_eq!(with("e-170"), with(""));
    assert_eq!(with("e-270"), with("e11"));
}
