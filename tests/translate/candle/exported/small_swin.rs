//! SwinT, written by `taper export`.
//!
//! Its arguments: embed_dim=24, depths=[2, 2], num_heads=[2, 4], window=4, num_classes=10.
//! Its parameters have the names of the Taper model's, so the same checkpoints load.
//! It infers: normalisation uses running statistics, dropout does nothing.
//! Sizes that may be any that the model promises: N.
//! These steps are those of H = 32, W = 32 only.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Conv2d, LayerNorm, Linear, Module, VarBuilder};

#[derive(Debug, Clone)]
pub struct Features {
    conv2d_0: Conv2d,
    layer_norm_2: LayerNorm,
}

impl Features {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            conv2d_0: candle_nn::conv2d(
                3,
                24,
                4,
                candle_nn::Conv2dConfig {
                    stride: 4,
                    ..Default::default()
                },
                vb.pp("0"),
            )?,
            layer_norm_2: candle_nn::layer_norm(24, 1e-5, vb.pp("2"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv2d_0.forward(x)?;
        let x = x.permute((0, 2, 3, 1))?.contiguous()?;
        self.layer_norm_2.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct ShiftedWindowAttention {
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    relative_position_bias_table: Tensor,
    relative_position_index: Tensor,
}

impl ShiftedWindowAttention {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            qkv_weight: vb.get((72, 24), "qkv.weight")?,
            qkv_bias: vb.get(72, "qkv.bias")?,
            proj_weight: vb.get((24, 24), "proj.weight")?,
            proj_bias: vb.get(24, "proj.bias")?,
            relative_position_bias_table: vb
                .get((49, 2), "relative_position_bias_table")?,
            relative_position_index: vb
                .get_with_hints_dtype(
                    256,
                    "relative_position_index",
                    Default::default(),
                    DType::I64,
                )?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self
            .relative_position_bias_table
            .index_select(&self.relative_position_index, 0)?;
        let y = y.reshape((16, 16, 2))?;
        let bias = y.permute((2, 0, 1))?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 2, 4, 2, 4, 24))?;
        let x = x.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        let x = x.reshape((x.dim(0)? * 4, 16, 24))?;
        let x = candle_nn::Linear::new(
                self.qkv_weight.clone(),
                Some(self.qkv_bias.clone()),
            )
            .forward(&x)?;
        let x = x.reshape((x.dim(0)?, 16, 3, 2, 12))?;
        let qkv = x.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let x = qkv.get_on_dim(0, 1)?;
        let key = x.transpose(2, 3)?.contiguous()?;
        let x = qkv.get_on_dim(0, 0)?;
        let x = (&x * 0.28867513459481287)?;
        let x = x.matmul(&key)?;
        let x = x.broadcast_add(&bias)?;
        let weights = candle_nn::ops::softmax(&x, 3)?;
        let x = qkv.get_on_dim(0, 2)?;
        let x = weights.matmul(&x)?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 16, 24))?;
        let x = candle_nn::Linear::new(
                self.proj_weight.clone(),
                Some(self.proj_bias.clone()),
            )
            .forward(&x)?;
        let x = x.reshape((x.dim(0)? / 4, 2, 2, 4, 4, 24))?;
        let x = x.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        x.reshape((x.dim(0)?, 8, 8, 24))
    }
}

#[derive(Debug, Clone)]
pub struct Mlp {
    linear_0: Linear,
    linear_3: Linear,
}

