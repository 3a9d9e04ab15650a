//! Functions of each element, of whole numbers: the type and the values that torch 2.9.1 prints.

use candle_core::{Device, Tensor};

use crate::{analyse, difference};

type Values = [f64; 3];

/// The input's type and values, the step, and the output's type and values.
const CASES: &[(&str, Values, &str, &str, Values)] = &[
    ("i64", [-3.0, 2.0, 5.0], "Clamp(0, 3)", "i64", [0.0, 2.0, 3.0]),
    ("i64", [-3.0, 2.0, 5.0], "Clamp(max=4)", "i64", [-3.0, 2.0, 4.0]),
    ("i64", [-3.0, 2.0, 5.0], "Clamp(0, 3.5)", "f32", [0.0, 2.0, 3.5]),
    ("i64", [-3.0, 2.0, 5.0], "Abs", "i64", [3.0, 2.0, 5.0]),
    ("i64", [-3.0, 2.0, 5.0], "ReLU", "i64", [0.0, 2.0, 5.0]),
    ("i64", [-3.0, 2.0, 5.0], "Pow(3)", "i64", [-27.0, 8.0, 125.0]),
    ("i64", [-3.0, 2.0, 5.0], "Pow(0)", "i64", [1.0, 1.0, 1.0]),
    ("i64", [-3.0, 2.0, 5.0], "Pow(2.0)", "f32", [9.0, 4.0, 25.0]),
    ("i64", [-3.0, 2.0, 5.0], "Exp", "f32", [0.049787, 7.389056, 148.413162]),
    ("i64", [-3.0, 2.0, 5.0], "Sin", "f32", [-0.14112, 0.909297, -0.958924]),
    ("i64", [-3.0, 2.0, 5.0], "Cos", "f32", [-0.989992, -0.416147, 0.283662]),
    ("i64", [-3.0, 2.0, 5.0], "Sigmoid", "f32", [0.047426, 0.880797, 0.993307]),
    ("i64", [-3.0, 2.0, 5.0], "Tanh", "f32", [-0.995055, 0.964028, 0.999909]),
    ("i64", [-3.0, 2.0, 5.0], "ReLU6", "i64", [0.0, 2.0, 5.0]),
    ("i64", [-3.0, 2.0, 5.0], "Softsign", "f32", [-0.75, 0.666667, 0.833333]),
    ("i64", [-3.0, 2.0, 5.0], "Tanhshrink", "f32", [-2.004945, 1.035972, 4.000091]),
    ("i64", [1.0, 3.0, 5.0], "Log", "f32", [0.0, 1.098612, 1.609438]),
    ("i64", [1.0, 3.0, 5.0], "Sqrt", "f32", [1.0, 1.732051, 2.236068]),
    ("i64", [1.0, 3.0, 5.0], "Rsqrt", "f32", [1.0, 0.57735, 0.447214]),
    ("i64", [1.0, 3.0, 5.0], "Pow(-0.5)", "f32", [1.0, 0.57735, 0.447214]),
    ("u8", [1.0, 2.0, 5.0], "Clamp(0, 3)", "u8", [1.0, 2.0, 3.0]),
    ("u8", [1.0, 2.0, 5.0], "Abs", "u8", [1.0, 2.0, 5.0]),
    ("u8", [1.0, 2.0, 5.0], "ReLU", "u8", [1.0, 2.0, 5.0]),
    ("u8", [2.0, 3.0, 5.0], "Exp", "f32", [7.389056, 20.085537, 148.413162]),
];

#[test]
fn functions_of_whole_numbers() {
    for (dtype, input, step, expected_dtype, expected) in CASES {
        let analysis =
            analyse(&format!("model M {{ input x: {dtype}[N = 3]\n {step} }}"), Vec::new());
        let model = analysis.models.last().expect("a model");
        let outputs: Vec<_> = model.part.outputs.iter().map(|output| &output.ty).collect();
        assert_eq!(outputs[0].dtype.to_string(), *expected_dtype, "{step} of {dtype}");
        let built = execution::Executable::build(
            model,
            candle_nn::VarBuilder::zeros(candle_core::DType::F32, &Device::Cpu),
        )
        .expect(step);
        let dtype = model.part.inputs[0].ty.dtype.candle();
        let input =
            Tensor::new(input, &Device::Cpu).and_then(|x| x.to_dtype(dtype)).expect("input");
        let output = built.run(&[input], &mut |_| ()).expect(step).remove(0);
        assert_eq!(output.dtype(), outputs[0].dtype.candle(), "{step} of {dtype:?}");
        let expected = Tensor::new(expected, &Device::Cpu).expect("values");
        let difference = difference(&output, &expected);
        assert!(difference < 1e-6, "{step} of {dtype:?}: {difference}");
    }
}

#[test]
fn a_bound_with_a_point_makes_another_layer() {
    let text = "model M { input x: i64[N = 3]\n a: x -> Clamp(0, 1)\n b: x -> Clamp(0.0, 1.0)\n a, b -> Cat }";
    let analysis = analyse(text, Vec::new());
    let layers: Vec<_> = analysis.models[0]
        .part
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            analysis::What::Layer(used) => Some(&used.layer),
            _ => None,
        })
        .collect();
    assert!(layers[0].same(&**layers[0]));
    assert!(!layers[0].same(&**layers[1]));
}
