//! e: the gate itself, in process, on the samples and on a release of which 20 things are asked. What follows from an
//! object alone (class, scores, a report's verdict) and from the policies alone is kept with them, as in the operator;
//! the first decision, for which all of it is worked out, stands beside.

use std::hint::black_box;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use placet_gate::world::{Clock, Snapshot, World};
use placet_gate::{Cleared, evaluate};
use serde_json::json;

use crate::report::{Aim, Report};
use crate::samples::{self, Filler};
use crate::stats::{self, Run, micros_each, now};

const NAMESPACE: &str = "lending";

/// Objects of one namespace: the samples, or a release of which 20 things are asked, with so many reports.
#[derive(Clone, Copy)]
enum Asked {
    Samples,
    Twenty,
    TwentyOf(usize),
}

fn world(asked: Asked) -> anyhow::Result<World> {
    let reading = samples::reading();
    let mut world = World::new();
    let mut filler = Filler::new(&reading, samples::NOW.parse()?);
    filler.policies(&mut world)?;
    if let Asked::TwentyOf(reports) = asked {
        filler.reports = reports;
    }
    if !matches!(asked, Asked::Samples) {
        filler.six_more_tests(&mut world)?;
    }
    filler.namespace(&mut world, NAMESPACE, "deny")?;
    Ok(world)
}

/// Microseconds of a decision on objects that no decision has read yet, the median of some.
fn first(asked: Asked, release: &str, clock: &Clock) -> anyhow::Result<f64> {
    const WORLDS: usize = 101;
    let mut nanos = Vec::with_capacity(WORLDS);
    for _ in 0..WORLDS {
        let snapshot = world(asked)?.snapshot(NAMESPACE, release, clock.clone());
        let since = now();
        black_box(evaluate(black_box(&snapshot)));
        nanos.push(stats::nanos(since));
    }
    Ok(Run::new(nanos, 0.0).millis(500) * 1e3)
}

/// Measures decisions.
///
/// # Errors
/// When a sample is not decided as it must be: a fast wrong decision is no result.
pub fn measure(report: &mut Report, slice: Duration) -> anyhow::Result<()> {
    let clock = Clock::Trusted(samples::NOW.parse::<Timestamp>()?);
    let cases = [
        ("samples, cleared", Asked::Samples, samples::CLEARED, Cleared::True, [].as_slice()),
        ("samples, refused", Asked::Samples, samples::REFUSED, Cleared::False, [].as_slice()),
        ("20 gates, cleared", Asked::Twenty, samples::CLEARED, Cleared::True, [Aim::AtMost(20.0)].as_slice()),
        (
            "20 gates, refused",
            Asked::Twenty,
            samples::REFUSED,
            Cleared::False,
            [Aim::AtMost(20.0)].as_slice(),
        ),
        (
            "20 gates, 100 reports",
            Asked::TwentyOf(100),
            samples::CLEARED,
            Cleared::True,
            [Aim::AtMost(20.0)].as_slice(),
        ),
    ];
    for (name, asked, release, wanted, aims) in cases {
        let world = world(asked)?;
        let snapshot: Snapshot = world.snapshot(NAMESPACE, release, clock.clone());
        let decision = evaluate(&snapshot);
        if decision.cleared != wanted {
            let findings: Vec<_> =
                decision.findings().map(|f| format!("{}: {}; {}", f.reason, f.found, f.wanted)).collect();
            anyhow::bail!("{name}: wanted {wanted:?}, found {:?}: {}", decision.cleared, findings.join("\n"));
        }
        let micros = micros_each(slice, || {
            black_box(evaluate(black_box(&snapshot)));
        });
        report.add(format!("e {name}"), micros, "us", None, aims);
        report.add(format!("e {name}, rate"), 1e6 / micros, "1/s", None, &[]);
        report.add(format!("e {name}, the first"), first(asked, release, &clock)?, "us", None, &[]);
        let micros = micros_each(slice / 3, || {
            black_box(world.snapshot(NAMESPACE, black_box(release), clock.clone()));
        });
        report.add(format!("e {name}, taking the snapshot"), micros, "us", None, &[]);
    }
    approvals(report, slice, &clock)
}

/// The cleared sample with more approvals than are asked for: what each of them costs a decision.
fn approvals(report: &mut Report, slice: Duration, clock: &Clock) -> anyhow::Result<()> {
    let mut one = None;
    for count in [1_u32, 10, 100] {
        let mut world = world(Asked::Samples)?;
        let evidence = evaluate(&world.snapshot(NAMESPACE, samples::CLEARED, clock.clone())).evidence;
        let evidence = evidence.context("the sample's evidence is known")?;
        let reading = samples::reading();
        let mut filler = Filler::new(&reading, samples::NOW.parse()?);
        for n in 0..count {
            let mut more =
                samples::approval(NAMESPACE, ("ModelRelease", samples::CLEARED), &evidence, "model-owner");
            more["metadata"] =
                json!({"name": format!("more-{n}"), "namespace": NAMESPACE, "uid": format!("uid-more-{n}")});
            more["spec"]["subject"]["covers"] = "Evidence".into();
            filler.add(&mut world, &format!("person-{n}"), &more)?;
        }
        let snapshot = world.snapshot(NAMESPACE, samples::CLEARED, clock.clone());
        anyhow::ensure!(
            evaluate(&snapshot).cleared == Cleared::True,
            "{count} approvals more are in the way"
        );
        let micros = micros_each(slice, || {
            black_box(evaluate(black_box(&snapshot)));
        });
        let base = *one.get_or_insert(micros);
        report.add(format!("e samples, {count} approvals more"), micros, "us", Some(base), &[]);
    }
    Ok(())
}