impl Mlp {
    pub fn new(in_features: usize, out_features: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            linear_0: candle_nn::linear(in_features, out_features, vb.pp("0"))?,
            linear_3: candle_nn::linear(out_features, in_features, vb.pp("3"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.linear_0.forward(x)?;
        let x = x.gelu_erf()?;
        self.linear_3.forward(&x)
    }
}

/// Which positions of a shifted window may not see each other: -100 for two of different regions.
#[derive(Debug, Clone)]
pub struct ShiftMask {}

impl ShiftMask {
    pub fn new(_: VarBuilder) -> Result<Self> {
        Ok(Self {})
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let row = Tensor::arange(0i64, 8, x.device())?;
        let x = (&row.to_dtype(DType::F32)? * 1.0)?;
        let upper = x.clamp(3.0, 4.0)?;
        let x = (&row.to_dtype(DType::F32)? * 1.0)?;
        let lower = x.clamp(5.0, 6.0)?;
        let column = Tensor::arange(0i64, 8, lower.device())?;
        let x = (&column.to_dtype(DType::F32)? * 1.0)?;
        let left = x.clamp(3.0, 4.0)?;
        let x = (&column.to_dtype(DType::F32)? * 1.0)?;
        let right = x.clamp(5.0, 6.0)?;
        let x = (&upper + &lower)?;
        let x = (3.0 * &x)?;
        let rows = x.unsqueeze(1)?;
        let x = (&left + &right)?;
        let x = rows.broadcast_add(&x)?;
        let x = x.reshape((2, 4, 2, 4))?;
        let x = x.permute((0, 2, 1, 3))?.contiguous()?;
        let regions = x.reshape((4, 16))?;
        let x = regions.unsqueeze(1)?;
        let y = regions.unsqueeze(2)?;
        let x = x.broadcast_sub(&y)?;
        let x = x.abs()?;
        let x = x.clamp(0.0, 1.0)?;
        let x = (&x * -100.0)?;
        x.unsqueeze(1)
    }
}

#[derive(Debug, Clone)]
pub struct PatchMerging {
    norm: LayerNorm,
    reduction: Linear,
}

impl PatchMerging {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm: candle_nn::layer_norm(96, 1e-5, vb.pp("norm"))?,
            reduction: candle_nn::linear_no_bias(96, 48, vb.pp("reduction"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = every(&every(&x, 1, 0, 4, 2)?, 2, 0, 4, 2)?;
        let z = every(&every(&x, 1, 1, 4, 2)?, 2, 0, 4, 2)?;
        let u = every(&every(&x, 1, 0, 4, 2)?, 2, 1, 4, 2)?;
        let x = every(&every(&x, 1, 1, 4, 2)?, 2, 1, 4, 2)?;
        let y = Tensor::cat(&[&y, &z, &u, &x], 3)?;
        let y = self.norm.forward(&y)?;
        self.reduction.forward(&y)
    }
}

#[derive(Debug, Clone)]
pub struct ShiftedWindowAttention2 {
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    relative_position_bias_table: Tensor,
    relative_position_index: Tensor,
}

impl ShiftedWindowAttention2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            qkv_weight: vb.get((144, 48), "qkv.weight")?,
            qkv_bias: vb.get(144, "qkv.bias")?,
            proj_weight: vb.get((48, 48), "proj.weight")?,
            proj_bias: vb.get(48, "proj.bias")?,
            relative_position_bias_table: vb
                .get((49, 4), "relative_position_bias_table")?,
            relative_position_index: vb
                .get_with_hints_dtype(
                    256,
                    "relative_position_index",
                    Default::default(),
                    DType::I64,
                )?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self
            .relative_position_bias_table
            .index_select(&self.relative_position_index, 0)?;
        let y = y.reshape((16, 16, 4))?;
        let bias = y.permute((2, 0, 1))?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 1, 4, 1, 4, 48))?;
        let x = x.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 16, 48))?;
        let x = candle_nn::Linear::new(
                self.qkv_weight.clone(),
                Some(self.qkv_bias.clone()),
            )
            .forward(&x)?;
        let x = x.reshape((x.dim(0)?, 16, 3, 4, 12))?;
        let qkv = x.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let x = qkv.get_on_dim(0, 1)?;
        let key = x.transpose(2, 3)?.contiguous()?;
        let x = qkv.get_on_dim(0, 0)?;
        let x = (&x * 0.28867513459481287)?;
        let x = x.matmul(&key)?;
        let x = x.broadcast_add(&bias)?;
        let weights = candle_nn::ops::softmax(&x, 3)?;
        let x = qkv.get_on_dim(0, 2)?;
        let x = weights.matmul(&x)?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 16, 48))?;
        let x = candle_nn::Linear::new(
                self.proj_weight.clone(),
                Some(self.proj_bias.clone()),
            )
            .forward(&x)?;
        let x = x.reshape((x.dim(0)?, 1, 1, 4, 4, 48))?;
        let x = x.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        x.reshape((x.dim(0)?, 4, 4, 48))
    }
}

