//! Two parameters of one path.
//!
//! The tree of labels finds most of them while a body is written out. What is left are parameters
//! that come to one path by different ways, such as `a: Linear(8)` and `param a.weight`. Parts are
//! shared, so each is looked at once; only where paths meet are the parameters of inner parts listed.

use std::{collections::HashMap, sync::Arc};

use crate::{NodeRef, Part, Step, What, join_path};

/// A parameter that has the path of an earlier one.
pub(crate) struct Duplicate {
    pub path: String,
    pub node: NodeRef,
    pub first: NodeRef,
}

/// The first duplicate in each part of a model.
pub(crate) fn duplicates(root: &Arc<Part>) -> Vec<Duplicate> {
    let mut seen = rustc_hash::FxHashSet::default();
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(part) = open.pop() {
        if !seen.insert(Arc::as_ptr(part)) {
            continue;
        }
        let mut places = Places::default();
        places.add(&part.steps, "");
        found.extend(places.duplicate());
        open.extend(places.parts.iter().map(|(_, part, _)| *part));
    }
    found
}

/// What lives where in one part.
#[derive(Default)]
struct Places<'p> {
    parameters: Vec<(String, NodeRef)>,
    parts: Vec<(String, &'p Arc<Part>, NodeRef)>,
}

impl<'p> Places<'p> {
    fn add(&mut self, steps: &'p [Arc<Step>], group: &str) {
        // Parameters of an earlier step are not made again.
        for step in steps.iter().filter(|step| !step.reused) {
            let path = step.path.within(group, "");
            match &step.what {
                What::Layer(layer) => {
                    let own = layer.parameters.iter();
                    self.parameters.extend(own.map(|one| (join_path(&path, &one.name), step.node)));
                }
                What::Declared(_) => self.parameters.push((path, step.node)),
                What::Group(inner) => self.add(inner, &path),
                What::Splice(_) | What::Expert(_) => self.add(step.children(), group),
                What::Part(inner) => self.parts.push((path, inner, step.node)),
            }
        }
    }

    fn duplicate(&self) -> Option<Duplicate> {
        let mut first: HashMap<&str, NodeRef> = HashMap::with_capacity(self.parameters.len());
        for (path, node) in &self.parameters {
            if let Some(first) = first.insert(path, *node) {
                return Some(Duplicate { path: path.clone(), node: *node, first });
            }
        }
        // Parameters inside a part can only meet what lives below its path.
        for (index, (prefix, part, node)) in self.parts.iter().enumerate() {
            let meets = self.parameters.iter().any(|(path, _)| is_below(path, prefix))
                || self.parts[..index]
                    .iter()
                    .any(|(other, ..)| is_below(other, prefix) || is_below(prefix, other));
            if !meets {
                continue;
            }
            let mut all = first.iter().map(|(path, node)| ((*path).to_owned(), *node)).collect();
            for (other, inner, node) in &self.parts[..index] {
                list(inner, other, *node, &mut all);
            }
            let mut own = HashMap::new();
            list(part, prefix, *node, &mut own);
            let mut both: Vec<&String> =
                own.keys().filter(|path| all.contains_key(*path)).collect();
            both.sort();
            if let Some(path) = both.first() {
                return Some(Duplicate { path: (*path).clone(), node: *node, first: all[*path] });
            }
        }
        None
    }
}

/// Whether a path is another one or inside it.
fn is_below(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with('.'))
}

/// The paths of all parameters of a part, as the step that uses it has them.
fn list(part: &Part, prefix: &str, node: NodeRef, all: &mut HashMap<String, NodeRef>) {
    let mut places = Places::default();
    places.add(&part.steps, "");
    for (path, _) in places.parameters {
        all.entry(join_path(prefix, &path)).or_insert(node);
    }
    for (path, inner, _) in places.parts {
        list(inner, &join_path(prefix, &path), node, all);
    }
}
