//! The words: the same in the denial, in status, in `placet why` and in events (invariant 8). They are made of what
//! objects say, and terminals show them: each text goes through [`visible`], and every line break is one of ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use placet_api::modelrelease::GateVerdict;

use crate::decision::{Cleared, Decision};
use crate::finding::{Finding, Gate, GateOutcome};
use crate::people::join_names;
use crate::visible;

/// Names of people by token.
pub type Names = BTreeMap<String, String>;

/// Puts names in place of people's tokens in words that are shown: a user name may hold what a terminal obeys.
pub fn named(text: &str, names: &Names) -> String {
    join_names(text, |token| names.get(token).map(|name| visible::line(name)))
}

/// One line on the whole decision: `X is not cleared: 3 of 7 gates are open`.
pub fn headline(release: &str, decision: &Decision) -> String {
    let release = visible::line(release);
    let (open, unasked): (Vec<_>, Vec<_>) = decision.open().partition(|g| !g.findings.is_empty());
    let of = decision.gates.len();
    let are = if open.len() == 1 { "is" } else { "are" };
    let others = if unasked.is_empty() { "" } else { ", the others cannot be judged before" };
    let open = open.len();
    match decision.cleared {
        Cleared::True => format!("{release} is cleared"),
        Cleared::False => format!("{release} is not cleared: {open} of {of} gates {are} open{others}"),
        Cleared::Unknown => {
            format!("{release} is not yet cleared: {open} of {of} gates {are} not yet known{others}")
        }
    }
}

/// Names of the open gates, joined by commas: the column OPEN. Left out are those that cannot be judged before the
/// others.
pub fn open_gates(decision: &Decision) -> String {
    decision.open().filter(|g| !g.findings.is_empty()).map(|g| g.gate.as_str()).collect::<Vec<_>>().join(",")
}

/// The last line of what is said of a pod whose release is cleared: then the release's own answer has nothing against
/// it, and what is in the way is said of the pod.
pub fn why_pod_line(namespace: &str, pod: &str) -> String {
    let (namespace, pod) = (visible::line(namespace), visible::line(pod));
    format!("what keeps it, for as long as it is held: placet why pod/{pod} -n {namespace}")
}

/// The same of what is no pod that waits: asked again, the answer says it again.
pub fn again_line(namespace: &str) -> String {
    let namespace = visible::line(namespace);
    format!("the same again, without writing anything: kubectl apply --dry-run=server -f FILE -n {namespace}")
}

/// The last line of every refusal: the command that shows the rest.
pub fn why_line(namespace: &str, release: &str) -> String {
    let (namespace, release) = (visible::line(namespace), visible::line(release));
    format!("everything, with who can do what: placet why mr/{release} -n {namespace}")
}

/// What is said of a decision's open gates wherever it is answered with, made once for all answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// As [`body`].
    pub body: String,
    /// As [`lines`].
    pub lines: Vec<String>,
}

impl Words {
    /// The words of a decision.
    pub fn of(decision: &Decision) -> Self {
        Self { body: body(decision.open()), lines: lines(decision.open()) }
    }
}

/// Widest gate name and two spaces.
pub(crate) const COLUMN: usize = 16;

/// A refusal for a terminal: headline, one block per open gate, and the command that shows the rest. Findings of one
/// gate that differ in their role only are joined.
pub fn denial(
    namespace: &str,
    release: &str,
    decision: &Decision,
    record: Option<u64>,
    names: &Names,
) -> String {
    let mut text = headline(release, decision);
    if let Some(record) = record {
        let _ = write!(text, " (decision {record})");
    }
    text.push_str(&body(decision.open()));
    let _ = write!(text, "\n{}", why_line(namespace, release));
    named(&text, names)
}

/// The blocks of a refusal, each line with a line break before it: what is missing gate by gate, and who can do what.
pub fn body<'a>(gates: impl Iterator<Item = &'a GateOutcome>) -> String {
    let mut text = String::new();
    for gate in gates {
        for (i, block) in blocks(gate).into_iter().enumerate() {
            let label = if i == 0 { gate.gate.as_str() } else { "" };
            let _ = write!(text, "\n  {label:COLUMN$}{}", visible::line(&block.what));
            for line in block.do_this {
                let _ = write!(text, "\n  {:COLUMN$}  {}", "", visible::line(&line));
            }
        }
    }
    text
}

/// What is missing, one line each without who can do what: for warnings.
pub fn lines<'a>(gates: impl Iterator<Item = &'a GateOutcome>) -> Vec<String> {
    gates
        .flat_map(|gate| {
            blocks(gate).into_iter().map(|b| format!("{}: {}", gate.gate, visible::line(&b.what)))
        })
        .collect()
}

