//! Warming up, repeating, stopping.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Statistics;

/// A sample is at least this long: shorter ones are of several runs.
const SHORTEST_SAMPLE: f64 = 1e-3;

/// Runs shorter than this are too short to be timed one by one.
const SHORT_RUN: f64 = 50e-6;

/// The most samples that are kept.
const MAX_SAMPLES: usize = 100_000;

/// How many runs the spread of the warm-up is looked at over.
const WINDOW: usize = 10;

/// When to stop. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The least and the most time for the warm-up.
    pub warm: (f64, f64),
    /// The least samples and the least time for them, if the most time allows.
    pub least: (u64, f64),
    /// The most time for samples.
    pub most: f64,
    /// How near the 95 % interval of the median must be to it, as a share.
    pub precision: f64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { warm: (0.2, 5.0), least: (100, 2.0), most: 30.0, precision: 0.01 }
    }
}

/// Why no more was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The median is known as well as was asked for.
    Precise,
    /// The time was over before that.
    Time,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Seconds of the first run.
    pub first_run: f64,
    /// Seconds of a run, for each sample.
    pub seconds: Vec<f64>,
    /// How many runs a sample is.
    pub runs_per_sample: u64,
    /// Why there are no more.
    pub stop: Stop,
}

/// Repeats `run`, which does its work so often as it is told and gives the seconds of all, until the
/// budget says that it is enough. `told` hears of the first run, and of progress.
///
/// # Errors
/// Those of `run`.
pub fn measure<E>(
    budget: &Budget,
    mut run: impl FnMut(u64, Phase) -> Result<f64, E>,
    mut told: impl FnMut(Told),
) -> Result<Samples, E> {
    let first_run = run(1, Phase::Warming)?;
    told(Told::FirstRun(first_run));
    let typical = warm_up(budget, first_run, &mut run)?;
    let runs_per_sample = match typical < SHORT_RUN {
        true => (SHORTEST_SAMPLE / typical.max(1e-9)).ceil() as u64,
        false => 1,
    };
    let mut seconds = Vec::new();
    let started = Instant::now();
    let mut looked = started;
    let stop = loop {
        seconds.push(run(runs_per_sample, Phase::Counted)? / runs_per_sample as f64);
        let spent = started.elapsed().as_secs_f64();
        // Sorting all samples after each would be most of the work of a short run.
        if looked.elapsed() < Duration::from_millis(50)
            && seconds.len() < MAX_SAMPLES
            && spent < budget.most
        {
            continue;
        }
        looked = Instant::now();
        let Some(found) = Statistics::of(&seconds) else { continue };
        let enough = seconds.len() as u64 >= budget.least.0 && spent >= budget.least.1;
        let precision = found.precision().unwrap_or(f64::INFINITY);
        told(Told::Progress {
            done: done(budget, seconds.len() as u64, spent, precision),
            samples: found.samples,
            median: found.median,
        });
        if enough && precision <= budget.precision {
            break Stop::Precise;
        }
        if spent >= budget.most || seconds.len() >= MAX_SAMPLES {
            break Stop::Time;
        }
    };
    Ok(Samples { first_run, seconds, runs_per_sample, stop })
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not counted.
    Warming,
    /// It is.
    Counted,
}

/// What is told meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    /// Seconds of the first run.
    FirstRun(f64),
    /// How much of what is needed is done, from 0 to 1, and what is known so far.
    Progress {
        /// From 0 to 1.
        done: f64,
        /// How many samples there are.
        samples: u64,
        /// Their median in seconds.
        median: f64,
    },
}

/// Runs until the median of the last runs is that of those before; gives it. A first run that took
/// all the time there is was enough.
fn warm_up<E>(
    budget: &Budget,
    first_run: f64,
    run: &mut impl FnMut(u64, Phase) -> Result<f64, E>,
) -> Result<f64, E> {
    let (least, most) = budget.warm;
    if first_run >= most {
        return Ok(first_run);
    }
    let started = Instant::now();
    let mut seconds = Vec::new();
    loop {
        seconds.push(run(1, Phase::Warming)?);
        let spent = started.elapsed().as_secs_f64();
        let median = |samples: &[f64]| Statistics::of(samples).map(|found| found.median);
        let last = &seconds[seconds.len().saturating_sub(WINDOW)..];
        let before = &seconds[seconds.len().saturating_sub(2 * WINDOW)..seconds.len() - last.len()];
        let is_settled = match (median(last), median(before)) {
            (Some(last), Some(before)) if before > 0.0 => (last - before).abs() / before < 0.01,
            _ => false,
        };
        if spent >= most || (spent >= least && is_settled && seconds.len() >= 2 * WINDOW) {
            return Ok(median(last).unwrap_or(0.0));
        }
    }
}

/// The share of the work that is done, as far as can be told: what is needed least, or the time.
fn done(budget: &Budget, samples: u64, spent: f64, precision: f64) -> f64 {
    let by_time = spent / budget.most;
    let least = (samples as f64 / budget.least.0 as f64).min(spent / budget.least.1);
    let precise = if precision > 0.0 { (budget.precision / precision).powi(2) } else { 1.0 };
    by_time.max(least.min(precise)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Budget =
        Budget { warm: (0.0, 0.05), least: (20, 0.0), most: 0.3, precision: 0.01 };

    fn measured(seconds: impl FnMut(u64) -> f64) -> (Samples, Vec<Told>) {
        let (mut seconds, mut told) = (seconds, Vec::new());
        let run = |runs: u64, _: Phase| Ok::<f64, ()>(runs as f64 * seconds(runs));
        let samples = measure(&QUICK, run, |event| told.push(event)).expect("no failure");
        (samples, told)
    }

    #[test]
    fn equal_runs_are_precise_soon() {
        let (samples, told) = measured(|_| 0.002);
        assert_eq!((samples.stop, samples.runs_per_sample), (Stop::Precise, 1));
        assert!(samples.seconds.iter().all(|seconds| *seconds == 0.002));
        assert_eq!(told[0], Told::FirstRun(0.002));
        assert!(matches!(told[1], Told::Progress { median: 0.002, .. }));
    }

    #[test]
    fn runs_that_differ_use_up_the_time() {
        let mut number = 0u32;
        let (samples, _) = measured(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Half a run's work is real, so that the number of samples stays small.
            std::thread::sleep(Duration::from_millis(5));
            0.001 * (1.0 + f64::from(number >> 16) / 10_000.0)
        });
        assert_eq!(samples.stop, Stop::Time);
    }

    #[test]
    fn short_runs_are_timed_together() {
        let (samples, _) = measured(|_| 10e-6);
        assert_eq!(samples.runs_per_sample, 100);
        assert!(samples.seconds.iter().all(|seconds| (seconds - 10e-6).abs() < 1e-12));
    }

    #[test]
    fn long_runs_are_few() {
        let mut runs = 0;
        let run = |_: u64, _: Phase| {
            runs += 1;
            std::thread::sleep(Duration::from_millis(if runs > 1 { 400 } else { 1 }));
            Ok::<f64, ()>(60.0)
        };
        let samples = measure(&QUICK, run, |_| {}).expect("no failure");
        assert_eq!((samples.seconds.len(), runs), (1, 2));
    }

    #[test]
    fn a_failure_ends_it() {
        let run = |_: u64, phase: Phase| match phase {
            Phase::Warming => Ok(0.001),
            Phase::Counted => Err("no"),
        };
        assert_eq!(measure(&QUICK, run, |_| {}), Err("no"));
    }
}
