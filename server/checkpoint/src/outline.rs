//! Tensors by module: a tree of the names between the dots, with equal neighbours as one.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::{Dtype, Shape, Tensor};

/// A line of the outline: a module with its sums, or a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The name between two dots; of equal numbered neighbours `0…31`.
    pub name: String,
    /// How deep it stands.
    pub depth: usize,
    /// How many tensors it holds.
    pub tensors: u64,
    /// Their elements, as far as they can be counted.
    pub numel: u128,
    /// Their bytes.
    pub bytes: u128,
    /// Their types, the one with the most bytes first.
    pub dtypes: Vec<SmolStr>,
    /// The sizes, of a tensor.
    pub shape: Option<Shape>,
}

/// The outline of tensors, to a depth.
pub fn outline(tensors: &[Tensor], depth: usize) -> Vec<Line> {
    let mut root = Node::default();
    for tensor in tensors {
        let node = tensor.name.split('.').fold(&mut root, |node, segment| {
            node.children.entry(Segment::new(segment)).or_default()
        });
        node.tensor = Some(Stored {
            dtype: tensor.dtype.clone(),
            shape: tensor.shape.clone(),
            bytes: tensor.bytes,
        });
    }
    let mut lines = Vec::new();
    root.lines(0, depth, 1, &mut lines);
    lines
}

/// What the tensors below a name have in common.
#[derive(Default, PartialEq)]
struct Node {
    children: BTreeMap<Segment, Node>,
    tensor: Option<Stored>,
}

#[derive(PartialEq)]
struct Stored {
    dtype: Dtype,
    shape: Shape,
    bytes: u64,
}

/// A name between dots; numbers are in order of their values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Number(u64),
    Name(SmolStr),
}

impl Segment {
    fn new(text: &str) -> Segment {
        let number = text.parse().ok().filter(|number: &u64| number.to_string() == text);
        number.map_or_else(|| Segment::Name(text.into()), Segment::Number)
    }

    fn text(&self) -> String {
        match self {
            Segment::Number(number) => number.to_string(),
            Segment::Name(name) => name.to_string(),
        }
    }
}

impl Node {
    /// The lines below this node, each for so many equal copies.
    fn lines(&self, level: usize, depth: usize, copies: u64, lines: &mut Vec<Line>) {
        if level >= depth {
            return;
        }
        let mut children = self.children.iter().peekable();
        while let Some((segment, node)) = children.next() {
            let (mut count, mut last) = (1, segment);
            // Equal numbered neighbours are one line.
            while let (Segment::Number(number), Some((Segment::Number(next), other))) =
                (last, children.peek())
                && number + 1 == *next
                && *other == node
            {
                count += 1;
                if let Some((next, _)) = children.next() {
                    last = next;
                }
            }
            let name = match count {
                1 => segment.text(),
                _ => format!("{}…{}", segment.text(), last.text()),
            };
            let copies = copies * count;
            let sums = node.sums();
            lines.push(Line {
                name,
                depth: level,
                tensors: sums.tensors * copies,
                numel: sums.numel * u128::from(copies),
                bytes: sums.bytes.iter().map(|(_, bytes)| bytes).sum::<u128>() * u128::from(copies),
                dtypes: sums.bytes.into_iter().map(|(name, _)| name).collect(),
                shape: node
                    .tensor
                    .as_ref()
                    .filter(|_| node.children.is_empty())
                    .map(|tensor| tensor.shape.clone()),
            });
            node.lines(level + 1, depth, copies, lines);
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.add_to(&mut sums);
        sums.bytes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        sums
    }

    fn add_to(&self, sums: &mut Sums) {
        if let Some(Stored { dtype, shape, bytes }) = &self.tensor {
            sums.tensors += 1;
            let numel = shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
            sums.numel += u128::from(numel.unwrap_or(0));
            match sums.bytes.iter_mut().find(|(name, _)| *name == dtype.name) {
                Some((_, sum)) => *sum += u128::from(*bytes),
                None => sums.bytes.push((dtype.name.clone(), (*bytes).into())),
            }
        }
        self.children.values().for_each(|child| child.add_to(sums));
    }
}

#[derive(Default)]
struct Sums {
    tensors: u64,
    numel: u128,
    /// By type.
    bytes: Vec<(SmolStr, u128)>,
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    #[test]
    fn equal_layers_are_one_line() {
        let tensor = |name: &str, dtype: &str| Tensor {
            name: name.to_owned(),
            dtype: Dtype::safetensors(dtype),
            shape: smallvec![2, 3],
            bytes: 12,
            file: 0,
        };
        let tensors = [
            tensor("layers.10.w", "BF16"),
            tensor("layers.9.w", "BF16"),
            tensor("layers.8.w", "F16"),
            tensor("norm", "F16"),
        ];
        let lines: Vec<String> = outline(&tensors, 3)
            .iter()
            .map(|line| {
                format!(
                    "{}{} {} {} {} {:?}",
                    " ".repeat(line.depth),
                    line.name,
                    line.tensors,
                    line.numel,
                    line.bytes,
                    line.dtypes
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "layers 3 18 36 [\"BF16\", \"F16\"]",
                " 8 1 6 12 [\"F16\"]",
                "  w 1 6 12 [\"F16\"]",
                " 9…10 2 12 24 [\"BF16\"]",
                "  w 2 12 24 [\"BF16\"]",
                "norm 1 6 12 [\"F16\"]",
            ]
        );
    }
}
