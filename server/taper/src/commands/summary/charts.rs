//! A treemap and a roofline chart for a terminal.

use std::{collections::BTreeMap, ops::ControlFlow};

use analysis::{Model, What};
use anstyle::{AnsiColor, Style};
use ide::{Units, percent};
use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style as CellStyle},
    symbols::Marker,
    widgets::Widget,
};
use ratatui_widgets::{
    block::Block,
    chart::{Axis, Chart, Dataset, GraphType},
    paragraph::Paragraph,
};
use reports::Ceilings;

const WIDTH: u16 = 100;
const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// The colours of the kinds that do the most work.
const COLOURS: [Color; 6] =
    [Color::Blue, Color::Yellow, Color::Green, Color::Magenta, Color::Cyan, Color::Red];

/// Both charts: the areas are shares of the work; the limits are those of a device.
pub fn charts(model: &Model, device: &str, ceilings: Ceilings) -> String {
    let leaves = leaves(model);
    let colours = colours(&leaves);
    let unit = model.unit().name();
    let whole: f64 = leaves.iter().map(|leaf| leaf.work).sum();
    let mut out = format!("{}s of {} by layer\n{}\n\n", unit, model.name, legend(&colours));
    out.push_str(&treemap(&leaves, &colours, whole));
    out.push_str(&format!(
        "\nFLOP/s that {device} allows at most, in {}, by the FLOPs for a byte\n\n",
        model.dtype()
    ));
    out.push_str(&roofline(&leaves, &colours, ceilings));
    out
}

/// A layer that does work.
struct Leaf {
    path: String,
    kind: String,
    work: f64,
    /// By our own rules, and bytes read and written.
    flops: f64,
    traffic: f64,
}

fn leaves(model: &Model) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    model.rows(|row| {
        let work = row.totals.work(model.unit()) as f64;
        if work > 0.0 && matches!(row.step.what, What::Layer(_) | What::Part(_)) {
            leaves.push(Leaf {
                kind: row.step.kind().to_owned(),
                work,
                flops: row.step.own_cost().flops().unwrap_or(u128::MAX) as f64,
                traffic: row.step.traffic() as f64,
                path: row.path,
            });
        }
        ControlFlow::Continue(())
    });
    leaves
}

/// The kinds that do the most work, each with its colour.
fn colours(leaves: &[Leaf]) -> Vec<(String, Color)> {
    let mut kinds: BTreeMap<&str, f64> = BTreeMap::new();
    for leaf in leaves {
        *kinds.entry(&leaf.kind).or_default() += leaf.work;
    }
    let mut kinds: Vec<(&str, f64)> = kinds.into_iter().collect();
    kinds.sort_by(|one, other| other.1.total_cmp(&one.1));
    kinds.iter().zip(COLOURS).map(|((kind, _), colour)| ((*kind).to_owned(), colour)).collect()
}

/// The kinds with a spot of their colours.
fn legend(colours: &[(String, Color)]) -> String {
    let each = colours.iter().map(|(kind, colour)| {
        let style = style_of(*colour);
        format!("{}■{} {kind}", style.render(), style.render_reset())
    });
    each.collect::<Vec<_>>().join("  ")
}

fn colour_of(kind: &str, colours: &[(String, Color)]) -> Color {
    colours.iter().find(|(known, _)| known == kind).map_or(Color::Gray, |(_, colour)| *colour)
}

const TREEMAP: u16 = 24;

