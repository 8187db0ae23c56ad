//! `placet`, also as `kubectl placet`: what people run. Data goes to stdout, notes and questions to stderr.
//!
//! Exit codes: 0 cleared or done; 1 not cleared, or an answer that is no; 2 the question could not be asked (input,
//! usage, connection). `placet evidence verify` has its own: 0 authenticated, 1 tampered, 2 incomplete, 3 not
//! authenticated. Where the reader of stdout went away: 141, as for a program that SIGPIPE ends.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod accept;
mod access;
mod approve;
mod args;
mod bias;
mod check;
mod cluster;
mod controls;
mod digest;
mod evidence;
mod files;
mod import;
mod keys;
mod made;
mod pending;
mod policy;
mod policy_change;
mod report;
mod risks;
mod sign;
mod signed;
mod sys;
mod target;
#[cfg(test)]
mod testing;
mod text;
mod why;
mod withdraw;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command};

/// The question could not be asked.
const COULD_NOT_ASK: u8 = 2;

fn main() -> ExitCode {
    let mut command = Cli::command();
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_stem().and_then(|n| n.to_str()).unwrap_or("placet");
    if name == "kubectl-placet" {
        command = command.bin_name("kubectl placet");
    }
    let cli = match Cli::from_arg_matches(&command.clone().get_matches()) {
        Ok(cli) => cli,
        Err(e) => e.format(&mut command).exit(),
    };
    match run(&cli, command) {
        Ok(code) => ExitCode::from(code),
        Err(e) if e.is::<sys::ReaderGone>() => ExitCode::from(sys::READER_GONE),
        Err(e) => {
            sys::tell(&format!("error: {}", text::chain(&e)));
            ExitCode::from(COULD_NOT_ASK)
        }
    }
}

fn run(cli: &Cli, mut command: clap::Command) -> anyhow::Result<u8> {
    let global = &cli.global;
    match &cli.command {
        Command::Why(args) if policy_change::concerns(&args.target) => {
            policy_change::why(&cluster::Cluster::connect(global)?, args)
        }
        Command::Why(args) => why::run(&cluster::Cluster::connect(global)?, args),
        Command::Pending(args) => pending::run(&cluster::Cluster::connect(global)?, args),
        Command::Approve(command) => {
            let answers = Some(command.answers.as_slice());
            if policy_change::concerns(&command.args.target) {
                let cluster = policy_change::cluster(global)?;
                return policy_change::decide(&cluster, &command.args, answers, command.deletion);
            }
            anyhow::ensure!(
                !command.deletion,
                "--deletion is for a policy (rp/NAME), found {}",
                command.args.target
            );
            approve::run(&cluster::Cluster::connect(global)?, &command.args, answers)
        }
        Command::Reject(args) if policy_change::concerns(&args.target) => {
            policy_change::decide(&policy_change::cluster(global)?, args, None, false)
        }
        Command::Reject(args) => approve::run(&cluster::Cluster::connect(global)?, args, None),
        Command::Withdraw(args) => withdraw::run(&cluster::Cluster::connect(global)?, args),
        Command::Access(args) => {
            access::run(&cluster::Cluster::connect(global)?, args, global.namespace.as_deref())
        }
        Command::Sign(args) => signed::run(global, args),
        Command::AcceptRisk(args) => accept::run(&cluster::Cluster::connect(global)?, args),
        Command::Risks(args) => risks::run(global, args),
        Command::Check(args) => check::run(global, args),
        Command::Simulate(args) => check::simulate::run(global, args),
        Command::Policy(args) => policy::run(&args.command),
        Command::Report(args) => report::run(global, &args.command),
        Command::Bias(args) => bias::run(global, args),
        Command::Controls(args) => controls::run(args),
        Command::Digest(args) => digest::run(global, args),
        Command::Evidence(args) => evidence::run(global, &args.command),
        Command::Keys(args) => keys::run(&cluster::Cluster::connect(global)?, &args.command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "placet", &mut script);
            sys::print_as_it_is(&script)?;
            Ok(0)
        }
    }
}
