//! Arguments of `placet policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::TableOrJson;

#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Run the cases of policy packs: who wrote what when, and what Placet must answer (docs/policies.md)
    Test(TestArgs),
}

/// What the codes of `policy test` mean.
const TEST_CODES: &str = "Exit codes: 0 every case holds; 1 one does not; 2 one could not be run, a policy is not understood or \
                          no case reads it";

#[derive(Debug, Args)]
#[command(after_help = TEST_CODES)]
pub struct TestArgs {
    /// Directories with policies and, in folders called cases, their cases; a policy's file, whose cases are in the folder cases
    /// beside it; or a case
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}
