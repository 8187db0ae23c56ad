//! Options of `placet report import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::{PositiveArg, TestTypeArg};

/// The tools whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// lm-evaluation-harness: its results in JSON
    LmEval,
    /// inspect: a log in JSON
    Inspect,
    /// garak: a report in JSON Lines
    Garak,
    /// mlflow: metrics.json of an evaluation
    Mlflow,
    /// Evidently 0.7 or later: a report's JSON
    Evidently,
    /// promptfoo: the JSON that an evaluation writes
    Promptfoo,
    /// HELM: stats.json of a run
    Helm,
    /// cyclonedx: the model card of a bill of materials
    Cyclonedx,
    /// Hugging Face: model-index of a model card, YAML or the README that holds it
    Hf,
    /// in-toto: a test-result statement, plain or in a DSSE envelope
    InToto,
    /// Counts per group, CSV or JSON (Fairlearn and everything else)
    Counts,
}

impl Source {
    /// How the command line calls it.
    pub fn option(self) -> &'static str {
        match self {
            Self::LmEval => "lm-eval",
            Self::Inspect => "inspect",
            Self::Garak => "garak",
            Self::Mlflow => "mlflow",
            Self::Evidently => "evidently",
            Self::Promptfoo => "promptfoo",
            Self::Helm => "helm",
            Self::Cyclonedx => "cyclonedx",
            Self::Hf => "hf",
            Self::InToto => "in-toto",
            Self::Counts => "counts",
        }
    }

    /// What its files are called.
    pub fn words(self) -> &'static str {
        match self {
            Self::LmEval => "results of lm-eval (results_*.json: an object with results and configs)",
            Self::Inspect => "a log of inspect (an object with version, status and eval)",
            Self::Garak => "a report of garak (*.report.jsonl: one object with entry_type a line)",
            Self::Mlflow => "metrics of MLflow (metrics.json: one object of names and numbers)",
            Self::Evidently => {
                "a report of Evidently 0.7 or later (an object with metrics, each with metric_name)"
            }
            Self::Promptfoo => "results of promptfoo (an object with evalId and results)",
            Self::Helm => "statistics of HELM (stats.json: a list of objects with name and count)",
            Self::Cyclonedx => "a bill of materials of CycloneDX (an object with bomFormat)",
            Self::Hf => "a model card of Hugging Face (YAML with model-index)",
            Self::InToto => "an in-toto statement (an object with _type, or an envelope with payload)",
            Self::Counts => {
                "counts per group (CSV: attributes,n,tp,fp,fn,tn; or JSON with schema placet.dev/counts/v1)"
            }
        }
    }

    /// Whether its files are written by whoever measured, with any tool.
    pub fn of_any_tool(self) -> bool {
        matches!(self, Self::Cyclonedx | Self::Hf | Self::InToto | Self::Counts)
    }

    /// The type of test that its results are of where nobody says another.
    pub fn usual(self) -> TestTypeArg {
        match self {
            Self::LmEval | Self::Inspect | Self::Mlflow | Self::Helm | Self::Cyclonedx | Self::Hf => {
                TestTypeArg::Performance
            }
            Self::Garak => TestTypeArg::Security,
            Self::Evidently => TestTypeArg::Drift,
            Self::Promptfoo | Self::InToto => TestTypeArg::Safety,
            Self::Counts => TestTypeArg::Bias,
        }
    }
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The tool that wrote the file
    #[arg(long, value_enum, value_name = "TOOL")]
    pub from: Source,
    /// What it wrote; - is standard input
    pub file: PathBuf,
    /// Digest of the artefact that was tested: no tool's word for it is believed
    #[arg(long, value_name = "sha256:…")]
    pub artifact: String,
    /// Digest of the dataset that it was tested on [needed where the file names none]
    #[arg(long, value_name = "sha256:…")]
    pub dataset: Option<String>,
    /// Type of the test [default: by tool]
    #[arg(long = "type", value_enum)]
    pub type_: Option<TestTypeArg>,
    /// Only this metric, and under this name where one is given (Accuracy=sums.acc); may be given several times
    #[arg(long = "metric", value_name = "[ID=]NAME")]
    pub metrics: Vec<String>,
    /// Two-sided confidence of the intervals
    #[arg(long, default_value = "0.95", value_name = "SHARE")]
    pub confidence: String,
    /// Rows that each metric was computed from, where the file does not say it
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=super::node::MOST))]
    pub rows: Option<u64>,
    /// The tool that ran the test, where the file does not say its version
    #[arg(long, value_name = "NAME@VERSION")]
    pub tool: Option<String>,
    /// When the test ran, where the file does not say it
    #[arg(long, value_name = "TIME")]
    pub ran_at: Option<String>,
    /// With counts: what a positive prediction means for the person, where the file does not say it
    #[arg(long, value_enum)]
    pub positive_means: Option<PositiveArg>,
    /// Name of the report [default: tool, type, the artefact's first digits and a hash of the content]
    #[arg(long)]
    pub name: Option<String>,
}
