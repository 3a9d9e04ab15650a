//! What was measured, beside the text that it was measured of.
//!
//! A measurement is worth something for the same work only: the same layers, sizes and dtypes,
//! however they are written. After an edit that changes the work it is shown as what it was before.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use analysis::{Fingerprints, Latency, Model, NodeRef, PartUse, Visited, What};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::duration;

/// The time of a model, or of one layer or block of it, on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// What is measured again has the same name, and takes its place.
    pub name: String,
    /// The path of the document that it was measured from.
    pub document: String,
    /// The model.
    pub model: String,
    /// The path of the one layer or block of it.
    pub scope: Option<String>,
    /// The device: `cpu`, `cuda:0`.
    pub device: String,
    /// The dtype of the weights.
    pub dtype: String,
    /// When, in seconds since 1970.
    pub at: u64,
    /// The whole.
    pub whole: Measured,
    /// The ends of the 95 % interval of the median, if there were enough samples.
    pub interval: Option<(f64, f64)>,
    /// How much is done in a second, as `9.63 samples/s`.
    pub throughput: String,
    /// The layers in order of execution.
    pub layers: Vec<(String, Measured)>,
    /// Why it is to be doubted.
    pub doubts: Vec<String>,
    /// Something else was at work, or the device was slowed down.
    pub is_invalid: bool,
}

/// The time of some work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The work.
    pub fingerprint: u64,
    /// Median seconds.
    pub seconds: f64,
    /// The least seconds in which the device could do it.
    pub least: f64,
    /// What limits it is memory.
    pub is_memory_bound: bool,
}

/// The fingerprints of a model's work: the whole, and each layer with its path, in order of
/// execution.
pub fn fingerprints(model: &Model) -> (u64, Vec<(String, u64)>) {
    let mut fingerprints = Fingerprints::default();
    let whole = fingerprints.of_model(model);
    let mut layers = Vec::new();
    model.steps(|visited| {
        if matches!(visited.step.what, What::Layer(_)) {
            layers.push((visited.path.to_owned(), fingerprints.of_step(visited.step)));
        }
        ControlFlow::Continue(())
    });
    (whole, layers)
}

/// The fingerprint of one step's work.
pub fn fingerprint_of(model: &Model, path: &str) -> Option<u64> {
    Some(Fingerprints::default().of_step(model.find(path)?.step))
}

/// A time beside a line: the sum over all that the line does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Timing {
    pub seconds: f64,
    pub least: f64,
    /// Seconds that are limited by memory.
    pub memory_bound: f64,
    /// The work has changed since.
    pub is_stale: bool,
    /// It was measured by itself, and once.
    pub is_alone: bool,
}

impl Timing {
    fn of(measured: &Measured, fingerprint: u64) -> Timing {
        Timing {
            seconds: measured.seconds,
            least: measured.least,
            memory_bound: if measured.is_memory_bound { measured.seconds } else { 0.0 },
            is_stale: measured.fingerprint != fingerprint,
            is_alone: false,
        }
    }

    fn plus(self, other: Timing) -> Timing {
        Timing {
            seconds: self.seconds + other.seconds,
            least: self.least + other.least,
            memory_bound: self.memory_bound + other.memory_bound,
            is_stale: self.is_stale || other.is_stale,
            is_alone: false,
        }
    }

    /// `1.42 ms · 61 % of peak`, or `was 1.42 ms`.
    pub fn label(&self) -> String {
        let alone = if self.is_alone { " alone" } else { "" };
        if self.is_stale {
            return format!("was {}{alone}", duration(self.seconds));
        }
        let peak = match self.of_peak() {
            _ if self.is_in_cache() => " · in cache".to_owned(),
            Some(share) => format!(" · {share} of peak"),
            None => String::new(),
        };
        format!("{}{alone}{peak}", duration(self.seconds))
    }

