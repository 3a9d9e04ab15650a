//! What a device needed for a model, or that it can be measured there.

use analysis::Model;
use syntax::TextRange;

use crate::{Benchmark, Click, Lens, Snapshot, duration};

/// For each device that can be used the time of a model, or the way to it.
pub(crate) fn benchmarks<'s>(
    snapshot: &'s Snapshot,
    model: &'s Model,
    range: TextRange,
) -> impl Iterator<Item = Lens> + 's {
    let usable = snapshot.display.devices.iter().filter(|device| device.disabled.is_none());
    usable.map(move |device| {
        let known = snapshot.timings().of_model(model).iter();
        let known = known.clone().find(|(one, _)| one.device == device.id);
        let title = match known {
            None => format!("Benchmark on {}", device.id),
            Some((one, true)) => {
                format!("was {} on {}, before an edit", duration(one.whole.seconds), device.id)
            }
            Some((one, false)) => {
                let doubt = match (one.is_invalid, one.doubts.is_empty()) {
                    (true, _) => " · invalid",
                    (false, false) => " · doubtful",
                    (false, true) => "",
                };
                let time = duration(one.whole.seconds);
                format!("{time} on {} · {}{doubt}", device.id, one.throughput)
            }
        };
        let (model, device) = (model.name.clone(), device.id.clone());
        let click = Some(Click::Benchmark(Benchmark { model, scope: None, device }));
        Lens { range, title, click }
    })
}
