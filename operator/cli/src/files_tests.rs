//! Files and directories as people have them.

use super::*;

fn read(file: &str, text: &str) -> Input {
    let mut input = Input::default();
    input.file(file, text, Some("n"));
    input.duplicates();
    input
}

const ROLE: &str = "apiVersion: placet.dev/v1alpha1\nkind: ApprovalRole\nmetadata: {name: r}\nspec: {title: T, answersFor: X}\n";

#[test]
fn an_unknown_field_has_file_and_line() {
    let text = format!(
        "# two documents\n{ROLE}---\n{}",
        ROLE.replace("name: r", "name: s").replace("answersFor: X", "answersFor: X, colour: red")
    );
    let input = read("f.yaml", &text);
    assert_eq!(input.errors.len(), 1, "{:?}", input.errors);
    assert!(input.errors[0].starts_with("f.yaml:10:"), "{:?}", input.errors);
    assert!(input.errors[0].contains("colour"), "{:?}", input.errors);
}

#[test]
fn yaml_that_does_not_parse_has_file_and_line() {
    let input = read("f.yaml", &format!("{ROLE}---\nkind: [unclosed\n"));
    assert!(input.errors[0].starts_with("f.yaml:"), "{:?}", input.errors);
    assert!(input.errors[0].contains("not YAML that can be read"), "{:?}", input.errors);
}

#[test]
fn duplicates_name_both_places() {
    let input = read("f.yaml", &format!("{ROLE}---\n{ROLE}"));
    assert_eq!(input.errors, ["f.yaml:6: ApprovalRole r appears twice, first in f.yaml:1; leave one out"]);
}

#[test]
fn lists_json_and_strangers() {
    let role = serde_json::json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole",
        "metadata": {"name": "r"}, "spec": {"title": "T", "answersFor": "X"}});
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [role,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"}}}]});
    let input = read("f.json", &serde_json::to_string_pretty(&list).unwrap());
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    assert_eq!(input.objects.len(), 1);
    assert_eq!(input.objects[0].line, 5);
    assert_eq!(input.notes.len(), 1);
    assert_eq!(input.namespaces["n"]["a"], "b");
}

#[test]
fn directives_are_read_and_do_not_move_lines() {
    let input = read(
        "f.yaml",
        &format!(
            "# first\n%YAML 1.2\n---\n{ROLE}...\n%YAML 1.2\n--- # two\n{}",
            ROLE.replace("name: r", "name: s")
        ),
    );
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    let lines: Vec<u64> = input.objects.iter().map(|o| o.line).collect();
    assert_eq!(lines, [4, 11]);
    let input = read("f.yaml", &format!("%YAML 1.2\n---\n{}", ROLE.replace("title: T", "titel: T")));
    assert!(input.errors[0].starts_with("f.yaml:6:"), "{:?}", input.errors);
}

#[test]
fn an_array_is_told_what_was_wanted() {
    let array = r#"[{"apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole"}, {}]"#;
    let mut input = read("f.json", array);
    assert!(input.errors[0].contains("wanted an object, a List"), "{:?}", input.errors);
    assert!(input.errors[0].ends_with("found an array of 2"), "{:?}", input.errors);
    // Strangers in a directory are left aside, ours are not.
    input.found = true;
    input.file("g.JSON", array, None);
    input.file("package.json", "[1, 2]", None);
    assert_eq!((input.errors.len(), input.notes.len()), (2, 1), "{:?}", input.notes);
}

/// An empty directory with a file of one role.
fn directory(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    sys::write(&dir.path().join(name), ROLE.as_bytes()).unwrap();
    dir
}

fn names(input: &Input) -> Vec<&str> {
    input.objects.iter().map(|o| o.name.as_str()).collect()
}

#[test]
fn names_in_any_case_and_any_bytes_are_read() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = directory("a.YAML");
    for (i, name) in [&b"b.YML"[..], b"c.Json", b"d\xff.yaml"].into_iter().enumerate() {
        let role = json_role(&format!("r{i}"));
        sys::write(&dir.path().join(std::ffi::OsStr::from_bytes(name)), role.as_bytes()).unwrap();
    }
    let input = load(&[dir.path().to_owned()], None).unwrap();
    assert_eq!(names(&input), ["r", "r0", "r1", "r2"]);
    assert!(input.notes.is_empty(), "{:?}", input.notes);
}

fn json_role(name: &str) -> String {
    serde_json::json!({"apiVersion": "placet.dev/v1alpha1", "kind": "ApprovalRole", "metadata": {"name": name},
                       "spec": {"title": "T", "answersFor": "X"}})
    .to_string()
}

#[expect(clippy::disallowed_methods, reason = "a test makes the files that it is about")]
#[test]
fn what_is_left_out_is_said_and_nothing_is_waited_for() {
    let dir = directory("a.yaml");
    let at = |name: &str| dir.path().join(name);
    let _socket = std::os::unix::net::UnixListener::bind(at("b.yaml")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("c.json")).status().unwrap().success());
    sys::write(&at(".d.yaml"), b"x").unwrap();
    sys::write(&at("notes.txt"), b"x").unwrap();
    let input = load(&[dir.path().to_owned()], None).unwrap();
    assert_eq!(names(&input), ["r"]);
    let said = |what: &str| input.notes.iter().filter(|n| n.contains(what)).count();
    assert_eq!(input.notes.len(), 3, "{:?}", input.notes);
    assert_eq!(
        (
            said("b.yaml: left out, it is a socket"),
            said("c.json: left out, it is a named pipe"),
            said(".d.yaml: left out")
        ),
        (1, 1, 1),
        "{:?}",
        input.notes
    );
    for (name, what) in [("b.yaml", "found a socket"), ("c.json", "found a named pipe")] {
        let e = load(&[at(name)], None).unwrap_err().to_string();
        assert!(e.contains(what) && e.contains("-f - <"), "{e}");
    }
    let e = load(&[PathBuf::from("/dev/zero")], None).unwrap_err().to_string();
    assert!(e.contains("found a device"), "{e}");
    // What cannot be read may hold what decides.
    sys::write(&at("e.yaml"), b"\xff\xfe").unwrap();
    std::os::unix::fs::symlink("nowhere", at("f.yaml")).unwrap();
    let e = text::chain(&load(&[dir.path().to_owned()], None).unwrap_err());
    assert!(e.contains("f.yaml: wanted a readable text file"), "{e}");
    std::fs::remove_file(at("f.yaml")).unwrap();
    let e = text::chain(&load(&[dir.path().to_owned()], None).unwrap_err());
    assert!(e.contains("e.yaml: wanted a readable text file"), "{e}");
}

#[test]
fn what_is_missing_is_said() {
    for (from, to, wanted) in [
        ("name: r", "generateName: r-", "generateName, which is refused"),
        ("placet.dev/v1alpha1", "placet.dev/v2", "wanted apiVersion placet.dev/v1alpha1"),
        ("ApprovalRole", "ApprovalRule", "wanted a kind of placet.dev"),
        ("title: T", "title: 5", "expected a string"),
    ] {
        let input = read("f.yaml", &ROLE.replace(from, to));
        assert!(input.errors.iter().any(|e| e.contains(wanted)), "{wanted}: {:?}", input.errors);
    }
}
