//! Tensors by module: a tree of the names between the dots, with equal neighbours as one.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::{Shape, Tensor};

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
    pub dtypes: Vec<String>,
    /// The sizes, of a tensor.
    pub shape: Option<Shape>,
}

/// The outline of tensors, to a depth.
pub fn outline(tensors: &[Tensor], depth: usize) -> Vec<Line> {
    let mut tree = Tree::of(tensors);
    tree.sort();
    let mut lines = Vec::new();
    tree.lines(0, (0, depth), 1, &mut lines);
    lines
}

/// No module stands deeper; what comes after it is one name, however many dots it has.
const MAX_DEPTH: usize = 64;

/// The tree of names. Its nodes are in one list and linked, as there may be some 100,000 of them.
struct Tree<'t> {
    tensors: &'t [Tensor],
    nodes: Vec<Node<'t>>,
}

/// A name between two dots.
struct Node<'t> {
    segment: &'t str,
    parent: u32,
    /// The first node below it, and the next one beside it; [`NONE`] if there is none.
    first: u32,
    next: u32,
    tensor: u32,
}

/// No node, and no tensor.
const NONE: u32 = u32::MAX;

impl<'t> Tree<'t> {
    fn of(tensors: &'t [Tensor]) -> Tree<'t> {
        let root = Node { segment: "", parent: NONE, first: NONE, next: NONE, tensor: NONE };
        let mut nodes = Vec::with_capacity(2 * tensors.len() + 1);
        nodes.push(root);
        // Most tensors are a module's only one.
        let mut known: HashTable<u32> = HashTable::with_capacity(2 * tensors.len());
        let hash = |parent: u32, segment: &str| FxBuildHasher.hash_one((parent, segment));
        for (number, tensor) in tensors.iter().enumerate() {
            let mut at = 0;
            for segment in tensor.name.splitn(MAX_DEPTH, '.') {
                let key = hash(at, segment);
                let is_it = |node: &u32| {
                    let node: &Node<'_> = &nodes[*node as usize];
                    node.parent == at && node.segment == segment
                };
                at = match known.find(key, is_it) {
                    Some(node) => *node,
                    None => {
                        let new = nodes.len() as u32;
                        let next = std::mem::replace(&mut nodes[at as usize].first, new);
                        nodes.push(Node { segment, parent: at, first: NONE, next, tensor: NONE });
                        known.insert_unique(key, new, |node| {
                            let node = &nodes[*node as usize];
                            hash(node.parent, node.segment)
                        });
                        new
                    }
                };
            }
            nodes[at as usize].tensor = number as u32;
        }
        Tree { tensors, nodes }
    }

    /// Numbers before names, in order of their values.
    fn sort(&mut self) {
        let mut children = Vec::new();
        for node in 0..self.nodes.len() {
            children.clear();
            children.extend(self.children(node as u32));
            if children.len() < 2 {
                continue;
            }
            children.sort_by_cached_key(|child| {
                let segment = self.node(*child).segment;
                (number(segment).map_or((1, 0), |number| (0, number)), segment)
            });
            self.nodes[node].first = children[0];
            for two in children.windows(2) {
                self.nodes[two[0] as usize].next = two[1];
            }
            let last = children[children.len() - 1];
            self.nodes[last as usize].next = NONE;
        }
    }

    fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        let some = |node: u32| (node != NONE).then_some(node);
        std::iter::successors(some(self.node(node).first), move |child| {
            some(self.node(*child).next)
        })
    }