    /// How near it is to the least time that the device could take.
    pub fn of_peak(&self) -> Option<String> {
        let share = 100.0 * self.least / self.seconds;
        let shown = if share < 1.0 { "<1 %".to_owned() } else { format!("{share:.0} %") };
        (self.least > 0.0 && self.seconds > 0.0).then_some(shown)
    }

    /// Whether it takes less time than the memory alone would: a cache has its data.
    pub fn is_in_cache(&self) -> bool {
        self.least > self.seconds && self.bound() == "memory-bound"
    }

    /// What limits most of it.
    pub fn bound(&self) -> &'static str {
        if self.memory_bound > self.seconds / 2.0 { "memory-bound" } else { "compute-bound" }
    }
}

/// What was measured of the models of a file.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    /// By model the newest measurement on each device, and whether the work has changed since; those
    /// of what is there now come first.
    models: HashMap<SmolStr, Vec<(Arc<Measurement>, bool)>>,
    lines: FxHashMap<(SmolStr, NodeRef), Timing>,
}

impl Timings {
    /// Of the models of a document.
    pub fn new(path: &str, models: &[Model], measurements: &[Arc<Measurement>]) -> Timings {
        let mut timings = Timings::default();
        if !measurements.is_empty() {
            models.iter().for_each(|model| timings.add(path, model, measurements));
        }
        timings
    }

    fn add(&mut self, path: &str, model: &Model, measurements: &[Arc<Measurement>]) {
        let mut fingerprints = Fingerprints::default();
        let whole = fingerprints.of_model(model);
        // The newest is shown; what was measured of just this work, before what was measured earlier.
        let is_of = |one: &&Arc<Measurement>| one.document == path && one.model == model.name;
        let of_model = measurements.iter().filter(|one| one.scope.is_none());
        let mut found: Vec<(Arc<Measurement>, bool)> = of_model
            .filter(|one| one.whole.fingerprint == whole || is_of(one))
            .map(|one| (one.clone(), one.whole.fingerprint != whole))
            .collect();
        found.sort_by_key(|(one, is_stale)| (one.is_invalid, *is_stale, std::cmp::Reverse(one.at)));
        // Beside the text stands no invalid one; the line above the model says that it is.
        if let Some((measurement, _)) = found.first().filter(|(one, _)| !one.is_invalid) {
            self.add_lines(model, measurement, &mut fingerprints);
        }
        let mut devices: Vec<String> = Vec::new();
        found.retain(|(one, _)| {
            let is_new = !devices.contains(&one.device);
            devices.push(one.device.clone());
            is_new
        });
        let mut alone: Vec<&Arc<Measurement>> =
            measurements.iter().filter(is_of).filter(|one| one.scope.is_some()).collect();
        alone.sort_by_key(|one| one.at);
        for one in alone {
            self.add_alone(model, one, &mut fingerprints);
        }
        if !found.is_empty() {
            self.models.insert(model.name.clone(), found);
        }
    }

    /// The times of the layers, at all the lines that they stand in.
    fn add_lines(&mut self, model: &Model, measured: &Measurement, prints: &mut Fingerprints) {
        // A path may be used more than once; its calls are in order.
        let mut calls: HashMap<&str, std::collections::VecDeque<&Measured>> = HashMap::new();
        for (path, layer) in &measured.layers {
            calls.entry(path).or_default().push_back(layer);
        }
        model.steps(|Visited { step, path, around, .. }| {
            if !matches!(step.what, What::Layer(_)) {
                return ControlFlow::Continue(());
            }
            let Some(layer) = calls.get_mut(path).and_then(|calls| calls.pop_front()) else {
                return ControlFlow::Continue(());
            };
            let timing = Timing::of(layer, prints.of_step(step));
            let mut nodes: Vec<NodeRef> =
                around.iter().copied().chain([step]).map(|step| step.node).collect();
            // Braces and what is in them may be one node.
            nodes.dedup();
            for node in nodes {
                let sum = self.lines.entry((model.name.clone(), node)).or_default();
                *sum = sum.plus(timing);
            }
            ControlFlow::Continue(())
        });
    }

