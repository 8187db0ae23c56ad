//! `placet bias`: files that cannot be counted, each refused with what was wanted, what was found and how to mend it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "common/bias.rs"]
mod rows;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch};
use parquet::basic::Compression;
use rows::{bias, file, files, refused, rows as made};

const BY_SEX: [&str; 4] = ["--prediction", "prediction", "-a", "sex"];

fn by_score(more: &[&'static str]) -> Vec<&'static str> {
    [&["--score", "score", "--threshold", "0.5", "-a", "sex"], more].concat()
}

#[test]
fn what_is_no_table_is_refused() {
    assert!(refused("", &BY_SEX).contains("wanted a header and rows, found an empty file"));
    for no_rows in ["sex,label,prediction", "sex,label,prediction\n"] {
        assert!(refused(no_rows, &BY_SEX).contains("wanted rows, found none"), "{no_rows:?}");
    }
    let e = refused("sex,label,prediction\nf,1\n", &BY_SEX);
    assert!(e.contains("found record with 2 fields, but the previous record has 3 fields"), "{e}");
    let utf16 = |big: bool, mark: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain("sex,label,prediction\nf,1,1\n".encode_utf16());
        units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    for (big, mark) in [(true, true), (true, false), (false, true), (false, false)] {
        let e = refused(utf16(big, mark), &BY_SEX);
        assert!(e.contains("found what looks like UTF-16: iconv -f UTF-16 -t UTF-8"), "{e}");
    }
    let e = refused(b"sex,label,prediction\nf\xe9minin,1,1\n", &BY_SEX);
    assert!(e.contains("line 2, column sex: wanted UTF-8, found \"f\u{fffd}minin\""), "{e}");
    let alike = format!("sex,label,prediction\n{}{}", "f,1,1\n".repeat(20), "F,1,0\n".repeat(20));
    let ran = bias(&file(alike), &BY_SEX);
    assert!(
        ran.err.contains("no gate judges this report: spec.groups: sex: wanted one name for each value"),
        "{}",
        ran.err
    );
    // A mark of UTF-8 at the beginning is no part of a name.
    assert_eq!(bias(&file("\u{feff}sex,label,prediction\nf,1,1\nm,1,0\n"), &BY_SEX).code, 0);
}

#[test]
fn a_file_that_ends_early_is_no_file() {
    for (name, bytes) in files(&made(3_000)) {
        for keep in [bytes.len() - 1, bytes.len() - 9, bytes.len() / 2, 9] {
            // Of CSV the beginning is a file as well, unless it ends within a row.
            if name == "csv" && keep > 9 {
                continue;
            }
            let ran = bias(&file(&bytes[..keep]), &BY_SEX);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{name} {keep}: {}", ran.err);
            assert!(
                ran.err.contains("error: ") && !ran.err.contains("panicked"),
                "{name} {keep}: {}",
                ran.err
            );
            if name.starts_with("parquet") {
                assert!(ran.err.contains("wanted a whole Parquet file"), "{keep}: {}", ran.err);
            }
        }
        if name.starts_with("arrow stream") {
            let ran = bias(&file(&bytes[..bytes.len() * 2 / 3]), &BY_SEX);
            assert_eq!(ran.code, 2, "{name}: {}", ran.err);
            // All parts are there, and the mark that says so is not.
            let e = refused(&bytes[..bytes.len() - 8], &BY_SEX);
            assert!(
                e.contains("found a stream without its mark of the end: rows may be missing"),
                "{name}: {e}"
            );
        }
    }
}

#[test]
fn a_quote_that_is_not_closed_swallows_no_rows() {
    let many = "1,0,f\n0,0,m\n".repeat(3_000);
    for rest in ["1,0,f\n", &many, ""] {
        let e = refused(format!("label,prediction,sex\n1,1,f\n0,1,\"m\n{rest}"), &BY_SEX);
        assert!(e.contains("line 3, column sex: wanted a value on one line"), "{e}");
        // In a column that is not read, a value may have lines, but is closed where the file ends.
        let e = refused(format!("label,prediction,sex,note\n1,1,f,x\n0,1,m,\"y\n{rest}"), &BY_SEX);
        assert!(e.contains("line 3: wanted quotes that are closed"), "{e}");
    }
    // The last of as many rows as are read at once.
    let rows = "1,0,f,x\n".repeat((1 << 12) - 1);
    let e = refused(format!("label,prediction,sex,note\n{rows}0,1,m,\"y\n1,1,f,z\n"), &BY_SEX);
    assert!(e.contains("line 4097: wanted quotes that are closed"), "{e}");
    let closed = "label,prediction,sex,note\n1,1,f,\"a\nb\"\n0,1,m,\"c\nd\"\n";
    for end in ["", "\n", "\r\n"] {
        let ran = bias(&file(format!("{closed}{end}")), &BY_SEX);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("2 rows in 2 groups"), "{}", ran.out);
    }
}

#[test]
fn bytes_that_were_changed_end_in_words() {
    // Wherever a byte of a file is another one: it is read, or refused, and never breaks the program.
    for (name, bytes) in files(&made(400)) {
        if name.contains("gzip") || name.contains("many") {
            continue;
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 23) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            let ran = bias(&file(&changed), &BY_SEX);
            assert!(ran.code <= 2 && !ran.err.contains("panicked"), "{name} at {at}: {}", ran.err);
        }
    }
}

