//! Diagnostics, asked for and pushed.

use analysis::{Code, Severity};
use checkpoint::Checkpoint;
use syntax::TextRange;
use tower_lsp::lsp_types::*;

use super::Context;
use crate::lsp::{documents::Document, pages, world::World};

/// All diagnostics of a document, or that they are those of the client's last answer.
pub fn diagnostics(
    context: Context<'_>,
    params: DocumentDiagnosticParams,
) -> Option<DocumentDiagnosticReport> {
    let state = context.document.state.to_string();
    if params.previous_result_id.as_ref() == Some(&state) {
        let unchanged = UnchangedDocumentDiagnosticReport { result_id: state };
        return Some(DocumentDiagnosticReport::Unchanged(
            RelatedUnchangedDocumentDiagnosticReport {
                related_documents: None,
                unchanged_document_diagnostic_report: unchanged,
            },
        ));
    }
    let items = all_diagnostics(context.world, context.document);
    Some(DocumentDiagnosticReport::Full(RelatedFullDocumentDiagnosticReport {
        related_documents: None,
        full_document_diagnostic_report: FullDocumentDiagnosticReport {
            result_id: Some(state),
            items,
        },
    }))
}

/// What is wrong in a document itself; what is wrong in files it uses is shown there.
pub fn all_diagnostics(world: &World, document: &Document) -> Vec<Diagnostic> {
    if let Some(checkpoint) = document.index() {
        return of_index(document, checkpoint);
    }
    let snapshot = document.snapshot();
    let shown = snapshot.shown_file();
    let own = snapshot.analysis().diagnostics.iter().filter(|found| found.place.file == shown);
    own.map(|found| diagnostic(world, document, found)).collect()
}

/// What is wrong with a checkpoint, in its index.
fn of_index(document: &Document, checkpoint: &Result<Checkpoint, String>) -> Vec<Diagnostic> {
    let of_weights = |range, message| Diagnostic {
        range: document.range(range),
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String(Code::WeightsFile.number().to_owned())),
        code_description: pages::link(Code::WeightsFile),
        source: Some("taper".to_owned()),
        message,
        ..Diagnostic::default()
    };
    match checkpoint {
        Ok(checkpoint) => ide::index_problems(document.text(), checkpoint)
            .into_iter()
            .map(|(range, message)| of_weights(range, message))
            .collect(),
        Err(message) => vec![of_weights(TextRange::default(), message.clone())],
    }
}

fn diagnostic(world: &World, document: &Document, found: &analysis::Diagnostic) -> Diagnostic {
    let severity = match found.severity {
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
        Severity::Hint => DiagnosticSeverity::HINT,
    };
    let related = found.related.iter().filter_map(|(place, message)| {
        Some(DiagnosticRelatedInformation {
            location: world.location(&document.snapshot().workspace, *place)?,
            message: message.clone(),
        })
    });
    Diagnostic {
        range: document.range(found.place.range),
        severity: Some(severity),
        code: Some(NumberOrString::String(found.code.number().to_owned())),
        code_description: pages::link(found.code),
        source: Some("taper".to_owned()),
        message: found.message.clone(),
        related_information: Some(related.collect()),
        tags: (found.code == analysis::Code::Unused).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..Diagnostic::default()
    }
}