    /// The time of a step by itself, where nothing newer is known of it.
    fn add_alone(&mut self, model: &Model, measured: &Measurement, prints: &mut Fingerprints) {
        let Some(found) = measured.scope.as_ref().and_then(|path| model.find(path)) else { return };
        let timing = Timing::of(&measured.whole, prints.of_step(found.step));
        let known = self.lines.get(&(model.name.clone(), found.step.node));
        let is_better = known.is_none_or(|known| match timing.is_stale {
            true => known.is_alone && known.is_stale,
            false => known.is_alone || known.is_stale,
        });
        if is_better {
            let timing = Timing { is_alone: true, ..timing };
            self.lines.insert((model.name.clone(), found.step.node), timing);
        }
    }

    /// The time of what a node does.
    pub fn of_node(&self, model: &Model, node: NodeRef) -> Option<Timing> {
        self.lines.get(&(model.name.clone(), node)).copied()
    }

    /// The time of all stages of a line.
    pub fn of_nodes(&self, model: &Model, nodes: impl Iterator<Item = NodeRef>) -> Option<Timing> {
        let all = nodes.filter_map(|node| self.of_node(model, node));
        all.reduce(|sum, one| match (sum.is_alone, one.is_alone) {
            // What was measured alone is no part of a sum.
            (true, false) => one,
            (false, true) => sum,
            (alone, _) => Timing { is_alone: alone, ..sum.plus(one) },
        })
    }

    /// The time of all uses of a block.
    pub fn of_part(&self, model: &Model, uses: &[PartUse]) -> Option<Timing> {
        let mut nodes: Vec<NodeRef> =
            uses.iter().filter_map(|one| Some(one.step.as_ref()?.node)).collect();
        nodes.sort();
        nodes.dedup();
        self.of_nodes(model, nodes.into_iter())
    }

    /// The time of a model.
    pub fn of_whole(&self, model: &Model) -> Option<Timing> {
        let (newest, is_stale) = self.of_model(model).first().filter(|(one, _)| !one.is_invalid)?;
        let timing = Timing::of(&newest.whole, newest.whole.fingerprint);
        Some(Timing { is_stale: *is_stale, ..timing })
    }

    /// The measurements of a model, one for each device, and whether the work has changed since.
    pub fn of_model(&self, model: &Model) -> &[(Arc<Measurement>, bool)] {
        self.models.get(&model.name).map_or(&[], Vec::as_slice)
    }
}