/// What is said about one or several findings.
struct Block {
    what: String,
    do_this: Vec<String>,
}

/// One block per finding; approvals that nobody gave yet share one.
fn blocks(gate: &GateOutcome) -> Vec<Block> {
    let bare =
        |f: &&Finding| gate.gate == Gate::Approvals && f.found.starts_with("0 of ") && !f.found.contains(';');
    let (missing, rest): (Vec<&Finding>, Vec<&Finding>) = gate.findings.iter().partition(bare);
    let mut out = Vec::new();
    if let [first, ..] = missing.as_slice() {
        let roles: Vec<&str> = missing.iter().map(|f| f.item.as_str()).collect();
        let same = missing.iter().all(|f| f.found == first.found);
        let what = if same {
            format!("{}: {}{}", roles.join(", "), first.found, if missing.len() > 1 { " each" } else { "" })
        } else {
            missing.iter().map(|f| format!("{} {}", f.item, f.found)).collect::<Vec<_>>().join(", ")
        };
        let command = if missing.len() > 1 {
            format!(
                "each of them: {}",
                first.command.replace(&format!("--role {}", first.item), "--role ROLE")
            )
        } else {
            format!("{}: {}", first.who, first.command)
        };
        out.push(Block { what, do_this: vec![command] });
    }
    for finding in rest {
        let mark = if finding.verdict == GateVerdict::Unknown { "not yet known: " } else { "" };
        let named = gate.gate == Gate::Approvals && !finding.item.is_empty();
        let item = if named { format!("{}: ", finding.item) } else { String::new() };
        out.push(Block {
            what: format!("{mark}{item}{}; {}", finding.found, wanted(finding)),
            do_this: vec![format!("{}: {}", finding.who, finding.command)],
        });
    }
    out
}

/// `X wants Y` is kept; anything else becomes `wanted: …`.
fn wanted(finding: &Finding) -> String {
    if finding.wanted.contains(" wants ") {
        finding.wanted.clone()
    } else {
        format!("wanted: {}", finding.wanted)
    }
}

/// Warnings for a controller's object: one line each, most important first, the last one the `placet why` line. The API
/// server cuts each after 256 characters once all together have 4,096.
pub fn warnings(namespace: &str, release: &str, decision: &Decision, names: &Names) -> Vec<String> {
    let mut all = vec![headline(release, decision)];
    all.extend(lines(decision.open()));
    all.push(why_line(namespace, release));
    fit_warnings(&all, names)
}

/// What the API server passes on of all warnings together, in characters (bytes here, which are no fewer). Beyond, it
/// cuts each of them.
const MOST_OF_WARNINGS: usize = 4096;
/// What it then passes on of each.
const MOST_OF_WARNING: usize = 256;

/// Joins names and keeps each on one line. What the API server passes on whole stays whole; of more than that, lines are
/// cut to 256 characters each and 4,096 in all, with a mark at each cut and the number of those that are left out. The
/// last line stays.
pub fn fit_warnings(lines: &[String], names: &Names) -> Vec<String> {
    let whole: Vec<String> =
        lines.iter().map(|line| visible::line(&named(line, names)).into_owned()).collect();
    if whole.iter().map(String::len).sum::<usize>() <= MOST_OF_WARNINGS {
        return whole;
    }
    let Some((last, lines)) = whole.split_last() else { return Vec::new() };
    let last = visible::cut(last, MOST_OF_WARNING).into_owned();
    let more = |count: usize| format!("… and {count} more");
    let mut room = MOST_OF_WARNINGS.saturating_sub(last.len() + more(lines.len()).len());
    let mut out = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let line = visible::cut(line, MOST_OF_WARNING);
        if line.len() > room {
            out.push(more(lines.len() - i));
            break;
        }
        room -= line.len();
        out.push(line.into_owned());
    }
    out.push(last);
    out
}

/// The first lines of a refusal for an event: cut at a line within 1,000 bytes, the `placet why` line last.
pub fn event_note(namespace: &str, release: &str, decision: &Decision, names: &Names) -> String {
    note(&warnings(namespace, release, decision, names))
}

/// Bytes of an event's text, at most: the API server takes 1,024.
const MOST_OF_NOTE: usize = 1000;
/// Bytes below which what is left of a line says nothing.
const LEAST_OF_LINE: usize = 80;

