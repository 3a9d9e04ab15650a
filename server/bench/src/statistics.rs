//! What is said of samples.

use serde::{Deserialize, Serialize};
use statrs::statistics::{Data, OrderStatistics, Statistics as _};

/// Percentiles at the ends need so many samples: with fewer they are a few samples' accident.
const SAMPLES_FOR_PERCENTILES: usize = 100;

/// With fewer samples both ends of the interval would be beyond the last of them.
const SAMPLES_FOR_INTERVAL: usize = 6;

/// Samples this many median absolute deviations from the median are outliers.
const OUTLIER: f64 = 5.0;

/// And by so much of the median at least: where most samples are equal, any other would be one.
const NEAR: f64 = 0.01;

/// Seconds, summed up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// How many samples.
    pub samples: u64,
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The mean.
    pub mean: f64,
    /// Where 95 of 100 medians lie, by the ranks of the samples, whatever their distribution; if
    /// there are enough samples.
    pub interval: Option<(f64, f64)>,
    /// The 5th and 95th percentile, if there are enough samples.
    pub percentiles: Option<(f64, f64)>,
    /// The share of samples that are far from the others. They are counted all the same.
    pub outliers: f64,
}

impl Statistics {
    /// Of at least one sample; none of no sample.
    pub fn of(samples: &[f64]) -> Option<Statistics> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let first = *sorted.first()?;
        let mut data = Data::new(samples.to_vec());
        let median = data.median();
        let percentiles = (samples.len() >= SAMPLES_FOR_PERCENTILES)
            .then(|| (data.percentile(5), data.percentile(95)));
        let deviations: Vec<f64> = samples.iter().map(|sample| (sample - median).abs()).collect();
        let far = (OUTLIER * Data::new(deviations.clone()).median()).max(NEAR * median);
        let outliers = deviations.iter().filter(|deviation| **deviation > far).count();
        Some(Statistics {
            samples: samples.len() as u64,
            min: first,
            median,
            mean: samples.mean(),
            interval: interval(&sorted),
            percentiles,
            outliers: outliers as f64 / samples.len() as f64,
        })
    }

    /// How far the ends of the interval are from the median, as a share of it.
    pub fn precision(&self) -> Option<f64> {
        let (low, high) = self.interval?;
        Some((high - self.median).max(self.median - low) / self.median)
    }
}

/// The interval of the median of sorted samples: ranks of the binomial distribution with p = 1/2, as
/// the normal distribution has them.
fn interval(sorted: &[f64]) -> Option<(f64, f64)> {
    if sorted.len() < SAMPLES_FOR_INTERVAL {
        return None;
    }
    let (count, spread) = (sorted.len() as f64, 1.96 * (sorted.len() as f64).sqrt());
    let rank = |rank: f64| sorted.get(rank.max(0.0) as usize).copied();
    let low = rank(((count - spread) / 2.0).floor())?;
    let high = rank(((count + spread) / 2.0).ceil()).or_else(|| sorted.last().copied())?;
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_samples() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = Statistics::of(&samples).expect("samples");
        assert_eq!((found.samples, found.min, found.median, found.mean), (100, 1.0, 50.5, 50.5));
        // R: `sort(x)[qbinom(c(.025, .975), 100, .5) + c(0, 1)]` is 40 and 61.
        let (low, high) = found.interval.expect("enough samples");
        assert!((40.0..=41.0).contains(&low) && (60.0..=62.0).contains(&high), "{low} {high}");
        let (low, high) = found.percentiles.expect("enough samples");
        assert!((5.0..6.0).contains(&low) && (95.0..96.0).contains(&high), "{low} {high}");
        assert_eq!(found.outliers, 0.0);
    }

    #[test]
    fn of_few_samples() {
        assert_eq!(Statistics::of(&[]), None);
        let one = Statistics::of(&[2.0]).expect("a sample");
        assert_eq!((one.median, one.interval, one.percentiles), (2.0, None, None));
        let spread = Statistics::of(&[1.0, 1.1, 0.9, 1.0, 9.0]).expect("samples");
        assert_eq!((spread.median, spread.outliers), (1.0, 0.2));
        let equal = Statistics::of(&[1.0, 1.0, 1.0, 1.0, 1.001, 2.0]).expect("samples");
        assert_eq!((equal.interval, equal.outliers), (Some((1.0, 2.0)), 1.0 / 6.0));
    }
}
