//! Gate *documentation*: each part of the documentation that policies ask for is in the release, as text or by the digest of
//! a document, so that it is part of what is approved.

use placet_api::lifecycle::{Document, DocumentPart};
use placet_api::modelrelease::ModelReleaseSpec;

use super::{Context, Outcome};
use crate::finding::{Gate, Reason};
use crate::visible::blank;

const GATE: Gate = Gate::Documentation;

/// Judges the documentation; None if no policy asks for any.
pub fn evaluate(cx: &Context<'_>) -> Option<Outcome> {
    let asked = cx.requirements?.life_cycle.documentation.as_ref()?;
    let (_, release) = cx.release?;
    let mut out = Outcome::default();
    for part in asked {
        let documents = release.documentation.iter().flatten();
        let given: Vec<&Document> = documents.filter(|d| d.part == *part).collect();
        match given.as_slice() {
            [] => missing(cx, *part, "there is none".to_owned(), &mut out),
            [one] => judge(cx, release, one, &mut out),
            several => {
                missing(
                    cx,
                    *part,
                    format!("{} of them, of which nobody knows which holds", several.len()),
                    &mut out,
                );
            }
        }
    }
    Some(out)
}

fn judge(cx: &Context<'_>, release: &ModelReleaseSpec, document: &Document, out: &mut Outcome) {
    let part = document.part;
    match (&document.text, &document.digest) {
        (Some(text), None) if blank(text) => {
            missing(cx, part, "a text of which nothing can be seen".into(), out);
        }
        (Some(text), None) => {
            out.notes.push(format!("{part:?}: {} characters of text", text.chars().count()));
        }
        (None, Some(digest)) => {
            if let Some(artifact) = release.artifacts.iter().find(|a| a.digest == *digest) {
                out.not_met(
                    GATE,
                    Reason::DocumentNotValid,
                    format!("{part:?}"),
                    format!("{part:?} by the digest of a document, which {} asks for", cx.policy_names()),
                    format!("the digest of the artefact {}, which is what it should describe", artifact.name),
                    "data scientist",
                    mend(cx, part),
                )
                .about([digest.to_string(), artifact.name.to_string()]);
                return;
            }
            let at = document.reference.as_ref().map(|r| format!(" at {r}")).unwrap_or_default();
            out.notes.push(format!("{part:?}: {digest}{at}"));
        }
        (None, None) => missing(cx, part, "neither text nor the digest of a document".into(), out),
        (Some(_), Some(_)) => {
            missing(cx, part, "both text and a digest, of which nobody knows which holds".into(), out);
        }
    }
}

fn missing(cx: &Context<'_>, part: DocumentPart, found: String, out: &mut Outcome) {
    out.not_met(
        GATE,
        Reason::DocumentMissing,
        format!("{part:?}"),
        format!("{part:?} in spec.documentation, as text or by digest, which {} asks for", cx.policy_names()),
        found,
        "data scientist",
        mend(cx, part),
    );
}

fn mend(cx: &Context<'_>, part: DocumentPart) -> String {
    cx.new_release(&format!(
        "whose spec.documentation has {{part: {part:?}, text: …}} or {{part: {part:?}, digest: sha256:…, reference: …}}"
    ))
}
