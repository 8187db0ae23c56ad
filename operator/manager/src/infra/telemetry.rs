//! Logs, and the metrics that belong to the plumbing.

use std::fmt;

use clap::ValueEnum;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::clock::{Clock, Trust};
use super::freshness::{Freshness, StoreState};
use super::token::without_tokens;

/// The names of all metrics of this module; no label of theirs holds a name or free text of a user. Without the prefix
/// `placet_`, which the registry adds.
pub mod names {
    /// Version of the operator.
    pub const BUILD: &str = "build";
    /// 1 when a store may be decided by.
    pub const STORE_LIVE: &str = "store_live";
    /// Seconds since a store's last sign of life.
    pub const STORE_QUIET: &str = "store_quiet_seconds";
    /// 1 when the clock may be decided by.
    pub const CLOCK_TRUSTED: &str = "clock_trusted";
    /// API server's clock minus ours.
    pub const CLOCK_SKEW: &str = "clock_skew_seconds";
    /// When the served certificate ends.
    pub const CERTIFICATE_EXPIRY: &str = "certificate_expiry_timestamp_seconds";

    /// Requests on the webhook port that did not know the token.
    pub const REQUESTS_REFUSED: &str = "webhook_requests_refused";
    /// Changes of the token in the webhooks' paths.
    pub const PATH_CHANGES: &str = "webhook_path_changes";

    /// All of them.
    pub const ALL: [&str; 8] = [
        BUILD,
        STORE_LIVE,
        STORE_QUIET,
        CLOCK_TRUSTED,
        CLOCK_SKEW,
        CERTIFICATE_EXPIRY,
        REQUESTS_REFUSED,
        PATH_CHANGES,
    ];
}

/// The prefix of all metrics.
pub const PREFIX: &str = "placet";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error(
        "log filter {filter:?}: wanted a level (error, warn, info, debug, trace) or directives such as \
         \"info,placet_operator=debug\", found: {reason}"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// Why it does not parse.
        reason: String,
    },
    /// Something else has set up logging before.
    #[error("logging was already set up: {0}")]
    Twice(String),
}

/// Sends logs to stderr. `filter` is a level or a list of `target=level`.
///
/// # Errors
/// When the filter does not parse, or logging was set up before.
pub fn init_logs(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let filter = parse_filter(filter)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Discreet(std::io::stderr()));
    let done = match format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
    };
    done.map_err(|error| TelemetryError::Twice(error.to_string()))
}

/// Writes lines without the token of our webhooks' paths, whoever quotes it. A line comes in one piece.
struct Discreet<W>(W);

impl<W: std::io::Write> std::io::Write for Discreet<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(without_tokens(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    // kube logs every failed request as an error of its own; ours say what was being done.
    let text = if filter.contains('=') { filter.to_owned() } else { format!("{filter},kube_client=off") };
    let level_only = !filter.contains(['=', ',']);
    let known = ["error", "warn", "info", "debug", "trace", "off"];
    let reason = if filter.trim().is_empty() {
        Some("nothing".to_owned())
    } else if level_only && !known.contains(&filter.to_ascii_lowercase().as_str()) {
        Some("no level".to_owned())
    } else {
        None
    };
    match reason {
        Some(reason) => Err(TelemetryError::Filter { filter: filter.to_owned(), reason }),
        None => EnvFilter::try_new(&text)
            .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), reason: error.to_string() }),
    }
}

/// A registry with the plumbing's metrics. Stores and clock are read at each scrape, so nothing has to be kept up to
/// date.
pub fn registry(stores: Vec<Freshness>, clock: Clock, certificate_expiry: Gauge) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register(names::BUILD, "Version of the operator", version);
    registry.register(
        names::CERTIFICATE_EXPIRY,
        "When the served certificate ends, in seconds since 1970",
        certificate_expiry,
    );
    registry.register_collector(Box::new(Plumbing { stores, clock }));
    registry
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StoreLabels {
    /// The plural of a kind, of which there is a fixed number.
    store: String,
}

struct Plumbing {
    stores: Vec<Freshness>,
    clock: Clock,
}

impl fmt::Debug for Plumbing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plumbing").field("stores", &self.stores.len()).finish_non_exhaustive()
    }
}

impl Plumbing {
    fn per_store<V>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        value: V,
    ) -> fmt::Result
    where
        V: Fn(&Freshness) -> f64,
    {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for store in &self.stores {
            let labels = StoreLabels { store: store.name().to_owned() };
            ConstGauge::new(value(store)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Plumbing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        self.per_store(&mut encoder, (names::STORE_LIVE, "Whether a store may be decided by"), |store| {
            flag(store.state() == StoreState::Live)
        })?;
        let help = "Seconds since a store's last event, bookmark or list; -1 before the first list";
        self.per_store(&mut encoder, (names::STORE_QUIET, help), |store| {
            store.quiet().map_or(-1.0, |quiet| quiet.as_secs_f64())
        })?;
        let mut one = |name, help, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        one(
            names::CLOCK_TRUSTED,
            "Whether the clock may be decided by",
            flag(self.clock.trust() == Trust::Trusted),
        )?;
        if let Some(skew) = self.clock.skew() {
            one(names::CLOCK_SKEW, "The API server's clock minus ours", skew.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::freshness::STALE_AFTER;
    use super::*;

    #[test]
    fn no_line_of_the_log_holds_a_token() {
        use std::io::Write as _;
        let token = super::super::token::Token::random_hex().unwrap();
        let line = format!(
            "{{\"problem\":\"Post \\\"https://placet.ns.svc:8443/{}/mutate/own\\\": EOF\"}}\n",
            token.text()
        );
        let mut written = Discreet(Vec::new());
        written.write_all(line.as_bytes()).unwrap();
        written.write_all(b"more\n").unwrap();
        let text = String::from_utf8(written.0).unwrap();
        assert_eq!(text, line.replace(token.text(), "…") + "more\n");
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(names::ALL.iter().collect::<BTreeSet<_>>().len(), names::ALL.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_scrape_shows_stores_clock_and_certificate() {
        let store = Freshness::new("pods", STALE_AFTER);
        let expiry: Gauge = Gauge::default();
        expiry.set(1_800_000_000);
        let registry = registry(vec![store.clone()], Clock::system(), expiry);
        let scrape = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let text = scrape();
        for line in [
            "placet_store_live{store=\"pods\"} 0.0",
            "placet_store_quiet_seconds{store=\"pods\"} -1.0",
            "placet_clock_trusted 0.0",
            "placet_certificate_expiry_timestamp_seconds 1800000000",
            "placet_build_info{version=\"",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("placet_clock_skew_seconds "), "not known yet:\n{text}");
        store.mark_listed(tokio::time::Instant::now());
        assert!(scrape().contains("placet_store_live{store=\"pods\"} 1.0"));
    }

    #[test]
    fn filters_are_levels_or_directives() {
        for good in ["info", "WARN", "debug,kube=info", "placet_operator=trace"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "placet_operator=loud"] {
            let error = parse_filter(bad).unwrap_err().to_string();
            assert!(error.contains("wanted a level"), "{bad}: {error}");
        }
    }
}