/// The latencies of a file's models that are still true, for its expectations.
pub(crate) fn latencies(timings: &Timings) -> Vec<Latency> {
    let all = timings.models.iter().flat_map(|(model, found)| {
        let current = found.iter().filter(|(one, is_stale)| !is_stale && !one.is_invalid);
        current.map(|(one, _)| Latency {
            model: model.to_string(),
            device: one.device.clone(),
            seconds: one.whole.seconds,
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BenchDevice, Display, fixture::snapshot, hints, lenses};

    const TEXT: &str = "block B(w) {\n    Linear(w)\n}\nmodel M {\n    input x: f32[N = 1, 8]\n    a: B(4)\n    b: B(4) -> ReLU\n}\n";

    /// A measurement of the text: every layer takes a millisecond, and could take half of it.
    fn measurement(text: &str) -> Measurement {
        let snapshot = snapshot(text);
        let (whole, layers) = fingerprints(&snapshot.analysis().models[0]);
        let measured = |fingerprint, seconds| Measured {
            fingerprint,
            seconds,
            least: seconds / 2.0,
            is_memory_bound: false,
        };
        let layers: Vec<_> =
            layers.into_iter().map(|(path, print)| (path, measured(print, 1e-3))).collect();
        Measurement {
            name: "a".to_owned(),
            document: "m.taper".to_owned(),
            model: "M".to_owned(),
            scope: None,
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            at: 1,
            whole: measured(whole, 3e-3),
            interval: Some((2.9e-3, 3.1e-3)),
            throughput: "333 samples/s".to_owned(),
            layers,
            doubts: Vec::new(),
            is_invalid: false,
        }
    }

    /// The times in the hints of a text.
    fn times(text: &str, measurement: Measurement) -> Vec<String> {
        let snapshot = snapshot(text).measured(Arc::new(vec![Arc::new(measurement)]));
        let hints = hints(&snapshot, None).into_iter();
        let is_time = |part: &&str| part.contains(" ms") || part.contains("of peak");
        let times = hints
            .map(|hint| hint.label.split(" · ").filter(is_time).collect::<Vec<_>>().join(" · "));
        times.filter(|time| !time.is_empty()).collect()
    }

    #[test]
    fn beside_each_line_stands_the_time_of_all_its_uses() {
        let expected = [
            "2.00 ms · 50 % of peak", // The block.
            "2.00 ms · 50 % of peak", // Its layer.
            "3.00 ms · 50 % of peak", // The model.
            "1.00 ms · 50 % of peak",
            "2.00 ms · 50 % of peak",
        ];
        assert_eq!(times(TEXT, measurement(TEXT)), expected);
        // Words do not matter.
        let renamed = TEXT.replace("B(w)", "Body(w)").replace("B(4)", "Body(4)");
        assert_eq!(times(&renamed, measurement(TEXT)), expected);
    }

    #[test]
    fn what_has_changed_says_what_it_was() {
        let edited = TEXT.replace("b: B(4)", "b: B(2)");
        assert_eq!(
            times(&edited, measurement(TEXT)),
            ["was 2.00 ms", "was 2.00 ms", "was 3.00 ms", "1.00 ms · 50 % of peak", "was 2.00 ms"]
        );
        let devices = vec![BenchDevice { id: "cpu".to_owned(), disabled: None }];
        let snapshot = snapshot(&edited)
            .measured(Arc::new(vec![Arc::new(measurement(TEXT))]))
            .shown(Display { devices, ..Display::default() });
        let titles: Vec<String> = lenses(&snapshot).into_iter().map(|lens| lens.title).collect();
        assert!(titles.contains(&"was 3.00 ms on cpu, before an edit".to_owned()), "{titles:?}");
    }

    #[test]
    fn less_than_the_memory_takes_is_from_a_cache() {
        let label = |least: f64, memory_bound: f64| {
            let timing = Timing { seconds: 2e-3, least, memory_bound, ..Timing::default() };
            timing.label()
        };
        assert_eq!(label(1e-3, 2e-3), "2.00 ms · 50 % of peak");
        assert_eq!(label(3e-3, 2e-3), "2.00 ms · in cache");
        assert_eq!(label(3e-3, 0.0), "2.00 ms · 150 % of peak");
    }

    #[test]
    fn a_layer_by_itself() {
        let mut alone = measurement(TEXT);
        let snapshot = snapshot(TEXT);
        let print = fingerprint_of(&snapshot.analysis().models[0], "a.0").expect("a layer");
        alone.scope = Some("a.0".to_owned());
        alone.layers.clear();
        alone.whole.fingerprint = print;
        assert_eq!(times(TEXT, alone.clone()), ["3.00 ms alone · 50 % of peak"]);
        assert_eq!(
            times(&TEXT.replace("Linear(w)", "Linear(w, bias=false)"), alone),
            ["was 3.00 ms alone"]
        );
    }

    #[test]
    fn expectations_are_compared_while_the_work_is_the_same() {
        let text = TEXT.replace("ReLU\n", "ReLU\n    expect latency < 2ms\n");
        let messages = |text: &str| {
            let all = Arc::new(vec![Arc::new(measurement(&text.replace("B(2)", "B(4)")))]);
            let snapshot = snapshot(text).measured(all);
            let found = snapshot.analysis().diagnostics.iter();
            found.map(|found| found.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(messages(&text), ["`latency < 2ms` does not hold: 3.0 < 2"]);
        let edited = text.replace("b: B(4)", "b: B(2)");
        assert_eq!(messages(&edited), ["this latency has not been measured"]);
    }
}
