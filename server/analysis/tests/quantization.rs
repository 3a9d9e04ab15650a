//! Which tensors a checkpoint has in place of a quantised weight. They are what `state_dict()` of
//! the real classes prints: auto_gptq 0.7.1's `QuantLinear`, autoawq 0.2.9's `WQLinear_GEMM`,
//! bitsandbytes 0.50.2's `Linear4bit` and `Linear8bitLt`, transformers 4.57.3's `FP8Linear` and
//! `Mxfp4GptOssExperts`.

use analysis::{Analysis, Configured, ConfiguredArgument, Options, Place, Workspace};
use syntax::TextRange;

/// Layers of one block, and a head that transformers leaves as it is.
const LINEAR: &str = "model Net(wide = 512) {
    input x: f32[N = 1, 256]
    layers: { fc: Linear(wide, bias=false); norm: LayerNorm }
    head: Linear(2, bias=false)
}";

const EXPERTS: &str = "model Net {
    input x: f32[N = 1, 2880]
    gate: Linear(4)
    weights, indices: TopK(1)
    experts: x, weights, indices -> choose 1 of 4 stacked {
        param gate_up_proj: [2880, 5760]
        param gate_up_proj_bias: [5760]
        it @ gate_up_proj + gate_up_proj_bias
        param down_proj: [5760, 2880]
        it @ down_proj
    }
}";

type Settings<'s> = &'s [(&'s str, &'s str)];

fn analyse(text: &str, settings: &[(&str, &str)]) -> Analysis {
    let mut workspace = Workspace::default();
    let config = workspace.insert("config.json", syntax::parse(""));
    let file = workspace.insert("net.taper", syntax::parse(text));
    let place = Place { file: config, range: TextRange::default() };
    let arguments = settings.iter().map(|(name, value)| ConfiguredArgument {
        name: format!("quantization_config.{name}"),
        value: value.to_string(),
        at: Some((place, place)),
    });
    let arguments = arguments.collect();
    let configured = Configured { model: "Net".to_owned(), place, arguments, weights: None };
    let options = Options { configured: Some(configured), ..Options::default() };
    analysis::analyse(&workspace, file, &options)
}

/// The stored tensors whose names begin with `prefix`.
fn stored(text: &str, settings: &[(&str, &str)], prefix: &str) -> Vec<String> {
    let analysis = analyse(text, settings);
    assert_eq!(analysis.diagnostics, []);
    let tensors = analysis.models[0].stored().into_iter();
    tensors
        .filter(|tensor| !tensor.is_optional)
        .filter_map(|tensor| {
            let name = tensor.name.strip_prefix(prefix)?;
            Some(format!("{name} {} {:?}", tensor.dtype, tensor.shape))
        })
        .collect()
}

#[test]
fn tensors_of_a_linear_layer() {
    let cases: &[(Settings, &[&str])] = &[
        (
            &[("quant_method", "\"awq\""), ("bits", "4"), ("group_size", "128")],
            &["qweight i32 [256, 64]", "qzeros i32 [2, 64]", "scales f16 [2, 512]"],
        ),
        (
            &[("quant_method", "\"bitsandbytes\""), ("load_in_4bit", "true")],
            &["weight u8 [65536, 1]", "weight.absmax f32 [2048]", "weight.quant_map f32 [16]"],
        ),
        (
            &[
                ("quant_method", "\"bitsandbytes\""),
                ("load_in_4bit", "true"),
                ("bnb_4bit_use_double_quant", "true"),
            ],
            &[
                "weight u8 [65536, 1]",
                "weight.absmax u8 [2048]",
                "weight.quant_map f32 [16]",
                "weight.nested_absmax f32 [8]",
                "weight.nested_quant_map f32 [256]",
            ],
        ),
        (
            &[("quant_method", "\"bitsandbytes\""), ("load_in_8bit", "true")],
            &["weight i8 [512, 256]", "SCB f32 [512]"],
        ),
        (
            &[("quant_method", "\"fp8\""), ("weight_block_size", "[128, 128]")],
            &["weight f8e4m3 [512, 256]", "weight_scale_inv f32 [4, 2]"],
        ),
    ];
    for (settings, expected) in cases {
        assert_eq!(stored(LINEAR, settings, "layers.fc."), *expected, "{settings:?}");
        assert_eq!(stored(LINEAR, settings, "head."), ["weight f32 [2, 512]"], "{settings:?}");
    }
    // GPTQ goes through blocks that repeat.
    let blocks = LINEAR.replace("layers: {", "layers: repeat 1 {").replace("fc: Linear", "Linear");
    let blocks = blocks.replace("; norm: LayerNorm", "");
    let gptq = |bits, group| [("quant_method", "\"gptq\""), ("bits", bits), ("group_size", group)];
    for (bits, group, expected) in [
        ("4", "128", ["qweight i32 [32, 512]", "qzeros i32 [2, 64]", "scales f16 [2, 512]"]),
        ("8", "-1", ["qweight i32 [64, 512]", "qzeros i32 [1, 128]", "scales f16 [1, 512]"]),
        ("3", "128", ["qweight i32 [24, 512]", "qzeros i32 [2, 48]", "scales f16 [2, 512]"]),
    ] {
        let found = stored(&blocks, &gptq(bits, group), "layers.0.");
        assert_eq!(found, [&expected[..], &["g_idx i32 [256]"]].concat(), "{bits} {group}");
        assert_eq!(stored(&blocks, &gptq(bits, group), "head."), ["weight f32 [2, 512]"]);
    }
}

