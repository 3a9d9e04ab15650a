//! Every file of the library checks, and has the models that it is found by.

use analysis::{Workspace, analyse};

#[test]
fn every_file_checks() {
    for file in library::FILES {
        let mut workspace = Workspace::default();
        let id = workspace.insert(file.path, syntax::parse(file.text));
        while let Some(path) = workspace.missing().first() {
            let used = library::FILES.iter().find(|used| used.path == path).expect("a file");
            workspace.insert(path, syntax::parse(used.text));
        }
        let analysis = analyse(&workspace, id, &Default::default());
        assert_eq!(analysis.diagnostics, [], "{}", file.path);
        let formatted = syntax::format::format(&syntax::parse(file.text));
        assert_eq!(formatted.as_deref(), Some(file.text), "{} is not formatted", file.path);
        let is_used = library::architectures().any(|found| found.file() == file);
        assert!(is_used, "no architecture is in {}", file.path);
    }
}

#[test]
fn every_architecture_is_in_its_file() {
    for architecture in library::architectures() {
        let parse = syntax::parse(architecture.file().text);
        let model = parse
            .file()
            .items()
            .find(|item| item.name().is_some_and(|name| name.text() == architecture.model));
        let model = model.unwrap_or_else(|| panic!("{} has no model", architecture.name));
        for (name, _) in architecture.defaults {
            let has = model
                .parameters()
                .any(|parameter| parameter.path().is_some_and(|path| path.text() == *name));
            assert!(has, "{} has no parameter {name}", architecture.name);
        }
    }
}
