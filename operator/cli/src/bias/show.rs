//! Tables and bars for the terminal.

use std::fmt::Write as _;

use placet_gate::fairness::Rate;
use placet_gate::visible;

use super::table::{Group, Set, bound, rate};

/// Groups of one set that are shown at most; of more, those with the most rows.
const MOST_SHOWN: usize = 60;

/// Columns of a group's name at most.
const WIDEST: usize = 22;

/// Columns of a bar.
const BAR: usize = 10;

/// A number with commas.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A bar of a share of 0 to 1, in eighths of a column.
fn bar(share: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 80")]
    let eighths = (share.clamp(0.0, 1.0) * 80.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    if out.chars().count() < BAR {
        out.push(EIGHTHS[eighths % 8]);
    }
    out
}

/// Percent of a rate with its interval.
fn percent(counts: placet_gate::fairness::Counts, of: Rate, z: f64) -> String {
    rate(counts, of, z).map_or("undefined".to_owned(), |(value, low, high)| {
        format!("{:.1} {:.1}–{:.1}", value * 100.0, low * 100.0, high * 100.0)
    })
}

/// A name that fits.
fn name(label: &str) -> String {
    visible::cut(&visible::line(label), WIDEST).into_owned()
}

/// The groups that are shown, and how many are not.
pub fn largest(set: &Set, most: usize) -> (Vec<&Group>, usize) {
    let mut groups: Vec<&Group> = set.groups.iter().collect();
    let left = groups.len().saturating_sub(most);
    if left > 0 {
        groups.sort_by_key(|g| (std::cmp::Reverse(g.counts.n()), &g.label));
        groups.truncate(most);
        groups.sort_by_key(|g| &g.label);
    }
    (groups, left)
}

/// The table of a set, its metrics, and its weighted rates where there are weights.
pub fn set(set: &Set, z: f64, level: f64) -> String {
    let mut out = String::new();
    let (groups, left) = largest(set, MOST_SHOWN);
    let _ = writeln!(
        out,
        "{:<24} {:>11} {:BAR$} {:<17} {:<17} false positive %",
        name(&format!("by {}", set.title())),
        "rows",
        "",
        "selection rate %",
        "true positive %"
    );
    for group in &groups {
        let c = group.counts;
        let selected = rate(c, Rate::Selection, z).map_or(0.0, |(value, _, _)| value);
        let line = format!(
            "  {:<WIDEST$} {:>11} {:<BAR$} {:<17} {:<17} {:<17}",
            name(&group.label),
            thousands(c.n()),
            bar(selected),
            percent(c, Rate::Selection, z),
            percent(c, Rate::TruePositive, z),
            percent(c, Rate::FalsePositive, z)
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if left > 0 {
        let _ = writeln!(out, "  and {} smaller groups, which count like the others", thousands(left as u64));
    }
    for value in set.values(z) {
        let words = value.metric.words();
        let _ = match (value.estimate, value.interval, &value.between) {
            (None, ..) => writeln!(out, "  {words}: undefined"),
            (Some(found), Some(interval), Some((a, b))) => {
                let sign =
                    if value.metric.scale() == placet_gate::fairness::Scale::Ratio { "/" } else { "−" };
                writeln!(
                    out,
                    "  {words} {found:.3} ({} %: {:.3} to {}), {} {sign} {}",
                    placet_gate::fairness::round9(level * 100.0),
                    interval.lower,
                    bound(interval.upper),
                    visible::line(a),
                    visible::line(b)
                )
            }
            (Some(v), ..) => writeln!(out, "  {words} {v:.3}"),
        };
    }
    out.push_str(&weighted(&groups));
    out
}

/// Weighted rates beside the raw ones.
fn weighted(groups: &[&Group]) -> String {
    let mut out = String::new();
    if groups.iter().all(|g| g.weighted.is_none()) {
        return out;
    }
    let _ = writeln!(
        out,
        "  {:<WIDEST$} {:>11} {:>12} {:>22} {:>16} {:>17}",
        "weighted, not judged",
        "rows",
        "effective n",
        "selection %, raw",
        "true pos. %, raw",
        "false pos. %, raw"
    );
    for group in groups {
        let Some(w) = group.weighted else { continue };
        let both = |of: Rate| {
            let raw = rate(group.counts, of, 1.0).map(|(value, _, _)| value);
            let one =
                |value: Option<f64>| value.map_or("undefined".to_owned(), |v| format!("{:.1}", v * 100.0));
            format!("{}, {}", one(w.rate(of)), one(raw))
        };
        let _ = writeln!(
            out,
            "  {:<WIDEST$} {:>11} {:>12.1} {:>22} {:>16} {:>17}",
            name(&group.label),
            thousands(group.counts.n()),
            w.effective,
            both(Rate::Selection),
            both(Rate::TruePositive),
            both(Rate::FalsePositive)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bars() {
        assert_eq!(
            (thousands(0), thousands(999), thousands(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (bar(0.0), bar(1.0), bar(0.5)),
            (" ".into(), "█".repeat(10), format!("{} ", "█".repeat(5)))
        );
        assert_eq!(bar(0.11), "█▏");
        assert_eq!(bar(f64::INFINITY).chars().count(), BAR);
    }
}
