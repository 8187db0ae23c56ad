//! The 5×5 heat map as SVG, one below the other for several assessments.

use std::fmt::Write as _;

use placet_api::common::Level;

use super::{LEGEND, Shown, map, marks};
use crate::text::xml;

/// Width and height of a cell, in pixels.
const CELL: (usize, usize) = (124, 72);
/// Where the grid begins below and right of a map's corner: room for title and axis.
const ORIGIN: (usize, usize) = (72, 56);
/// Height of a map with title, axes and legend.
const HEIGHT: usize = ORIGIN.1 + 5 * CELL.1 + 104;
/// Width of all.
const WIDTH: usize = ORIGIN.0 + 5 * CELL.0 + 24;
/// Lines of risks in a cell; of more their number is said.
const LINES: usize = 3;
/// Risks in a line of a cell.
const IN_LINE: usize = 3;

/// Fill of a level, and whether its text is light: light to dark, so that it reads without colours, too.
fn fill(level: Level) -> (&'static str, bool) {
    match level {
        Level::VeryLow => ("#eef4e3", false),
        Level::Low => ("#d3e6a9", false),
        Level::Medium => ("#f6d673", false),
        Level::High => ("#e58a3c", false),
        Level::VeryHigh => ("#a8322d", true),
    }
}

/// Draws the registers.
pub fn draw(found: &[Shown]) -> String {
    let height = HEIGHT * found.len();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n<title>Residual risks by likelihood and severity</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (i, one) in found.iter().enumerate() {
        let _ = writeln!(out, "<g transform=\"translate(0 {})\">", i * HEIGHT);
        of(one, &mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

fn of(one: &Shown, out: &mut String) {
    let register = &one.register;
    let mut text = |x: usize, y: usize, more: &str, words: &str| {
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\"{more}>{}</text>", xml(words));
    };
    let level = register.level().map_or("not known".to_owned(), |l| l.to_string());
    let title = format!("{}/{}: level {level}", one.namespace, register.assessment);
    text(ORIGIN.0, 22, " font-size=\"16\" font-weight=\"bold\"", &title);
    let appetite = register.appetite.map_or(String::new(), |a| format!("; appetite {a}"));
    text(ORIGIN.0, 42, "", &format!("residual risks of {}{appetite}", register.system));
    let down = ORIGIN.1 + 5 * CELL.1;
    text(ORIGIN.0 + 5 * CELL.0 / 2, down + 38, " text-anchor=\"middle\"", "severity");
    let middle = ORIGIN.1 + 5 * CELL.1 / 2;
    text(18, middle, &format!(" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\""), "likelihood");
    for n in 1..=5_usize {
        let across = ORIGIN.0 + (n - 1) * CELL.0 + CELL.0 / 2;
        text(across, down + 18, " text-anchor=\"middle\"", &n.to_string());
        let up = ORIGIN.1 + (5 - n) * CELL.1 + CELL.1 / 2 + 5;
        text(ORIGIN.0 - 16, up, " text-anchor=\"middle\"", &n.to_string());
    }
    let shown: String =
        register.entries.iter().filter_map(|e| e.as_ref().ok()).map(|e| marks(register, e)).collect();
    let meanings = LEGEND.iter().filter(|m| m.chars().next().is_some_and(|mark| shown.contains(mark)));
    for (i, meaning) in meanings.enumerate() {
        text(ORIGIN.0, down + 58 + 16 * i, "", meaning);
    }
    for (likelihood, row) in (1..=5).rev().zip(0_usize..) {
        for (severity, column) in (1..=5).zip(0_usize..) {
            let (x, y) = (ORIGIN.0 + column * CELL.0, ORIGIN.1 + row * CELL.1);
            cell(one, (likelihood, severity), (x, y), out);
        }
    }
}

fn cell(one: &Shown, (likelihood, severity): (i32, i32), (x, y): (usize, usize), out: &mut String) {
    let level = map::level(&one.register, likelihood, severity);
    let (colour, light) = fill(level);
    let ink = if light { "#ffffff" } else { "#222222" };
    let (width, height) = CELL;
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"2\"/>"
    );
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"11\" fill=\"{ink}\">{level}</text>",
        x + 7,
        y + 15
    );
    let risks = map::cell(&one.register, likelihood, severity);
    let mut lines: Vec<String> = risks.chunks(IN_LINE).map(|some| some.join("  ")).collect();
    if lines.len() > LINES {
        let left = risks.len() - (LINES - 1) * IN_LINE;
        lines.truncate(LINES - 1);
        lines.push(format!("and {left} more"));
    }
    for (i, line) in lines.iter().enumerate() {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" font-weight=\"bold\" fill=\"{ink}\">{}</text>",
            x + 7,
            y + 33 + 16 * i,
            xml(line)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_objects_stay_texts() {
        assert_eq!(xml("a<b & \"c\"\u{1}>"), "a&lt;b &amp; &quot;c&quot;\u{fffd}&gt;");
    }
}
