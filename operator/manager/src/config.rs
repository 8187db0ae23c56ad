//! What the operator is told: flags, each also an environment variable.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use placet_evidence::budget::Limits as Budget;

use crate::infra::telemetry::LogFormat;
use crate::quota::Limits;

/// The chart's webhook configurations, mutating first. The names do not depend on the release: a cluster has one
/// installation, and a second one meets them.
pub const WEBHOOKS: [&str; 2] = ["placet-mutating", "placet-validating"];

/// The Placet operator.
#[derive(Debug, Parser)]
#[command(name = "placet-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Remove the webhooks, lift holds, and have that recorded: what the chart's pre-delete Job runs.
    Uninstall(Uninstall),
}

/// Where the operator lives. Shared by all commands.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Namespace that the operator runs in.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// Prefix of the names of everything that belongs to this installation.
    #[arg(long, env = "PLACET_RELEASE", default_value = "placet")]
    pub release: String,
    /// What to log: a level, or a list of target=level.
    #[arg(long, env = "PLACET_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// How to log.
    #[arg(long, env = "PLACET_LOG_FORMAT", default_value = "json")]
    pub log_format: Format,
}

impl Place {
    /// A name of this installation.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.release)
    }
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => LogFormat::Json,
            Format::Text => LogFormat::Text,
        }
    }
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where it lives.
    #[command(flatten)]
    pub place: Place,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "placet-0")]
    pub pod_name: String,
    /// The cluster's name, for which people sign, beside the uid of its kube-system namespace. Another name makes what was
    /// signed for the former one count no more.
    #[arg(long, env = "PLACET_CLUSTER_NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster_name: Option<String>,
    /// Service that the API server reaches the webhooks by.
    #[arg(long, env = "PLACET_SERVICE", default_value = "placet")]
    pub service: String,
    /// Address to listen on.
    #[arg(long, env = "PLACET_BIND_ADDRESS", default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port of webhooks and of reading the log, TLS.
    #[arg(long, env = "PLACET_PORT", default_value_t = 8443)]
    pub port: u16,
    /// Port of /livez, /readyz and /metrics, plain.
    #[arg(long, env = "PLACET_HEALTH_PORT", default_value_t = 8081)]
    pub health_port: u16,
    /// Directory of the evidence log, on its own volume.
    #[arg(long, env = "PLACET_LOG_DIR", default_value = "/var/lib/placet/log")]
    pub log_dir: PathBuf,
    /// Directory of policy packs that are applied once ready.
    #[arg(long, env = "PLACET_POLICIES_DIR")]
    pub policies_dir: Option<PathBuf>,
    /// The operator's own account, as the API server names it.
    #[arg(long, env = "PLACET_SERVICE_ACCOUNT")]
    pub service_account: Option<String>,
    /// Bytes of metadata and spec that all objects of placet.dev of one namespace may have together.
    #[arg(long, env = "PLACET_QUOTA_NAMESPACE_BYTES", default_value_t = Limits::default().bytes)]
    pub quota_namespace_bytes: u64,
    /// Objects of placet.dev that one namespace may have.
    #[arg(long, env = "PLACET_QUOTA_NAMESPACE_OBJECTS", default_value_t = Limits::default().objects)]
    pub quota_namespace_objects: u64,
    /// Records that one namespace gains a second in its budget of what it may write to the log.
    #[arg(long, env = "PLACET_NAMESPACE_RECORDS_PER_SECOND", default_value_t = Budget::default().records_per_second)]
    pub namespace_records_per_second: u64,
    /// File with a number of seconds that is added to the wall clock. Refused without --allow-test-clock.
    #[arg(long, env = "PLACET_TEST_CLOCK_FILE")]
    pub test_clock_file: Option<PathBuf>,
    /// Allows the test clock. Never in production: whoever writes that file decides what has expired.
    #[arg(long)]
    pub allow_test_clock: bool,
}

/// Flags of `uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Where it lives.
    #[command(flatten)]
    pub place: Place,
}
