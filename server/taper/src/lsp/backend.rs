//! The face towards tower-lsp: each method sends one event and, for a request, waits for its
//! answer. No logic stands here, so nothing depends on which handler runs when.

use std::sync::mpsc;

use tokio::sync::oneshot;
use tower_lsp::{
    Client, LanguageServer,
    jsonrpc::{Error, Result},
    lsp_types::*,
};

use super::{
    capabilities,
    documents::Document,
    main_loop::{Event, Job, MainLoop},
    requests,
    transport::{ClientWatch, Log},
};

pub struct Backend {
    events: mpsc::Sender<Event>,
    watch: ClientWatch,
}

impl Backend {
    pub fn new(client: Client, log: Log, watch: ClientWatch) -> Backend {
        let events = MainLoop::start(client, log);
        Backend { events, watch }
    }

    /// Sends an event. The main loop ends with the process, so somebody always receives it.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// Asks for an answer from the document's snapshot at this point in the order of messages.
    async fn ask<P, R>(
        &self,
        uri: Url,
        params: P,
        answer: fn(&Document, P) -> Option<R>,
    ) -> Result<Option<R>>
    where
        P: Send + 'static,
        R: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |document| {
            // A request that was cancelled has dropped its receiver.
            if !sender.is_closed() {
                let _ = sender.send(document.and_then(|document| answer(document, params)));
            }
        });
        self.send(Event::Request(uri, job));
        // A job that panicked has dropped its sender.
        receiver.await.map_err(|_| Error::internal_error())
    }
}

#[tower_lsp::async_trait]
impl LanguageServer for Backend {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        if let Some(process) = params.process_id.and_then(|process| i32::try_from(process).ok()) {
            self.watch.start(process);
        }
        let (result, client) = capabilities::negotiate(&params);
        self.send(Event::Initialize(client));
        Ok(result)
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }

    async fn did_open(&self, params: DidOpenTextDocumentParams) {
        self.send(Event::Open(params.text_document));
    }

    async fn did_change(&self, params: DidChangeTextDocumentParams) {
        self.send(Event::Change(params.text_document, params.content_changes));
    }

    async fn did_close(&self, params: DidCloseTextDocumentParams) {
        self.send(Event::Close(params.text_document.uri));
    }

    async fn did_save(&self, _: DidSaveTextDocumentParams) {
        self.send(Event::FilesChanged);
    }

    async fn did_change_watched_files(&self, _: DidChangeWatchedFilesParams) {
        self.send(Event::FilesChanged);
    }

    async fn did_change_configuration(&self, _: DidChangeConfigurationParams) {}

    async fn inlay_hint(&self, params: InlayHintParams) -> Result<Option<Vec<InlayHint>>> {
        self.ask(params.text_document.uri.clone(), params, requests::inlay_hints).await
    }

    async fn inlay_hint_resolve(&self, hint: InlayHint) -> Result<InlayHint> {
        let Some(uri) = requests::uri_of_hint(&hint) else { return Ok(hint) };
        let resolved = self.ask(uri, hint.clone(), requests::resolve_inlay_hint).await?;
        Ok(resolved.unwrap_or(hint))
    }

    async fn hover(&self, params: HoverParams) -> Result<Option<Hover>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(uri, params, requests::hover).await
    }

    async fn formatting(&self, params: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>> {
        self.ask(params.text_document.uri.clone(), params, requests::formatting).await
    }

    async fn diagnostic(
        &self,
        params: DocumentDiagnosticParams,
    ) -> Result<DocumentDiagnosticReportResult> {
        let uri = params.text_document.uri.clone();
        let items = self.ask(uri, params, requests::diagnostics).await?.unwrap_or_default();
        let full = FullDocumentDiagnosticReport { result_id: None, items };
        let report = RelatedFullDocumentDiagnosticReport {
            related_documents: None,
            full_document_diagnostic_report: full,
        };
        Ok(DocumentDiagnosticReport::Full(report).into())
    }
}
