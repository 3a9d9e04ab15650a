//! NarrowResNet18, written by `taper export`.
//!
//! Its arguments: w=12, num_classes=10.
//! Its parameters have the names of the Taper model's, so the same checkpoints load.
//! It infers: normalisation uses running statistics, dropout does nothing.
//! Sizes that may be any that the model promises: N, H, W.

use candle_core::{Result, Tensor};
use candle_nn::{BatchNorm, Conv2d, Linear, Module, ModuleT, VarBuilder};

#[derive(Debug, Clone)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl BasicBlock {
    pub fn new(in_channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            conv1: candle_nn::conv2d_no_bias(
                in_channels,
                in_channels,
                3,
                candle_nn::Conv2dConfig {
                    padding: 1,
                    ..Default::default()
                },
                vb.pp("conv1"),
            )?,
            bn1: candle_nn::batch_norm(in_channels, 1e-5, vb.pp("bn1"))?,
            conv2: candle_nn::conv2d_no_bias(
                in_channels,
                in_channels,
                3,
                candle_nn::Conv2dConfig {
                    padding: 1,
                    ..Default::default()
                },
                vb.pp("conv2"),
            )?,
            bn2: candle_nn::batch_norm(in_channels, 1e-5, vb.pp("bn2"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv1.forward(x)?;
        let y = self.bn1.forward_t(&y, false)?;
        let y = y.relu()?;
        let y = self.conv2.forward(&y)?;
        let y = self.bn2.forward_t(&y, false)?;
        let y = (&y + x)?;
        y.relu()
    }
}

#[derive(Debug, Clone)]
pub struct Downsample {
    conv2d_0: Conv2d,
    batch_norm2d_1: BatchNorm,
}

impl Downsample {
    pub fn new(in_channels: usize, out_channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            conv2d_0: candle_nn::conv2d_no_bias(
                in_channels,
                out_channels,
                1,
                candle_nn::Conv2dConfig {
                    stride: 2,
                    ..Default::default()
                },
                vb.pp("0"),
            )?,
            batch_norm2d_1: candle_nn::batch_norm(out_channels, 1e-5, vb.pp("1"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv2d_0.forward(x)?;
        self.batch_norm2d_1.forward_t(&x, false)
    }
}

#[derive(Debug, Clone)]
pub struct BasicBlock2 {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Downsample,
}

impl BasicBlock2 {
    pub fn new(in_channels: usize, out_channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            conv1: candle_nn::conv2d_no_bias(
                in_channels,
                out_channels,
                3,
                candle_nn::Conv2dConfig {
                    padding: 1,
                    stride: 2,
                    ..Default::default()
                },
                vb.pp("conv1"),
            )?,
            bn1: candle_nn::batch_norm(out_channels, 1e-5, vb.pp("bn1"))?,
            conv2: candle_nn::conv2d_no_bias(
                out_channels,
                out_channels,
                3,
                candle_nn::Conv2dConfig {
                    padding: 1,
                    ..Default::default()
                },
                vb.pp("conv2"),
            )?,
            bn2: candle_nn::batch_norm(out_channels, 1e-5, vb.pp("bn2"))?,
            downsample: Downsample::new(in_channels, out_channels, vb.pp("downsample"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.conv1.forward(x)?;
        let y = self.bn1.forward_t(&y, false)?;
        let y = y.relu()?;
        let y = self.conv2.forward(&y)?;
        let bn2 = self.bn2.forward_t(&y, false)?;
        let x = self.downsample.forward(x)?;
        let x = (&bn2 + &x)?;
        x.relu()
    }
}

#[derive(Debug, Clone)]
pub struct Layer {
    basic_block2_0: BasicBlock2,
    basic_block_1: BasicBlock,
}

impl Layer {
    pub fn new(in_channels: usize, out_channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            basic_block2_0: BasicBlock2::new(in_channels, out_channels, vb.pp("0"))?,
            basic_block_1: BasicBlock::new(out_channels, vb.pp("1"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.basic_block2_0.forward(x)?;
        self.basic_block_1.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct NarrowResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<BasicBlock>,
    layer2: Layer,
    layer3: Layer,
    layer4: Layer,
    fc: Linear,
}

impl NarrowResNet18 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            conv1: candle_nn::conv2d_no_bias(
                3,
                12,
                7,
                candle_nn::Conv2dConfig {
                    padding: 3,
                    stride: 2,
                    ..Default::default()
                },
                vb.pp("conv1"),
            )?,
            bn1: candle_nn::batch_norm(12, 1e-5, vb.pp("bn1"))?,
            layer1: Vec::from([
                BasicBlock::new(12, vb.pp("layer1").pp("0"))?,
                BasicBlock::new(12, vb.pp("layer1").pp("1"))?,
            ]),
            layer2: Layer::new(12, 24, vb.pp("layer2"))?,
            layer3: Layer::new(24, 48, vb.pp("layer3"))?,
            layer4: Layer::new(48, 96, vb.pp("layer4"))?,
            fc: candle_nn::linear(96, 10, vb.pp("fc"))?,
        })
    }

    pub fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(image)?;
        let x = self.bn1.forward_t(&x, false)?;
        let x = x.relu()?;
        let mut x = max_pool2d(&x, (3, 3), (2, 2), (1, 1), false)?;
        for module in &self.layer1 {
            x = module.forward(&x)?;
        }
        let x = self.layer2.forward(&x)?;
        let x = self.layer3.forward(&x)?;
        let x = self.layer4.forward(&x)?;
        let x = x.mean_keepdim((2, 3))?;
        let x = x.flatten_from(1)?;
        self.fc.forward(&x)
    }
}

/// A pool with padding, or with a last window that hangs over.
fn max_pool2d(
    x: &Tensor,
    kernel_size: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
    ceil_mode: bool,
) -> Result<Tensor> {
    let least = Tensor::new(f32::NEG_INFINITY, x.device())?.to_dtype(x.dtype())?;
    let pad = |x: Tensor, dim: usize, kernel: usize, stride: usize, padding: usize| {
        let size = x.dim(dim)?;
        let after = padding + overhang(size, kernel, stride, padding, ceil_mode);
        let margin = |count: usize| {
            let mut shape = x.dims().to_vec();
            shape[dim] = count;
            least.broadcast_as(shape)?.contiguous()
        };
        match (padding, after) {
            (0, 0) => Ok(x),
            (0, after) => Tensor::cat(&[&x, &margin(after)?], dim),
            (before, after) => Tensor::cat(&[&margin(before)?, &x, &margin(after)?], dim),
        }
    };
    let x = pad(x.clone(), 2, kernel_size.0, stride.0, padding.0)?;
    let x = pad(x, 3, kernel_size.1, stride.1, padding.1)?;
    x.max_pool2d_with_stride(kernel_size, stride)
}

/// How far the last window of a pool hangs over the padded input; it must begin inside.
fn overhang(size: usize, kernel: usize, stride: usize, padding: usize, ceil_mode: bool) -> usize {
    let padded = size + 2 * padding;
    let rest = (padded - kernel) % stride;
    let last = (padded - kernel) / stride * stride + stride;
    if ceil_mode && rest > 0 && last < size + padding { stride - rest } else { 0 }
}
