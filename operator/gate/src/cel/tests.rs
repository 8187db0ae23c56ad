use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{MAX_STEPS, Program, READS, Val};

fn input() -> BTreeMap<&'static str, Val> {
    let all = json!({
        "release": {"version": "2.4.0", "system": "scoring", "artifacts": [{"name": "weights", "role": "Model"}]},
        "system": {"purpose": "x", "triggers": {"personalData": true}, "stage": "Operation"},
        "assessment": {},
        "reports": [{"type": "Bias", "rows": 900}, {"type": "Security"}],
        "approvals": [{"role": "model-owner", "subject": {"kind": "ModelRelease"}}],
        "acceptances": [],
        "namespaceObject": {"metadata": {"name": "lending", "labels": {"tier": "prod", "a": "b"}}},
    });
    let mut out: BTreeMap<&'static str, Val> =
        READS.into_iter().filter_map(|name| Some((name, Val::from(all.get(name)?)))).collect();
    out.insert("now", Val::Time("2026-11-20T00:00:00Z".parse().unwrap()));
    out
}

fn holds(text: &str) -> Result<bool, String> {
    Program::new(text).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&input())
}

fn refused(text: &str) -> String {
    Program::new(text).map(|_| ()).expect_err(text)
}

#[test]
fn expressions_come_to_what_the_language_says() {
    for (text, wanted) in [
        ("release.version == '2.4.0'", true),
        ("release.version.startsWith('2.') && !release.version.endsWith('1')", true),
        ("release.artifacts.exists(a, a.role == 'Model')", true),
        ("release.artifacts.all(a, a.role == 'Other')", false),
        ("release.artifacts.exists_one(a, a.name.contains('eight'))", true),
        ("release.artifacts.map(a, a.name) == ['weights']", true),
        ("size(release.artifacts.filter(a, a.role == 'Other')) == 0", true),
        ("namespaceObject.metadata.labels.map(k, k) == ['a', 'tier']", true),
        (
            "namespaceObject.metadata.labels['tier'] in ['prod', 'stage'] && 'a' in namespaceObject.metadata.labels",
            true,
        ),
        ("has(system.owner) ? false : has(system.purpose)", true),
        ("now < timestamp('2027-01-01')", true),
        ("now - timestamp('2026-11-13T12:00:00Z') > duration('156h')", false),
        ("now + duration('1h30m') == timestamp('2026-11-20T01:30:00Z')", true),
        ("now.size() > 0 || release.version != ''", true),
        ("double('0.80') * 2.0 >= 1.6 && release.version != ''", true),
        ("int('7') % 4 == 3 && -3 / 2 == -1 && release.version != ''", true),
        (
            "1 < 1.5 && 2 > 1.5 && 1 == 1.0 && 9007199254740993 != 9007199254740992.0 && release.version != ''",
            true,
        ),
        ("'2' == 2 || release.version == ''", false),
        ("reports.exists(r, r.rows > 800)", true),
        ("!reports.all(r, r.type != 'Security')", true),
        ("approvals.exists(a, a.role == 'validator')", false),
        ("{'a': [1]} == {'a': [1.0]} && release.version != ''", true),
        ("size('äö') == 2 && release.version != ''", true),
    ] {
        assert_eq!(holds(text), Ok(wanted), "{text}");
    }
}

