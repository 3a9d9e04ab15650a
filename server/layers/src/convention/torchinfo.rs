//! [torchinfo](https://github.com/TylerYep/torchinfo) 1.8.0: `layer_info.py`, `calculate_macs`.

use super::{
    BATCH_NORMS, CELLS, CONVOLUTIONS, Calls::Modules, Convention, INSTANCE_NORMS, MACS, Parameters,
    RECURRENT, Row, TRANSPOSED, rule::Rule,
};

pub(super) static CONVENTION: Convention = Convention {
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
