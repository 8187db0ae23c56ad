//! The command line as people type it.

mod check;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use placet_api::approval::Covers as ApiCovers;
use placet_api::common::Level;
use placet_api::testreport::PositiveMeans as ApiPositive;

pub use check::{CheckArgs, CheckOutput, GivenArgs, SimulateArgs};

/// What the exit codes mean, wherever a command does not say otherwise.
const EXIT_CODES: &str = "Exit codes: 0 cleared, or done; 1 not cleared or not yet known, or an answer that is no; 2 the \
                          question could not be asked (input, usage, connection)";

/// Lets no AI model run until what its governance asks for exists: see what is missing, approve, accept risks, check
/// files before they are applied, and read the evidence.
#[derive(Debug, Parser)]
#[command(name = "placet", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// How the cluster is reached, as with kubectl.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Global {
    /// Kubeconfig file [default: KUBECONFIG, then ~/.kube/config, then the pod's service account]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace [default: that of the context]
    #[arg(short = 'n', long, global = true, value_name = "NS")]
    pub namespace: Option<String>,
    /// Namespace of the operator, for evidence and keys
    #[arg(long, global = true, value_name = "NS", default_value = "placet-system")]
    pub operator_namespace: String,
    /// Helm release name of the operator, the prefix of its objects, for evidence and keys
    #[arg(long, global = true, value_name = "NAME", default_value = "placet")]
    pub operator_release: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what kept a release from running when it was last judged, grouped by who can act, with the commands
    Why(WhyArgs),
    /// Show what waits for you: one line each, with the command
    Pending(PendingArgs),
    /// Approve a release, a system, an assessment: shows what you approve and binds you to its content
    Approve(ApproveCommand),
    /// Reject a release, a system, an assessment, or withdraw a risk acceptance
    Reject(ApproveArgs),
    /// Sign a release, a system or an assessment as its author, where a robot applies it: prints it with the signature
    Sign(SignArgs),
    /// Accept residual risks of an assessment, at a level and until a date
    AcceptRisk(AcceptArgs),
    /// Show the risk register of assessments: levels, what each control comes to, and the heat map
    Risks(crate::risks::RisksArgs),
    /// Withdraw a release for good, a risk acceptance, or an approval that you gave
    Withdraw(WithdrawArgs),
    /// Show who can approve in each role, and who could get round it: a scan of RBAC
    Access(AccessArgs),
    /// Decide from files, without a cluster: the same decision in the same words
    Check(CheckArgs),
    /// Show which releases would be held at a later date, and why, were nothing but the time to change
    Simulate(SimulateArgs),
    /// Test policies
    Policy(crate::policy::PolicyArgs),
    /// Make a TestReport
    Report(ReportArgs),
    /// Count rows by groups of people: rates with intervals, the gate's verdict, a picture, a TestReport
    Bias(Box<crate::bias::BiasArgs>),
    /// Show which controls of ISO/IEC 27001 and 42001, and which articles of the AI Act, each gate shows
    Controls(crate::controls::ControlsArgs),
    /// Print the digest that approvals bind
    Digest(DigestArgs),
    /// Read and verify the evidence log
    Evidence(EvidenceArgs),
    /// The keys that stamps are signed with: list, rotate, distrust
    Keys(KeysArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableOrJson {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    /// mr/NAME, NAME, a workload that names a release (deployment/NAME, pod/NAME, job/NAME …), or rp/NAME
    pub target: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Covers {
    /// The object's content
    #[value(alias = "content")]
    Content,
    /// A release with its class, assessment, reports and requirements
    #[value(alias = "evidence")]
    Evidence,
    /// What a system's class depends on
    #[value(alias = "classification")]
    Classification,
}

impl From<Covers> for ApiCovers {
    fn from(covers: Covers) -> Self {
        match covers {
            Covers::Content => ApiCovers::Content,
            Covers::Evidence => ApiCovers::Evidence,
            Covers::Classification => ApiCovers::Classification,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WriteOutput {
    /// Create it and print its name
    Name,
    /// Print the object and create nothing
    Yaml,
    /// Create it and print it as JSON; with --dry-run create nothing
    Json,
}

#[derive(Debug, Args)]
pub struct ApproveCommand {
    #[command(flatten)]
    pub args: ApproveArgs,
    /// A Reject of the same content in the same role that you answer, by name; may be given several times
    #[arg(long, value_name = "NAME")]
    pub answers: Vec<String>,
    /// Approve that a policy (rp/NAME) is deleted
    #[arg(long)]
    pub deletion: bool,
}

#[derive(Debug, Default, Args)]
pub struct Signing {
    /// Sign it with this SSH key and print it, for Git: it counts for you whoever applies it. A private key, or a public one
    /// whose private key is in ssh-agent
    #[arg(long, value_name = "KEY", conflicts_with = "dry_run")]
    pub sign_with: Option<PathBuf>,
    /// With --sign-with: the cluster that you sign for, by the chart's value clusterName or the uid of kube-system [default:
    /// that uid]
    #[arg(long, value_name = "NAME", requires = "sign_with")]
    pub cluster_name: Option<String>,
}

#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// mr/NAME, ais/NAME, ia/NAME, ra/NAME (which a policy wants a role to be heard on), or rp/NAME (a version of a policy
    /// that asks for less than the one in force)
    pub target: String,
    /// The ApprovalRole in which you decide
    #[arg(long)]
    pub role: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// When the decision ends by itself: 2027-03-31, or with a time and zone
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// What the digest covers [default: what the policies ask the role for; Content in a Reject, or of anything but a release]
    #[arg(long, value_enum)]
    pub covers: Option<Covers>,
    /// The digest that you looked at: anything else is neither approved nor rejected
    #[arg(long, value_name = "sha256:…")]
    pub digest: Option<String>,
    /// Print what there is to decide on, with its digest, and end: as text, YAML or JSON
    #[arg(long, conflicts_with_all = ["sign_with", "dry_run", "yes"])]
    pub show: bool,
    #[command(flatten)]
    pub signing: Signing,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Print the object and create nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = WriteOutput::Name)]
    pub output: WriteOutput,
}

#[derive(Debug, Args)]
pub struct SignArgs {
    /// mr/NAME, ais/NAME or ia/NAME on the cluster, a file with one of these, or - for standard input
    pub target: String,
    /// The SSH key: a private key, or a public one whose private key is in ssh-agent
    #[arg(long, value_name = "KEY")]
    pub sign_with: PathBuf,
    /// The cluster that you sign for, by the chart's value clusterName or the uid of kube-system [default: that uid]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = YamlOrJson::Yaml)]
    pub output: YamlOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum YamlOrJson {
    /// The object with the signature, to be applied
    Yaml,
    /// The same as JSON
    Json,
}

/// Answers are data, whatever they are: something that waits is no error.
const PENDING_CODES: &str = "Exit codes: 0 asked and answered, whether something waits or not (-o json says how much); 2 \
                             the question could not be asked";

#[derive(Debug, Args)]
#[command(after_help = PENDING_CODES)]
pub struct PendingArgs {
    /// The releases of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only what waits for this role
    #[arg(long)]
    pub role: Option<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}

#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// mr/NAME, ra/NAME, apv/NAME
    pub target: String,
    /// Why; on a release it is kept as an annotation, on a Reject as its comment
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
    /// For ra/NAME: the ApprovalRole in which you withdraw it [default: that of the acceptance]
    #[arg(long)]
    pub role: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be withdrawn and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = NameOrJson::Name)]
    pub output: NameOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NameOrJson {
    /// The name of what was written
    Name,
    /// The object as it is now
    Json,
}

/// What the codes of `access` mean.
const ACCESS_CODES: &str = "Exit codes: 0 answered whole; 1 something could not be read, or everybody \
                            (system:authenticated …) can approve or get round it; 2 the question could not be asked";

#[derive(Debug, Args)]
#[command(after_help = ACCESS_CODES)]
pub struct AccessArgs {
    /// Only this approval role
    #[arg(long)]
    pub role: Option<String>,
    /// Only what this user holds, and whether they can approve; system:serviceaccount:NS:NAME is a service account
    #[arg(long = "user", value_name = "NAME")]
    pub user: Option<String>,
    /// A group of that user, which RBAC does not know; may be given several times
    #[arg(long = "group", value_name = "NAME")]
    pub groups: Vec<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum LevelArg {
    VeryLow,
    Low,
    Medium,
    High,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::VeryLow => Level::VeryLow,
            LevelArg::Low => Level::Low,
            LevelArg::Medium => Level::Medium,
            LevelArg::High => Level::High,
        }
    }
}

