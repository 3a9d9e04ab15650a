//! `cargo xtask circles`: modules of a crate that need each other, in a circle.
//!
//! A module needs another if its code names an item that the other defines, by `crate::`, `super::`, `self::` or the name of a child;
//! what is handed on (`pub use`) is followed to where it is defined, and is no need of the module that hands it on. Tests are
//! left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, File, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::{Result, sizes::is_test};

/// A path of modules below the crate; the crate itself has none.
type Module = Vec<String>;

/// Prints each circle of each crate below `server/`.
pub fn check() -> Result {
    let mut crates: Vec<PathBuf> = fs::read_dir("server")
        .and_then(|entries| entries.map(|entry| Ok(entry?.path().join("src"))).collect())
        .map_err(|error| format!("cannot read server/: {error}"))?;
    crates.retain(|source| source.is_dir());
    crates.sort();
    let mut found = 0;
    for source in &crates {
        let circles = Crate::read(source)?.circles();
        for circle in &circles {
            found += 1;
            println!("{}: {}", source.display(), told(circle));
        }
    }
    match found {
        0 => {
            println!("no circle between the modules of {} crates", crates.len());
            Ok(())
        }
        count => Err(format!("{count} circles between modules")),
    }
}

/// `a → b (of `item`) → a`
fn told(circle: &[(Module, String)]) -> String {
    let name =
        |module: &Module| if module.is_empty() { "crate".to_owned() } else { module.join("::") };
    let steps = circle.iter().map(|(module, item)| format!("{} → (`{item}`) ", name(module)));
    steps.collect::<String>() + &circle.first().map_or_else(String::new, |(module, _)| name(module))
}

/// The modules of a crate and what each names.
#[derive(Default)]
struct Crate {
    /// Names that a module defines or hands on; the latter with the path that they stand for.
    names: BTreeMap<Module, BTreeMap<String, Name>>,
    /// Everything that a module's code names, as absolute paths.
    uses: BTreeMap<Module, BTreeSet<Vec<String>>>,
    /// Modules whose whole content a module hands on.
    globs: BTreeMap<Module, Vec<Module>>,
}

enum Name {
    Own,
    HandedOn(Vec<String>),
}

impl Crate {
    fn read(source: &Path) -> Result<Crate> {
        let mut read = Crate::default();
        let root = ["lib.rs", "main.rs"]
            .map(|name| source.join(name))
            .into_iter()
            .find(|path| path.exists());
        let root = root.ok_or_else(|| format!("{} has no root", source.display()))?;
        read.file(&root, source, Vec::new())?;
        Ok(read)
    }