#[test]
fn what_cannot_be_said_is_an_error_and_neither_true_nor_false() {
    for (text, says) in [
        ("!system.riskRank.exists(x, true)", "riskRank"),
        ("!has(system.oversight.lastDrill)", "there is no oversight"),
        ("system.stage > 3", "have no order"),
        ("release.artifacts[1].role == 'Model'", "no such place"),
        ("namespaceObject.metadata.labels['zone'] == 'x'", "no such key"),
        ("9223372036854775807 + size(release.version) > 0", "too large"),
        ("size(release.version) / 0 > 0", "by zero"),
        ("1.0e308 * 10.0 > double(size(release.version))", "not finite"),
        ("timestamp(release.version) < now", "wanted a day"),
        ("duration(release.version) < duration('1h')", "wanted a length of time"),
        ("reports.exists(r, r.rows < 800)", "there is no rows"),
        ("namespaceObject.metadata.labels['a'] ? true : false", "wanted true or false"),
    ] {
        match Program::new(text).map(|p| p.holds(&input())) {
            Ok(Err(why)) | Err(why) => assert!(why.contains(says), "{text}: {why}"),
            Ok(Ok(said)) => panic!("{text} is {said}"),
        }
    }
    // What decides makes an error on the other side irrelevant, on either side.
    for text in ["system.stage > 3 || true", "true || system.stage > 3", "!(system.stage > 3 && false)"] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_could_never_be_evaluated_is_refused_with_its_place() {
    for (text, says) in [
        ("", "line 1"),
        ("release.version ==", "line 1, column 19"),
        ("release.version == '2' &&\n sytem.purpose == ''", "line 2, column 2: wanted one of system"),
        ("release.verson == '2'", "wanted one of the fields"),
        ("release.version.major == 2", "a string has no fields"),
        ("release.artifacts.exists(a, a.rolle == 'Model')", "found rolle"),
        ("has(release.verson)", "found verson"),
        ("release.version.matches('a+')", "found matches"),
        ("getDate(now) == 3", "found getDate"),
        ("size(release.version, 2) == 3", "wanted 1 arguments, found 2"),
        ("release.version", "wanted what is true or false"),
        ("size(release.version)", "wanted what is true or false"),
        ("[release.version]", "wanted what is true or false"),
        ("true || 1 == 1", "reads at least one of"),
        ("release.version == b'x'", "bytes"),
        ("size(release.version) == 1u", "unsigned"),
        ("Foo{a: release.version} == 1", "not known here"),
    ] {
        let why = refused(text);
        assert!(why.contains(says), "{text}: {why}");
    }
}

#[test]
fn what_deleting_an_object_could_make_true_is_refused() {
    for text in [
        "reports.all(r, r.rows > 100)",
        "!reports.exists(r, r.type == 'Drift')",
        "size(reports) < 3",
        "reports.size() == 0",
        "reports == []",
        "reports[0].rows > 3",
        "reports.filter(r, r.rows > 100) == []",
        "reports.exists_one(r, r.rows > 100)",
        "reports.map(r, r.rows) == [3]",
        "(reports.exists(r, r.rows > 3) ? release.version : '') == '2'",
        "reports.exists(r, true) == false",
        "reports.exists(r, true) ? false : has(release.version)",
        "release.artifacts.all(a, !reports.exists(r, r.artifact == a.digest))",
        "reports.exists(r, approvals.all(a, a.role == r.type))",
        "!(release.version == '' || reports.exists(r, true))",
    ] {
        let why = refused(text);
        assert!(why.contains("it may only be asked whether there is one"), "{text}: {why}");
    }
    for text in [
        "release.artifacts.all(a, reports.exists(r, r.artifact == a.digest))",
        "!reports.all(r, r.rows < 100) || acceptances.exists(x, x.level == 'High')",
        "release.version == '' ? approvals.exists(a, true) : reports.exists(r, true)",
        // A name of its own hides the list.
        "release.artifacts.all(reports, reports.role == 'Model')",
    ] {
        assert!(Program::new(text).is_ok(), "{text}: {:?}", Program::new(text).err());
    }
}

#[test]
fn an_evaluation_ends_whatever_it_is_asked() {
    let many: Vec<Value> = (0..256).map(|n| json!({"rows": n, "type": "Bias"})).collect();
    let mut input = input();
    input.insert("reports", Val::from(&json!(many)));
    let nested = "reports.exists(a, reports.exists(b, reports.exists(c, a.rows + b.rows + c.rows < 0)))";
    let why = Program::new(nested).unwrap().holds(&input).unwrap_err();
    assert!(why.contains(&MAX_STEPS.to_string()), "{why}");
    // Not even what decides by itself takes back that it did not end.
    let why = Program::new(&format!("{nested} || true")).unwrap().holds(&input).unwrap_err();
    assert!(why.contains("steps"), "{why}");
    let doubled = (0..12)
        .fold("x + x".to_owned(), |inner, _| format!("size([x + x].map(x, {inner})[0]) > 0 ? 'y' + x : x"));
    let text = format!("[release.version].exists(x, ({doubled}) != '')");
    // Whether it is refused or stopped, it takes neither time nor memory.
    if let Ok(program) = Program::new(&text) {
        let _ = program.holds(&input);
    }
    let bomb = "[[release.version + 'aaaaaaaaaaaaaaaa']].exists(a, ".to_owned()
        + &"[a + a + a + a + a + a + a + a].exists(a, ".repeat(10)
        + "size(a) > 0"
        + &")".repeat(11);
    let said = Program::new(&bomb).and_then(|p| p.holds(&input));
    assert!(said.as_ref().is_err_and(|why| why.contains("steps")), "{said:?}");
}

/// As deep and as long as a policy may write it, on a stack smaller than those that it is read on.
#[test]
fn the_longest_expressions_do_not_use_up_a_stack() {
    let texts = [
        vec!["1"; 512].join("+"),
        "(".repeat(512) + &")".repeat(512),
        "!".repeat(1023),
        "-".repeat(1023),
        "[".repeat(1024),
        "a.".repeat(511) + "b",
        "a".to_owned() + &"[0]".repeat(341),
        "a?b:".repeat(255) + "c",
        "a&&".repeat(341) + "a",
        vec!["1"; 512].join("<"),
        "release.version==''||".repeat(48) + "true",
        "{1:".repeat(340),
        "a.b(".repeat(255),
        "\"".repeat(1023),
    ];
    let run = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for text in texts {
            assert!(text.len() <= 1024);
            if let Ok(program) = Program::new(&text) {
                let _ = program.holds(&input());
            }
        }
    });
    run.unwrap().join().unwrap();
}
