//! Cards that people publish with a model: `model-index` of a Hugging Face model card (YAML, alone or as the front matter
//! of a README), and `modelCard` of a `CycloneDX` bill of materials (1.5 and later). Neither says who measured, when, or on
//! how many rows.

use anyhow::{anyhow, bail};

use super::found::{Found, Metric, Spread};
use super::node::{At, Node, Reading};

/// What nobody can know from a card.
const WORD: &str =
    "a card does not say whether all rows of the dataset were tested: what --rows says is your word";

/// The front matter of a text, or all of it.
fn front_matter(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n")) else { return text };
    let end = rest.find("\n---").map_or(rest.len(), |at| at + 1);
    &rest[..end]
}

/// A model card of Hugging Face.
pub fn hugging_face(text: &str, file: &str) -> anyhow::Result<Found> {
    let node: Node = serde_saphyr::from_str(front_matter(text)).map_err(|e| {
        anyhow!("{file}: wanted YAML (the front matter of a model card), found what is none: {e}")
    })?;
    index(&At::root(&node, file))
}

/// The same as JSON or YAML that was read.
pub fn index(at: &At<'_>) -> anyhow::Result<Found> {
    let models = at.field("model-index")?;
    let items = models.items()?;
    let [model] = items.as_slice() else {
        return Err(models.wanted("one model, since a report is about one artefact"));
    };
    let mut found = Found {
        model: model.node.text("name").map(str::to_owned),
        notes: vec![WORD.to_owned()],
        ..Found::default()
    };
    for result in model.field("results")?.items()? {
        let dataset = result.field("dataset")?;
        let parts = ["type", "config", "split"].into_iter().filter_map(|part| dataset.node.text(part));
        let dataset = parts.collect::<Vec<_>>().join(".");
        for metric in result.field("metrics")?.items()? {
            let name = format!("{dataset}.{}", metric.field("type")?.text()?);
            let value = metric.get("value").map_or(Reading::NonFinite("missing"), |v| value(&v));
            found.metrics.push(Metric { name, value, rows: None, spread: Spread::Unknown });
        }
    }
    Ok(found)
}

/// A value that somebody typed: a number, as such or as a text.
fn value(at: &At<'_>) -> Reading {
    at.reading().unwrap_or(Reading::NonFinite("no number"))
}

/// A bill of materials.
pub fn cyclonedx(at: &At<'_>) -> anyhow::Result<Found> {
    let mut models = Vec::new();
    if let Some(component) = at.get("metadata").and_then(|m| m.get("component")) {
        measured(component, &mut models)?;
    }
    for component in at.get("components").map_or(Ok(Vec::new()), |c| c.items())? {
        measured(component, &mut models)?;
    }
    let [component] = models.as_slice() else {
        bail!(
            "{}: wanted one component of type machine-learning-model with modelCard.quantitativeAnalysis.performanceMetrics, \
             found {}; leave one in the file",
            at.place(),
            models.len()
        );
    };
    let mut found = Found {
        model: component.node.text("name").map(str::to_owned),
        notes: vec![WORD.to_owned()],
        ..Found::default()
    };
    for hash in component.get("hashes").map_or(Ok(Vec::new()), |h| h.items())? {
        if hash.node.text("alg") == Some("SHA-256") {
            found.artifacts.push(format!("sha256:{}", hash.field("content")?.text()?.to_lowercase()));
        }
    }
    let mut intervals = false;
    for metric in performance(component).map_or(Ok(Vec::new()), |m| m.items())? {
        let mut name = metric.field("type")?.text()?.to_owned();
        if let Some(slice) = metric.node.text("slice") {
            name = format!("{name}.{slice}");
        }
        intervals |= metric.get("confidenceInterval").is_some();
        let value = metric.get("value").map_or(Reading::NonFinite("missing"), |v| value(&v));
        found.metrics.push(Metric { name, value, rows: None, spread: Spread::Unknown });
    }
    if intervals {
        found.notes.push(
            "its intervals say neither their confidence nor their method, without which they decide nothing: they are left out"
                .into(),
        );
    }
    Ok(found)
}

/// The metrics of a component.
fn performance<'a>(component: &At<'a>) -> Option<At<'a>> {
    component.get("modelCard")?.get("quantitativeAnalysis")?.get("performanceMetrics")
}

/// Components with metrics, those inside of others as well.
fn measured<'a>(component: At<'a>, models: &mut Vec<At<'a>>) -> anyhow::Result<()> {
    for inner in component.get("components").map_or(Ok(Vec::new()), |c| c.items())? {
        measured(inner, models)?;
    }
    if component.node.text("type") == Some("machine-learning-model") && performance(&component).is_some() {
        models.push(component);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_ends_where_it_says() {
        assert_eq!(front_matter("---\na: 1\n---\n# Title\n"), "a: 1\n");
        assert_eq!(front_matter("---\r\na: 1\r\n---\r\n# Title\n"), "a: 1\r\n");
        assert_eq!(front_matter("a: 1\n"), "a: 1\n");
        assert_eq!(front_matter("---\na: 1\n"), "a: 1\n");
    }

    #[test]
    fn what_yaml_calls_no_number_is_none() {
        let card = |value: &str| {
            format!(
                "model-index:\n- name: m\n  results:\n  - dataset: {{type: d, name: D}}\n    metrics:\n    - {{type: acc, value: {value}}}\n"
            )
        };
        let read = |value: &str| hugging_face(&card(value), "f").unwrap().metrics[0].value;
        assert_eq!(read("0.5"), Reading::Finite(0.5));
        assert_eq!(read("'0.5'"), Reading::Finite(0.5));
        assert_eq!(read(".nan"), Reading::NonFinite("NaN"));
        assert_eq!(read("-.inf"), Reading::NonFinite("-Infinity"));
        assert_eq!(read("91 %"), Reading::NonFinite("no number"));
        assert_eq!(read("null"), Reading::NonFinite("missing"));
        let twice = hugging_face("model-index: []\nmodel-index: []\n", "f").unwrap_err().to_string();
        assert!(twice.contains("f: wanted YAML"), "{twice}");
        let two = hugging_face("model-index: [{name: a}, {name: b}]\n", "f").unwrap_err().to_string();
        assert!(two.contains("f: model-index: wanted one model"), "{two}");
    }
}
