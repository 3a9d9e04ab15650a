//! Figures that articles and READMEs quote, as they print them.

use std::ops::ControlFlow;

use analysis::{Model, Options, Seen, What};
use layers::Unit;

use crate::files;

fn analyse(path: &str, set: &[(&str, &str)], tool: &str) -> analysis::Analysis {
    let (workspace, file) = files::load(path);
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let count = conventions::all().find(|one| one.name == tool);
    assert_eq!(count.is_none(), tool == "taper", "{tool}");
    analysis::analyse(&workspace, file, &Options { set, count, ..Options::default() })
}

const ALEXNET: &str = "examples/alexnet.taper";

/// A model, the sizes of its label, the tool that says it, its MACs and its parameters.
type Published = (&'static str, &'static [(&'static str, &'static str)], &'static str, u128, u128);

/// What thop was quoted to print, to the last digit or rounded to two.
const THOP: [Published; 7] = [
    (ALEXNET, &[], "thop-2020", 714_691_904, 61_100_840),
    (ALEXNET, &[], "thop", 714_206_912, 61_100_840),
    (ALEXNET, &[("H", "512"), ("W", "512")], "thop-2020", 3_710_034_752, 61_100_840),
    (ALEXNET, &[("N", "8")], "thop-2020", 5_717_535_232, 61_100_840),
    (ALEXNET, &[("N", "2")], "thop", 1_428_413_824, 61_100_840),
    // Printed beside 1 x 3 x 448 x 448, where it is 2,832,879,551: it is that of two images.
    (ALEXNET, &[("N", "2"), ("H", "448"), ("W", "448")], "thop", 5_665_759_103, 61_100_840),
    ("examples/densenet121.taper", &[], "thop-2019", 2_914_598_912, 7_978_856),
];

#[test]
fn figures_of_thop() {
    for (path, set, tool, macs, params) in THOP {
        let analysis = analyse(path, set, tool);
        let model = &analysis.models[0];
        let ours = (model.totals().macs, Seen::of(model).params);
        assert_eq!(ours, (macs, params), "{path} {set:?} {tool}");
    }
    assert_eq!(millions(714_206_912), "714.21");
    assert_eq!(millions(1_428_413_824), "1428.41");
    assert_eq!(millions(5_665_759_103), "5665.76");
    assert_eq!(millions(61_100_840), "61.10");
}

/// Two digits after the point, as thop's `clever_format` writes them.
fn millions(number: u128) -> String {
    format!("{:.2}", number as f64 / 1e6)
}

/// The depthwise variant of a convolution with batch normalisation and ReLU.
#[test]
fn the_depthwise_variant() {
    let macs = |tool: &str, model: &str| {
        let analysis = analyse("examples/depthwise.taper", &[], tool);
        analysis.model(model).expect("a model").totals().macs
    };
    let (places, norm) = (112 * 112 * 128, 4 * 112 * 112 * 128);
    assert_eq!(macs("thop", "Plain"), places * 64 * 9 + norm);
    assert_eq!(macs("thop", "Depthwise"), places * 9 + norm);
    let page = std::fs::read_to_string(files::root().join("docs/comparing.md")).expect("the page");
    for model in ["Plain", "Depthwise"] {
        assert!(page.contains(&reports::grouped(macs("thop", model))), "{model}");
    }
    assert!(page.contains("3710034752"));
}

/// ResNet-34 was printed with 3.6 G, and every convention says 3.66 to 3.68: cut, where the 21.8 M
/// parameters beside it are rounded. MobileNetV3's 5.4 M are cut, its 0.2 G rounded.
#[test]
fn figures_that_are_cut() {
    for convention in conventions::all().filter(|one| one.gives(Unit::Macs)) {
        let macs = |(path, set): (&str, &[(&str, &str)])| {
            let analysis = analyse(path, set, convention.name);
            analysis.models[0].totals().macs as f64
        };
        let resnet = macs(RESNET34) / 1e9;
        assert!((3.65..3.70).contains(&resnet), "{}: {resnet}", convention.name);
        let mobilenet = macs(MOBILENET) / 1e9;
        assert!((0.15..0.25).contains(&mobilenet), "{}: {mobilenet}", convention.name);
    }
    let params = |(path, set)| analyse(path, set, "taper").models[0].totals().params;
    assert_eq!(params(RESNET34), 21_797_672);
    assert_eq!(params(MOBILENET), 5_483_032);
}

/// A file, and what is set in it.
type File = (&'static str, &'static [(&'static str, &'static str)]);

const RESNET34: File = ("server/library/torchvision/resnet.taper", &[("block", "\"BasicBlock\"")]);
const MOBILENET: File = ("examples/mobilenet_v3_large.taper", &[]);

/// ptflops' table of AlexNet: path, millions of parameters, their share in percent, billions of MACs, their
/// share. Its total, 0.716, is that of modules alone: functions came with 0.7.0.
const PTFLOPS: [(&str, &str, &str, &str, &str); 18] = [
    ("features", "2.47", "4.042", "0.657", "91.804"),
    ("features.0", "0.023", "0.038", "0.07", "9.848"),
    ("features.1", "0.0", "0.000", "0.0", "0.027"),
    ("features.2", "0.0", "0.000", "0.0", "0.027"),
    ("features.3", "0.307", "0.503", "0.224", "31.316"),
    ("features.4", "0.0", "0.000", "0.0", "0.020"),
    ("features.5", "0.0", "0.000", "0.0", "0.020"),
    ("features.6", "0.664", "1.087", "0.112", "15.681"),
    ("features.7", "0.0", "0.000", "0.0", "0.009"),
    ("features.8", "0.885", "1.448", "0.15", "20.902"),
    ("features.9", "0.0", "0.000", "0.0", "0.006"),
    ("features.10", "0.59", "0.966", "0.1", "13.936"),
    ("features.11", "0.0", "0.000", "0.0", "0.006"),
    ("features.12", "0.0", "0.000", "0.0", "0.006"),
    ("avgpool", "0.0", "0.000", "0.0", "0.001"),
    ("classifier", "58.631", "95.958", "0.059", "8.195"),
    ("classifier.1", "37.753", "61.788", "0.038", "5.276"),
    ("classifier.4", "16.781", "27.465", "0.017", "2.345"),
];

#[test]
fn the_table_of_ptflops() {
    let analysis = analyse(ALEXNET, &[], "ptflops-modules");
    let model = &analysis.models[0];
    let whole = model.totals();
    assert_eq!(rounded(whole.params, 1e6), "61.101");
    assert_eq!(rounded(whole.macs, 1e9), "0.716");
    let last = ("classifier.6", "4.097", "6.705", "0.004", "0.573");
    for (path, params, params_share, macs, macs_share) in PTFLOPS.into_iter().chain([last]) {
        let totals = model.find(path).expect("a layer").step.totals;
        let share = |part: u128, whole: u128| format!("{:.3}", 100.0 * part as f64 / whole as f64);
        assert_eq!(rounded(totals.params, 1e6), params, "{path}");
        assert_eq!(share(totals.params, whole.params), params_share, "{path}");
        assert_eq!(rounded(totals.macs, 1e9), macs, "{path}");
        assert_eq!(share(totals.macs, whole.macs), macs_share, "{path}");
    }
}

/// As Python prints `round(x, 3)`.
fn rounded(number: u128, unit: f64) -> String {
    format!("{:?}", (number as f64 / unit * 1000.0).round() / 1000.0)
}

/// pytorch_model_summary's table of AlexNet.
const MODEL_SUMMARY: &str = "\
Conv2d-1 [1, 64, 55, 55] 23296
ReLU-2 [1, 64, 55, 55] 0
MaxPool2d-3 [1, 64, 27, 27] 0
Conv2d-4 [1, 192, 27, 27] 307392
ReLU-5 [1, 192, 27, 27] 0
MaxPool2d-6 [1, 192, 13, 13] 0
Conv2d-7 [1, 384, 13, 13] 663936
ReLU-8 [1, 384, 13, 13] 0
Conv2d-9 [1, 256, 13, 13] 884992
ReLU-10 [1, 256, 13, 13] 0
Conv2d-11 [1, 256, 13, 13] 590080
ReLU-12 [1, 256, 13, 13] 0
MaxPool2d-13 [1, 256, 6, 6] 0
AdaptiveAvgPool2d-14 [1, 256, 6, 6] 0
Dropout-15 [1, 9216] 0
Linear-16 [1, 4096] 37752832
ReLU-17 [1, 4096] 0
Dropout-18 [1, 4096] 0
Linear-19 [1, 4096] 16781312
ReLU-20 [1, 4096] 0
Linear-21 [1, 1000] 4097000";

#[test]
fn the_table_of_pytorch_model_summary() {
    let analysis = analyse(ALEXNET, &[], "taper");
    let model = &analysis.models[0];
    assert_eq!(rows_of_modules(model).join("\n"), MODEL_SUMMARY);
    let totals = model.totals();
    assert_eq!((totals.params, totals.buffers), (61_100_840, 0));
}

/// `torch.flatten` is a function in torchvision, and no module.
fn rows_of_modules(model: &Model) -> Vec<String> {
    let mut rows = Vec::new();
    model.rows(|row| {
        if let What::Layer(used) = &row.step.what
            && used.is_module()
            && used.kind != "Flatten"
        {
            let (number, shape) = (rows.len() + 1, &row.step.outputs[0].ty.shape);
            rows.push(format!("{}-{number} {shape} {}", used.kind, row.totals.params));
        }
        ControlFlow::Continue(())
    });
    rows
}
