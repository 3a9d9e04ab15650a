//! What a measurement says, for people.

use bench::{Condition, LayerTime, Measured};
use comfy_table::{CellAlignment, Table, presets};
use ide::{Units, duration, percent};
use reports::Ceilings;

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// A device, as `cpu: AMD EPYC, 2 threads, 23.5 GiB`.
pub fn described(device: &bench::Device) -> String {
    let threads = device.threads.map(|threads| format!(", {threads} threads")).unwrap_or_default();
    let memory =
        device.memory.map(|bytes| format!(", {}", UNITS.bytes(bytes.into()))).unwrap_or_default();
    format!("{}: {}{threads}{memory}", device.id, device.name)
}

/// The table of layers, and what is known of the whole below it.
pub fn human(measured: &Measured, top: usize) -> String {
    let whole = measured.whole.median;
    let mut layers: Vec<&LayerTime> = measured.layers.iter().collect();
    if top != usize::MAX {
        layers.sort_by(|one, other| other.median.total_cmp(&one.median));
    }
    let rest = layers.split_off(layers.len().min(top));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "layer",
        "kind",
        "time",
        "share",
        "FLOP/s",
        "bytes/s",
        "of what is possible",
    ]);
    for layer in layers {
        table.add_row([
            layer.path.clone(),
            layer.kind.clone(),
            duration(layer.median),
            share(layer.median, whole),
            rate(layer.flops, layer.median, |value| UNITS.count(value)),
            rate(layer.bytes, layer.median, |value| UNITS.bytes(value)),
            measured.ceilings.map_or(String::new(), |ceilings| possible(layer, &ceilings)),
        ]);
    }
    let others: f64 = rest.iter().map(|layer| layer.median).sum();
    let mut more = |name: String, seconds: f64| {
        let empty = String::new;
        let row =
            [name, empty(), duration(seconds), share(seconds, whole), empty(), empty(), empty()];
        table.add_row(row);
    };
    if !rest.is_empty() {
        more(format!("{} more", rest.len()), others);
    }
    more("between layers".to_owned(), measured.between);
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n\n{}", table.trim_fmt(), footer(measured))
}

fn footer(measured: &Measured) -> String {
    let whole = &measured.whole;
    let sizes: Vec<String> =
        measured.sizes.iter().map(|(name, size)| format!("{name} = {size}")).collect();
    let of = measured.scope.as_ref().map_or(String::new(), |path| format!("{path} of "));
    let dtype = if measured.tf32 { "tf32" } else { measured.dtype.as_str() };
    let mut out = format!(
        "{of}{} at {}, {dtype}, on {}, with {}\n",
        measured.model,
        sizes.join(", "),
        described(&measured.device),
        measured.backend
    );
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<18}{value}\n"));
    let interval = whole.interval.map_or_else(
        || "too few samples for an interval".to_owned(),
        |(low, high)| format!("95 % between {} and {}", duration(low), duration(high)),
    );
    line("time", format!("{} (median; {interval})", duration(whole.median)));
    let percentiles = whole.percentiles.map_or_else(
        || "too few samples for percentiles".to_owned(),
        |(low, high)| format!("5th percentile {}, 95th {}", duration(low), duration(high)),
    );
    line(
        "",
        format!("least {}, mean {}, {percentiles}", duration(whole.min), duration(whole.mean)),
    );
    let runs = match measured.runs_per_sample {
        1 => String::new(),
        runs => format!(" of {runs} runs each"),
    };
    let outliers = 100.0 * whole.outliers;
    line(
        "samples",
        format!(
            "{}{runs}, {outliers:.1} % outliers; first run {}",
            whole.samples,
            duration(measured.first_run)
        ),
    );
    let throughput = &measured.throughput;
    line("throughput", ide::rate(throughput.per_second, &throughput.unit));
    let mut achieved = |name: &str, amount: u64, most: Option<f64>, shown: fn(u128) -> String| {
        let most = most.map_or(String::new(), |most| format!(" of {}", shown(most as u128)));
        line(name, format!("{}{most}", shown((amount as f64 / whole.median) as u128)));
    };
    let Measured { flops, bytes, ceilings, .. } = measured;
    let flops_at_most = ceilings.map(|ceilings| ceilings.flops_per_second);
    let bytes_at_most = ceilings.map(|ceilings| ceilings.bytes_per_second);
    achieved("FLOP/s", *flops, flops_at_most, |value| UNITS.count(value));
    achieved("bytes/s", *bytes, bytes_at_most, |value| UNITS.bytes(value));
    if let Some(bytes) = measured.peak_memory {
        line("memory", format!("{} at most", UNITS.bytes(bytes.into())));
    }
    if let Some(difference) = measured.difference {
        line("against the CPU", format!("outputs differ by {difference:.1e} of the largest value"));
    }
    line("weights", measured.weights.join(", "));
    line("with", versions(measured));
    for condition in &measured.conditions {
        line("state", state(condition));
    }
    if measured.conditions.is_empty() && measured.device.id != "cpu" {
        line("state", "not known: NVIDIA's management library is not there".to_owned());
    }
    for gap in &measured.gaps {
        line("not measured", format!("{}: {}", gap.path, gap.reason));
    }
    for doubt in &measured.doubts {
        line("doubt", doubt.clone());
    }
    for reason in &measured.invalid {
        line("INVALID", reason.clone());
    }
    out
}

