//! Every file of the library checks, and has the models that it is found by.

use analysis::{Workspace, analyse};

#[test]
fn every_file_checks() {
    for file in library::FILES {
        let mut workspace = Workspace::default();
        let id = workspace.insert(file.path, syntax::parse(file.text));
        let analysis = analyse(&workspace, id, &Default::default());
        assert_eq!(analysis.diagnostics, [], "{}", file.path);
        let names: Vec<&str> = analysis.models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, file.architectures, "{}", file.path);
        let formatted = syntax::format::format(&syntax::parse(file.text));
        assert_eq!(formatted.as_deref(), Some(file.text), "{} is not formatted", file.path);
    }
}
