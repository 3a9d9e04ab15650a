//! Numbers as people read them, always with their unit.

use std::collections::BTreeMap;

use analysis::Dim;
use layers::DType;

/// A count with three digits and a power of 1000: `61.1 M`.
///
/// ```
/// assert_eq!(ide::count(61_100_840), "61.1 M");
/// assert_eq!(ide::count(999), "999");
/// assert_eq!(ide::count(999_999), "1.00 M");
/// ```
pub fn count(value: u128) -> String {
    scaled(value, 1000, &["", "K", "M", "G", "T", "P", "E"])
}

/// Bytes with three digits and a power of 1024: `233 MiB`.
///
/// ```
/// assert_eq!(ide::bytes(244_403_360), "233 MiB");
/// assert_eq!(ide::bytes(12), "12 B");
/// ```
pub fn bytes(value: u128) -> String {
    scaled(value, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Bytes by dtype: `208 KiB f32, 424 B i64`.
pub fn bytes_by_dtype(by_dtype: &BTreeMap<DType, u128>) -> String {
    let each = by_dtype.iter().map(|(dtype, value)| format!("{} {dtype}", bytes(*value)));
    each.collect::<Vec<_>>().join(", ")
}

fn scaled(value: u128, base: u128, units: &[&str]) -> String {
    if value < base {
        return format!("{value} {}", units[0]).trim_end().to_owned();
    }
    let (mut scale, mut unit) = (base, 1);
    // The next unit begins where three digits would round up to it.
    while unit + 1 < units.len() && value.saturating_mul(2) >= scale.saturating_mul(2 * base - 1) {
        scale = scale.saturating_mul(base);
        unit += 1;
    }
    let number = value as f64 / scale as f64;
    let digits = match number {
        number if number < 9.995 => 2,
        number if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {}", units[unit])
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

/// A shape by its symbols: `[N, 64, 112, 112]`.
pub fn dims(dims: &[Dim]) -> String {
    let names: Vec<String> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", names.join(", "))
}
