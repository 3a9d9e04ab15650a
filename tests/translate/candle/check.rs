use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use candle_core::{DType, Device, Result, Shape, Tensor, safetensors::load};
use candle_nn::{
    Init, VarBuilder,
    var_builder::{SimpleBackend, VarBuilderArgs},
};

const TOLERANCE: f64 = 1e-4;

/// The outputs of a model.
trait Outputs {
    fn all(self) -> Vec<Tensor>;
}

impl Outputs for Tensor {
    fn all(self) -> Vec<Tensor> {
        vec![self]
    }
}

impl Outputs for (Tensor, Tensor) {
    fn all(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }
}

impl Outputs for (Tensor, Tensor, Tensor) {
    fn all(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }
}

fn all(outputs: impl Outputs) -> Result<Vec<Tensor>> {
    Ok(outputs.all())
}

/// Prints the largest difference of a case, as a share of the largest value.
fn check(
    name: &str,
    case: usize,
    inputs: &[&str],
    run: impl Fn(VarBuilder, &[Tensor]) -> Result<Vec<Tensor>>,
) {
    match difference(name, case, inputs, run) {
        Ok(found) if found <= TOLERANCE => println!("{name} {case}: {found:.1e}"),
        Ok(found) => println!("{name} {case}: WRONG {found:.1e}"),
        Err(error) => println!("{name} {case}: WRONG {}", error.to_string().replace('\n', " ")),
    }
}

fn difference(
    name: &str,
    case: usize,
    inputs: &[&str],
    run: impl Fn(VarBuilder, &[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<f64> {
    let folder = format!("tests/numeric/fixtures/{name}");
    let io = load(format!("{folder}/io.safetensors"), &Device::Cpu)?;
    let weights: HashMap<String, Tensor> = load(format!("{folder}/model.safetensors"), &Device::Cpu)?;
    let first = &io[&format!("case{case}.{}", inputs[0])];
    let taken = inputs.iter().map(|input| match *input {
        "ones" => first.ones_like(),
        "zeros" => first.zeros_like(),
        input => Ok(io[&format!("case{case}.{input}")].clone()),
    });
    let taken = taken.collect::<Result<Vec<_>>>()?;
    let ours = run(VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu), &taken)?;
    let theirs = &io[&format!("case{case}.output")];
    apart(&ours[0].reshape(theirs.shape())?, theirs)
}

/// The largest difference, as a share of the largest value.
fn apart(ours: &Tensor, theirs: &Tensor) -> Result<f64> {
    let largest = |x: &Tensor| x.flatten_all()?.abs()?.max(0)?.to_scalar::<f64>();
    let (ours, theirs) = (ours.to_dtype(DType::F64)?, theirs.to_dtype(DType::F64)?);
    Ok(largest(&(ours - &theirs)?)? / largest(&theirs)?.max(1e-6))
}

/// Prints that a layer does not give PyTorch's outputs.
fn operation(
    number: &str,
    stage: &str,
    run: impl Fn(VarBuilder, &[Tensor]) -> Result<Vec<Tensor>>,
) {
    let compare = || -> Result<f64> {
        let all = load("tests/numeric/ops.safetensors", &Device::Cpu)?;
        let start = format!("{number}.w.");
        let weights = all.iter().filter_map(|(name, tensor)| {
            Some((format!("m.{}", name.strip_prefix(&start)?), tensor.clone()))
        });
        let weights = VarBuilder::from_tensors(weights.collect(), DType::F32, &Device::Cpu);
        let numbered = |kind: &str| {
            let names = (0..3).map(|index| format!("{number}.{kind}{index}"));
            names.filter_map(|name| all.get(&name).cloned()).collect::<Vec<_>>()
        };
        let (inputs, theirs) = (numbered("in"), numbered("out"));
        let mut largest = 0f64;
        for (ours, theirs) in run(weights, &inputs)?.iter().zip(&theirs) {
            if ours.dims() != theirs.dims() {
                candle_core::bail!("{:?}, not {:?}", ours.dims(), theirs.dims());
            }
            largest = largest.max(apart(ours, theirs)?);
        }
        Ok(largest)
    };
    match compare() {
        Ok(found) if found <= TOLERANCE => {}
        Ok(found) => println!("{number} {stage}: WRONG {found:.1e}"),
        Err(error) => println!("{number} {stage}: WRONG {}", error.to_string().replace('\n', " ")),
    }
}

/// Notes what is read, and gives tensors that take no memory.
struct Recorder(Arc<Mutex<BTreeMap<String, Vec<usize>>>>);

impl SimpleBackend for Recorder {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        self.0.lock().unwrap().insert(name.to_owned(), shape.dims().to_vec());
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("no shape for {name}")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Prints the parameters that a module reads, as JSON.
fn record<M>(number: usize, new: impl Fn(VarBuilder) -> Result<M>) {
    let read = Arc::new(Mutex::new(BTreeMap::new()));
    let backend: Box<dyn SimpleBackend> = Box::new(Recorder(read.clone()));
    if let Err(error) = new(VarBuilderArgs::new_with_args(backend, DType::F32, &Device::Cpu)) {
        println!("model {number}: WRONG {}", error.to_string().replace('\n', " "));
    }
    let read = read.lock().unwrap();
    let read: Vec<String> = read.iter().map(|(name, shape)| format!("\"{name}\": {shape:?}")).collect();
    println!("read {number} {{{}}}", read.join(", "));
}
