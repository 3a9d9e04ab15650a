//! How figures are shown: which, in what units, and what stands out.

use std::collections::BTreeMap;

use analysis::{Dim, Model, Totals, WeightBytes};
use layers::{DType, Unit};
use reports::DataSheet;

use crate::BenchDevice;

/// How a client wants figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Display {
    /// What inlay hints say.
    pub hints: HintParts,
    /// How numbers are written.
    pub units: Units,
    /// What stands out.
    pub heat: Heat,
    /// The device whose data sheet gives estimates in hovers.
    pub estimate: Option<&'static DataSheet>,
    /// Where a benchmark may run.
    pub devices: Vec<BenchDevice>,
}

/// What an inlay hint says, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct HintParts {
    /// Beside steps.
    pub steps: bool,
    /// Beside the heads of models and blocks.
    pub items: bool,
    /// Beside `let`s, inputs and declared parameters.
    pub values: bool,
    /// The output's shape.
    pub shape: bool,
    /// Parameters.
    pub params: bool,
    /// FLOPs, MACs or neither.
    pub work: Option<Unit>,
    /// Bytes of the tensors made.
    pub memory: bool,
    /// The share of the model's work.
    pub share: bool,
    /// The time that was measured.
    pub time: bool,
    /// Lines with a smaller share of the model's FLOPs, parameters and activations have no hint.
    pub minimum_share: f64,
}

/// The work of a part of a model, in what the model's is told.
pub(crate) fn work(units: Units, model: &Model, totals: &Totals) -> String {
    units.count_of(totals.work(model.unit()), model.unit().name())
}

impl Default for HintParts {
    fn default() -> HintParts {
        HintParts {
            steps: true,
            items: true,
            values: true,
            shape: true,
            params: true,
            work: Some(Unit::Flops),
            memory: false,
            share: true,
            time: true,
            minimum_share: 0.0,
        }
    }
}

/// What stands out.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// The share of its model's FLOPs, parameters or activations from which a layer stands out.
    pub threshold: f64,
    /// What marks its hint; empty for nothing.
    pub mark: String,
}

impl Default for Heat {
    fn default() -> Heat {
        Heat { threshold: 0.2, mark: "●".to_owned() }
    }
}

/// How numbers are written, always with their unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// Bytes by powers of 1000 (MB), not of 1024 (MiB).
    pub decimal_bytes: bool,
    /// How many digits a shortened number has.
    pub digits: usize,
}

impl Default for Units {
    fn default() -> Units {
        Units { decimal_bytes: false, digits: 3 }
    }
}

impl Units {
    /// A count by powers of 1000: `61.1 M`.
    ///
    /// ```
    /// let units = ide::Units::default();
    /// assert_eq!(units.count(61_100_840), "61.1 M");
    /// assert_eq!(units.count(999), "999");
    /// assert_eq!(units.count(999_999), "1.00 M");
    /// assert_eq!(ide::Units { digits: 5, ..units }.count(61_100_840), "61.101 M");
    /// ```
    pub fn count(self, value: u128) -> String {
        self.scaled(value, 1000, &["", "K", "M", "G", "T", "P", "E"])
    }

    /// A count ready for its unit, as `714 M` for `714 MFLOP`.
    pub fn count_of(self, value: u128, unit: &str) -> String {
        let text = self.count(value);
        let space = if text.ends_with(|last: char| last.is_ascii_digit()) { " " } else { "" };
        format!("{text}{space}{unit}")
    }

