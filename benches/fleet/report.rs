//! The results of a run.

use serde::Serialize;

use crate::{
    Error, Measured, Options, collector::Collector, crowd::Figures, memory, pages::PageFigures,
    scrape::Own, sink::Sink,
};

/// The counters at one time.
pub(crate) struct Moment {
    own: Own,
    cpu_seconds: f64,
    waits: u64,
    pushed: u64,
    pushed_bytes: u64,
    at: tokio::time::Instant,
}

impl Moment {
    pub(crate) async fn now(collector: &Collector, sink: &Sink) -> Result<Self, Error> {
        Ok(Self {
            own: Own::of(&collector.own_url).await?,
            cpu_seconds: collector.process.cpu_seconds()?,
            waits: collector.process.waits()?,
            pushed: sink.points(),
            pushed_bytes: sink.bytes(),
            at: tokio::time::Instant::now(),
        })
    }
}

/// The figures of a run. Those of the collector are of its process alone.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) targets: u32,
    pub(crate) endpoints: u32,
    pub(crate) interval_seconds: u64,
    pub(crate) measured_seconds: f64,
    pub(crate) polls_per_second: f64,
    pub(crate) missed_ticks: f64,
    pub(crate) start_delay_p50_seconds: f64,
    pub(crate) start_delay_p99_seconds: f64,
    pub(crate) cores: f64,
    pub(crate) cpu_seconds_per_1000_polls: f64,
    /// How often a thread waited, for each poll of an endpoint.
    pub(crate) waits_per_poll: f64,
    /// At the end.
    pub(crate) resident_mib: f64,
    pub(crate) resident_mib_at_start: f64,
    /// Over the second half.
    pub(crate) resident_mib_growth_per_hour: f64,
    pub(crate) resident_bytes_per_target: f64,
    pub(crate) descriptors: usize,
    pub(crate) scrapes: usize,
    pub(crate) scrapes_failed: u32,
    pub(crate) scrape_seconds_mean: f64,
    pub(crate) scrape_seconds_max: f64,
    pub(crate) scrape_bytes: usize,
    pub(crate) series: usize,
    /// In the scrape with the fewest.
    pub(crate) targets_right: usize,
    /// In all scrapes.
    pub(crate) targets_wrong: usize,
    pub(crate) targets_gone: u32,
    pub(crate) push_points_per_second: f64,
    /// As they were sent, for each poll of an endpoint.
    pub(crate) push_bytes_per_poll: f64,
    pub(crate) dropped_points: f64,
    #[serde(flatten)]
    pub(crate) crowd: Option<Figures>,
    #[serde(flatten)]
    pub(crate) pages: Option<PageFigures>,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(
        options: &Options,
        collector: &Collector,
        (before, after): (&Moment, &Moment),
        Measured {
            scrapes,
            failed_scrapes,
            memory,
        }: &Measured,
    ) -> Result<Self, Error> {
        let seconds = (after.at - before.at).as_secs_f64();
        let since = |name: &str| after.own.sum(name) - before.own.sum(name);
        let polls = since("betanet_receiver_polls");
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        let resident_mib = memory.last();
        let (first, last) = scrapes.first().zip(scrapes.last()).ok_or("no scrape")?;
        let missed = scrapes.iter().map(|scrape| scrape.missed_ticks);
        let right = scrapes.iter().map(|scrape| scrape.right);
        let took = scrapes.iter().map(|scrape| scrape.took.as_secs_f64());
        Ok(Self {
            targets: options.targets,
            endpoints: options.endpoints,
            interval_seconds: options.interval,
            measured_seconds: seconds,
            polls_per_second: polls / seconds,
            // The missed ticks of a target disappear with it.
            missed_ticks: missed.fold(0.0, f64::max) - first.missed_ticks,
            start_delay_p50_seconds: after.own.start_delay(&before.own, 0.5),
            start_delay_p99_seconds: after.own.start_delay(&before.own, 0.99),
            cores: cpu_seconds / seconds,
            cpu_seconds_per_1000_polls: cpu_seconds / polls * 1000.0,
            waits_per_poll: (after.waits - before.waits) as f64 / polls,
            resident_mib,
            resident_mib_at_start: memory.first(),
            resident_mib_growth_per_hour: memory.slope(),
            resident_bytes_per_target: resident_mib * memory::MIB / f64::from(options.targets),
            descriptors: collector.process.descriptors()?.0,
            scrapes: scrapes.len(),
            scrapes_failed: *failed_scrapes,
            scrape_seconds_mean: took.clone().sum::<f64>() / scrapes.len() as f64,
            scrape_seconds_max: took.fold(0.0, f64::max),
            scrape_bytes: last.bytes,
            series: last.series,
            targets_right: right.min().unwrap_or_default(),
            targets_wrong: scrapes.iter().map(|scrape| scrape.wrong).sum(),
            targets_gone: collector.roster.gone(),
            push_bytes_per_poll: (after.pushed_bytes - before.pushed_bytes) as f64 / polls,
            push_points_per_second: (after.pushed - before.pushed) as f64 / seconds,
            dropped_points: since("betanet_exporter_dropped_metric_points"),
            crowd: None,
            pages: None,
        })
    }

    /// One line for each figure.
    pub(crate) fn table(&self) -> Result<String, Error> {
        // In the order of the fields, which a JSON object in memory would lose.
        let json = serde_json::to_string_pretty(self)?;
        let figures = json.lines().filter_map(|line| line.trim().split_once(": "));
        let lines = figures.map(|(name, value)| {
            let (name, value) = (name.trim_matches('"'), value.trim_end_matches(','));
            let value = match value.parse::<f64>() {
                Ok(number) if value.contains('.') => format!("{number:.4}"),
                _ => value.to_owned(),
            };
            format!("{:<28}{value:>14}\n", name.replace('_', " "))
        });
        Ok(lines.collect())
    }
}
