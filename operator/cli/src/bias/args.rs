//! Options of `placet bias`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{PositiveArg, TableOrJson};

#[derive(Debug, Args)]
#[command(
    after_help = "With --artifact and --dataset it writes the TestReport to stdout (or --report FILE) and the tables \
                        to stderr; without them the tables go to stdout.\n\nExit codes: 0 done, and what the policies ask \
                        for holds; 1 a test of the policies fails or is not decided; 2 the file could not be read as \
                        asked"
)]
pub struct BiasArgs {
    /// Rows: CSV, Parquet or Arrow IPC (file or stream); its content says which
    pub file: PathBuf,
    /// Column of what really was
    #[arg(long, value_name = "COLUMN")]
    pub label: String,
    /// Column of what was predicted
    #[arg(long, value_name = "COLUMN", required_unless_present = "score", conflicts_with = "score")]
    pub prediction: Option<String>,
    /// Column of a score, instead of a prediction; with --threshold
    #[arg(long, value_name = "COLUMN", requires = "threshold")]
    pub score: Option<String>,
    /// Which scores are a positive prediction: those of at least NUMBER, above the median, or above a quantile (q0.9)
    #[arg(long, value_name = "NUMBER|median|qN", requires = "score", allow_hyphen_values = true)]
    pub threshold: Option<String>,
    /// Count the scores by label in bins of one width, for the metrics of scores (0:1:100)
    #[arg(long, value_name = "FROM:TO:COUNT", requires = "score", allow_hyphen_values = true)]
    pub score_bins: Option<String>,
    /// Column by whose values people are grouped; each further one makes intersections (COLUMN, or NAME=COLUMN)
    #[arg(short, long = "attribute", value_name = "[NAME=]COLUMN", required = true)]
    pub attributes: Vec<String>,
    /// Column of weights: weighted rates are shown beside the raw ones, which alone are judged
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// Value of label or prediction that is positive, where they are not 0 and 1 or false and true; may be repeated
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub positive: Vec<String>,
    /// What a positive prediction means for the person
    #[arg(long, value_enum)]
    pub positive_means: PositiveArg,
    /// Text that stands for a value that is not known, beside the empty one; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub missing: Vec<String>,
    /// CSV: what separates the columns
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub delimiter: String,
    /// Two-sided confidence of the intervals in tables and picture; a policy's tests have their own
    #[arg(long, value_name = "LEVEL", default_value_t = 0.95)]
    pub confidence: f64,
    /// Release policies by which the report is judged; may be repeated
    #[arg(long = "policy", value_name = "FILE")]
    pub policies: Vec<PathBuf>,
    /// The AISystem, whose attribute sets are asked for as well
    #[arg(long, value_name = "FILE", requires = "policies")]
    pub system: Option<PathBuf>,
    /// Draw selection rates and their intervals
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Digest of the artefact that was tested
    #[arg(long, value_name = "sha256:…", requires = "dataset")]
    pub artifact: Option<String>,
    /// Digest of the dataset that it was tested on
    #[arg(long, value_name = "sha256:…", requires = "artifact")]
    pub dataset: Option<String>,
    /// Name of the report [default: bias and the artefact's first digits]
    #[arg(long, requires = "artifact")]
    pub name: Option<String>,
    /// When the test ran [default: now]
    #[arg(long, value_name = "TIME", requires = "artifact")]
    pub ran_at: Option<String>,
    /// Where the TestReport goes [default: stdout]
    #[arg(long, value_name = "FILE", requires = "artifact")]
    pub report: Option<PathBuf>,
    /// Output of what is not the report
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
    /// Threads that read row groups of Parquet [default: one per processor]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}
