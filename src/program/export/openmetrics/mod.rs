//! The figures of the proxies and of the process, as metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::histogram::Histogram;
use crate::metrics::snapshot::{HandlerSnapshot, ProxySnapshot};
use crate::program::export::process::ProcessFigures;
use crate::proxy::set::ProxySet;

/// All figures, read once.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) proxies: Vec<ProxySnapshot>,
    /// Unset if the system does not report them.
    pub(crate) process: Option<ProcessFigures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' own text format, for clients that accept only text.
    Text,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// All figures of these proxies, and the process's own.
pub(crate) fn all(proxies: &ProxySet, format: Format) -> Result<String, fmt::Error> {
    let mut proxies: Vec<_> = proxies.all().iter().map(|proxy| proxy.snapshot()).collect();
    for proxy in &mut proxies {
        proxy.handlers.sort_by(|a, b| (&a.rule, &a.name).cmp(&(&b.rule, &b.name)));
    }
    encode(Snapshot { proxies, process: ProcessFigures::now() }, format)
}

pub(crate) fn encode(snapshot: Snapshot, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Text => prometheus_text::encode(&mut written, &registry)?,
    }
    Ok(written)
}

/// A metric without its samples.
struct Metric {
    /// Without the unit.
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
}

const fn metric(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, unit: None }
}

const fn metric_in(unit: Unit, name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, unit: Some(unit) }
}

const NO_LABELS: [(&str, &str); 0] = [];

/// Writes one metric after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    /// A metric with one sample for each set of labels.
    fn family<L: EncodeLabelSet, V>(
        &mut self,
        metric: &Metric,
        kind: MetricType,
        samples: impl IntoIterator<Item = (L, V)>,
        write: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
        samples.into_iter().try_for_each(|(labels, value)| write(encoder.encode_family(&labels)?, value))
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let write = |mut encoder: MetricEncoder<'_>, value| encoder.encode_counter::<NoLabelSet, V, u64>(&value, None);
        self.family(metric, MetricType::Counter, samples, write)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let write = |mut encoder: MetricEncoder<'_>, value| encoder.encode_gauge(&value);
        self.family(metric, MetricType::Gauge, samples, write)
    }

    fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = (L, &'h Arc<Histogram>)>,
    ) -> fmt::Result {
        self.family(metric, MetricType::Histogram, samples, encode_histogram)
    }
}

