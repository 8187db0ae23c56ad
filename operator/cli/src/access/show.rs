//! The report as a table for people.

use std::fmt::Write as _;

use placet_gate::visible;

use super::Gathered;
use super::scan::{Holding, Report};
use crate::text::wrap;

/// Lines, each with its indent; what somebody typed stays on its line.
#[derive(Default)]
struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 4));
        self.text.push_str(&wrap(text, self.width, &first, &rest));
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Who, what of it, and through which binding.
    fn holding(&mut self, indent: usize, holding: &Holding) {
        let loud = if holding.everybody { "EVERYBODY: " } else { "" };
        let place = holding.namespace.as_ref().map_or_else(String::new, |ns| format!(" in namespace {ns}"));
        let also =
            if holding.also_by_wildcard { "; also by a wildcard, so that it does not count" } else { "" };
        self.line(
            indent,
            &format!("{loud}{}{place} by {} ({}){also}", holding.subject, holding.binding, holding.role),
        );
        for hit in &holding.allows {
            self.line(indent + 4, &hit.to_string());
        }
    }
}

/// The table.
pub fn table(report: &Report, gathered: &Gathered, width: usize) -> String {
    let mut page = Page { width, ..Page::default() };
    page.line(0, "WHO CAN APPROVE");
    for role in &report.roles {
        page.gap();
        let missing = if role.exists { "" } else { " (there is no ApprovalRole of this name)" };
        let scope = if role.scope == "Namespace" { " (asked for in the subject's namespace)" } else { "" };
        page.line(0, &format!("{}{scope}{missing}", role.role));
        if role.by_name.is_empty() {
            page.line(2, "nobody by name");
        }
        for holding in &role.by_name {
            page.holding(2, holding);
        }
        if !role.without_effect.is_empty() {
            page.line(2, "in a namespace only, which grants nothing, since the role is asked for in the whole cluster:");
        }
        for holding in &role.without_effect {
            page.holding(4, holding);
        }
        if let Some(answer) = role.answer {
            page.line(
                2,
                match answer {
                    "ByName" => "so: yes, by name",
                    "ByWildcard" => "so: by a wildcard only",
                    _ => "so: no",
                },
            );
        }
    }
    wildcards(report, gathered, &mut page);
    page.gap();
    page.line(0, "WHO COULD GET ROUND IT");
    if !report.everything.is_empty() {
        page.gap();
        page.line(
            0,
            "everything: who may do everything can take each of the ways below and is not listed there",
        );
        for holding in &report.everything {
            page.holding(2, holding);
        }
    }
    let mut nobody = Vec::new();
    for way in &report.ways_round {
        let mut own = way.who.iter().filter(|h| !h.component).peekable();
        if own.peek().is_none() {
            nobody.push(way.title);
            continue;
        }
        page.gap();
        page.line(0, &format!("{}: {}", way.title, way.lets));
        for holding in own {
            page.holding(2, holding);
        }
    }
    if !nobody.is_empty() {
        page.gap();
        page.line(0, &format!("nobody else could: {}", nobody.join("; ")));
    }
    loosening(report, &mut page);
    components(report, &mut page);
    if !gathered.beside.is_empty() {
        page.gap();
        page.line(0, &format!("PODS BESIDE THE OPERATOR in namespace {}", gathered.namespace));
        for pod in &gathered.beside {
            page.line(2, &format!("pod {}, service account {}", pod.name, pod.service_account));
        }
    }
    page.text
}

