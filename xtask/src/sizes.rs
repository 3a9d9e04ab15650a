//! `cargo xtask sizes`: long files, long functions and long lists of parameters below `server/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Block, Signature,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::Result;

const FILE: usize = 500;
const FUNCTION: usize = 60;
const LONGEST: usize = 100;
const PARAMETERS: usize = 6;

/// Prints what is long.
pub fn print() -> Result {
    let mut files = Vec::new();
    rust_files(Path::new("server"), &mut files)
        .map_err(|error| format!("cannot read server/: {error}"))?;
    files.sort();
    let (mut lines, mut functions) = (0, Vec::new());
    let mut long = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file =
            syn::parse_file(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let count = text.lines().count();
        lines += count;
        if count > FILE {
            long.push((count, path.display().to_string()));
        }
        let mut found = Functions { path, found: Vec::new() };
        found.visit_file(&file);
        functions.append(&mut found.found);
    }
    println!("{lines} lines in {} files, {} functions", files.len(), functions.len());
    print_longest(&format!("files over {FILE} lines"), long);
    let over = |least: usize| functions.iter().filter(move |one| one.lines > least);
    let share = 100.0 * over(FUNCTION).count() as f64 / functions.len().max(1) as f64;
    print_longest(
        &format!(
            "functions over {FUNCTION} lines, {share:.2} % of all; {} over {LONGEST}",
            over(LONGEST).count()
        ),
        over(FUNCTION).map(|one| (one.lines, one.name.clone())).collect(),
    );
    print_longest(
        &format!("functions with more than {PARAMETERS} parameters"),
        functions
            .iter()
            .filter(|one| one.parameters > PARAMETERS)
            .map(|one| (one.parameters, one.name.clone()))
            .collect(),
    );
    Ok(())
}

fn print_longest(what: &str, mut found: Vec<(usize, String)>) {
    found.sort_by(|one, other| other.cmp(one));
    println!("\n{} {what}", found.len());
    for (size, name) in found {
        println!("{size:6} {name}");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

struct Function {
    name: String,
    lines: usize,
    parameters: usize,
}

/// The functions of a file but for its tests.
struct Functions<'a> {
    path: &'a Path,
    found: Vec<Function>,
}

impl Functions<'_> {
    fn note(&mut self, signature: &Signature, body: &Block) {
        let (start, end) = (signature.span().start().line, body.span().end().line);
        self.found.push(Function {
            name: format!("{}:{start} {}", self.path.display(), signature.ident),
            lines: end + 1 - start,
            parameters: signature.inputs.len(),
        });
    }
}

impl<'a> Visit<'a> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.note(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.note(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

/// `#[cfg(test)]`
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
