//! Element types.

use std::fmt;

/// The type of a tensor's elements.
///
/// ```
/// use layers::DType;
/// assert_eq!(DType::parse("torch.bfloat16"), Some(DType::BF16));
/// assert_eq!(DType::BF16.bytes(), 2);
/// assert_eq!(DType::BF16.to_string(), "bf16");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names say it.
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    F8E4M3,
    I64,
    I32,
    I16,
    I8,
    U32,
    U8,
    Bool,
}

impl DType {
    /// Every dtype with its name in Taper and its name in PyTorch.
    pub const ALL: [(DType, &'static str, &'static str); 12] = [
        (DType::F64, "f64", "float64"),
        (DType::F32, "f32", "float32"),
        (DType::F16, "f16", "float16"),
        (DType::BF16, "bf16", "bfloat16"),
        (DType::F8E4M3, "f8e4m3", "float8_e4m3fn"),
        (DType::I64, "i64", "int64"),
        (DType::I32, "i32", "int32"),
        (DType::I16, "i16", "int16"),
        (DType::I8, "i8", "int8"),
        (DType::U32, "u32", "uint32"),
        (DType::U8, "u8", "uint8"),
        (DType::Bool, "bool", "bool"),
    ];

    /// The dtype of a name, in Taper's or PyTorch's spelling.
    pub fn parse(name: &str) -> Option<DType> {
        let name = name.strip_prefix("torch.").unwrap_or(name);
        let name = match name {
            "float" => "float32",
            "half" => "float16",
            "double" => "float64",
            "long" => "int64",
            "int" => "int32",
            other => other,
        };
        let found = DType::ALL.iter().find(|(_, own, torch)| *own == name || *torch == name);
        found.map(|(dtype, ..)| *dtype)
    }

    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 | DType::I16 => 2,
            DType::F8E4M3 | DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// A floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::BF16 | DType::F8E4M3)
    }

    /// A type that can index.
    pub fn is_integer(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// The dtype of an operation on both: floats before integers, the wider one otherwise.
    pub fn promote(self, other: DType) -> DType {
        match (self.is_float(), other.is_float()) {
            (true, false) => self,
            (false, true) => other,
            _ if self == other => self,
            // PyTorch: f16 with bf16 gives f32.
            (true, true) if self.bytes() == other.bytes() => DType::F32,
            _ if self.bytes() >= other.bytes() => self,
            _ => other,
        }
    }

    /// Candle's type; where Candle has none, the one of the same width that stands for it.
    pub fn candle(self) -> candle_core::DType {
        match self {
            DType::F64 => candle_core::DType::F64,
            DType::F32 => candle_core::DType::F32,
            DType::F16 => candle_core::DType::F16,
            DType::BF16 => candle_core::DType::BF16,
            DType::F8E4M3 => candle_core::DType::F8E4M3,
            DType::I64 => candle_core::DType::I64,
            DType::I32 => candle_core::DType::I32,
            DType::I16 => candle_core::DType::I16,
            DType::U32 => candle_core::DType::U32,
            DType::I8 | DType::U8 | DType::Bool => candle_core::DType::U8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            DType::ALL.iter().find(|(dtype, ..)| dtype == self).map_or("", |(_, name, _)| name);
        f.write_str(name)
    }
}