#[derive(Debug, Clone)]
pub struct SwinBlock {
    norm1: LayerNorm,
    attn: ShiftedWindowAttention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl SwinBlock {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm1: candle_nn::layer_norm(24, 1e-5, vb.pp("norm1"))?,
            attn: ShiftedWindowAttention::new(vb.pp("attn"))?,
            norm2: candle_nn::layer_norm(24, 1e-5, vb.pp("norm2"))?,
            mlp: Mlp::new(24, 96, vb.pp("mlp"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let y = self.attn.forward(&y)?;
        let attended = (x + &y)?;
        let x = self.norm2.forward(&attended)?;
        let x = self.mlp.forward(&x)?;
        &attended + &x
    }
}

#[derive(Debug, Clone)]
pub struct ShiftedWindowAttention3 {
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    relative_position_bias_table: Tensor,
    relative_position_index: Tensor,
    mask: ShiftMask,
}

impl ShiftedWindowAttention3 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            qkv_weight: vb.get((72, 24), "qkv.weight")?,
            qkv_bias: vb.get(72, "qkv.bias")?,
            proj_weight: vb.get((24, 24), "proj.weight")?,
            proj_bias: vb.get(24, "proj.bias")?,
            relative_position_bias_table: vb
                .get((49, 2), "relative_position_bias_table")?,
            relative_position_index: vb
                .get_with_hints_dtype(
                    256,
                    "relative_position_index",
                    Default::default(),
                    DType::I64,
                )?,
            mask: ShiftMask::new(vb.pp("mask"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self
            .relative_position_bias_table
            .index_select(&self.relative_position_index, 0)?;
        let y = y.reshape((16, 16, 2))?;
        let bias = y.permute((2, 0, 1))?.contiguous()?;
        let y = x.roll(-2, 1)?.roll(-2, 2)?;
        let y = y.reshape((y.dim(0)?, 2, 4, 2, 4, 24))?;
        let y = y.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        let y = y.reshape((y.dim(0)? * 4, 16, 24))?;
        let y = candle_nn::Linear::new(
                self.qkv_weight.clone(),
                Some(self.qkv_bias.clone()),
            )
            .forward(&y)?;
        let y = y.reshape((y.dim(0)?, 16, 3, 2, 12))?;
        let qkv = y.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let y = qkv.get_on_dim(0, 1)?;
        let key = y.transpose(2, 3)?.contiguous()?;
        let y = qkv.get_on_dim(0, 0)?;
        let y = (&y * 0.28867513459481287)?;
        let y = y.matmul(&key)?;
        let scores = y.broadcast_add(&bias)?;
        let mask = self.mask.forward(&x)?;
        let x = scores.reshape((scores.dim(0)? / 4, 4, 2, 16, 16))?;
        let x = x.broadcast_add(&mask)?;
        let x = x.reshape((x.dim(0)? * 4, 2, 16, 16))?;
        let weights = candle_nn::ops::softmax(&x, 3)?;
        let x = qkv.get_on_dim(0, 2)?;
        let x = weights.matmul(&x)?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 16, 24))?;
        let x = candle_nn::Linear::new(
                self.proj_weight.clone(),
                Some(self.proj_bias.clone()),
            )
            .forward(&x)?;
        let x = x.reshape((x.dim(0)? / 4, 2, 2, 4, 4, 24))?;
        let x = x.permute((0, 1, 3, 2, 4, 5))?.contiguous()?;
        let x = x.reshape((x.dim(0)?, 8, 8, 24))?;
        x.roll(2, 1)?.roll(2, 2)
    }
}