fn treemap(leaves: &[Leaf], colours: &[(String, Color)], whole: f64) -> String {
    let area = Rect::new(0, 0, WIDTH, TREEMAP);
    let mut buffer = Buffer::empty(area);
    let mut largest: Vec<&Leaf> = leaves.iter().collect();
    largest.sort_by(|one, other| other.work.total_cmp(&one.work));
    // A cell of a terminal is about twice as high as it is wide.
    let shape =
        Area { left: 0.0, top: 0.0, width: f64::from(WIDTH), height: 2.0 * f64::from(TREEMAP) };
    let sizes: Vec<f64> = largest.iter().map(|leaf| leaf.work / whole).collect();
    for (leaf, place) in largest.iter().zip(squarified(&sizes, shape)) {
        let rect = place.cells();
        if rect.is_empty() {
            continue;
        }
        let style = CellStyle::new().fg(colour_of(&leaf.kind, colours));
        let text = format!("{}\n{}", leaf.path, percent(leaf.work as u128, whole as u128));
        if rect.width < 4 || rect.height < 3 {
            // Too small for a frame.
            let fill = "█".repeat(usize::from(rect.width));
            let lines = vec![fill; usize::from(rect.height)].join("\n");
            Paragraph::new(lines).style(style).render(rect, &mut buffer);
        } else {
            Paragraph::new(text)
                .block(Block::bordered().border_style(style))
                .render(rect, &mut buffer);
        }
    }
    printed(&buffer)
}

/// A rectangle in squares: a row of cells is two of them high.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Area {
    fn cells(self) -> Rect {
        let edge = |at: f64| at.round() as u16;
        let (left, right) = (edge(self.left), edge(self.left + self.width));
        let (top, bottom) = (edge(self.top / 2.0), edge((self.top + self.height) / 2.0));
        Rect::new(left, top, right.saturating_sub(left), bottom.saturating_sub(top))
    }
}

/// Rectangles whose areas are shares of a whole, the largest first, as square as may be: Bruls, Huizing and van
/// Wijk, *Squarified Treemaps* (2000).
fn squarified(shares: &[f64], whole: Area) -> Vec<Area> {
    let scale = whole.width * whole.height;
    let mut rest = whole;
    let mut places = Vec::with_capacity(shares.len());
    let mut start = 0;
    while start < shares.len() {
        let side = rest.width.min(rest.height).max(f64::MIN_POSITIVE);
        // The row grows as long as its worst rectangle becomes more square.
        let mut end = start + 1;
        while end < shares.len()
            && worst(&shares[start..=end], side, scale) <= worst(&shares[start..end], side, scale)
        {
            end += 1;
        }
        let row: f64 = shares[start..end].iter().sum::<f64>() * scale;
        let depth = row / side;
        let mut along = 0.0;
        for share in &shares[start..end] {
            let length = share * scale / depth.max(f64::MIN_POSITIVE);
            places.push(match rest.width > rest.height {
                true => {
                    Area { left: rest.left, top: rest.top + along, width: depth, height: length }
                }
                false => {
                    Area { left: rest.left + along, top: rest.top, width: length, height: depth }
                }
            });
            along += length;
        }
        match rest.width > rest.height {
            true => {
                rest.left += depth;
                rest.width -= depth;
            }
            false => {
                rest.top += depth;
                rest.height -= depth;
            }
        }
        start = end;
    }
    places
}

