//! `make bench`: Placet beside a baseline that is measured in the same run, so that a figure means something on any
//! machine. Prints a table and writes `target/bench.json`.
//!
//! | group | what |
//! |---|---|
//! | a | admission reviews over TLS, in process, beside a handler of the same server that decides nothing |
//! | b | pods through a real API server: without a webhook, with one that decides nothing, with ours |
//! | c | from the last approval to the released pod |
//! | d | memory and idle requests with many governed workloads |
//! | e | decisions of the gate |
//! | f | durable appends to the evidence log, beside write and sync of the same bytes |
//! | g | Approvals through a real API server, stamped by us, beside objects of the same schema and webhooks that decide nothing |
//! | h | `placet bias` on Parquet, beside Fairlearn on the same file |
//!
//! The load generator counts latency from when a request was due, so that a server that stalls cannot hide it.

mod appends;
mod bias;
mod cluster;
mod creation;
mod decisions;
mod idle;
mod load;
mod noop;
mod release;
mod report;
mod reviews;
mod samples;
mod server;
mod stamping;
mod stats;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use report::Report;

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Group {
    /// Admission reviews over TLS.
    A,
    /// Pods through the API server.
    B,
    /// Last approval to released pod.
    C,
    /// Memory and idle requests.
    D,
    /// Decisions of the gate.
    E,
    /// Evidence appends.
    F,
    /// Approvals through the API server.
    G,
    /// Rows counted by groups of people.
    H,
}

/// Ratios against same-run baselines, as a table and as JSON.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Which groups are measured; all without any.
    groups: Vec<Group>,
    /// Seconds that one slice of a measurement in process takes. Slices of subject and baseline alternate.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// a: which cases are measured; all without any.
    #[arg(long)]
    case: Vec<webhook::Case>,
    /// c: releases that are approved.
    #[arg(long, default_value_t = 200)]
    releases: usize,
    /// b: pods that are created for each of the three.
    #[arg(long, default_value_t = 200)]
    pods: usize,
    /// g: approvals of each of the two.
    #[arg(long, default_value_t = 200)]
    approvals: usize,
    /// d: governed workloads.
    #[arg(long, default_value_t = 1000)]
    workloads: usize,
    /// d: seconds that are watched while nothing happens.
    #[arg(long, default_value_t = 120)]
    idle: u64,
    /// h: rows of the file.
    #[arg(long, default_value_t = 4_000_000)]
    rows: usize,
    /// Where the evidence logs of a and f and the file of h go: a directory on the disk that is to be measured.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "target/bench.json")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("placet-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench makes its directory before it begins")]
fn run(flags: &Flags) -> anyhow::Result<()> {
    placet_operator::infra::client::install_crypto_provider();
    let wanted = |group| flags.groups.is_empty() || flags.groups.contains(&group);
    let slice = Duration::try_from_secs_f64(flags.seconds)?;
    std::fs::create_dir_all(&flags.dir)?;
    let mut report = Report::default();
    if wanted(Group::A) {
        reviews::measure(&mut report, &flags.dir, slice, &flags.case)?;
    }
    if wanted(Group::E) {
        decisions::measure(&mut report, slice)?;
    }
    if wanted(Group::F) {
        appends::measure(&mut report, &flags.dir, slice)?;
    }
    if wanted(Group::H) {
        bias::measure(&mut report, &flags.dir, flags.rows)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if [Group::B, Group::C, Group::G].into_iter().any(wanted) {
        runtime.block_on(async {
            let installed = cluster::Installed::start(2).await?;
            if wanted(Group::B) {
                creation::measure(&mut report, &installed, flags.pods).await?;
            }
            if wanted(Group::C) {
                release::measure(&mut report, &installed, flags.releases).await?;
            }
            if wanted(Group::G) {
                stamping::measure(&mut report, &installed, flags.approvals).await?;
            }
            installed.end().await
        })?;
    }
    // On an installation of its own: what the others left behind would be in its memory, too.
    if wanted(Group::D) {
        runtime.block_on(async {
            // KWOK's nodes take 110 pods each.
            let installed = cluster::Installed::start(flags.workloads / 100 + 2).await?;
            idle::measure(&mut report, &installed, flags.workloads, flags.idle).await?;
            installed.end().await
        })?;
    }
    report.write(&flags.output)?;
    println!("{}", report.table());
    println!("also in {}", flags.output.display());
    Ok(())
}