fn versions(measured: &Measured) -> String {
    let versions = measured.versions.iter().map(|(name, version)| format!("{name} {version}"));
    versions.collect::<Vec<_>>().join(", ")
}

/// What is known of a GPU at one time.
fn state(condition: &Condition) -> String {
    let mut parts = Vec::new();
    let clocks = condition.clock_mhz.zip(condition.max_clock_mhz);
    parts.extend(clocks.map(|(clock, most)| format!("{clock} of {most} MHz")));
    parts.extend(condition.temperature.map(|degrees| format!("{degrees} °C")));
    let power = condition.power_watts.zip(condition.power_limit_watts);
    parts.extend(power.map(|(power, limit)| format!("{power:.0} of {limit:.0} W")));
    let others = condition.other_processes;
    parts.extend(others.map(|others| format!("{others} other processes")));
    let throttled = condition.throttled.iter().map(|reason| format!("slowed down: {reason}"));
    parts.extend(throttled);
    parts.join(", ")
}

/// One line for each size.
pub fn sweep(name: &str, all: &[(String, Measured)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let unit = all.first().map_or("samples", |(_, measured)| &measured.throughput.unit);
    table.set_header([name, "time", "95 % between", &format!("{unit}/s"), "memory", ""]);
    for (size, measured) in all {
        let Measured { whole, throughput, .. } = measured;
        let between = |(low, high)| format!("{} … {}", duration(low), duration(high));
        let memory = measured.peak_memory.map(|bytes| UNITS.bytes(bytes.into()));
        let wrong = measured.invalid.iter().chain(&measured.doubts).cloned();
        table.add_row([
            size.clone(),
            duration(whole.median),
            whole.interval.map(between).unwrap_or_default(),
            format!("{:.4}", throughput.per_second),
            memory.unwrap_or_default(),
            wrong.collect::<Vec<_>>().join("; "),
        ]);
    }
    for column in 0..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// How near a layer is to the least time in which the device could do it, and what limits it.
fn possible(layer: &LayerTime, ceilings: &Ceilings) -> String {
    let (least, is_memory) = ceilings.least(layer.flops as f64, layer.bytes as f64);
    if least == 0.0 || layer.median == 0.0 {
        return String::new();
    }
    let limit = if is_memory { "memory" } else { "compute" };
    format!("{:.0} %, {limit}-bound", 100.0 * least / layer.median)
}

fn rate(amount: u64, seconds: f64, shown: impl Fn(u128) -> String) -> String {
    match amount == 0 || seconds == 0.0 {
        true => String::new(),
        false => shown((amount as f64 / seconds) as u128),
    }
}

fn share(seconds: f64, whole: f64) -> String {
    let in_parts = |seconds: f64| (seconds.max(0.0) * 1e12) as u128;
    percent(in_parts(seconds), in_parts(whole))
}