fn encode_histogram(mut encoder: MetricEncoder<'_>, histogram: &Arc<Histogram>) -> fmt::Result {
    let (buckets, sum) = histogram.load();
    // Counted from the buckets as read, so that the two agree while times are added.
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

impl Snapshot {
    fn by_proxy<'s, V>(
        &'s self,
        of: impl Fn(&'s ProxySnapshot) -> V,
    ) -> impl Iterator<Item = ([(&'static str, &'s str); 1], V)> {
        self.proxies.iter().map(move |proxy| ([("proxy", &*proxy.name)], of(proxy)))
    }

    fn by_handler<'s, V>(
        &'s self,
        of: impl Fn(&'s HandlerSnapshot) -> V,
    ) -> impl Iterator<Item = (Vec<(&'static str, &'s str)>, V)> {
        let handlers = self.proxies.iter().flat_map(|proxy| proxy.handlers.iter().map(move |handler| (proxy, handler)));
        handlers.map(move |(proxy, handler)| {
            let mut labels = vec![("proxy", &*proxy.name), ("handler", &*handler.name)];
            // Handlers of the mix have no such label, which is the same as an empty one.
            labels.extend(handler.rule.as_deref().map(|rule| ("rule", rule)));
            (labels, of(handler))
        })
    }

    fn encode_connections(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let accepted = metric("vaurien_connections", "Accepted client connections.");
        writer.counters(&accepted, self.by_proxy(|proxy| proxy.connections.accepted))?;
        let open = metric("vaurien_connections_open", "Open client connections.");
        writer.gauges(&open, self.by_proxy(|proxy| proxy.connections.open))?;
        let refused = metric(
            "vaurien_connections_refused",
            "How often no client could be accepted, so that clients had to wait.",
        );
        writer.counters(&refused, self.by_proxy(|proxy| proxy.refused))?;
        let opaque = metric(
            "vaurien_connections_opaque",
            "Connections that turned opaque: their messages could no longer be told apart.",
        );
        writer.counters(&opaque, self.by_proxy(|proxy| proxy.opaque))?;
        let bytes = metric_in(
            Unit::Bytes,
            "vaurien",
            "Bytes sent by clients (to_backend) and by backends (to_client), without the proxy's own answers.",
        );
        let directions = self.proxies.iter().flat_map(|proxy| {
            [("to_backend", proxy.connections.to_backend.bytes), ("to_client", proxy.connections.to_client.bytes)]
                .map(|(direction, bytes)| ([("proxy", &*proxy.name), ("direction", direction)], bytes))
        });
        writer.counters(&bytes, directions)
    }

    fn encode_calls(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let calls = metric("vaurien_calls", "Calls by the handler drawn for them.");
        writer.counters(&calls, self.by_handler(|handler| handler.calls))?;
        let faults = metric("vaurien_faults", "Faults that a handler injected.");
        writer.counters(&faults, self.by_handler(|handler| handler.faults))?;
        let toxics = || self.proxies.iter().flat_map(|proxy| proxy.toxics.iter().map(move |toxic| (proxy, toxic)));
        let had = metric("vaurien_toxic_connections", "Connections that had a toxic.");
        writer.counters(
            &had,
            toxics().map(|(proxy, toxic)| ([("proxy", &*proxy.name), ("toxic", &*toxic.name)], toxic.connections)),
        )?;
        let faults = metric("vaurien_toxic_faults", "Connections to whose bytes a toxic did something.");
        writer.counters(
            &faults,
            toxics().map(|(proxy, toxic)| ([("proxy", &*proxy.name), ("toxic", &*toxic.name)], toxic.faults)),
        )?;
        let delay = metric_in(Unit::Seconds, "vaurien_delay", "How long a handler delayed calls.");
        let delays = self.by_handler(|handler| handler.delay.as_ref());
        writer.histograms(&delay, delays.filter_map(|(labels, delay)| Some((labels, delay?))))?;
        let pass = metric_in(
            Unit::Seconds,
            "vaurien_pass",
            "Time from reading bytes to passing them on: the first eight reads of each connection, then one in sixteen.",
        );
        writer.histograms(&pass, self.by_proxy(|proxy| &proxy.pass))
    }

    fn encode_dials(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let failures = metric("vaurien_dial_failures", "Connections for which the backend could not be reached.");
        writer.counters(&failures, self.by_proxy(|proxy| proxy.dial_failures))?;
        let handshakes = metric(
            "vaurien_handshake_failures",
            "Connections of clients with which there is no TLS, although no fault prevented it.",
        );
        writer.counters(&handshakes, self.by_proxy(|proxy| proxy.handshake_failures))?;
        let dial = metric_in(Unit::Seconds, "vaurien_dial", "Time to connect to the backend.");
        writer.histograms(&dial, self.by_proxy(|proxy| &proxy.dial))
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.encode_connections(&mut writer)?;
        self.encode_calls(&mut writer)?;
        self.encode_dials(&mut writer)?;
        let enabled = metric("vaurien_proxy_enabled", "Whether the proxy listens: 1 if it does, else 0.");
        writer.gauges(&enabled, self.by_proxy(|proxy| u64::from(proxy.enabled)))?;
        let info = metric("vaurien", "Version of vaurien.");
        let version = [([("version", env!("CARGO_PKG_VERSION"))], ())];
        let write = |mut encoder: MetricEncoder<'_>, ()| encoder.encode_info(&NO_LABELS);
        writer.family(&info, MetricType::Info, version, write)?;
        self.process.as_ref().map_or(Ok(()), |process| process.encode(&mut writer))
    }
}

impl ProcessFigures {
    fn encode(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let cpu = metric_in(Unit::Seconds, "process_cpu", "Processor time used by the process.");
        writer.counters(&cpu, [(NO_LABELS, self.cpu_seconds)])?;
        let memory = metric_in(Unit::Bytes, "process_resident_memory", "Resident memory of the process.");
        writer.gauges(&memory, [(NO_LABELS, self.resident_bytes)])?;
        let open = metric("process_open_fds", "Open file descriptors.");
        writer.gauges(&open, [(NO_LABELS, self.open_fds)])?;
        let most = metric("process_max_fds", "Limit of open file descriptors.");
        writer.gauges(&most, self.max_fds.map(|most| (NO_LABELS, most)))?;
        let start = metric_in(Unit::Seconds, "process_start_time", "When the process started, in seconds since 1970.");
        writer.gauges(&start, [(NO_LABELS, self.start_time)])?;
        let threads = metric("process_threads", "Threads of the process.");
        writer.gauges(&threads, [(NO_LABELS, self.threads)])
    }
}

#[cfg(test)]
mod tests;
