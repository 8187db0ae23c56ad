//! Arguments of the commands that decide by themselves.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TableOrJson;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    Table,
    Json,
    Sarif,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub given: GivenArgs,
    /// A new policy: lists which releases would lose or gain their clearance, at once or when their approvals end; exits 1
    /// where one loses it at once. May be given several times
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = CheckOutput::Table)]
    pub output: CheckOutput,
}

/// What the codes of `simulate` mean.
const SIMULATE_CODES: &str = "Exit codes: 0 every release is cleared at that date; 1 one is held, or not yet known; 2 the \
                              question could not be asked";

#[derive(Debug, Args)]
#[command(after_help = SIMULATE_CODES)]
pub struct SimulateArgs {
    /// The date to which the clock is moved, and nothing else: 2027-12-02, or with a time and zone
    #[arg(long, value_name = "DATE")]
    pub date: String,
    #[command(flatten)]
    pub given: GivenArgs,
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}

/// What is decided about: objects from files or a cluster, and what they leave open.
#[derive(Debug, Args)]
pub struct GivenArgs {
    /// Files and directories with objects (*.yaml, *.yml, *.json at any depth); - is standard input
    #[arg(short = 'f', long = "filename", required_unless_present = "from_cluster", value_name = "DIR|FILE", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// Only this release [default: every release in the files]
    #[arg(long, value_name = "NS/NAME")]
    pub release: Option<String>,
    /// The time of the decision [default: now]
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
    /// Who wrote the objects that carry no stamp; KIND/NAME=USER says it of one object. May be given several times
    #[arg(long = "as", value_name = "USER|KIND/NAME=USER")]
    pub written_by: Vec<String>,
    /// Who holds which role: YAML, {role: [users]}; who may report tests in a role: {report/role: [users]}
    #[arg(long, value_name = "FILE")]
    pub roles: Option<PathBuf>,
    /// Public keys that stamps are verified with (placet-receipt:<base64>, one a line): kubectl get configmap
    /// placet-log-head -n placet-system -o jsonpath='{.data.receiptKeys}' > FILE
    #[arg(long, value_name = "FILE")]
    pub receipt_keys: Option<PathBuf>,
    /// Uid of the cluster that the stamps come from: kubectl get namespace kube-system -o jsonpath='{.metadata.uid}'
    #[arg(long, value_name = "UID")]
    pub cluster_uid: Option<String>,
    /// Name of the cluster that signatures are made for, where it has one (the chart's value clusterName)
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Labels of the releases' namespaces, for policies that select by label
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub namespace_labels: Vec<String>,
    /// When the releases were first used: their approvals then stand for the running term [default: not yet used]
    #[arg(long, value_name = "TIME")]
    pub first_use: Option<String>,
    /// Read what the files leave out from the cluster: policies, roles, the namespace's objects, keys
    #[arg(long)]
    pub from_cluster: bool,
    /// With --from-cluster: the releases of all namespaces
    #[arg(short = 'A', long, requires = "from_cluster")]
    pub all_namespaces: bool,
}
