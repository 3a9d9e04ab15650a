//! Diagnostics on a terminal and as JSON.

use analysis::{Diagnostic, Place, Severity, Workspace};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How the word `error` is written.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How a hint between the characters of a file is written.
pub const HINT: Style = AnsiColor::Cyan.on_default().dimmed().italic();

/// How the word `warning` is written.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Prints what is not as it might be to standard error.
pub fn warning(message: &str) {
    anstream::eprintln!("{}warning:{} {message}", WARNING.render(), WARNING.render_reset());
}

/// Prints diagnostics to standard error, as rustc does.
pub fn print(workspace: &Workspace, diagnostics: &[Diagnostic]) {
    let renderer = Renderer::styled();
    for diagnostic in diagnostics {
        let report = report(workspace, diagnostic);
        anstream::eprintln!("{}\n", renderer.render(&report));
    }
}

/// Prints what is wrong with a place to standard error, where that is no diagnostic.
pub fn error_at(workspace: &Workspace, message: &str, place: Place) {
    let annotation = AnnotationKind::Primary.span(span(workspace, place));
    let shown = snippet(workspace, place).annotation(annotation);
    let report = [Level::ERROR.primary_title(message).element(shown)];
    anstream::eprintln!("{}\n", Renderer::styled().render(&report));
}

fn report<'a>(workspace: &'a Workspace, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::NOTE.with_name("hint"),
    };
    // Places in one file are shown in one piece of it.
    let mut snippets = vec![(
        diagnostic.place.file,
        snippet(workspace, diagnostic.place)
            .annotation(AnnotationKind::Primary.span(span(workspace, diagnostic.place))),
    )];
    for (place, message) in &diagnostic.related {
        let annotation =
            AnnotationKind::Context.span(span(workspace, *place)).label(message.as_str());
        match snippets.iter().position(|(file, _)| *file == place.file) {
            Some(index) => {
                let (file, shown) = snippets.remove(index);
                snippets.insert(index, (file, shown.annotation(annotation)));
            }
            None => snippets.push((place.file, snippet(workspace, *place).annotation(annotation))),
        }
    }
    let group = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.number())
        .elements(snippets.into_iter().map(|(_, snippet)| snippet));
    let mut groups = vec![group];
    for fix in &diagnostic.fixes {
        let patches = fix
            .edits
            .iter()
            .map(|(place, text)| Patch::new(span(workspace, *place), text.as_str()));
        let Some((place, _)) = fix.edits.first() else { continue };
        let text = workspace.parse(place.file).text();
        let shown = Snippet::source(text).path(workspace.path(place.file)).patches(patches);
        groups.push(Level::HELP.secondary_title(fix.title.as_str()).element(shown));
    }
    groups
}

fn snippet(workspace: &Workspace, place: Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(workspace.parse(place.file).text()).path(workspace.path(place.file))
}

fn span(workspace: &Workspace, place: Place) -> std::ops::Range<usize> {
    let length = workspace.parse(place.file).text().len();
    let range = std::ops::Range::<usize>::from(place.range);
    range.start.min(length)..range.end.min(length)
}

/// A diagnostic in JSON.
#[derive(Serialize)]
pub struct Json {
    pub code: &'static str,
    pub severity: &'static str,
    pub message: String,
    pub file: String,
    pub range: JsonRange,
    pub related: Vec<JsonRelated>,
    pub fixes: Vec<JsonFix>,
}

/// A second place.
#[derive(Serialize)]
pub struct JsonRelated {
    file: String,
    range: JsonRange,
    message: String,
}

/// A way out.
#[derive(Serialize)]
pub struct JsonFix {
    title: String,
    edits: Vec<JsonEdit>,
}

#[derive(Serialize)]
struct JsonEdit {
    file: String,
    range: JsonRange,
    text: String,
}

/// Lines and columns from 1, columns in characters; the end is exclusive.
#[derive(Serialize)]
pub struct JsonRange {
    pub start: JsonPosition,
    pub end: JsonPosition,
}

#[derive(Serialize)]
pub struct JsonPosition {
    pub line: usize,
    pub column: usize,
}

impl Json {
    pub fn new(workspace: &Workspace, diagnostic: &Diagnostic) -> Json {
        let file = |place: &Place| workspace.path(place.file).to_owned();
        Json {
            code: diagnostic.code.number(),
            severity: match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Hint => "hint",
            },
            message: diagnostic.message.clone(),
            file: file(&diagnostic.place),
            range: range(workspace, diagnostic.place),
            related: diagnostic
                .related
                .iter()
                .map(|(place, message)| JsonRelated {
                    file: file(place),
                    range: range(workspace, *place),
                    message: message.clone(),
                })
                .collect(),
            fixes: diagnostic
                .fixes
                .iter()
                .map(|fix| JsonFix {
                    title: fix.title.clone(),
                    edits: fix
                        .edits
                        .iter()
                        .map(|(place, text)| JsonEdit {
                            file: file(place),
                            range: range(workspace, *place),
                            text: text.clone(),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

fn range(workspace: &Workspace, place: Place) -> JsonRange {
    let text = workspace.parse(place.file).text();
    let span = span(workspace, place);
    JsonRange { start: position(text, span.start), end: position(text, span.end) }
}

fn position(text: &str, offset: usize) -> JsonPosition {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    JsonPosition {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
