//! A report of Evidently (`Report.run(…).json()`, 0.7 and later): a list of metrics with their settings and values, without
//! the version and the time of the run. Its `tests`, which are verdicts, are not read. Read of version 0.7.23.
//!
//! The value of a drift metric is the p-value of a test for some methods, and a distance for others: data drifted where the
//! first is small and where the second is large. The metric is named after what it is, so that a policy that limits one is
//! never answered with the other.

use anyhow::bail;

use super::found::{Found, Metric, Spread};
use super::node::{At, Node, Reading};

/// Methods whose value is a p-value: the name in settings, and the one for people. Source `evidently/legacy/calculations/
/// stattests` (0.7.23), where each compares `p_value < threshold`; the total variation distance is one of them, since it is
/// tested by permutation.
const P_VALUES: [(&str, &str); 12] = [
    ("anderson", "Anderson-Darling"),
    ("chisquare", "chi-square p_value"),
    ("cramer_von_mises", "Cramer-von Mises"),
    ("es", "Epps-Singleton"),
    ("fisher_exact", "Fisher's Exact test"),
    ("g_test", "g_test"),
    ("ks", "K-S p_value"),
    ("mannw", "Mann-Whitney U-rank test"),
    ("empirical_mmd", "empirical_mmd"),
    ("t_test", "t_test"),
    ("TVD", "Total-Variation-Distance"),
    ("z", "Z-test p_value"),
];

/// Methods whose value is a distance, from the same place: each compares `distance >= threshold`.
const DISTANCES: [(&str, &str); 6] = [
    ("ed", "Energy-distance"),
    ("hellinger", "Hellinger distance"),
    ("jensenshannon", "Jensen-Shannon distance"),
    ("kl_div", "Kullback-Leibler divergence"),
    ("psi", "PSI"),
    ("wasserstein", "Wasserstein distance (normed)"),
];

/// What a drift metric's value is, after its method.
fn direction(method: &str) -> Option<(&'static str, &'static str)> {
    let of = |list: &[(&'static str, &'static str)]| {
        list.iter().find(|(name, words)| method == *name || method == *words).map(|(name, _)| *name)
    };
    of(&P_VALUES).map(|name| (name, "p_value")).or_else(|| of(&DISTANCES).map(|name| (name, "distance")))
}

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut rows = None;
    for metric in at.field("metrics")?.items()? {
        if metric.get("metric_name").is_none() && metric.get("result").is_some() {
            bail!(
                "{}: wanted a metric of Evidently 0.7 or later (metric_name, config, value), found one of an older version \
                 (metric, result); run the report with a newer one",
                metric.place()
            );
        }
        let name = metric.field("metric_name")?.text()?;
        let config = metric.field("config")?;
        let type_ = config.field("type")?.text()?;
        let type_ = type_.rsplit(':').next().unwrap_or(type_);
        // It may be null, and it may not be missing.
        let Node::Map(fields) = metric.node else { return Err(metric.wanted("an object")) };
        if !fields.iter().any(|(key, _)| key == "value") {
            return Err(metric.wanted("the field value"));
        }
        let value = metric.get("value");
        match type_ {
            "RowCount" => rows = value.map(|v| v.count()).transpose()?,
            // It counts columns that the tool itself called drifted, by its own thresholds.
            "DriftedColumnsCount" => found.notes.push(format!(
                "{name} counts what the tool itself judged: it is left out; a policy judges the drift of each column"
            )),
            "ValueDrift" => drift(&config, name, value.as_ref(), &mut found)?,
            _ => other(name, value.as_ref(), &mut found)?,
        }
    }
    if let Some(tests) = at.get("tests") {
        let count = tests.items()?.len();
        if count > 0 {
            found.notes.push(format!("its {count} tests are verdicts of the tool and are not read"));
        }
    }
    for metric in &mut found.metrics {
        metric.rows = rows;
    }
    Ok(found)
}

/// A value, of which null says that it was not computed.
fn reading(value: Option<&At<'_>>) -> anyhow::Result<Reading> {
    value.map_or(Ok(Reading::NonFinite("null")), At::reading)
}

/// The drift of a column.
fn drift(config: &At<'_>, name: &str, value: Option<&At<'_>>, found: &mut Found) -> anyhow::Result<()> {
    let column = config.field("column")?.text()?;
    let method = config.field("method")?.text()?;
    let Some((short, what)) = direction(method) else {
        found.notes.push(format!(
            "{name}: of the method {method:?} it is not known here whether data drifted where its value is small or where it is \
             large: it is left out; use a method such as ks, chisquare, psi or wasserstein"
        ));
        return Ok(());
    };
    let value = reading(value)?;
    let name = format!("ValueDrift.{column}.{short}.{what}");
    let small = if what == "p_value" { ("small", "atLeast") } else { ("large", "atMost") };
    found
        .notes
        .push(format!("{name}: data drifted where it is {}; a policy limits it with {}", small.0, small.1));
    found.metrics.push(Metric { name, value, rows: None, spread: Spread::Unknown });
    Ok(())
}

/// Any other metric: a number, or an object of numbers and objects.
fn other(name: &str, value: Option<&At<'_>>, found: &mut Found) -> anyhow::Result<()> {
    match value {
        Some(object @ At { node: Node::Map(_), .. }) => {
            for (key, value) in object.fields()? {
                other(&format!("{name}.{key}"), Some(&value), found)?;
            }
        }
        Some(list @ At { node: Node::List(_), .. }) => {
            found.notes.push(format!("{name} is a list of {}: it is left out", list.items()?.len()));
        }
        value => {
            let value = reading(value)?;
            found.metrics.push(Metric { name: name.to_owned(), value, rows: None, spread: Spread::Unknown });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_where_data_drifted_is_known_of_each_method() {
        assert_eq!(direction("K-S p_value"), Some(("ks", "p_value")));
        assert_eq!(direction("ks"), Some(("ks", "p_value")));
        assert_eq!(direction("TVD"), Some(("TVD", "p_value")));
        assert_eq!(direction("PSI"), Some(("psi", "distance")));
        assert_eq!(direction("Wasserstein distance (normed)"), Some(("wasserstein", "distance")));
        // A method of one's own, and those of texts, which may be a share or an ROC AUC.
        assert_eq!(direction("custom function 'f'"), None);
        assert_eq!(direction("perc_text_content_drift"), None);
    }
}
