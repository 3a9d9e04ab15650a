//! The JSON contract of `taper summary --format json` (docs/architecture.md).

use std::{collections::BTreeMap, ops::ControlFlow};

use analysis::{Analysis, Flowing, Model, Row, Seen, Workspace};
use layers::{DType, Unit};
use serde::Serialize;

use crate::{count, report, training::Need};

/// The version of this contract.
const FORMAT: u32 = 1;

#[derive(Serialize)]
pub struct Summary {
    format: u32,
    model: String,
    file: String,
    count: &'static str,
    /// Kinds of layers whose work is left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    /// The only kinds of layers whose work counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only: Vec<String>,
    /// What training needs, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<Need>,
    symbols: BTreeMap<String, u64>,
    arguments: BTreeMap<String, serde_json::Value>,
    uncounted: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_params: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<BTreeMap<String, u64>>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    totals: Totals,
    layers: Vec<Layer>,
    diagnostics: Vec<report::Json>,
}

#[derive(Serialize)]
struct Input {
    name: String,
    dtype: String,
    shape: Vec<u64>,
}

#[derive(Serialize)]
struct Output {
    dtype: String,
    shape: Vec<u64>,
}

#[derive(Serialize)]
struct Totals {
    params: u128,
    trainable_params: u128,
    buffers: u128,
    active_params: u128,
    param_bytes: u128,
    param_bytes_by_dtype: BTreeMap<String, u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantized: Option<Quantized>,
    buffer_bytes: u128,
    buffer_bytes_by_dtype: BTreeMap<String, u128>,
    macs: Option<u128>,
    flops: Option<u128>,
    activation_bytes: u128,
    peak_activation_bytes: u128,
    cache_bytes: u128,
}

/// Weights that are stored in fewer bits.
#[derive(Serialize)]
struct Quantized {
    method: String,
    bytes: u128,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    call: u32,
    kind: String,
    inputs: Vec<Vec<u64>>,
    outputs: Vec<Vec<u64>>,
    params: u128,
    macs: Option<u128>,
    flops: Option<u128>,
    activation_bytes: u128,
    tensors: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<u64>,
}

impl Summary {
    pub fn new(
        workspace: &Workspace,
        analysis: &Analysis,
        model: &Model,
        training: Option<Need>,
    ) -> Summary {
        let mut layers = Vec::new();
        model.rows(|row| {
            layers.push(Layer::new(model, &row));
            ControlFlow::Continue(())
        });
        let (totals, weights) = (model.totals(), model.weight_bytes());
        let seen = model.counted.map(|_| Seen::of(model));
        Summary {
            format: FORMAT,
            model: model.name.to_string(),
            file: workspace.path(analysis.file).to_owned(),
            count: count::name(model.counted.map(|counted| counted.convention)),
            ignored: model.ignored.clone(),
            only: model.only.clone(),
            training,
            symbols: model
                .symbols
                .iter()
                .map(|symbol| (symbol.name.to_string(), symbol.size))
                .collect(),
            arguments: model
                .arguments
                .iter()
                .map(|(name, value)| (name.to_string(), argument(value)))
                .collect(),
            uncounted: model.uncounted(),
            seen_params: seen.as_ref().map(|seen| seen.params),
            skipped: seen.map(|seen| seen.skipped),
            inputs: inputs(workspace, model),
            outputs: model.part.outputs.iter().map(output).collect(),
            totals: Totals {
                params: totals.params,
                trainable_params: totals.params,
                buffers: totals.buffers,
                active_params: totals.active_params,
                param_bytes: weights.total().saturating_sub(totals.buffer_bytes),
                quantized: weights
                    .quantized
                    .clone()
                    .map(|(method, bytes)| Quantized { method, bytes }),
                param_bytes_by_dtype: by_dtype(&weights.params),
                buffer_bytes: totals.buffer_bytes,
                buffer_bytes_by_dtype: by_dtype(&weights.buffers),
                macs: macs(model, totals),
                flops: flops(model, totals),
                activation_bytes: totals.activation_bytes,
                peak_activation_bytes: model.peak_activation_bytes(),
                cache_bytes: totals.cache_bytes,
            },
            layers,
            diagnostics: analysis
                .diagnostics
                .iter()
                .map(|one| report::Json::new(workspace, one))
                .collect(),
        }
    }
}

/// What a tool does not count is no number.
fn macs(model: &Model, totals: &analysis::Totals) -> Option<u128> {
    model.gives(Unit::Macs).then_some(totals.macs)
}

fn flops(model: &Model, totals: &analysis::Totals) -> Option<u128> {
    model.gives(Unit::Flops).then_some(totals.flops)
}

fn by_dtype(bytes: &BTreeMap<DType, u128>) -> BTreeMap<String, u128> {
    bytes.iter().map(|(dtype, bytes)| (dtype.to_string(), *bytes)).collect()
}

impl Layer {
    fn new(model: &Model, row: &Row<'_>) -> Layer {
        let step = row.step;
        let tensors = row.tensors();
        let of_kind = |is_buffer: bool| -> Vec<Tensor> {
            let own = tensors.iter().filter(|(_, tensor)| tensor.is_buffer == is_buffer);
            own.map(|(name, tensor)| Tensor {
                name: name.clone(),
                dtype: tensor.dtype.to_string(),
                shape: tensor.shape.to_vec(),
            })
            .collect()
        };
        Layer {
            path: row.path.clone(),
            call: row.call,
            kind: step.kind().to_owned(),
            inputs: step.inputs.iter().map(|tensor| tensor.ty.shape.to_vec()).collect(),
            outputs: step.outputs.iter().map(|tensor| tensor.ty.shape.to_vec()).collect(),
            params: row.totals.params,
            macs: macs(model, &row.totals),
            flops: flops(model, &row.totals),
            activation_bytes: row.totals.activation_bytes,
            tensors: of_kind(false),
            buffers: of_kind(true),
        }
    }
}

/// A value as JSON where it can be; a layer by its name.
fn argument(value: &str) -> serde_json::Value {
    match value {
        "none" => serde_json::Value::Null,
        _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    }
}

fn output(tensor: &Flowing) -> Output {
    Output { dtype: tensor.ty.dtype.to_string(), shape: tensor.ty.shape.to_vec() }
}

fn inputs(workspace: &Workspace, model: &Model) -> Vec<Input> {
    let body = syntax::ast::Item::cast(workspace.node(model.item)).and_then(|item| item.body());
    let lines = body.into_iter().flat_map(|body| body.lines());
    let names = lines.filter_map(|line| match line {
        syntax::ast::Line::Input(line) => Some(line.name().map_or("", |name| name.text())),
        _ => None,
    });
    names
        .zip(&model.part.inputs)
        .map(|(name, tensor)| Input {
            name: name.to_owned(),
            dtype: tensor.ty.dtype.to_string(),
            shape: tensor.ty.shape.to_vec(),
        })
        .collect()
}
