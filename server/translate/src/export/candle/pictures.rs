//! Pools and resizing as operations on Candle's tensors.

use super::{
    arguments::{tuple, whole},
    functions::{Found, Writer, method, plain},
};
use crate::template::Template;

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

    pub(super) fn pool(&mut self) -> Found {
        let is_max = self.used.layer.kind == "MaxPool2d";
        if self.used.rank()? != 4 {
            return Err("Candle's pools take batches only".to_owned());
        }
        let kernel = self.used.per_axis::<2>("kernel_size")?;
        let stride = if self.used.has("stride") { self.used.per_axis("stride")? } else { kernel };
        let padding = self.used.per_axis::<2>("padding")?;
        if is_max && self.used.per_axis::<2>("dilation")? != [1, 1] {
            return Err("Candle's pools have no dilation".to_owned());
        }
        if !is_max && self.used.has("divisor_override") {
            return Err("Candle's pools divide by the number of elements".to_owned());
        }
        let pair = |name: &'static str, [height, width]: [i64; 2]| match height == width {
            true => whole(name, height),
            false => tuple([height, width].map(|size| whole(name, size)).to_vec()),
        };
        let is_plain = padding == [0, 0] && !self.used.is_on("ceil_mode");
        let name = if is_max { "max_pool2d" } else { "avg_pool2d" };
        if is_plain && kernel == stride {
            return self.method(name, vec![pair("kernel_size", kernel)]);
        }
        if is_plain {
            let sizes = vec![pair("kernel_size", kernel), pair("stride", stride)];
            return self.method(&format!("{name}_with_stride"), sizes);
        }
        let both = |name: &'static str, sizes: [i64; 2]| {
            tuple(sizes.map(|size| whole(name, size)).to_vec())
        };
        let mut arguments = vec![
            both("kernel_size", kernel),
            both("stride", stride),
            both("padding", padding),
            Template::text(self.used.is_on("ceil_mode").to_string()),
        ];
        if is_max {
            return self.helped("max_pool2d", arguments);
        }
        arguments.push(Template::text(self.used.is_on("count_include_pad").to_string()));
        self.helped("avg_pool2d", arguments)
    }

    pub(super) fn adaptive_pool(&mut self) -> Found {
        let is_max = self.used.layer.kind == "AdaptiveMaxPool2d";
        let rank = self.used.rank()?;
        let shapes = self.used.output(0);
        let sizes = [rank - 2, rank - 1].map(|dim| shapes.map(|shape| shape[dim]));
        let is_one = sizes.iter().all(|size| size.is_constant() && *size.shown() == 1);
        if is_one && is_max {
            let rows = self.method("max_keepdim", vec![(rank - 1).to_string().into()])?;
            return plain(method(rows.text, "max_keepdim", vec![(rank - 2).to_string().into()]));
        }
        if is_one {
            return self.method("mean_keepdim", vec![Self::numbers(&[rank - 2, rank - 1])]);
        }
        if is_max {
            return Err("Candle has no adaptive pool of more than one".to_owned());
        }
        let [height, width] = sizes;
        let arguments = vec![self.size("height", &height)?, self.size("width", &width)?];
        self.helped("adaptive_avg_pool2d", arguments)
    }
}
