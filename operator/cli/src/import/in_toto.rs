//! An in-toto statement with a test-result predicate (v0.1), plain or in a DSSE envelope. It names tests and says of each
//! whether it passed; the share of those that did is a value without an interval, which decides nothing by itself. Its
//! `result` is a verdict and is not read.

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::found::{Found, Metric, Spread, float};
use super::node::{At, Document, Node, Reading};

/// The predicate that is read.
const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What the type of a statement begins with, whatever its version.
const STATEMENT: &str = "https://in-toto.io/Statement/";

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let Some(payload) = at.get("payload") else { return statement(at) };
    let type_ = at.field("payloadType")?;
    if type_.text()? != "application/vnd.in-toto+json" {
        return Err(type_.wanted("application/vnd.in-toto+json"));
    }
    let text = payload.text()?;
    // DSSE allows both alphabets.
    let bytes = STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .map_err(|e| anyhow!("{}: wanted base64, found what is none: {e}", payload.place()))?;
    let inside = String::from_utf8(bytes).with_context(|| format!("{}: wanted UTF-8", payload.place()))?;
    let Document::One(node) = Document::read(&inside, payload.place())? else {
        bail!("{}: wanted a statement as JSON, found none", payload.place());
    };
    let mut found = statement(&At::root(&node, payload.place()))?;
    found.notes.push(
        "the envelope's signatures are not checked here: check them with the key of whoever ran the test before you apply this"
            .into(),
    );
    Ok(found)
}

/// What a statement says.
fn statement(at: &At<'_>) -> anyhow::Result<Found> {
    let statement = at.field("_type")?;
    if !statement.text()?.starts_with(STATEMENT) {
        return Err(statement.wanted(&format!("{STATEMENT}v1")));
    }
    let type_ = at.field("predicateType")?;
    if type_.text()? != PREDICATE {
        return Err(type_.wanted(PREDICATE));
    }
    let mut found = Found::default();
    for subject in at.field("subject")?.items()? {
        if let Some(digest) = subject.get("digest").and_then(|d| d.get("sha256")) {
            found.artifacts.push(format!("sha256:{}", digest.text()?));
        }
    }
    if found.artifacts.is_empty() {
        return Err(at.field("subject")?.wanted("a subject with a sha256 digest"));
    }
    let predicate = at.field("predicate")?;
    let count = |name: &str| -> anyhow::Result<u64> {
        let Some(tests) = predicate.get(name) else { return Ok(0) };
        for test in tests.items()? {
            test.text()?;
        }
        Ok(u64::try_from(tests.items()?.len())?)
    };
    let passed = count("passedTests")?;
    let all = passed + count("warnedTests")? + count("failedTests")?;
    if all == 0 {
        let verdict = predicate.get("result").map_or("none".to_owned(), |r| r.node.words());
        bail!(
            "{}: wanted the names of the tests (passedTests, warnedTests, failedTests), found the verdict {verdict} alone: a \
             verdict is no result; import the file that the test itself wrote",
            predicate.place()
        );
    }
    found.notes.push("its result is a verdict of the tool and is not read".into());
    found.metrics.push(Metric {
        name: "tests-passed".into(),
        value: Reading::Finite(float(passed) / float(all)),
        rows: Some(all),
        spread: Spread::Unknown,
    });
    Ok(found)
}

/// Whether a value looks like a statement or an envelope.
pub fn is_one(node: &Node) -> bool {
    node.text("_type").is_some_and(|t| t.starts_with(STATEMENT))
        || (node.text("payloadType").is_some() && node.text("payload").is_some())
}