#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// ia/NAME
    pub target: String,
    /// Ids of the risks
    #[arg(required = true, value_name = "RISK")]
    pub risks: Vec<String>,
    /// The ApprovalRole in which you accept; the policy says which level it may accept
    #[arg(long)]
    pub role: String,
    /// When the acceptance ends: 2027-03-31, or with a time and zone
    #[arg(long, value_name = "DATE")]
    pub until: String,
    /// Highest level that you accept [default: the highest of the risks named]
    #[arg(long, value_enum)]
    pub level: Option<LevelArg>,
    /// Why the risk is acceptable
    #[arg(long, value_name = "TEXT")]
    pub rationale: String,
    /// A condition of the acceptance; may be given several times
    #[arg(long = "condition", value_name = "TEXT")]
    pub conditions: Vec<String>,
    #[command(flatten)]
    pub signing: Signing,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Print the object and create nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t = WriteOutput::Name)]
    pub output: WriteOutput,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub command: ReportCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// A TestReport from a table of counts per group: attribute columns, then n,tp,fp,fn,tn
    Counts(CountsArgs),
    /// A TestReport from what a tool wrote (lm-eval, inspect, garak, mlflow, evidently and others)
    Import(crate::import::ImportArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum TestTypeArg {
    Bias,
    Performance,
    Robustness,
    Security,
    Safety,
    Drift,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PositiveArg {
    Favourable,
    Unfavourable,
}

impl From<PositiveArg> for ApiPositive {
    fn from(positive: PositiveArg) -> Self {
        match positive {
            PositiveArg::Favourable => ApiPositive::Favourable,
            PositiveArg::Unfavourable => ApiPositive::Unfavourable,
        }
    }
}

#[derive(Debug, Args)]
pub struct CountsArgs {
    /// The table; - is standard input
    pub file: PathBuf,
    /// Digest of the artefact that was tested
    #[arg(long, value_name = "sha256:…")]
    pub artifact: String,
    /// Digest of the dataset that it was tested on
    #[arg(long, value_name = "sha256:…")]
    pub dataset: String,
    /// Type of the test
    #[arg(long = "type", value_enum, default_value_t = TestTypeArg::Bias)]
    pub type_: TestTypeArg,
    /// The tool that ran the test
    #[arg(long, value_name = "NAME@VERSION")]
    pub tool: String,
    /// Name of the report [default: type and the artefact's first digits]
    #[arg(long)]
    pub name: Option<String>,
    /// When the test ran [default: now]
    #[arg(long, value_name = "TIME")]
    pub ran_at: Option<String>,
    /// What a positive prediction means for the person
    #[arg(long, value_enum)]
    pub positive_means: PositiveArg,
}

#[derive(Debug, Args)]
pub struct DigestArgs {
    /// A file, - for standard input, or KIND/NAME on the cluster
    pub target: String,
    /// What the digest covers
    #[arg(long, value_enum, default_value_t = Covers::Content)]
    pub covers: Covers,
}

#[derive(Debug, Args)]
pub struct EvidenceArgs {
    #[command(subcommand)]
    pub command: EvidenceCommand,
}

/// Where the log is read from.
#[derive(Debug, Clone, Args)]
pub struct LogPlace {
    /// Directory of the log [default: the cluster's log, through the API server]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The log's public key, known from elsewhere: the key itself or a file that holds it
    #[arg(long, value_name = "KEY|FILE")]
    pub key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Verify a log: exit 0 authenticated, 1 tampered, 2 incomplete, 3 consistent but not authenticated, which
    /// a log that follows that of the key is
    Verify {
        /// Directory of the log [default: the cluster's log, through the API server]
        dir: Option<PathBuf>,
        /// The log's public key, known from elsewhere: the key itself or a file that holds it
        #[arg(long, value_name = "KEY|FILE")]
        key: Option<String>,
        /// A head that is kept outside the log's volume: the log must extend it
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// Output
        #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
        output: TableOrJson,
    },
    /// Show the life of a release as a timeline
    Show {
        /// mr/NAME
        target: String,
        #[command(flatten)]
        place: LogPlace,
        /// Do not verify the log
        #[arg(long)]
        no_verify: bool,
        /// Output
        #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
        output: TableOrJson,
    },
    /// Show the newest records, without verifying them
    Tail {
        /// How many
        #[arg(long, default_value_t = 20)]
        last: u64,
        /// Go on until interrupted
        #[arg(short, long)]
        follow: bool,
        /// Directory of the log [default: the cluster's log, through the API server]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Copy the log into a directory, to be verified there; a second pull fetches what is new
    Pull {
        /// Where to
        #[arg(long, value_name = "DIR", default_value = "placet-log")]
        to: PathBuf,
        /// Directory of the log [default: the cluster's log, through the API server]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Evaluate recorded decisions again: each must decide what it decided, whatever its words
    Replay {
        /// Only the decisions on this release: mr/NAME
        target: Option<String>,
        /// Directory of the log [default: the cluster's log, through the API server]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the log's public key, as the cluster's operator publishes it
    Key,
    /// Order a successor log, when the volume was lost or replaced; the operator begins it at its next start
    Begin {
        /// Why, for those who read the evidence
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the receipt keys that the evidence log knows: since when, which one signs, which are distrusted
    List {
        /// Output
        #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
        output: TableOrJson,
    },
    /// Order a new receipt key; what the old one signed goes on counting
    Rotate {
        /// Why, for those who read the evidence
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Order that of what a receipt key signed only what was recorded before an index of the log counts
    Distrust {
        /// Id of the key: placet keys list
        #[arg(value_name = "KEYID")]
        key: String,
        /// Index of the first record that is not to be believed: placet evidence tail
        #[arg(long, value_name = "INDEX")]
        from: u64,
        /// Why, for those who read the evidence
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}