#[test]
fn columns_are_there_and_once() {
    let e = refused("sex,y,prediction\nf,1,1\n", &BY_SEX);
    assert!(e.contains(r#"wanted the column label, found "prediction", "sex", "y""#), "{e}");
    let e = refused("sex;label;prediction\nf;1;1\n", &BY_SEX);
    assert!(e.contains("--delimiter says what separates them"), "{e}");
    let e = refused("sex,label,prediction,sex\nf,1,1,m\n", &BY_SEX);
    assert!(e.contains("column sex: wanted one of this name, found 2"), "{e}");
    // One that is not read may be there twice.
    assert_eq!(bias(&file("x,x,sex,label,prediction\n1,2,f,1,1\n1,2,m,1,0\n"), &BY_SEX).code, 0);
    let column = || Arc::new(Int64Array::from(vec![0, 1])) as ArrayRef;
    let twice = [("sex", column()), ("label", column()), ("prediction", column()), ("label", column())];
    let twice = RecordBatch::try_from_iter(twice).unwrap();
    for bytes in [rows::parquet(&twice, 10, Compression::SNAPPY, true), rows::ipc(&twice, 10, false, None)] {
        let e = refused(bytes, &BY_SEX);
        assert!(e.contains("column label: wanted one of this name, found 2"), "{e}");
    }
    let dates = Arc::new(Date32Array::from(vec![0, 1])) as ArrayRef;
    let dates = RecordBatch::try_from_iter([("sex", dates), ("label", column()), ("prediction", column())]);
    let e = refused(rows::parquet(&dates.unwrap(), 10, Compression::SNAPPY, true), &BY_SEX);
    assert!(e.contains("column sex: wanted text, whole numbers") && e.contains("found Date32"), "{e}");
}

#[test]
fn groups_that_cannot_be_compared_are_said() {
    let ran = bias(&file("sex,label,prediction\nf,1,1\nf,0,0\n"), &BY_SEX);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("note: sex: a bias test compares at least two groups, found \"f\""),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("selection-rate ratio: undefined"), "a single group is no parity: {}", ran.out);
    // No value is known at all.
    let ran = bias(&file("sex,label,prediction\n,1,1\n,0,0\n"), &BY_SEX);
    assert!(
        ran.err.contains("note: sex: a bias test compares at least two groups, found none"),
        "{}",
        ran.err
    );
    assert!(ran.out.contains("(missing)"), "{}", ran.out);
    // A group without actual positives has no true positive rate, and neither has the comparison.
    let ran = bias(&file("sex,label,prediction\nf,0,1\nf,0,0\nm,1,1\nm,0,0\n"), &BY_SEX);
    assert!(ran.out.contains("equal-opportunity difference: undefined"), "{}", ran.out);
    let f = ran.out.lines().find(|l| l.trim_start().starts_with("f ")).unwrap();
    assert!(f.contains("undefined"), "{f}");
}

#[test]
fn a_group_that_one_part_of_the_data_lacks_is_not_made_up_there() {
    // A test split without the group m, beside one that has it.
    let (train, test) = ("f,1,1\nf,0,0\nm,1,0\n", "f,1,1\nf,0,0\n");
    let of = |rows: &str| bias(&file(format!("sex,label,prediction\n{rows}")), &BY_SEX).out;
    assert!(of(train).contains("in 2 groups") && of(test).contains("in 1 group;"));
    assert!(!of(test).lines().any(|l| l.trim_start().starts_with("m ")));
}

#[test]
fn outcomes_say_yes_or_no() {
    let e = refused("sex,label,prediction\nf,granted,denied\nm,denied,denied\n", &BY_SEX);
    assert!(
        e.contains("row 1, column label: wanted 0 and 1 or false and true, or --positive VALUE")
            && e.contains(r#"found "denied", "granted""#),
        "{e}"
    );
    let granted = [&BY_SEX[..], &["--positive", "granted"]].concat();
    assert_eq!(bias(&file("sex,label,prediction\nf,granted,granted\nm,denied,denied\n"), &granted).code, 0);
    let both = [&granted[..], &["--positive", "denied"]].concat();
    let e = refused("sex,label,prediction\nf,granted,granted\nm,denied,denied\n", &both);
    assert!(
        e.contains("wanted a value of the label that is not positive") && e.contains("all it has are named"),
        "{e}"
    );
    let e = refused("sex,label,prediction\nf,yes,granted\nm,no,denied\n", &granted);
    assert!(
        e.contains("wanted the positive value of the label as well, found that it has only \"no\", \"yes\""),
        "{e}"
    );
    let e = refused("sex,label,prediction\nf,yes,1\nm,no,0\n", &granted);
    assert!(
        e.contains("found \"granted\", which neither has; label: \"no\", \"yes\"; prediction: \"0\", \"1\""),
        "{e}"
    );
    let several = "sex,label,prediction\nf,granted,granted\nm,denied,Granted\nm,denied,granted\n";
    let ran = bias(&file(several), &granted);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains("label:"), "{}", ran.err);
    let several = "sex,label,prediction\nf,granted,granted\nm,open,granted\nm,denied,granted\n";
    let ran = bias(&file(several), &granted);
    assert!(ran.err.contains("note: label: \"denied\", \"open\" are taken for not positive"), "{}", ran.err);
    let e = refused("sex,label,prediction\nf,1,1\nm,,0\n", &BY_SEX);
    assert!(e.contains("row 2, column label: wanted a value, found none"), "{e}");
    let e = refused("sex,label,prediction\nf,1,1\nm,0,0.5\n", &BY_SEX);
    assert!(e.contains("row 2, column prediction: wanted 0 and 1"), "{e}");
    let mut scores = "sex,label,prediction\n".to_owned();
    for n in 0..2_000 {
        let _ = writeln!(scores, "f,1,0.{n:05}");
    }
    let e = refused(scores, &[&BY_SEX[..], &["--positive", "1"]].concat());
    assert!(e.contains("a column of scores is given with --score and --threshold"), "{e}");
}

#[test]
fn scores_are_finite_numbers() {
    for bad in ["NaN", "nan", "inf", "-Infinity", ""] {
        let e = refused(format!("sex,label,score\nf,1,0.5\nm,0,{bad}\n"), &by_score(&[]));
        assert!(e.contains("row 2, column score: wanted a finite score, found"), "{bad}: {e}");
        let e = refused(
            format!("sex,label,score\nf,1,0.5\nm,0,{bad}\n"),
            &["--score", "score", "--threshold", "median", "-a", "sex"],
        );
        assert!(e.contains("row 2, column score: wanted a finite score, found"), "{bad}: {e}");
    }
    let e = refused("sex,label,score\nf,1,0.5\nm,0,high\n", &by_score(&[]));
    assert!(e.contains("column score: line 3: wanted a number, found \"high\""), "{e}");
    // A large one is one.
    assert_eq!(bias(&file("sex,label,score\nf,1,1e308\nm,0,-1e308\n"), &by_score(&[])).code, 0);
    // Beyond 2^53 neighbours are one number: no threshold tells them apart.
    let whole = |score: i64| {
        let batch = RecordBatch::try_from_iter([
            ("sex", Arc::new(Int64Array::from(vec![0, 1])) as ArrayRef),
            ("label", Arc::new(Int64Array::from(vec![0, 1]))),
            ("score", Arc::new(Int64Array::from(vec![0, score]))),
        ]);
        rows::parquet(&batch.unwrap(), 2, Compression::SNAPPY, true)
    };
    for beyond in [(1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN] {
        let e = refused(whole(beyond), &by_score(&[]));
        assert!(
            e.contains("wanted whole numbers from -2^53 to 2^53") && e.contains(&beyond.to_string()),
            "{e}"
        );
    }
    assert_eq!(bias(&file(whole(1 << 53)), &by_score(&[])).code, 0);
    for (bad, found) in [(f64::NAN, "NaN or a missing value"), (f64::INFINITY, "found inf")] {
        let batch = RecordBatch::try_from_iter([
            ("sex", Arc::new(Int64Array::from(vec![0, 1, 1])) as ArrayRef),
            ("label", Arc::new(Int64Array::from(vec![0, 1, 0]))),
            ("score", Arc::new(Float64Array::from(vec![0.25, bad, 0.5]))),
        ]);
        let e = refused(rows::parquet(&batch.unwrap(), 2, Compression::SNAPPY, true), &by_score(&[]));
        assert!(e.contains("row 2, column score") && e.contains(found), "{e}");
    }
}

#[test]
fn weights_are_numbers_that_weigh_something() {
    let weighted =
        |weights: [&str; 2]| format!("sex,label,prediction,w\nf,1,1,{}\nm,0,0,{}\n", weights[0], weights[1]);
    let by = [&BY_SEX[..], &["--weight", "w"]].concat();
    for bad in ["-1", "NaN", "inf", "", "1e13", "1e-281", "5e-324"] {
        let e = refused(weighted(["1", bad]), &by);
        assert!(
            e.contains("row 2, column w: wanted a weight of 0, or of 10^-280 to 10^12, found"),
            "{bad}: {e}"
        );
    }
    let e = refused(weighted(["0", "0"]), &by);
    assert!(e.contains("wanted weights of which one is above 0, found only zeros"), "{e}");
    // One group may weigh nothing: its weighted rates are undefined, and the raw ones are not.
    let ran = bias(&file(weighted(["0", "2"])), &by);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("undefined, 100.0"), "{}", ran.out);
}

#[test]
fn options_that_do_not_fit_are_refused_before_anything_is_read() {
    let rows = "sex,label,prediction,score\nf,1,1,0.5\nm,0,0,0.1\n";
    for (options, wanted) in [
        (&["--prediction", "prediction", "-a", "sex", "-a", "sex"][..], "found sex twice"),
        (&["--prediction", "prediction", "-a", "=sex"], "wanted COLUMN or NAME=COLUMN"),
        (&["--prediction", "prediction", "-a", "sex", "--confidence", "1"], "--confidence: wanted"),
        (&["--prediction", "prediction", "-a", "sex", "--threads", "0"], "--threads: wanted"),
        (&["--prediction", "prediction", "-a", "sex", "--delimiter", "ab"], "--delimiter: wanted"),
        (&["--score", "score", "--threshold", "q2", "-a", "sex"], "--threshold: wanted"),
        (&["--score", "score", "-a", "sex"], "--threshold"),
        (
            &["--prediction", "prediction", "--score", "score", "--threshold", "1", "-a", "sex"],
            "cannot be used with",
        ),
        (&["--prediction", "prediction"], "--attribute"),
        (&["-a", "sex"], "--prediction"),
        (&["--prediction", "prediction", "-a", "sex", "--artifact", rows::ARTIFACT], "--dataset"),
        (
            &[
                "--prediction",
                "prediction",
                "-a",
                "sex",
                "--artifact",
                "sha256:1",
                "--dataset",
                rows::DATASET,
            ],
            "--artifact: wanted",
        ),
    ] {
        let ran = bias(&file(rows), options);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{options:?}: {}", ran.err);
        assert!(ran.err.contains(wanted), "{options:?}: {}", ran.err);
    }
    let e = refused("sex,label,prediction\n(small groups),1,1\n", &BY_SEX);
    assert!(e.contains("give it another name"), "{e}");
}

#[test]
fn scores_beyond_the_bins_are_refused_and_none_is_left_out() {
    let by = ["--score", "s", "--threshold", "0.5", "-a", "a", "--score-bins"];
    let rows = "label,s,a\n1,0.5,x\n0,1.25,y\n";
    let e = refused(rows, &[&by[..], &["0:1:10"]].concat());
    assert!(e.contains("found 1.25 beyond those from 0 to 1"), "{e}");
    let e = refused(rows, &[&by[..], &["0:1"]].concat());
    assert!(e.contains("wanted FROM:TO:COUNT"), "{e}");
}
