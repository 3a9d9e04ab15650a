//! [torchinfo](https://github.com/TylerYep/torchinfo) 1.8.0: `layer_info.py`, `calculate_macs`.

use crate::{
    convention::{Calls::Modules, Convention, MACS, Parameters, Row},
    kinds::{BATCH_NORMS, CELLS, CONVOLUTIONS, INSTANCE_NORMS, RECURRENT, TRANSPOSED},
    rule::Rule,
};

pub(crate) static CONVENTION: Convention = Convention {
    name: "torchinfo",
    summary: "torchinfo 1.8.0: mult-adds of modules by their parameters; a Linear as if each item had one row, an Embedding all its rows",
    block: Some(Rule::Parameters),
    rows: &[&[
        Row(Modules, CONVOLUTIONS, Rule::Parameters),
        Row(Modules, TRANSPOSED, Rule::Parameters),
        Row(Modules, BATCH_NORMS, Rule::Parameters),
        Row(Modules, INSTANCE_NORMS, Rule::Parameters),
        Row(Modules, &["SyncBatchNorm", "LayerNorm", "RMSNorm", "GroupNorm"], Rule::Parameters),
        Row(Modules, &["Linear", "Bilinear", "PReLU"], Rule::Parameters),
        Row(Modules, &["Embedding", "EmbeddingBag"], Rule::Parameters),
        Row(Modules, RECURRENT, Rule::Parameters),
        Row(Modules, CELLS, Rule::Parameters),
    ]],
    parameters: Parameters::AllOfModules,
    ..MACS
};
