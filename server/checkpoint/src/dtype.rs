//! The types of stored elements.

use std::fmt;

/// The type of stored elements. A type that nobody knows yet keeps its name and has no size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dtype {
    /// A type of one of the formats.
    Known(&'static KnownDtype),
    /// Another one.
    Unknown(Box<str>),
}

/// A type that is known, with its size.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownDtype {
    /// Its name in the file, as `BF16` or `Q4_K`.
    name: &'static str,
    /// How many elements a block has, and how many bytes it takes.
    block: (u64, u64),
}

const fn known(name: &'static str, elements: u64, bytes: u64) -> KnownDtype {
    KnownDtype { name, block: (elements, bytes) }
}

/// The types of safetensors.
/// Source: `Dtype` of the `safetensors` crate 0.8.
static SAFETENSORS: &[KnownDtype] = &[
    known("BOOL", 1, 1),
    known("F4", 2, 1),
    known("F6_E2M3", 4, 3),
    known("F6_E3M2", 4, 3),
    known("U8", 1, 1),
    known("I8", 1, 1),
    known("F8_E5M2", 1, 1),
    known("F8_E4M3", 1, 1),
    known("F8_E5M2FNUZ", 1, 1),
    known("F8_E4M3FNUZ", 1, 1),
    known("F8_E8M0", 1, 1),
    known("I16", 1, 2),
    known("U16", 1, 2),
    known("F16", 1, 2),
    known("BF16", 1, 2),
    known("I32", 1, 4),
    known("U32", 1, 4),
    known("F32", 1, 4),
    known("C64", 1, 8),
    known("F64", 1, 8),
    known("I64", 1, 8),
    known("U64", 1, 8),
];

/// The types of GGUF by their numbers.
/// Source: `GGML_QUANT_SIZES` of the `gguf` package 0.19.0.
static GGML: &[(u32, KnownDtype)] = &[
    (0, known("F32", 1, 4)),
    (1, known("F16", 1, 2)),
    (2, known("Q4_0", 32, 18)),
    (3, known("Q4_1", 32, 20)),
    (6, known("Q5_0", 32, 22)),
    (7, known("Q5_1", 32, 24)),
    (8, known("Q8_0", 32, 34)),
    (9, known("Q8_1", 32, 40)),
    (10, known("Q2_K", 256, 84)),
    (11, known("Q3_K", 256, 110)),
    (12, known("Q4_K", 256, 144)),
    (13, known("Q5_K", 256, 176)),
    (14, known("Q6_K", 256, 210)),
    (15, known("Q8_K", 256, 292)),
    (16, known("IQ2_XXS", 256, 66)),
    (17, known("IQ2_XS", 256, 74)),
    (18, known("IQ3_XXS", 256, 98)),
    (19, known("IQ1_S", 256, 50)),
    (20, known("IQ4_NL", 32, 18)),
    (21, known("IQ3_S", 256, 110)),
    (22, known("IQ2_S", 256, 82)),
    (23, known("IQ4_XS", 256, 136)),
    (24, known("I8", 1, 1)),
    (25, known("I16", 1, 2)),
    (26, known("I32", 1, 4)),
    (27, known("I64", 1, 8)),
    (28, known("F64", 1, 8)),
    (29, known("IQ1_M", 256, 56)),
    (30, known("BF16", 1, 2)),
    (34, known("TQ1_0", 256, 54)),
    (35, known("TQ2_0", 256, 66)),
    (39, known("MXFP4", 32, 17)),
    (40, known("NVFP4", 64, 36)),
    (41, known("Q1_0", 128, 18)),
];

impl Dtype {
    /// The type of a safetensors name.
    pub(crate) fn safetensors(name: &str) -> Dtype {
        let found = SAFETENSORS.iter().find(|known| known.name == name);
        found.map_or_else(|| Dtype::Unknown(name.into()), Dtype::Known)
    }

    /// The type of a GGUF number.
    pub(crate) fn ggml(number: u32) -> Dtype {
        let found = GGML.iter().find(|(known, _)| *known == number);
        match found {
            Some((_, known)) => Dtype::Known(known),
            None => Dtype::Unknown(format!("type {number}").into()),
        }
    }

    /// Its name in the file.
    pub fn name(&self) -> &str {
        match self {
            Dtype::Known(known) => known.name,
            Dtype::Unknown(name) => name,
        }
    }

    /// Whether its size is known.
    pub fn is_known(&self) -> bool {
        matches!(self, Dtype::Known(_))
    }

    /// The bytes that so many elements take; none if the type is not known, they do not fill
    /// blocks, or the bytes do not fit in 64 bits.
    pub fn bytes(&self, numel: u64) -> Option<u64> {
        let Dtype::Known(KnownDtype { block: (elements, bytes), .. }) = self else { return None };
        if !numel.is_multiple_of(*elements) {
            return None;
        }
        (numel / elements).checked_mul(*bytes)
    }
}

impl serde::Serialize for Dtype {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