/// Lines as the text of an event: as many of the first as fit in 1,000 bytes with the last one, the one that does not fit
/// cut with a mark.
pub fn note(lines: &[String]) -> String {
    let Some((last, lines)) = lines.split_last() else { return String::new() };
    let last = if last.len() > MOST_OF_NOTE { visible::cut(last, MOST_OF_NOTE / 4) } else { last.into() };
    let mut text = String::new();
    // Room for the mark of what is left out, too.
    let mut room = (MOST_OF_NOTE - last.len()).saturating_sub("…\n".len());
    for line in lines {
        if line.len() < room {
            text.push_str(line);
            text.push('\n');
            room -= line.len() + 1;
            continue;
        }
        let fits = (0..room).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let cut = if room < LEAST_OF_LINE {
            "…".into()
        } else {
            visible::cut(line, line[..fits].chars().count())
        };
        text.push_str(&cut);
        text.push('\n');
        break;
    }
    text.push_str(&last);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::evaluate;
    use crate::finding::Reason;
    use crate::world::{Clock, World};

    /// A finding that says what an object says, which tries to end the refusal and begin another line.
    fn forging() -> Decision {
        let forged = "0.7\r\u{1b}[1A\u{1b}[2Kscoring-2 is cleared\n  approvals       met\u{202e}";
        let finding = |gate, reason| Finding {
            gate,
            verdict: GateVerdict::NotMet,
            reason,
            item: format!("item{forged}"),
            wanted: format!("more than {forged}"),
            found: format!("<person:t> said {forged}"),
            about: Vec::new(),
            who: format!("owner{forged}"),
            command: format!("kubectl edit {forged}"),
        };
        let gate = |gate, reason| GateOutcome {
            gate,
            verdict: GateVerdict::NotMet,
            findings: vec![finding(gate, reason)],
            notes: Vec::new(),
        };
        let now = Clock::Trusted(jiff::Timestamp::UNIX_EPOCH);
        Decision {
            gates: vec![
                gate(Gate::Tests, Reason::TestFailed),
                gate(Gate::Approvals, Reason::ApprovalMissing),
            ],
            ..evaluate(&World::new().snapshot("lending", "scoring-2", now))
        }
    }

    #[test]
    fn warnings_are_whole_where_there_is_room_and_every_cut_is_seen() {
        let image = format!("registry.example/app@sha256:{}", "d".repeat(64));
        let line =
            |i: usize| format!("workload: {i} {} is named by a tag; set it to {image}", "long ".repeat(40));
        let fit = |count: usize| {
            let mut lines: Vec<String> = (0..count).map(line).collect();
            lines.push("last".to_owned());
            fit_warnings(&lines, &Names::new())
        };
        // The digest is at the end of 300 characters and is left whole.
        assert_eq!(fit(10)[9], line(9));
        assert!(line(9).chars().count() > 256);
        let cut = fit(40);
        assert!(cut.iter().map(String::len).sum::<usize>() <= 4096, "{cut:?}");
        assert!(cut[0].ends_with("set it to …"), "{}", cut[0]);
        let [.., more, last] = cut.as_slice() else { panic!("{cut:?}") };
        assert_eq!(
            (more.as_str(), last.as_str()),
            (format!("… and {} more", 40 - (cut.len() - 2)).as_str(), "last")
        );
        // Events have less room.
        let event = note(&fit(10));
        assert!(event.len() <= 1000 && event.ends_with("…\nlast"), "{event}");
        assert_eq!(event.lines().nth(1), Some(line(1).as_str()));
        for length in 0..1100 {
            let event = note(&["ü".repeat(length), "x".repeat(length), "y".into(), "last".into()]);
            assert!(event.len() <= 1000 && event.ends_with("\nlast"), "{length}: {event}");
            assert_eq!(event.contains('…'), 3 * length > 988, "{length}: {event}");
        }
    }

    fn nothing_obeyed(text: &str) {
        let bad: Vec<char> = text.chars().filter(|c| c.is_control() || *c == '\u{202e}').collect();
        assert!(bad.is_empty(), "{bad:?} in {text:?}");
    }

    #[test]
    fn what_objects_and_people_are_called_cannot_forge_a_refusal() {
        let names = Names::from([("t".to_owned(), "eve\n\u{1b}[2J\u{202e}".to_owned())]);
        let decision = forging();
        let text = denial("lend\ning", "scoring-2\u{1b}[A", &decision, Some(7), &names);
        // One headline, two lines for each finding, and the last one: every other break was somebody else's.
        assert_eq!(text.lines().count(), 6, "{text}");
        for line in text.lines() {
            nothing_obeyed(line);
        }
        assert!(text.contains(r"eve\n\u{1b}[2J\u{202e} said 0.7\r\u{1b}[1A"), "{text}");
        let all = warnings("lending", "scoring-2", &decision, &names);
        assert_eq!(all.len(), 4);
        for line in &all {
            nothing_obeyed(line);
        }
        assert_eq!(event_note("lending", "scoring-2", &decision, &names).lines().count(), 4);
        let words = Words::of(&decision);
        for line in words.lines.iter().chain([&words.body.replace('\n', "")]) {
            nothing_obeyed(line);
        }
    }
}