    /// A file and those of its modules, which lie in `folder`.
    fn file(&mut self, path: &Path, folder: &Path, module: Module) -> Result {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file: File =
            syn::parse_file(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        self.items(&file.items, folder, module)
    }

    fn items(&mut self, items: &[Item], folder: &Path, module: Module) -> Result {
        let items: Vec<&Item> = items.iter().filter(|item| !is_test(attributes(item))).collect();
        self.names.entry(module.clone()).or_default();
        let children: BTreeSet<String> = items
            .iter()
            .filter_map(|item| match item {
                Item::Mod(child) => Some(child.ident.to_string()),
                _ => None,
            })
            .collect();
        for item in &items {
            match item {
                Item::Use(item) => self.handed_on(item, &module, &children),
                item => {
                    let own = name_of(item).map(|name| (name, Name::Own));
                    self.names.entry(module.clone()).or_default().extend(own);
                }
            }
        }
        let mut paths = Paths { module: &module, children: &children, found: BTreeSet::new() };
        for item in &items {
            match item {
                Item::Mod(child) => self.child(child, folder, &module)?,
                item => paths.visit_item(item),
            }
        }
        self.uses.insert(module.clone(), paths.found);
        Ok(())
    }

    fn child(&mut self, child: &ItemMod, folder: &Path, module: &Module) -> Result {
        let name = child.ident.to_string();
        let inner = [&module[..], std::slice::from_ref(&name)].concat();
        let folder = folder.join(&name);
        if let Some((_, items)) = &child.content {
            return self.items(items, &folder, inner);
        }
        let beside = folder.with_extension("rs");
        let path = if beside.exists() { beside } else { folder.join("mod.rs") };
        self.file(&path, &folder, inner)
    }

    /// Notes what `pub use` hands on.
    fn handed_on(&mut self, item: &ItemUse, module: &Module, children: &BTreeSet<String>) {
        let mut leaves = Vec::new();
        leaves_of(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            let Some(path) = absolute(&path, module, children) else { continue };
            match name {
                Some(name) => {
                    let names = self.names.entry(module.clone()).or_default();
                    names.insert(name, Name::HandedOn(path));
                }
                None => self.globs.entry(module.clone()).or_default().push(path),
            }
        }
    }

    /// The module that defines what a path names.
    fn home(&self, path: &[String], depth: usize) -> Option<Module> {
        // The longest path of modules, then a name in the last.
        let count =
            (0..=path.len()).rev().find(|count| self.names.contains_key(&path[..*count]))?;
        let module = path[..count].to_vec();
        let Some(name) = path.get(count) else { return Some(module) };
        match self.names[&module].get(name) {
            Some(Name::Own) => Some(module),
            // Names handed on in a circle lead nowhere.
            Some(Name::HandedOn(to)) if depth < 20 => {
                self.home(&[&to[..], &path[count + 1..]].concat(), depth + 1)
            }
            _ => {
                let globs = self.globs.get(&module)?;
                globs.iter().filter(|_| depth < 20).find_map(|glob| {
                    let to = [&glob[..], &path[count..]].concat();
                    let is_there = self.names.get(glob)?.contains_key(name);
                    is_there.then(|| self.home(&to, depth + 1))?
                })
            }
        }
    }

    /// Which modules each needs, with an item that says so.
    fn needs(&self) -> BTreeMap<Module, BTreeMap<Module, String>> {
        let mut needs: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
        for (module, paths) in &self.uses {
            for path in paths {
                let Some(home) = self.home(path, 0).filter(|home| home != module) else { continue };
                let item = path.last().cloned().unwrap_or_default();
                needs.entry(module.clone()).or_default().entry(home).or_insert(item);
            }
        }
        needs
    }

    /// The shortest circle through each module that is in one, each circle once.
    fn circles(&self) -> Vec<Vec<(Module, String)>> {
        let needs = self.needs();
        let mut seen: BTreeSet<BTreeSet<Module>> = BTreeSet::new();
        let mut circles: Vec<Vec<(Module, String)>> =
            needs.keys().filter_map(|start| shortest(start, &needs)).collect();
        circles.sort_by_key(Vec::len);
        circles.retain(|circle| {
            seen.insert(circle.iter().map(|(module, _)| module.clone()).collect())
        });
        circles
    }
}

/// The shortest way from a module back to itself.
fn shortest(
    start: &Module,
    needs: &BTreeMap<Module, BTreeMap<Module, String>>,
) -> Option<Vec<(Module, String)>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way
                .last()
                .and_then(|last| needs.get(last))
                .into_iter()
                .flatten()
                .map(|(next, _)| next)
            {
                if next == start {
                    let ends = way.iter().skip(1).chain([start]);
                    return Some(
                        way.iter()
                            .zip(ends)
                            .map(|(from, to)| (from.clone(), needs[from][to].clone()))
                            .collect(),
                    );
                }
                if seen.insert(next.clone()) {
                    longer.push([&way[..], std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// The paths that a module's code names.
struct Paths<'a> {
    module: &'a Module,
    children: &'a BTreeSet<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths<'_> {
    fn note(&mut self, path: &[String]) {
        self.found.extend(absolute(path, self.module, self.children));
    }
}

impl<'a> Visit<'a> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        // What is handed on is needed by who names it there.
        if !matches!(item.vis, Visibility::Inherited) {
            return;
        }
        let mut leaves = Vec::new();
        leaves_of(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, _) in leaves {
            self.note(&path);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            self.note(
                &path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>(),
            );
        }
        visit::visit_path(self, path);
    }

    fn visit_item(&mut self, item: &'a Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }
}

/// A path from the crate; none for one of another crate or of something named elsewhere in the file.
fn absolute(path: &[String], module: &Module, children: &BTreeSet<String>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([&module[..], rest].concat()),
        "super" => {
            let outer = module.split_last()?.1.to_vec();
            match rest.first().map(String::as_str) {
                Some("super") => absolute(rest, &outer, children),
                _ => Some([&outer[..], rest].concat()),
            }
        }
        name if children.contains(name) => Some([&module[..], path].concat()),
        _ => None,
    }
}

/// The paths of a `use`, each with the name that it gives; `*` gives none.
fn leaves_of(
    tree: &UseTree,
    before: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, Option<String>)>,
) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves_of(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.clone(), before.last().cloned()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push(([&before[..], std::slice::from_ref(&name)].concat(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let path = [&before[..], &[rename.ident.to_string()]].concat();
            found.push((path, Some(rename.rename.to_string())));
        }
        UseTree::Glob(_) => found.push((before.clone(), None)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves_of(tree, before, found)),
    }
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles of a crate of these files, as they are told.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let read = Crate::read(folder.path()).expect("a crate");
        read.circles().iter().map(|circle| told(circle)).collect()
    }

    #[test]
    fn a_circle_is_named_by_what_closes_it() {
        let root = "mod a;\nmod b;\npub use b::B;\n";
        let a = "use crate::B;\npub struct A(B);\n";
        let found =
            circles(&[("lib.rs", root), ("a.rs", a), ("b.rs", "pub struct B(crate::a::A);")]);
        assert_eq!(found, ["a → (`B`) b → (`A`) a"]);
        assert!(circles(&[("lib.rs", root), ("a.rs", a), ("b.rs", "pub struct B;")]).is_empty());
    }

    #[test]
    fn a_child_may_not_need_what_its_parent_defines_if_that_needs_the_child() {
        let child = "use super::Limit;\npub fn run(_: Limit) {}\n";
        let root = "mod child;\npub struct Limit;\n";
        let files = [("main.rs", "mod outer;"), ("outer/mod.rs", root), ("outer/child.rs", child)];
        assert!(circles(&files).is_empty());
        let calls = format!("{root}fn go() {{ child::run(Limit) }}\n");
        let found = circles(&[files[0], ("outer/mod.rs", &calls), files[2]]);
        assert_eq!(found, ["outer → (`run`) outer::child → (`Limit`) outer"]);
    }

    #[test]
    fn tests_and_what_is_handed_on_are_no_need() {
        let root = "mod a;\nmod b;\npub use a::*;\n";
        let a = "pub struct A;\n#[cfg(test)]\nmod tests { use crate::b::B; }\n";
        assert!(
            circles(&[("lib.rs", root), ("a.rs", a), ("b.rs", "pub struct B(crate::A);")])
                .is_empty()
        );
        let back = "pub struct A(crate::b::B);\n";
        let found =
            circles(&[("lib.rs", root), ("a.rs", back), ("b.rs", "pub struct B(crate::A);")]);
        assert_eq!(found, ["a → (`B`) b → (`A`) a"]);
    }
}
