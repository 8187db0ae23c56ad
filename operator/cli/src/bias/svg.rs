//! The selection rates as a picture. It leaves this machine as the report does: small groups are put together in it.

use std::fmt::Write as _;

use placet_gate::fairness::Rate;
use placet_gate::visible;

use super::show::{largest, thousands};
use super::table::{Set, rate};
use crate::text;

/// Groups of one set that are drawn at most.
const MOST_DRAWN: usize = 200;

const LEFT: f64 = 260.0;
const WIDTH: f64 = 480.0;
const LINE: f64 = 22.0;

/// A text that came from a file, as XML has it: on one line, with what a reader would not see.
fn xml(text: &str) -> String {
    text::xml(&visible::line(text))
}

/// A bar for each group of each set: its selection rate, and the interval as a whisker.
pub fn draw(title: &str, sets: &[Set], z: f64, level: f64) -> String {
    let mut body = String::new();
    let mut y = 52.0;
    for set in sets {
        let (groups, left) = largest(set, MOST_DRAWN);
        let _ = writeln!(body, r#"<text x="16" y="{y:.0}" class="set">by {}</text>"#, xml(&set.title()));
        y += 8.0;
        let top = y;
        for group in groups {
            let middle = y + LINE / 2.0;
            let label: String = visible::cut(&group.label, 36).into_owned();
            let _ = writeln!(
                body,
                r#"<text x="{:.0}" y="{:.0}" class="name">{}</text>"#,
                LEFT - 8.0,
                middle + 4.0,
                xml(&label)
            );
            let rows = thousands(group.counts.n());
            if let Some((value, low, high)) = rate(group.counts, Rate::Selection, z) {
                let x = |share: f64| LEFT + share * WIDTH;
                let _ = writeln!(
                    body,
                    concat!(
                        r#"<g><title>{}: {:.1} % ({:.1} to {:.1}), {} rows</title>"#,
                        r#"<rect x="{LEFT:.0}" y="{:.1}" width="{:.1}" height="14" class="bar"/>"#,
                        r#"<path d="M{:.1} {:.1}H{:.1}M{:.1} {:.1}v8M{:.1} {:.1}v8" class="whisker"/></g>"#
                    ),
                    xml(&group.label),
                    value * 100.0,
                    low * 100.0,
                    high * 100.0,
                    rows,
                    middle - 7.0,
                    value * WIDTH,
                    x(low),
                    middle,
                    x(high),
                    x(low),
                    middle - 4.0,
                    x(high),
                    middle - 4.0,
                    LEFT = LEFT,
                );
                let _ = writeln!(
                    body,
                    r#"<text x="{:.0}" y="{:.0}">{:.1} % of {rows}</text>"#,
                    LEFT + WIDTH + 10.0,
                    middle + 4.0,
                    value * 100.0
                );
            }
            y += LINE;
        }
        for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let x = LEFT + tenth * WIDTH;
            let _ = writeln!(body, r#"<path d="M{x:.0} {top:.0}V{y:.0}" class="grid"/>"#);
        }
        if left > 0 {
            y += LINE;
            let _ =
                writeln!(body, r#"<text x="{LEFT:.0}" y="{:.0}">and {left} smaller groups</text>"#, y - 6.0);
        }
        y += 34.0;
    }
    let (width, height) = (LEFT + WIDTH + 150.0, y);
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img">"#,
            "\n<title>{title}</title>\n",
            "<style>text{{font:13px sans-serif;fill:#1f2328}}.set{{font-weight:bold}}.name{{text-anchor:end}}",
            ".bar{{fill:#4c78a8}}.whisker{{stroke:#1f2328;stroke-width:1.5;fill:none}}.grid{{stroke:#d0d7de;stroke-width:.5}}</style>\n",
            r##"<rect width="100%" height="100%" fill="#fff"/>"##,
            "\n<text x=\"16\" y=\"26\" class=\"set\">{title}: selection rates, {level} % intervals (Wilson)</text>\n{body}</svg>\n"
        ),
        width = width,
        height = height,
        title = xml(title),
        level = placet_gate::fairness::round9(level * 100.0),
        body = body,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_file_are_texts_in_the_picture() {
        assert_eq!(xml("a<b>&\"c\"\u{202e}"), "a&lt;b&gt;&amp;&quot;c&quot;\\u{202e}");
    }
}
