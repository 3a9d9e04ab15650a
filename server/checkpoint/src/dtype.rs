//! The types of stored elements.

use std::fmt;

use smol_str::SmolStr;

/// The type of stored elements. A type that nobody knows yet keeps its name and has no size.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dtype {
    /// Its name in the file, as `BF16` or `Q4_K`.
    pub name: SmolStr,
    /// How many elements a block has and how many bytes it takes.
    block: Option<(u64, u64)>,
}

/// The types of safetensors, with the bits of an element.
/// Source: `Dtype` of the `safetensors` crate 0.8.
const SAFETENSORS: &[(&str, u64)] = &[
    ("BOOL", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U8", 8),
    ("I8", 8),
    ("F8_E5M2", 8),
    ("F8_E4M3", 8),
    ("F8_E5M2FNUZ", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E8M0", 8),
    ("I16", 16),
    ("U16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("I32", 32),
    ("U32", 32),
    ("F32", 32),
    ("C64", 64),
    ("F64", 64),
    ("I64", 64),
    ("U64", 64),
];

/// The types of GGUF: number, name, elements and bytes of a block.
/// Source: `GGML_QUANT_SIZES` of the `gguf` package 0.19.0.
const GGML: &[(u32, &str, u64, u64)] = &[
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (9, "Q8_1", 32, 40),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
];

impl Dtype {
    /// The type of a safetensors name.
    pub(crate) fn safetensors(name: &str) -> Dtype {
        let known = SAFETENSORS.iter().find(|(known, _)| *known == name);
        let block = known.map(|(_, bits)| match bits {
            4 => (2, 1),
            6 => (4, 3),
            bits => (1, bits / 8),
        });
        Dtype { name: name.into(), block }
    }

    /// The type of a GGUF number.
    pub(crate) fn ggml(number: u32) -> Dtype {
        match GGML.iter().find(|(known, ..)| *known == number) {
            Some((_, name, elements, bytes)) => {
                Dtype { name: SmolStr::new_static(name), block: Some((*elements, *bytes)) }
            }
            None => Dtype { name: format!("type {number}").into(), block: None },
        }
    }

    /// Whether its size is known.
    pub fn is_known(&self) -> bool {
        self.block.is_some()
    }

    /// The bytes that so many elements take; none if the type is not known, they do not fill
    /// blocks, or the bytes do not fit in 64 bits.
    pub fn bytes(&self, numel: u64) -> Option<u64> {
        let (elements, bytes) = self.block?;
        if !numel.is_multiple_of(elements) {
            return None;
        }
        (numel / elements).checked_mul(bytes)
    }
}

impl serde::Serialize for Dtype {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