#[test]
fn tensors_of_experts() {
    let skipped = ("modules_to_not_convert", "[\"gate\"]");
    assert_eq!(
        stored(EXPERTS, &[("quant_method", "\"mxfp4\""), skipped], "experts."),
        [
            "gate_up_proj_blocks u8 [4, 5760, 90, 16]",
            "gate_up_proj_scales u8 [4, 5760, 90]",
            "gate_up_proj_bias f32 [4, 5760]",
            "down_proj_blocks u8 [4, 2880, 180, 16]",
            "down_proj_scales u8 [4, 2880, 180]",
        ]
    );
}

#[test]
fn modules_that_are_left_as_they_are() {
    let settings = |modules| [("quant_method", "\"fp8\""), ("modules_to_not_convert", modules)];
    let all = settings("[\"layers.*\"]");
    assert_eq!(stored(LINEAR, &all, "layers.fc."), ["weight f32 [512, 256]"]);
    // Who names modules names the head too.
    assert_eq!(stored(LINEAR, &all, "head.")[0], "weight f8e4m3 [2, 512]");
}

/// LLaVA's head stands in the language model, and many models have none.
#[test]
fn only_the_head_is_left_as_it_is() {
    let nested = "model Net {
        input x: f32[N = 1, 256]
        language_model: { layers: { fc: Linear(512, bias=false) }; lm_head: Linear(2, bias=false) }
    }";
    let fp8 = [("quant_method", "\"fp8\"")];
    assert_eq!(stored(nested, &fp8, "language_model.layers.fc.")[0], "weight f8e4m3 [512, 256]");
    assert_eq!(stored(nested, &fp8, "language_model.lm_head."), ["weight f32 [2, 512]"]);
    let headless = "model Net {
        input x: f32[N = 1, 256]
        encoder: { fc1: Linear(512, bias=false); fc2: Linear(256, bias=false); norm: LayerNorm }
    }";
    assert_eq!(stored(headless, &fp8, "encoder.fc2.")[0], "weight f8e4m3 [256, 512]");
    // A list without names leaves nothing as it is.
    let none = [("quant_method", "\"fp8\""), ("modules_to_not_convert", "[]")];
    assert_eq!(stored(nested, &none, "language_model.lm_head.")[0], "weight f8e4m3 [2, 512]");
}

#[test]
fn bytes_follow() {
    let settings = [("quant_method", "\"fp8\"")];
    let weights = analyse(LINEAR, &settings).models[0].weight_bytes();
    assert_eq!(weights.quantized, Some(("fp8".to_owned(), 512 * 256 + 4 * 8)));
    assert_eq!(weights.total(), 512 * 256 + 32 + 4 * (1024 + 1024));
}

#[test]
fn a_method_that_is_not_known() {
    let analysis = analyse(LINEAR, &[("quant_method", "\"quip\"")]);
    assert_eq!(analysis.diagnostics[0].code, analysis::Code::UnknownQuantization);
    assert_eq!(analysis.models[0].weight_bytes().quantized, None);
    let analysis = analyse(LINEAR, &[("quant_method", "\"gptq\""), ("bits", "33")]);
    assert_eq!(analysis.diagnostics[0].code, analysis::Code::UnknownQuantization);
    // Older configs do not name bitsandbytes.
    let found = stored(LINEAR, &[("load_in_8bit", "true")], "layers.fc.");
    assert_eq!(found[0], "weight i8 [512, 256]");
}