    /// Bytes by powers of 1024: `233 MiB`, or of 1000: `244 MB`.
    ///
    /// ```
    /// let units = ide::Units::default();
    /// assert_eq!(units.bytes(244_403_360), "233 MiB");
    /// assert_eq!(units.bytes(12), "12 B");
    /// assert_eq!(ide::Units { decimal_bytes: true, ..units }.bytes(244_403_360), "244 MB");
    /// ```
    pub fn bytes(self, value: u128) -> String {
        match self.decimal_bytes {
            true => self.scaled(value, 1000, &["B", "kB", "MB", "GB", "TB", "PB", "EB"]),
            false => self.scaled(value, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        }
    }

    /// Bytes by dtype: `208 KiB f32, 424 B i64`.
    pub fn bytes_by_dtype(self, by_dtype: &BTreeMap<DType, u128>) -> String {
        let each = by_dtype.iter().map(|(dtype, value)| format!("{} {dtype}", self.bytes(*value)));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Bytes of a model's parameters, by how they are stored.
    pub fn param_bytes(self, weights: &WeightBytes) -> String {
        let quantized = weights.quantized.iter();
        let quantized = quantized.map(|(name, bytes)| format!("{} {name}", self.bytes(*bytes)));
        let rest = Some(self.bytes_by_dtype(&weights.params)).filter(|text| !text.is_empty());
        quantized.chain(rest).collect::<Vec<_>>().join(", ")
    }

    /// The number and its unit, rounded to the digits that are wanted, in whole numbers throughout.
    fn scaled(self, value: u128, base: u128, units: &[&str]) -> String {
        if value < base {
            return format!("{value} {}", units[0]).trim_end().to_owned();
        }
        let digits = self.digits.clamp(3, 9) as u32;
        let (mut scale, mut unit) = (base, 1);
        loop {
            let whole = value / scale;
            let before_point = if whole < 10 { 1 } else { 2 + u32::from(whole >= 100) };
            let (mut decimals, mut ten) =
                (digits - before_point, 10u128.pow(digits - before_point));
            let rounded = |ten: u128| {
                let exact = value.checked_mul(ten).and_then(|value| value.checked_add(scale / 2));
                exact.map_or_else(|| (value / scale).saturating_mul(ten), |value| value / scale)
            };
            // 9.996 has one digit more once it is rounded.
            if decimals > 0 && rounded(ten) >= 10u128.pow(before_point) * ten {
                (decimals, ten) = (decimals - 1, ten / 10);
            }
            let rounded = rounded(ten);
            if rounded >= base * ten && unit + 1 < units.len() {
                (scale, unit) = (scale.saturating_mul(base), unit + 1);
                continue;
            }
            let (whole, part) = (rounded / ten, rounded % ten);
            return match decimals {
                0 => format!("{whole} {}", units[unit]),
                _ => format!("{whole}.{part:0width$} {}", units[unit], width = decimals as usize),
            };
        }
    }
}

/// A share of a whole: `12.4 %`; what rounds to nothing is `<0.1 %`.
///
/// ```
/// assert_eq!(ide::percent(1, 3), "33.3 %");
/// assert_eq!(ide::percent(1, 10_000), "<0.1 %");
/// ```
pub fn percent(part: u128, whole: u128) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    match share {
        share if part > 0 && share < 0.05 => "<0.1 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

/// Seconds, shortened.
///
/// ```
/// assert_eq!(ide::duration(0.001_418), "1.42 ms");
/// assert_eq!(ide::duration(12.34e-6), "12.3 µs");
/// ```
pub fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds.abs() {
        s if s >= 1.0 => (seconds, "s"),
        s if s >= 1e-3 => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    format!("{} {unit}", three_digits(value))
}

/// How much is done in a second: `786 samples/s`.
pub fn rate(per_second: f64, unit: &str) -> String {
    format!("{} {unit}/s", three_digits(per_second))
}

fn three_digits(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// A shape by its symbols: `[N, 64, 112, 112]`.
pub fn dims(dims: &[Dim]) -> String {
    let mut out = String::with_capacity(32);
    out.push('[');
    for (index, dim) in dims.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        match dim {
            Dim::Symbol(name) => out.push_str(name),
            Dim::Number(size) => out.push_str(&size.to_string()),
        }
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_once() {
        let units = Units::default();
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.00 K"),
            (9_994, "9.99 K"),
            (9_996, "10.0 K"),
            (99_949, "99.9 K"),
            (99_950, "100 K"),
            (999_499, "999 K"),
            (999_500, "1.00 M"),
            (61_100_840, "61.1 M"),
            (u128::MAX, "340282366920938463463 E"),
        ] {
            assert_eq!(units.count(value), expected, "{value}");
        }
        assert_eq!(units.bytes(1_048_063), "1023 KiB");
        assert_eq!(units.bytes(1_048_064), "1.00 MiB");
        assert_eq!(Units { digits: 6, ..units }.count(61_100_840), "61.1008 M");
    }
}
