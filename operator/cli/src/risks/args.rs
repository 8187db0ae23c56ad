//! Arguments of `placet risks`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::GivenArgs;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RisksOutput {
    /// A table and a heat map for each assessment
    Table,
    /// Everything, with what each control comes to and why
    Json,
    /// One line for each risk
    Csv,
}

/// Answers are data, whatever the levels are.
const RISKS_CODES: &str = "Exit codes: 0 asked and answered, whatever the levels; 2 the question could not be asked, or there \
                           is no assessment";

#[derive(Debug, Args)]
#[command(after_help = RISKS_CODES)]
pub struct RisksArgs {
    /// ia/NAME, or NAME [default: every assessment that no other supersedes]
    pub target: Option<String>,
    /// Files and directories with objects instead of the cluster (*.yaml, *.yml, *.json at any depth); - is standard input
    #[arg(short = 'f', long = "filename", value_name = "DIR|FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The time by which controls, their evidence and its terms are judged [default: now]
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
    /// Who wrote the objects of the files that carry no stamp; KIND/NAME=USER says it of one object. May be given several times
    #[arg(long = "as", value_name = "USER|KIND/NAME=USER", requires = "files")]
    pub written_by: Vec<String>,
    /// Who holds which role: YAML, {role: [users]}
    #[arg(long, value_name = "FILE", requires = "files")]
    pub roles: Option<PathBuf>,
    /// Public keys that stamps are verified with [default: those of the cluster]
    #[arg(long, value_name = "FILE")]
    pub receipt_keys: Option<PathBuf>,
    /// Uid of the cluster that the stamps come from [default: that of the cluster]
    #[arg(long, value_name = "UID")]
    pub cluster_uid: Option<String>,
    /// Name of the cluster that signatures are made for, where it has one (the chart's value clusterName)
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Labels of the namespaces, for policies that select by label
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub namespace_labels: Vec<String>,
    /// The assessments of all namespaces of the cluster
    #[arg(short = 'A', long, conflicts_with = "files")]
    pub all_namespaces: bool,
    /// Draw the heat map into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = RisksOutput::Table)]
    pub output: RisksOutput,
}

impl RisksArgs {
    /// What is read, as `check` reads it: files, or else the cluster.
    pub fn given(&self) -> GivenArgs {
        GivenArgs {
            files: self.files.clone(),
            release: None,
            now: self.now.clone(),
            written_by: self.written_by.clone(),
            roles: self.roles.clone(),
            receipt_keys: self.receipt_keys.clone(),
            cluster_uid: self.cluster_uid.clone(),
            cluster_name: self.cluster_name.clone(),
            namespace_labels: self.namespace_labels.clone(),
            first_use: None,
            from_cluster: self.files.is_empty(),
            all_namespaces: self.all_namespaces,
        }
    }
}
