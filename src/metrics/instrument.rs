//! Builds instruments from the rows of the table.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter},
};

/// The definition of a metric, the same for every exporter.
#[derive(Debug)]
pub struct Definition {
    /// The OpenTelemetry name; the name for Prometheus is derived from it.
    pub name: &'static str,
    /// The unit in OpenTelemetry's notation (UCUM).
    pub unit: &'static str,
    /// The kind of instrument.
    pub kind: InstrumentKind,
    /// The description, as a sentence.
    pub description: &'static str,
    /// The attribute keys that its values may carry.
    pub attributes: &'static [&'static str],
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

impl Definition {
    /// Returns the name on the Prometheus page.
    pub fn page_name(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == InstrumentKind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

/// The kinds of instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentKind {
    /// A sum that only grows.
    Counter,
    /// A sum that may shrink.
    UpDownCounter,
    /// The last value.
    Gauge,
    /// A distribution over buckets.
    Histogram,
}

impl InstrumentKind {
    /// Returns the OpenTelemetry specification's term.
    pub fn as_str(self) -> &'static str {
        match self {
            InstrumentKind::Counter => "counter",
            InstrumentKind::UpDownCounter => "up-down counter",
            InstrumentKind::Gauge => "gauge",
            InstrumentKind::Histogram => "histogram",
        }
    }
}

/// A gauge that is read at collection.
#[derive(Debug)]
pub(super) struct PolledGauge {
    meter: Meter,
    definition: &'static Definition,
}

impl PolledGauge {
    /// Reads the value through `read` from now on.
    pub(super) fn with(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.of([], read);
    }

    /// Reads the series with these attributes through `read` from now on.
    pub(super) fn of<const N: usize>(
        &self,
        attributes: [KeyValue; N],
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.meter
            .u64_observable_gauge(self.definition.name)
            .with_unit(self.definition.unit)
            .with_description(self.definition.description)
            .with_callback(move |gauge| gauge.observe(read(), &attributes))
            .build();
    }
}

/// A counter of seconds kept outside the instrument, read at collection.
#[derive(Debug)]
pub(super) struct PolledSeconds {
    meter: Meter,
    definition: &'static Definition,
}

impl PolledSeconds {
    /// Reads the total time through `read` from now on.
    pub(super) fn with(&self, read: impl Fn() -> Duration + Send + Sync + 'static) {
        self.meter
            .f64_observable_counter(self.definition.name)
            .with_unit(self.definition.unit)
            .with_description(self.definition.description)
            .with_callback(move |counter| counter.observe(read().as_secs_f64(), &[]))
            .build();
    }
}

/// A counter kept outside the instrument, read at collection.
#[derive(Debug)]
pub(super) struct PolledCounter {
    meter: Meter,
    definition: &'static Definition,
}

impl PolledCounter {
    /// Reads the count of the series with this attribute through `read` from now
    /// on.
    pub(super) fn with(&self, attribute: KeyValue, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.meter
            .u64_observable_counter(self.definition.name)
            .with_unit(self.definition.unit)
            .with_description(self.definition.description)
            .with_callback(move |counter| counter.observe(read(), std::slice::from_ref(&attribute)))
            .build();
    }
}

/// An instrument that can be built from its definition.
pub(super) trait Instrument {
    const KIND: InstrumentKind;

    fn made(meter: &Meter, definition: &'static Definition) -> Self;
}

/// Implements [`Instrument`]: the meter's method `$builder` builds an
/// `$instrument`.
macro_rules! made {
    ($($instrument:ty, $kind:ident, $builder:ident;)*) => { $(
        impl Instrument for $instrument {
            const KIND: InstrumentKind = InstrumentKind::$kind;

            fn made(meter: &Meter, definition: &'static Definition) -> $instrument {
                meter
                    .$builder(definition.name)
                    .with_unit(definition.unit)
                    .with_description(definition.description)
                    .build()
            }
        }
    )* };
}

made! {
    Counter<u64>, Counter, u64_counter;
    Counter<f64>, Counter, f64_counter;
    UpDownCounter<i64>, UpDownCounter, i64_up_down_counter;
    Gauge<u64>, Gauge, u64_gauge;
}

impl Instrument for Histogram<f64> {
    const KIND: InstrumentKind = InstrumentKind::Histogram;

    fn made(meter: &Meter, definition: &'static Definition) -> Histogram<f64> {
        meter
            .f64_histogram(definition.name)
            .with_unit(definition.unit)
            .with_description(definition.description)
            .with_boundaries(definition.buckets.to_vec())
            .build()
    }
}

impl Instrument for Histogram<u64> {
    const KIND: InstrumentKind = InstrumentKind::Histogram;

    fn made(meter: &Meter, definition: &'static Definition) -> Histogram<u64> {
        meter
            .u64_histogram(definition.name)
            .with_unit(definition.unit)
            .with_description(definition.description)
            .with_boundaries(definition.buckets.to_vec())
            .build()
    }
}

impl Instrument for PolledGauge {
    const KIND: InstrumentKind = InstrumentKind::Gauge;

    fn made(meter: &Meter, definition: &'static Definition) -> PolledGauge {
        PolledGauge { meter: meter.clone(), definition }
    }
}

impl Instrument for PolledSeconds {
    const KIND: InstrumentKind = InstrumentKind::Counter;

    fn made(meter: &Meter, definition: &'static Definition) -> PolledSeconds {
        PolledSeconds { meter: meter.clone(), definition }
    }
}

impl Instrument for PolledCounter {
    const KIND: InstrumentKind = InstrumentKind::Counter;

    fn made(meter: &Meter, definition: &'static Definition) -> PolledCounter {
        PolledCounter { meter: meter.clone(), definition }
    }
}
