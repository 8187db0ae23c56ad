//! The operator's process.

use clap::Parser as _;
use placet_operator::config::{Cli, Command};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    placet_operator::infra::client::install_crypto_provider();
    let outcome = match Cli::parse().command {
        Command::Run(flags) => placet_operator::run::run(*flags).await,
        Command::Uninstall(flags) => placet_operator::run::remove(flags).await,
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not be set up yet, or have been the trouble.
            eprintln!("placet-operator: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
