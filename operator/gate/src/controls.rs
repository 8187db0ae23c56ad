//! The controls of ISO/IEC 42001:2023 Annex A and ISO/IEC 27001:2022 Annex A, by id and short title: which of them may lower
//! a risk of which domain. What each asks for stands in the standards, which are not copied here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use placet_api::impactassessment::RiskDomain;
use serde::Serialize;

use crate::finding::Gate;

/// Ids and titles, one a line, separated by a tab.
const ISO_42001: &str = include_str!("../../../policies/controls/iso42001.tsv");
const ISO_27001: &str = include_str!("../../../policies/controls/iso27001.tsv");

/// A standard whose Annex A is a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standard {
    /// ISO/IEC 42001:2023, artificial intelligence.
    Iso42001,
    /// ISO/IEC 27001:2022, information security.
    Iso27001,
}

impl Standard {
    /// Both.
    pub const ALL: [Standard; 2] = [Standard::Iso42001, Standard::Iso27001];

    /// As it stands before the id of a control.
    pub fn prefix(self) -> &'static str {
        match self {
            Standard::Iso42001 => "ISO42001",
            Standard::Iso27001 => "ISO27001",
        }
    }

    /// The standard whose controls lower risks of a domain.
    pub fn of(domain: RiskDomain) -> Self {
        match domain {
            RiskDomain::AI => Standard::Iso42001,
            RiskDomain::Information => Standard::Iso27001,
        }
    }

    /// The domain whose risks its controls lower.
    pub fn domain(self) -> RiskDomain {
        match self {
            Standard::Iso42001 => RiskDomain::AI,
            Standard::Iso27001 => RiskDomain::Information,
        }
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standard::Iso42001 => "ISO/IEC 42001",
            Standard::Iso27001 => "ISO/IEC 27001",
        })
    }
}

/// A control of an Annex A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Whose it is.
    pub standard: Standard,
    /// For example `A.6.2.4`.
    pub id: &'static str,
    /// Its short title.
    pub title: &'static str,
}

impl Control {
    /// The domain (ISO/IEC 42001) or theme (ISO/IEC 27001) that it belongs to: `A.6` of `A.6.2.4`.
    pub fn section(&self) -> &'static str {
        let end = self.id.match_indices('.').nth(1).map_or(self.id.len(), |(at, _)| at);
        &self.id[..end]
    }
}

/// What a gate shows, by gate: lines of gate, catalogue and id.
const GATES: &str = include_str!("../../../policies/controls/gates.tsv");
/// Articles of the AI Act with their titles.
const AI_ACT: &str = include_str!("../../../policies/controls/aiact.tsv");
/// Controls of ISO/IEC 27001, those of ISO/IEC 42001 that ask for something similar, and what of Placet both are shown by; `Later`
/// where this version has nothing yet.
const OVERLAP: &str = include_str!("../../../policies/controls/overlap.tsv");

/// What a gate shows: controls of both standards, and articles of the AI Act.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shows {
    /// ISO/IEC 27001:2022.
    pub iso27001: Vec<&'static str>,
    /// ISO/IEC 42001:2023.
    pub iso42001: Vec<&'static str>,
    /// Regulation (EU) 2024/1689.
    pub ai_act: Vec<&'static str>,
}

impl Shows {
    /// Each as it is cited: `ISO42001/A.6.2.4`, `AIAct/Article 9`.
    pub fn cited(&self) -> Vec<String> {
        let of = |prefix: &'static str, ids: &[&'static str]| -> Vec<String> {
            ids.iter().map(|id| format!("{prefix}/{id}")).collect()
        };
        let standards = [of("ISO27001", &self.iso27001), of("ISO42001", &self.iso42001)];
        [standards.concat(), of("AIAct", &self.ai_act)].concat()
    }
}

static SHOWS: LazyLock<BTreeMap<&'static str, Shows>> = LazyLock::new(|| {
    let mut out: BTreeMap<&'static str, Shows> = BTreeMap::new();
    for line in GATES.lines() {
        let mut fields = line.split('\t');
        let (Some(gate), Some(catalogue), Some(id)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let shows = out.entry(gate).or_default();
        match catalogue {
            "ISO27001" => shows.iso27001.push(id),
            "ISO42001" => shows.iso42001.push(id),
            _ => shows.ai_act.push(id),
        }
    }
    out
});

/// What a gate shows. A gate that nothing is listed of shows nothing; a test keeps that from happening.
pub fn of_gate(gate: Gate) -> Shows {
    SHOWS.get(gate.as_str()).cloned().unwrap_or_default()
}

/// The title of an article of the AI Act that is listed.
pub fn article(id: &str) -> Option<&'static str> {
    AI_ACT
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .find(|(known, _)| *known == id)
        .map(|(_, title)| title)
}

/// A control of ISO/IEC 27001 and those of ISO/IEC 42001 that are met together with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlap {
    /// Of ISO/IEC 27001.
    pub iso27001: &'static str,
    /// Of ISO/IEC 42001.
    pub iso42001: Vec<&'static str>,
    /// By what both are shown.
    pub by: &'static str,
}

/// Where one piece of evidence serves both standards.
pub fn overlap() -> Vec<Overlap> {
    let rows = OVERLAP.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let (iso27001, iso42001, by) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Overlap { iso27001, iso42001: iso42001.split(' ').collect(), by })
    });
    rows.collect()
}

/// Controls of one Annex A, by id.
type Catalogue = BTreeMap<&'static str, Control>;