/// How far from a square the worst rectangle of a row along a side is.
fn worst(row: &[f64], side: f64, scale: f64) -> f64 {
    let sum: f64 = row.iter().sum::<f64>() * scale;
    let ratio = |share: &f64| {
        let area = share * scale;
        (side * side * area / (sum * sum)).max(sum * sum / (side * side * area))
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

/// A place in the chart, in powers of ten.
type Point = (f64, f64);

fn roofline(leaves: &[Leaf], colours: &[(String, Color)], ceilings: Ceilings) -> String {
    let at = |intensity: f64| {
        ceilings.flops_per_second.min(intensity * ceilings.bytes_per_second).log10()
    };
    let knee = ceilings.flops_per_second / ceilings.bytes_per_second;
    let points = |kind: Option<&str>| -> Vec<Point> {
        let wanted = |leaf: &&Leaf| match kind {
            Some(kind) => leaf.kind == kind,
            None => colours.iter().all(|(known, _)| *known != leaf.kind),
        };
        let of_kind = leaves.iter().filter(|leaf| leaf.flops > 0.0 && leaf.traffic > 0.0);
        let intensities = of_kind.filter(wanted).map(|leaf| leaf.flops / leaf.traffic);
        intensities.map(|intensity| (intensity.log10(), at(intensity))).collect()
    };
    let by_kind: Vec<(&str, Color, Vec<Point>)> = colours
        .iter()
        .map(|(kind, colour)| (kind.as_str(), *colour, points(Some(kind))))
        .chain([("others", Color::Gray, points(None))])
        .filter(|(.., points)| !points.is_empty())
        .collect();
    let all = by_kind.iter().flat_map(|(.., points)| points.iter().map(|(x, _)| *x));
    let (least, most) =
        all.fold((knee.log10(), knee.log10()), |(least, most), x| (least.min(x), most.max(x)));
    let (least, most) = (least.floor(), most.ceil().max(least.floor() + 1.0));
    let roof: Vec<Point> =
        [least, knee.log10(), most].into_iter().map(|x| (x, at(10f64.powf(x)))).collect();
    let (low, high) = (roof[0].1.floor(), ceilings.flops_per_second.log10().ceil());
    let label = |power: f64| UNITS.count(10f64.powf(power).round() as u128);
    // Below one the powers are no whole numbers.
    let small =
        |power: f64| if power < 0.0 { format!("{}", 10f64.powf(power)) } else { label(power) };
    let labels = |low: f64, high: f64, write: &dyn Fn(f64) -> String| -> Vec<String> {
        (low as i32..=high as i32).map(|power| write(f64::from(power))).collect()
    };
    let line = Dataset::default()
        .name("roof")
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(CellStyle::new().fg(Color::DarkGray))
        .data(&roof);
    let scatter = by_kind.iter().map(|(kind, colour, points)| {
        Dataset::default()
            .name(*kind)
            .marker(Marker::Dot)
            .graph_type(GraphType::Scatter)
            .style(CellStyle::new().fg(*colour))
            .data(points)
    });
    let chart = Chart::new([line].into_iter().chain(scatter).collect())
        .x_axis(Axis::default().bounds([least, most]).labels(labels(least, most, &small)))
        .y_axis(Axis::default().bounds([low, high]).labels(labels(low, high, &label)));
    let area = Rect::new(0, 0, WIDTH, 20);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    printed(&buffer)
}

/// The cells as text with colours.
fn printed(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in buffer.area.rows() {
        let mut line = String::new();
        let mut last = Style::new();
        for position in row.positions() {
            let Some(cell) = buffer.cell(position) else { continue };
            let style = style_of(cell.fg);
            if style != last {
                line.push_str(&format!("{}{}", last.render_reset(), style.render()));
                last = style;
            }
            line.push_str(cell.symbol());
        }
        out.push_str(&format!("{}{}\n", line.trim_end(), last.render_reset()));
    }
    out
}

fn style_of(colour: Color) -> Style {
    let colour = match colour {
        Color::Blue => AnsiColor::Blue,
        Color::Yellow => AnsiColor::Yellow,
        Color::Green => AnsiColor::Green,
        Color::Magenta => AnsiColor::Magenta,
        Color::Cyan => AnsiColor::Cyan,
        Color::Red => AnsiColor::Red,
        Color::Gray | Color::DarkGray => AnsiColor::BrightBlack,
        _ => return Style::new(),
    };
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_fill_the_whole() {
        // The example of the paper: 6, 6, 4, 3, 2, 2, 1 of 24 in 6 × 4.
        let shares = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0].map(|share| share / 24.0);
        let whole = Area { left: 0.0, top: 0.0, width: 6.0, height: 4.0 };
        let places = squarified(&shares, whole);
        assert_eq!(places[0], Area { left: 0.0, top: 0.0, width: 3.0, height: 2.0 });
        assert_eq!(places[1], Area { left: 0.0, top: 2.0, width: 3.0, height: 2.0 });
        for (place, share) in places.iter().zip(shares) {
            assert!((place.width * place.height - 24.0 * share).abs() < 1e-9, "{place:?}");
        }
    }
}