/// Who has a say when something is loosened, and who could do without.
fn loosening(report: &Report, page: &mut Page) {
    page.gap();
    page.line(0, "WHO APPROVES THAT POLICIES, ROLES AND SIGNERS ARE LOOSENED");
    if report.loosening.approvers.is_empty() {
        page.line(2, "there is no policy: nobody is asked, and nothing is cleared");
    }
    for say in &report.loosening.approvers {
        page.gap();
        if say.roles.is_empty() {
            page.line(0, &format!("policy {}: nobody is asked (guard.loosening: Apply)", say.policy));
            continue;
        }
        let roles = say.roles.join(" or ");
        page.line(0, &format!("policy {}: a holder of {roles}, other than who made the change", say.policy));
        if say.who.is_empty() {
            page.line(2, "nobody by name");
        }
        for holding in &say.who {
            page.holding(2, holding);
        }
    }
    page.gap();
    page.line(0, "WHO COULD LOOSEN ALONE");
    if report.loosening.alone.is_empty() {
        page.line(2, "nobody by RBAC, once the first release was cleared");
    }
    for alone in &report.loosening.alone {
        page.line(2, &format!("{}: {}", alone.subject, alone.by.join("; ")));
    }
}

/// Wildcards cover every role, so that they are said once.
fn wildcards(report: &Report, gathered: &Gathered, page: &mut Page) {
    let mut all: Vec<(&Holding, Vec<&str>)> = Vec::new();
    for role in &report.roles {
        for holding in &role.by_wildcard {
            match all.iter_mut().find(|(known, _)| *known == holding) {
                Some((_, roles)) => roles.push(&role.role),
                None => all.push((holding, vec![&role.role])),
            }
        }
    }
    if all.is_empty() {
        return;
    }
    page.gap();
    let counts = if gathered.count_wildcards.is_empty() {
        "which counts for no policy of this cluster".to_owned()
    } else {
        format!("which counts where only these policies apply: {}", gathered.count_wildcards.join(", "))
    };
    page.line(0, &format!("by a wildcard that covers every role, {counts}"));
    for (holding, roles) in all {
        page.holding(2, holding);
        if roles.len() < report.roles.len() {
            page.line(6, &format!("for {}", roles.join(", ")));
        }
    }
}

/// What comes with Kubernetes and what is the installation's own: a line each.
fn components(report: &Report, page: &mut Page) {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for way in &report.ways_round {
        for holding in way.who.iter().filter(|h| h.component) {
            let who = format!("{} by {}", holding.subject, holding.binding);
            match lines.iter_mut().find(|(known, _)| *known == who) {
                Some((_, ways)) if ways.last() == Some(&way.title) => {}
                Some((_, ways)) => ways.push(way.title),
                None => lines.push((who, vec![way.title])),
            }
        }
    }
    if lines.is_empty() {
        return;
    }
    page.gap();
    page.line(0, "COMPONENTS of Kubernetes, with the rights it gives them at its start, and of Placet");
    for (who, ways) in lines {
        page.line(2, &format!("{who}: {}", ways.join("; ")));
    }
}

/// What was not read and what RBAC cannot tell, for stderr.
pub fn notes(report: &Report, gathered: &Gathered) -> String {
    let mut out = String::new();
    for (what, holding) in report.everybody() {
        let _ = writeln!(
            out,
            "WARNING: {} holds {}: {} ({})",
            visible::line(&holding.subject.to_string()),
            visible::line(what),
            visible::line(&holding.binding),
            visible::line(&holding.role)
        );
    }
    for what in &gathered.not_read {
        let _ = writeln!(out, "not read, so that this report is incomplete: {}", visible::line(what));
    }
    if !gathered.dangling.is_empty() {
        let list = gathered.dangling.join(", ");
        let _ = writeln!(
            out,
            "bindings of roles that are not there, and that give what the role will hold once it is made: {}",
            visible::line(&list)
        );
    }
    for line in BEYOND {
        let _ = writeln!(out, "note: {line}");
    }
    out
}

/// What RBAC cannot tell.
pub const BEYOND: [&str; 4] = [
    "who is in a group is known to the identity provider and to certificates, not to RBAC",
    "members of system:masters pass every authorizer, whatever RBAC says; no role counts that is held so",
    "other authorizers (node, webhook, cloud IAM) may allow more: ask `kubectl auth can-i --as` about one person",
    "root on a control-plane node, access to etcd or to the signing key of client certificates is beyond RBAC",
];
