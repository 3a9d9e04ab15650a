//! What a checkpoint holds, whatever kind of file it is.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use crate::{dtype::Dtype, error::Problem};

/// The tensors of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    /// What kind of file it is.
    pub format: Format,
    /// The tensors, in the order of the files and of their data.
    pub tensors: Vec<Tensor>,
    /// The files that hold them, without the folder.
    pub files: Vec<String>,
    /// What the file says of itself.
    #[serde(serialize_with = "as_map")]
    pub metadata: Vec<(String, String)>,
    /// What is wrong with it, though it can be read.
    pub problems: Vec<Problem>,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `.safetensors`
    Safetensors,
    /// `model.safetensors.index.json` with the shards beside it.
    Index,
    /// `.gguf`
    Gguf,
}

/// A tensor as a header describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tensor {
    /// Its name, as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its sizes, the slowest first as PyTorch writes them.
    pub shape: Shape,
    /// How many bytes of its file it takes.
    pub bytes: u64,
    /// The file that holds it, by its number in [`Checkpoint::files`].
    pub file: u32,
}

/// The sizes of a tensor.
pub type Shape = SmallVec<[u64; 2]>;

/// The most dimensions of a tensor, as in NumPy and PyTorch.
pub(crate) const MAX_DIMS: usize = 64;

fn as_map<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

impl Tensor {
    /// The number of its elements, unless they are too many to count.
    pub fn numel(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size))
    }
}

impl Checkpoint {
    /// The checkpoint that lies in a folder: its index, or else its one file.
    pub fn beside(folder: &Path) -> Option<PathBuf> {
        let names = ["model.safetensors.index.json", "model.safetensors"];
        names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u128 {
        self.tensors.iter().map(|tensor| u128::from(tensor.bytes)).sum()
    }

    /// Elements of all tensors, as far as they can be counted.
    pub fn numel(&self) -> u128 {
        self.tensors.iter().filter_map(Tensor::numel).map(u128::from).sum()
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The types of tensors with how many elements and bytes they have, the most bytes first.
    pub fn dtypes(&self) -> Vec<(&str, u128, u128)> {
        let mut found: Vec<(&str, u128, u128)> = Vec::new();
        for tensor in &self.tensors {
            let (numel, bytes) = (tensor.numel().unwrap_or(0).into(), u128::from(tensor.bytes));
            match found.iter_mut().find(|(name, ..)| *name == tensor.dtype.name()) {
                Some((_, all, sum)) => (*all, *sum) = (*all + numel, *sum + bytes),
                None => found.push((tensor.dtype.name(), numel, bytes)),
            }
        }
        found.sort_by_key(|(.., bytes)| std::cmp::Reverse(*bytes));
        found
    }
}

impl Format {
    /// The kind of a file, by its name.
    pub fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?;
        let ends = |end: &str| name.ends_with(end);
        match () {
            () if ends(".safetensors.index.json") => Some(Format::Index),
            () if ends(".safetensors") => Some(Format::Safetensors),
            () if ends(".gguf") => Some(Format::Gguf),
            () => None,
        }
    }
}
