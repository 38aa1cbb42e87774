//! Writing families of metrics, each with its help, type and unit.

use super::cells::Observed;
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use std::fmt;

/// The labels of one sample: names, and values of which there are few.
pub type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// A page that is being written.
pub struct Families<'a>(DescriptorEncoder<'a>);

/// What a family is called: its name without unit and suffix, the unit, and one sentence.
pub type Title<'a> = (&'static str, Option<&'a Unit>, &'static str);

impl<'a> Families<'a> {
    /// Writes with `encoder`.
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A counter without labels.
    pub fn counter(
        &mut self,
        title: Title<'_>,
        value: impl EncodeCounterValue,
    ) -> Result<(), fmt::Error> {
        self.counters::<0, _>(title, [([], value)])
    }

    /// A counter for each of these label sets.
    pub fn counters<'v, const N: usize, V: EncodeCounterValue>(
        &mut self,
        (name, unit, help): Title<'_>,
        samples: impl IntoIterator<Item = (Labels<'v, N>, V)>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                family.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            } else {
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    /// A gauge without labels.
    pub fn gauge(
        &mut self,
        title: Title<'_>,
        value: impl EncodeGaugeValue,
    ) -> Result<(), fmt::Error> {
        self.gauges::<0, _>(title, [([], value)])
    }

    /// A gauge for each of these label sets.
    pub fn gauges<'v, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        (name, unit, help): Title<'_>,
        samples: impl IntoIterator<Item = (Labels<'v, N>, V)>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A histogram without labels.
    pub fn histogram(&mut self, title: Title<'_>, observed: Observed) -> Result<(), fmt::Error> {
        self.histograms::<0>(title, [([], observed)])
    }

    /// A histogram for each of these label sets.
    pub fn histograms<'v, const N: usize>(
        &mut self,
        (name, unit, help): Title<'_>,
        samples: impl IntoIterator<Item = (Labels<'v, N>, Observed)>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, Observed { buckets, sum, count }) in samples {
            if labels.is_empty() {
                family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            } else {
                let mut sample = family.encode_family(&labels)?;
                sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    /// Facts that do not change while the process runs.
    pub fn info<const N: usize>(
        &mut self,
        (name, unit, help): Title<'_>,
        facts: Labels<'_, N>,
    ) -> Result<(), fmt::Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Info)?.encode_info(&facts)
    }
}