static CATALOGUES: LazyLock<BTreeMap<Standard, Catalogue>> = LazyLock::new(|| {
    let read = |standard: Standard, text: &'static str| -> Catalogue {
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        lines.map(|(id, title)| (id, Control { standard, id, title })).collect()
    };
    [(Standard::Iso42001, ISO_42001), (Standard::Iso27001, ISO_27001)]
        .into_iter()
        .map(|(standard, text)| (standard, read(standard, text)))
        .collect()
});

/// The control that an assessment cites, as `ISO42001/A.6.2.4`; None if neither Annex A has it.
pub fn find(cited: &str) -> Option<&'static Control> {
    let (prefix, id) = cited.split_once('/')?;
    let standard = Standard::ALL.into_iter().find(|s| s.prefix() == prefix)?;
    CATALOGUES.get(&standard)?.get(id)
}

/// All controls of a standard, by id as text.
pub fn of(standard: Standard) -> impl Iterator<Item = &'static Control> {
    CATALOGUES.get(&standard).into_iter().flat_map(BTreeMap::values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(standard: Standard) -> BTreeMap<&'static str, usize> {
        let mut out = BTreeMap::new();
        for control in of(standard) {
            *out.entry(control.section()).or_default() += 1;
        }
        out
    }

    /// Lists with other numbers are in circulation; these are those of the standards.
    #[test]
    fn each_domain_and_each_theme_has_the_controls_that_the_standard_has() {
        let of_42001 = [
            ("A.2", 3),
            ("A.3", 2),
            ("A.4", 5),
            ("A.5", 4),
            ("A.6", 9),
            ("A.7", 5),
            ("A.8", 4),
            ("A.9", 3),
            ("A.10", 3),
        ];
        assert_eq!(sections(Standard::Iso42001), BTreeMap::from(of_42001));
        assert_eq!(of(Standard::Iso42001).count(), 38);
        let of_27001 = [("A.5", 37), ("A.6", 8), ("A.7", 14), ("A.8", 34)];
        assert_eq!(sections(Standard::Iso27001), BTreeMap::from(of_27001));
        assert_eq!(of(Standard::Iso27001).count(), 93);
    }

    #[test]
    fn each_line_is_a_control_with_a_title_and_the_numbers_of_a_theme_have_no_gap() {
        for (standard, text) in [(Standard::Iso42001, ISO_42001), (Standard::Iso27001, ISO_27001)] {
            assert_eq!(
                text.lines().count(),
                of(standard).count(),
                "{standard}: a line twice, or one without a tab"
            );
            for control in of(standard) {
                let title = control.title;
                assert!(!title.is_empty() && title.trim() == title && title.len() < 100, "{control:?}");
                let numbers = control.id.strip_prefix("A.").unwrap();
                assert!(numbers.split('.').all(|n| n.parse::<u8>().is_ok_and(|n| n > 0)), "{control:?}");
            }
        }
        for (theme, count) in sections(Standard::Iso27001) {
            assert!((1..=count).all(|n| find(&format!("ISO27001/{theme}.{n}")).is_some()), "{theme}");
        }
    }

    #[test]
    fn every_gate_shows_controls_of_both_standards_and_an_article_and_each_exists() {
        let gates: Vec<Gate> = Gate::ALL.into_iter().chain([Gate::Workload]).collect();
        for gate in &gates {
            let shows = of_gate(*gate);
            assert!(
                !shows.iso27001.is_empty() && !shows.iso42001.is_empty() && !shows.ai_act.is_empty(),
                "{gate}"
            );
            for cited in shows.cited() {
                let known = match cited.strip_prefix("AIAct/") {
                    Some(id) => article(id).is_some(),
                    None => find(&cited).is_some(),
                };
                assert!(known, "{gate}: {cited}");
            }
        }
        let listed: usize = gates.iter().map(|gate| of_gate(*gate).cited().len()).sum();
        assert_eq!(listed, GATES.lines().count(), "a line of no gate, or one that is not understood");
        let lines: std::collections::BTreeSet<&str> = GATES.lines().collect();
        assert_eq!(lines.len(), GATES.lines().count(), "a line twice");
    }

    #[test]
    fn the_overlap_names_controls_that_exist_each_row_once() {
        let rows = overlap();
        assert_eq!(rows.len(), 13);
        assert_eq!(rows.len(), OVERLAP.lines().count());
        for row in &rows {
            assert!(find(&format!("ISO27001/{}", row.iso27001)).is_some(), "{row:?}");
            let known = row.iso42001.iter().all(|id| find(&format!("ISO42001/{id}")).is_some());
            assert!(known && !row.iso42001.is_empty() && !row.by.trim().is_empty(), "{row:?}");
        }
        for article in AI_ACT.lines().filter_map(|line| line.split('\t').next()) {
            assert!(GATES.contains(&format!("AIAct\t{article}\n")), "{article} is shown by no gate");
        }
        let ids: std::collections::BTreeSet<&str> = rows.iter().map(|r| r.iso27001).collect();
        assert_eq!(ids.len(), rows.len());
    }

    #[test]
    fn a_control_is_found_by_catalogue_and_number_alone() {
        assert_eq!(find("ISO42001/A.6.2.4").unwrap().title, "AI system verification and validation");
        assert_eq!(find("ISO27001/A.8.32").unwrap().title, "Change management");
        // Those of the one standard are none of the other; and 2013's numbers are none of 2022's.
        for none in [
            "ISO27001/A.6.2.4",
            "ISO42001/A.8.32",
            "ISO42001/A.6",
            "ISO27001/A.12.4.1",
            "A.8.32",
            "iso27001/A.8.32",
            "",
        ] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