#[derive(Debug, Clone)]
pub struct SwinBlock2 {
    norm1: LayerNorm,
    attn: ShiftedWindowAttention2,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl SwinBlock2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm1: candle_nn::layer_norm(48, 1e-5, vb.pp("norm1"))?,
            attn: ShiftedWindowAttention2::new(vb.pp("attn"))?,
            norm2: candle_nn::layer_norm(48, 1e-5, vb.pp("norm2"))?,
            mlp: Mlp::new(48, 192, vb.pp("mlp"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let y = self.attn.forward(&y)?;
        let attended = (x + &y)?;
        let x = self.norm2.forward(&attended)?;
        let x = self.mlp.forward(&x)?;
        &attended + &x
    }
}

#[derive(Debug, Clone)]
pub struct SwinBlock3 {
    norm1: LayerNorm,
    attn: ShiftedWindowAttention3,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl SwinBlock3 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            norm1: candle_nn::layer_norm(24, 1e-5, vb.pp("norm1"))?,
            attn: ShiftedWindowAttention3::new(vb.pp("attn"))?,
            norm2: candle_nn::layer_norm(24, 1e-5, vb.pp("norm2"))?,
            mlp: Mlp::new(24, 96, vb.pp("mlp"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let y = self.attn.forward(&y)?;
        let attended = (x + &y)?;
        let x = self.norm2.forward(&attended)?;
        let x = self.mlp.forward(&x)?;
        &attended + &x
    }
}

#[derive(Debug, Clone)]
pub struct Features2 {
    swin_block_0: SwinBlock,
    swin_block3_1: SwinBlock3,
}

impl Features2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            swin_block_0: SwinBlock::new(vb.pp("0"))?,
            swin_block3_1: SwinBlock3::new(vb.pp("1"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.swin_block_0.forward(x)?;
        self.swin_block3_1.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct Features3 {
    features_0: Features,
    features2_1: Features2,
    patch_merging_2: PatchMerging,
    swin_block2_3: Vec<SwinBlock2>,
}

impl Features3 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            features_0: Features::new(vb.pp("0"))?,
            features2_1: Features2::new(vb.pp("1"))?,
            patch_merging_2: PatchMerging::new(vb.pp("2"))?,
            swin_block2_3: Vec::from([
                SwinBlock2::new(vb.pp("3").pp("0"))?,
                SwinBlock2::new(vb.pp("3").pp("1"))?,
            ]),
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.features_0.forward(x)?;
        let x = self.features2_1.forward(&x)?;
        let mut x = self.patch_merging_2.forward(&x)?;
        for module in &self.swin_block2_3 {
            x = module.forward(&x)?;
        }
        Ok(x)
    }
}

/// Swin-T (torchvision `swin_t`).
#[derive(Debug, Clone)]
pub struct SwinT {
    features: Features3,
    norm: LayerNorm,
    head: Linear,
}

impl SwinT {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            features: Features3::new(vb.pp("features"))?,
            norm: candle_nn::layer_norm(48, 1e-5, vb.pp("norm"))?,
            head: candle_nn::linear(48, 10, vb.pp("head"))?,
        })
    }

    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let x = self.features.forward(image)?;
        let x = self.norm.forward(&x)?;
        let x = x.permute((0, 3, 1, 2))?.contiguous()?;
        let x = x.mean_keepdim((2, 3))?;
        let x = x.flatten_from(1)?;
        self.head.forward(&x)
    }
}

/// So many elements of a dimension, a step apart.
fn every(x: &Tensor, dim: usize, start: usize, length: usize, step: usize) -> Result<Tensor> {
    let places = (0..length).map(|index| (start + index * step) as u32);
    x.contiguous()?.index_select(&Tensor::from_iter(places, x.device())?, dim)
}
