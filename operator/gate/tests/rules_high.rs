//! As `rules.rs`, of class High: with an assessment and its approval, risks that people accept by level, proofs, signers who
//! come and go, roles that are lost, and policies that are tightened and loosened while a release stands on them. Clearance
//! implies that the rules of [`Model`] hold, which are looked up by somebody naive in a plain list of what happened.

#![expect(clippy::unwrap_used, reason = "a property that cannot be set up fails")]
#![expect(clippy::struct_excessive_bools, reason = "what is drawn at random is many yes or no")]

#[path = "high/both.rs"]
mod both;
mod common;
#[path = "high/draw.rs"]
mod draw;
#[path = "high/model.rs"]
mod model;

use std::cell::Cell;

use both::Both;
use model::days;
use placet_gate::Cleared;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What came of it all: how often it was asked, cleared, and cleared by the rules.
#[derive(Debug, Default)]
struct Counts {
    asked: Cell<u32>,
    cleared: Cell<u32>,
    naive: Cell<u32>,
    on_basis: Cell<u32>,
    worlds: Cell<u32>,
    worlds_cleared: Cell<u32>,
}

fn agree(both: &mut Both, counts: &Counts) -> Result<bool, TestCaseError> {
    let decision = both.decide().decision;
    let (gate, naive) = (decision.cleared == Cleared::True, both.model.clears());
    for (count, happened) in [
        (&counts.asked, true),
        (&counts.cleared, gate),
        (&counts.naive, naive),
        (&counts.on_basis, gate && decision.on_basis),
    ] {
        count.set(count.get() + u32::from(happened));
    }
    prop_assert!(
        !gate || naive,
        "cleared (on what it was cleared under before: {}), and the rules do not hold\n{:#?}",
        decision.on_basis,
        both.model
    );
    Ok(gate)
}

#[test]
fn what_is_cleared_keeps_the_rules() {
    let config = Config { cases: 700, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let counts = Counts::default();
    let done = runner.run(&(draw::policy(), draw::steps()), |(policy, steps)| {
        let mut both = Both::new(&policy);
        let mut ever = false;
        for step in &steps {
            both.step(step);
            // What comes first takes no time: signers are made.
            if step.1 > 0 {
                ever |= agree(&mut both, &counts)?;
            }
        }
        // And later, when terms end.
        for later in [1, 5, 10, 15, 29] {
            both.wait(days(later));
            ever |= agree(&mut both, &counts)?;
        }
        counts.worlds.set(counts.worlds.get() + 1);
        counts.worlds_cleared.set(counts.worlds_cleared.get() + u32::from(ever));
        Ok(())
    });
    if let Err(error) = done {
        panic!("{error}");
    }
    // A property of which one side never happens shows nothing; nor does a gate that clears nothing.
    let [asked, cleared, naive, on_basis] =
        [&counts.asked, &counts.cleared, &counts.naive, &counts.on_basis].map(Cell::get);
    assert!(cleared * 5 > asked && cleared * 3 < asked * 2 && on_basis * 50 > cleared, "{counts:?}");
    assert!(cleared * 10 > naive * 9, "{counts:?}");
    assert!(counts.worlds_cleared.get() * 3 > counts.worlds.get(), "{counts:?}");
}
