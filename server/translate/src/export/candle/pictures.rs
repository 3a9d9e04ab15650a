//! Pools and resizing as operations on Candle's tensors.

use analysis::Step;
use layers::Arg;

use super::{
    arguments::{tuple, whole},
    functions::{Found, Function, Writer, method, plain},
};
use crate::{export::sizes::AtSizes, template::Template};

impl Writer<'_, '_> {
    pub(super) fn interpolate(&mut self) -> Found {
        let kind = self.used.layer.kind;
        let mode = match kind {
            "UpsamplingNearest2d" => "nearest".to_owned(),
            "UpsamplingBilinear2d" => "bilinear".to_owned(),
            _ => self.used.text("mode")?,
        };
        if self.used.rank()? != 4 || self.used.is_on("antialias") {
            return Err("Candle resizes pictures only, without antialiasing".to_owned());
        }
        let aligns = kind == "UpsamplingBilinear2d" || self.used.is_on("align_corners");
        let recomputes = self.used.is_on("recompute_scale_factor") || aligns;
        if self.used.has("scale_factor") && !recomputes && !self.is_scale_the_ratio()? {
            return Err("its scale is not the ratio of its sizes, which is Candle's".to_owned());
        }
        let shapes = self.used.output(0);
        let mut sizes = vec![
            self.size("height", &shapes.map(|shape| shape[2]))?,
            self.size("width", &shapes.map(|shape| shape[3]))?,
        ];
        match mode.as_str() {
            "nearest" => self.method("upsample_nearest2d", sizes),
            "bilinear" => {
                sizes.push(Template::text(aligns.to_string()));
                self.method("upsample_bilinear2d", sizes)
            }
            other => Err(format!("Candle has no `{other}`")),
        }
    }

    /// PyTorch resizes by the scale it is given, though the sizes are rounded.
    fn is_scale_the_ratio(&self) -> Result<bool, String> {
        let factors = match self.used.get("scale_factor")? {
            Arg::List(factors) => factors,
            one => vec![one.clone(), one],
        };
        let shapes =
            |step: &Step| (step.inputs[0].ty.shape.clone(), step.outputs[0].ty.shape.clone());
        let is_exact = |step: &Step| {
            let (input, output) = shapes(step);
            factors.iter().enumerate().all(|(axis, factor)| {
                let factor = match factor {
                    Arg::Int(factor) => *factor as f64,
                    Arg::Float(factor) => *factor,
                    _ => return false,
                };
                input[axis + 2] as f64 * factor == output[axis + 2] as f64
            })
        };
        Ok(self.used.step.0.iter().all(|step| is_exact(step)))
    }

    pub(super) fn pool(&mut self) -> Found {
        let kind = self.used.layer.kind;
        let (is_max, is_line) = (kind.starts_with("Max"), kind.ends_with("1d"));
        if self.used.rank()? != if is_line { 3 } else { 4 } {
            return Err("Candle's pools take batches only".to_owned());
        }
        if self.used.step.shown().outputs.len() > 1 {
            return Err("Candle's pools give no places".to_owned());
        }
        // A line is a picture of height one.
        let sizes = |name: &str, one: i64| match is_line {
            true => Ok([one, self.used.per_axis::<1>(name)?[0]]),
            false => self.used.per_axis::<2>(name),
        };
        let kernel = sizes("kernel_size", 1)?;
        let stride = if self.used.has("stride") { sizes("stride", 1)? } else { kernel };
        let padding = sizes("padding", 0)?;
        if is_max && sizes("dilation", 1)? != [1, 1] {
            return Err("Candle's pools have no dilation".to_owned());
        }
        if !is_max && !is_line && self.used.has("divisor_override") {
            return Err("Candle's pools divide by the number of elements".to_owned());
        }
        let name = if is_max { "max_pool2d" } else { "avg_pool2d" };
        let ceil_mode = self.used.is_on("ceil_mode");
        if !is_line && padding == [0, 0] && !ceil_mode {
            let pair = |name: &'static str, sizes: [i64; 2]| match sizes[0] == sizes[1] {
                true => whole(name, sizes[0]),
                false => both(name, sizes),
            };
            let kernel_size = pair("kernel_size", kernel);
            return match kernel == stride {
                true => self.method(name, vec![kernel_size]),
                false => {
                    let sizes = vec![kernel_size, pair("stride", stride)];
                    self.method(&format!("{name}_with_stride"), sizes)
                }
            };
        }
        let mut arguments =
            vec![both("kernel_size", kernel), both("stride", stride), both("padding", padding)];
        arguments.push(Template::text(ceil_mode.to_string()));
        if !is_max {
            arguments.push(Template::text(self.used.is_on("count_include_pad").to_string()));
        }
        if !is_line {
            return self.helped(name, arguments);
        }
        let line = method(self.first()?.text.clone(), "unsqueeze", vec!["2".into()]);
        let mut text = Template::text(format!("{name}(&"));
        text.append(Template::joined([line].into_iter().chain(arguments), ", "));
        text.push(")?");
        let text = method(text, "squeeze", vec!["2".into()]);
        Ok(Function { text, is_lent: false, helper: Some(name) })
    }

    pub(super) fn adaptive_pool(&mut self) -> Found {
        let kind = self.used.layer.kind;
        let (is_max, rank) = (kind.starts_with("AdaptiveMax"), self.used.rank()?);
        let shapes = self.used.output(0);
        let from = rank - if kind.ends_with("1d") { 1 } else { 2 };
        let sizes: Vec<AtSizes<u64>> =
            (from..rank).map(|dim| shapes.map(|shape| shape[dim])).collect();
        let is_one = sizes.iter().all(|size| size.is_constant() && *size.shown() == 1);
        match (is_one, is_max) {
            (true, true) => {
                let mut text = self.first()?.text.clone();
                for dim in (from..rank).rev() {
                    text = method(text, "max_keepdim", vec![dim.to_string().into()]);
                }
                plain(text)
            }
            (true, false) => {
                let dims: Vec<usize> = (from..rank).collect();
                self.method("mean_keepdim", vec![Self::numbers(&dims)])
            }
            (false, true) => Err("Candle has no adaptive pool of more than one".to_owned()),
            (false, false) => {
                let [height, width] = &sizes[..] else {
                    return Err("Candle has no adaptive pool of lines".to_owned());
                };
                let arguments = vec![self.size("height", height)?, self.size("width", width)?];
                self.helped("adaptive_avg_pool2d", arguments)
            }
        }
    }
}

fn both(name: &'static str, sizes: [i64; 2]) -> Template {
    tuple(sizes.map(|size| whole(name, size)).to_vec())
}
