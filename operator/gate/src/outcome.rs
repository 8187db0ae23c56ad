//! What a decision decides, whatever its words: what replay compares. A later version may say the same better.

use crate::decision::Decision;
use crate::finding::GateOutcome;

impl Decision {
    /// What is decided, one line each, sorted: whether it is cleared, the verdict of each gate, each finding with its
    /// reason code and all that it names, class, digests, policies, and until when it holds. Left out are the words:
    /// `wanted`, `found`, `who` and `command` of findings, notes, and the basis of the class, which the evidence digest
    /// covers.
    pub fn outcome(&self) -> Vec<String> {
        let mut lines = vec![
            format!("cleared: {:?}", self.cleared),
            format!("content: {}", self.content),
            format!("replacements are held: {}", self.hold_replacements),
        ];
        lines.extend(self.on_basis.then(|| "under the policies of before".to_owned()));
        lines.extend(self.lapse.map(|lapse| format!("lapse: {lapse:?}")));
        lines.extend(self.class.map(|class| format!("class: {class}")));
        lines.extend(self.evidence.iter().map(|digest| format!("evidence: {digest}")));
        lines.extend(self.policies.iter().map(|(name, digest)| format!("policy: {name} {digest}")));
        lines.extend(self.valid_until.map(|until| format!("valid until: {until}")));
        for gate in &self.gates {
            lines.push(format!("gate {}: {:?}", gate.gate, gate.verdict));
            for finding in &gate.findings {
                // Lists are kept in the order of a version's words.
                let mut about: Vec<&str> = finding.about.iter().map(String::as_str).collect();
                about.sort_unstable();
                let item = [finding.item.as_str()].into_iter().filter(|item| !item.is_empty());
                let names: Vec<&str> = item.chain(about).collect();
                lines.push(format!(
                    "finding {} {} ({:?}): {}",
                    finding.gate,
                    finding.reason,
                    finding.verdict,
                    names.join(", ")
                ));
            }
        }
        lines.sort_unstable();
        lines
    }
}

impl GateOutcome {
    /// Reason codes of the findings, sorted, each once.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.findings.iter().map(|f| f.reason.to_string()).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }
}

/// Lines of `one` that `other` does not have, a line that stands twice counted twice. Both are sorted.
pub fn missing<'a>(one: &'a [String], other: &[String]) -> Vec<&'a str> {
    let mut rest = other.iter().peekable();
    let mut out = Vec::new();
    for line in one {
        while rest.next_if(|r| *r < line).is_some() {}
        if rest.next_if(|r| *r == line).is_none() {
            out.push(line.as_str());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_compared_as_often_as_they_stand() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(missing(&list("a b b c"), &list("a b d")), ["b", "c"]);
        assert_eq!(missing(&list("a b d"), &list("a b b c")), ["d"]);
        assert_eq!(missing(&list("a a"), &list("a a")), Vec::<&str>::new());
        assert_eq!(missing(&list("a"), &[]), ["a"]);
    }
}