    fn node(&self, number: u32) -> &Node<'t> {
        &self.nodes[number as usize]
    }

    fn tensor(&self, node: u32) -> Option<&'t Tensor> {
        self.tensors.get(self.node(node).tensor as usize)
    }

    /// Whether two nodes hold equal tensors under equal names.
    fn are_equal(&self, left: u32, right: u32) -> bool {
        let tensor = |node: u32| {
            let tensor = self.tensor(node)?;
            Some((&tensor.dtype, &tensor.shape, tensor.bytes))
        };
        let are_named_alike =
            |own: u32, other: u32| self.node(own).segment == self.node(other).segment;
        tensor(left) == tensor(right)
            && self.children(left).count() == self.children(right).count()
            && self
                .children(left)
                .zip(self.children(right))
                .all(|(own, other)| are_named_alike(own, other) && self.are_equal(own, other))
    }

    /// The lines below a node, each for so many equal copies.
    fn lines(&self, node: u32, (level, depth): (usize, usize), copies: u64, lines: &mut Vec<Line>) {
        if level >= depth {
            return;
        }
        let mut children = self.children(node).peekable();
        while let Some(first) = children.next() {
            let (mut count, mut last) = (1, first);
            // Equal numbered neighbours are one line.
            while let Some(next) = children.peek().copied()
                && follows(self.node(last).segment, self.node(next).segment)
                && self.are_equal(first, next)
            {
                count += 1;
                last = next;
                children.next();
            }
            let (from, to) = (self.node(first).segment, self.node(last).segment);
            let name = if count == 1 { from.to_owned() } else { format!("{from}…{to}") };
            let copies = copies * count;
            let times = u128::from(copies);
            let sums = self.sums(first);
            let is_leaf = self.node(first).first == NONE;
            let own = self.tensor(first).filter(|_| is_leaf);
            lines.push(Line {
                name,
                depth: level,
                tensors: sums.tensors * copies,
                numel: sums.numel * times,
                bytes: sums.bytes.iter().map(|(_, bytes)| bytes).sum::<u128>() * times,
                dtypes: sums.bytes.into_iter().map(|(name, _)| name.to_owned()).collect(),
                shape: own.map(|tensor| tensor.shape.clone()),
            });
            self.lines(first, (level + 1, depth), copies, lines);
        }
    }

    fn sums(&self, node: u32) -> Sums<'t> {
        let mut sums = Sums::default();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            open.extend(self.children(node));
            if let Some(tensor) = self.tensor(node) {
                sums.add(tensor);
            }
        }
        sums.bytes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        sums
    }
}

/// A whole number as it is written without zeros in front.
fn number(segment: &str) -> Option<u64> {
    let number: u64 = segment.parse().ok()?;
    (number == 0 && segment == "0" || number > 0 && !segment.starts_with(['0', '+']))
        .then_some(number)
}

/// Whether a number comes right after another one.
fn follows(segment: &str, next: &str) -> bool {
    number(segment)
        .zip(number(next))
        .is_some_and(|(number, next)| number.checked_add(1) == Some(next))
}

#[derive(Default)]
struct Sums<'t> {
    tensors: u64,
    numel: u128,
    /// By type.
    bytes: Vec<(&'t str, u128)>,
}

impl<'t> Sums<'t> {
    fn add(&mut self, tensor: &'t Tensor) {
        self.tensors += 1;
        self.numel += u128::from(tensor.numel().unwrap_or(0));
        match self.bytes.iter_mut().find(|(name, _)| *name == tensor.dtype.name()) {
            Some((_, sum)) => *sum += u128::from(tensor.bytes),
            None => self.bytes.push((tensor.dtype.name(), tensor.bytes.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::Dtype;

    fn tensor(name: &str, dtype: &str) -> Tensor {
        let (name, dtype) = (name.to_owned(), Dtype::safetensors(dtype));
        Tensor { name, dtype, shape: smallvec![2, 3], bytes: 12, file: 0 }
    }

    #[test]
    fn a_name_of_dots_is_no_deep_tree() {
        let lines = outline(&[tensor(&".".repeat(1_000_000), "F16")], usize::MAX);
        assert_eq!(lines.len(), MAX_DEPTH);
    }

    #[test]
    fn equal_layers_are_one_line() {
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
