//! Kinds of layers that tools treat alike.

pub(crate) const CONVOLUTIONS: &[&str] = &["Conv1d", "Conv2d", "Conv3d"];
pub(crate) const TRANSPOSED: &[&str] = &["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"];
pub(crate) const BATCH_NORMS: &[&str] = &["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"];
pub(crate) const INSTANCE_NORMS: &[&str] = &["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"];
pub(crate) const MAX_POOLS: &[&str] = &["MaxPool1d", "MaxPool2d", "MaxPool3d"];
pub(crate) const AVERAGE_POOLS: &[&str] = &["AvgPool1d", "AvgPool2d", "AvgPool3d"];
pub(crate) const ADAPTIVE_AVERAGES: &[&str] =
    &["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"];
pub(crate) const ADAPTIVE_MAXIMA: &[&str] =
    &["AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d"];
pub(crate) const PADS: &[&str] = &[
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
];
pub(crate) const DROPOUTS: &[&str] = &["Dropout", "Dropout1d", "Dropout2d", "AlphaDropout"];
pub(crate) const UPSAMPLES: &[&str] = &["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"];
pub(crate) const RECURRENT: &[&str] = &["RNN", "GRU", "LSTM"];
pub(crate) const CELLS: &[&str] = &["RNNCell", "GRUCell", "LSTMCell"];
