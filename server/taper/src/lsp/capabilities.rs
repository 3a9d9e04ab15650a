//! What the client can, and what the server says it can.

use tower_lsp::lsp_types::*;

use super::convert::Encoding;

/// What is known of the client.
#[derive(Debug, Clone, Copy)]
pub struct ClientCapabilities {
    pub encoding: Encoding,
    /// It asks for diagnostics, so none are pushed.
    pub pulls_diagnostics: bool,
}

pub fn negotiate(params: &InitializeParams) -> (InitializeResult, ClientCapabilities) {
    let offered = params
        .capabilities
        .general
        .as_ref()
        .and_then(|general| general.position_encodings.as_ref());
    let offered = offered.map_or(&[][..], Vec::as_slice);
    let preferred = [Encoding::Utf8, Encoding::Utf32, Encoding::Utf16];
    let encoding = preferred
        .into_iter()
        .find(|encoding| offered.contains(&encoding.kind()))
        .unwrap_or(Encoding::Utf16);
    let text_document = params.capabilities.text_document.as_ref();
    let pulls_diagnostics =
        text_document.is_some_and(|capabilities| capabilities.diagnostic.is_some());
    let client = ClientCapabilities { encoding, pulls_diagnostics };
    let server_info = ServerInfo {
        name: "taper".to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    (InitializeResult { capabilities: server(client), server_info: Some(server_info) }, client)
}

fn server(client: ClientCapabilities) -> ServerCapabilities {
    let hints = InlayHintOptions { resolve_provider: Some(true), ..InlayHintOptions::default() };
    let diagnostics = DiagnosticOptions {
        identifier: Some("taper".to_owned()),
        inter_file_dependencies: true,
        workspace_diagnostics: false,
        ..DiagnosticOptions::default()
    };
    ServerCapabilities {
        position_encoding: Some(client.encoding.kind()),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        inlay_hint_provider: Some(OneOf::Right(InlayHintServerCapabilities::Options(hints))),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        diagnostic_provider: client
            .pulls_diagnostics
            .then_some(DiagnosticServerCapabilities::Options(diagnostics)),
        ..ServerCapabilities::default()
    }
}
