//! The face towards tower-lsp: each method sends one event and, for a request, waits for its
//! answer. No logic stands here, so nothing depends on which handler runs when.

use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use tower_lsp::{
    Client, LanguageServer,
    jsonrpc::{Error, ErrorCode, Result},
    lsp_types::{
        request::{
            GotoDeclarationParams, GotoDeclarationResponse, GotoTypeDefinitionParams,
            GotoTypeDefinitionResponse,
        },
        *,
    },
};

use super::{
    capabilities::{self, BENCHMARK, SHOW},
    client_watch::ClientWatch,
    documents::Kind,
    event::{Event, Job},
    log::Log,
    main_loop::MainLoop,
    requests::{self, Context},
    view::View,
    world::World,
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

    /// Asks for an answer from what is known at this point in the order of messages.
    async fn ask_world<P, R>(
        &self,
        uri: Option<Url>,
        params: P,
        answer: impl FnOnce(&World, P) -> Option<R> + Send + 'static,
    ) -> Result<Option<R>>
    where
        P: Send + 'static,
        R: Send + 'static,
    {
        self.wait(|job| Event::Request(uri, job), |world| answer(world, params)).await
    }

    /// Sends an event that computes an answer, and waits for it.
    async fn wait<R: Send + 'static>(
        &self,
        event: impl FnOnce(Job) -> Event,
        answer: impl FnOnce(&World) -> R + Send + 'static,
    ) -> Result<R> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |world| {
            // A request that was cancelled has dropped its receiver.
            if !sender.is_closed() {
                let _ = sender.send(answer(world));
            }
        });
        self.send(event(job));
        // A job that panicked has dropped its sender.
        receiver.await.map_err(|_| Error::internal_error())
    }

    /// Asks about a Taper file, if it is open.
    async fn ask<P, R>(
        &self,
        uri: &Url,
        params: P,
        answer: fn(Context<'_>, P) -> Option<R>,
    ) -> Result<Option<R>>
    where
        P: Send + 'static,
        R: Send + 'static,
    {
        self.ask_of(&[Kind::Taper], uri, params, answer).await
    }

    /// Asks about what has a model: a Taper file or a config, if it is open.
    async fn ask_model<P, R>(
        &self,
        uri: &Url,
        params: P,
        answer: fn(Context<'_>, P) -> Option<R>,
    ) -> Result<Option<R>>
    where
        P: Send + 'static,
        R: Send + 'static,
    {
        self.ask_of(&[Kind::Taper, Kind::Config], uri, params, answer).await
    }

    /// Asks about a document of these kinds, if it is open.
    async fn ask_of<P, R>(
        &self,
        kinds: &'static [Kind],
        uri: &Url,
        params: P,
        answer: fn(Context<'_>, P) -> Option<R>,
    ) -> Result<Option<R>>
    where
        P: Send + 'static,
        R: Send + 'static,
    {
        let asked = uri.clone();
        let about_document = move |world: &World, params| {
            let document = world.documents.get(&asked)?;
            let is_asked = kinds.contains(&document.kind());
            is_asked.then(|| answer(Context { world, document }, params)).flatten()
        };
        self.ask_world(Some(uri.clone()), params, about_document).await
    }

    /// The user wants no more of something that takes long: `window/workDoneProgress/cancel`.
    pub async fn cancel_progress(&self, params: WorkDoneProgressCancelParams) {
        if let NumberOrString::String(token) = params.token {
            self.send(Event::CancelBenchmark(token));
        }
    }

    /// The text of a document that the server makes: `workspace/textDocumentContent`.
    pub async fn text_document_content(&self, params: ContentParams) -> Result<Option<Content>> {
        let view = View::parse(&params.uri);
        let view = view.ok_or_else(|| Error::invalid_params("no document of this server"))?;
        let read = view.clone();
        let text = self.wait(|job| Event::Read(read, job), move |world| view.text(world)).await?;
        let text = refused(Some(text))?;
        Ok(text.map(|text| Content { text }))
    }
}

/// The document whose text is asked for.
#[derive(Deserialize)]
pub struct ContentParams {
    uri: Url,
}

/// Its text.
#[derive(Serialize)]
pub struct Content {
    text: String,
}

/// Every kind of document.
const ALL: &[Kind] = &[Kind::Taper, Kind::Config, Kind::Index];

/// A refusal in the user's words, as an editor shows it.
fn refused<R>(answer: Option<std::result::Result<R, String>>) -> Result<Option<R>> {
    answer.transpose().map_err(|message| Error {
        code: ErrorCode::ServerError(REQUEST_FAILED),
        message: message.into(),
        data: None,
    })
}

/// `RequestFailed` of the protocol.
const REQUEST_FAILED: i64 = -32803;

#[tower_lsp::async_trait]
impl LanguageServer for Backend {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        if let Some(process) = params.process_id.and_then(|process| i32::try_from(process).ok()) {
            self.watch.start(process);
        }
        let (result, initial) = capabilities::negotiate(params);
        self.send(Event::Initialize(Box::new(initial)));
        Ok(result)
    }

    async fn initialized(&self, _: InitializedParams) {
        self.send(Event::Initialized);
    }

    async fn shutdown(&self) -> Result<()> {
        let (sender, done) = oneshot::channel();
        self.send(Event::Shutdown(sender));
        // One that panicked has stopped nothing, and the server ends all the same.
        let _ = done.await;
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

    async fn did_save(&self, params: DidSaveTextDocumentParams) {
        self.send(Event::FilesChanged(vec![params.text_document.uri]));
    }

    async fn did_change_watched_files(&self, params: DidChangeWatchedFilesParams) {
        let uris = params.changes.into_iter().map(|change| change.uri);
        self.send(Event::FilesChanged(uris.collect()));
    }

    async fn did_create_files(&self, params: CreateFilesParams) {
        let uris = params.files.iter().filter_map(|file| file.uri.parse().ok());
        self.send(Event::FilesChanged(uris.collect()));
    }

    async fn did_rename_files(&self, params: RenameFilesParams) {
        let uris = params.files.iter().flat_map(|file| [&file.old_uri, &file.new_uri]);
        self.send(Event::FilesChanged(uris.filter_map(|uri| uri.parse().ok()).collect()));
    }

    async fn did_delete_files(&self, params: DeleteFilesParams) {
        let uris = params.files.iter().filter_map(|file| file.uri.parse().ok());
        self.send(Event::FilesChanged(uris.collect()));
    }

    async fn did_change_workspace_folders(&self, params: DidChangeWorkspaceFoldersParams) {
        let paths = |folders: Vec<WorkspaceFolder>| {
            folders.into_iter().filter_map(|folder| folder.uri.to_file_path().ok()).collect()
        };
        let (added, removed) = (paths(params.event.added), paths(params.event.removed));
        self.send(Event::Folders { added, removed });
    }

    async fn did_change_configuration(&self, params: DidChangeConfigurationParams) {
        self.send(Event::SettingsChanged(params.settings));
    }

    async fn inlay_hint(&self, params: InlayHintParams) -> Result<Option<Vec<InlayHint>>> {
        self.ask_model(&params.text_document.uri.clone(), params, requests::inlay_hints).await
    }

    async fn inlay_hint_resolve(&self, hint: InlayHint) -> Result<InlayHint> {
        let Some(uri) = requests::uri_of_hint(&hint) else { return Ok(hint) };
        let resolved = self.ask_model(&uri, hint.clone(), requests::resolve_inlay_hint).await?;
        Ok(resolved.unwrap_or(hint))
    }

    async fn hover(&self, params: HoverParams) -> Result<Option<Hover>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask_model(&uri, params, requests::hover).await
    }

    async fn diagnostic(
        &self,
        params: DocumentDiagnosticParams,
    ) -> Result<DocumentDiagnosticReportResult> {
        let uri = params.text_document.uri.clone();
        let report = self.ask_of(ALL, &uri, params, requests::diagnostics).await?;
        let nothing = || DocumentDiagnosticReport::Full(Default::default());
        Ok(report.unwrap_or_else(nothing).into())
    }

    async fn completion(&self, params: CompletionParams) -> Result<Option<CompletionResponse>> {
        let uri = params.text_document_position.text_document.uri.clone();
        self.ask(&uri, params, requests::completion).await
    }

    async fn completion_resolve(&self, item: CompletionItem) -> Result<CompletionItem> {
        let Some(uri) = requests::uri_of_completion(&item) else { return Ok(item) };
        let resolved = self.ask(&uri, item.clone(), requests::resolve_completion).await?;
        Ok(resolved.unwrap_or(item))
    }

    async fn signature_help(&self, params: SignatureHelpParams) -> Result<Option<SignatureHelp>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::signature_help).await
    }

    async fn goto_definition(
        &self,
        params: GotoDefinitionParams,
    ) -> Result<Option<GotoDefinitionResponse>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::definition).await
    }

    async fn goto_declaration(
        &self,
        params: GotoDeclarationParams,
    ) -> Result<Option<GotoDeclarationResponse>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::definition).await
    }

    async fn goto_type_definition(
        &self,
        params: GotoTypeDefinitionParams,
    ) -> Result<Option<GotoTypeDefinitionResponse>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::type_definition).await
    }

    async fn references(&self, params: ReferenceParams) -> Result<Option<Vec<Location>>> {
        let uri = params.text_document_position.text_document.uri.clone();
        self.ask(&uri, params, requests::references).await
    }

    async fn document_highlight(
        &self,
        params: DocumentHighlightParams,
    ) -> Result<Option<Vec<DocumentHighlight>>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::document_highlights).await
    }

    async fn document_symbol(
        &self,
        params: DocumentSymbolParams,
    ) -> Result<Option<DocumentSymbolResponse>> {
        self.ask(&params.text_document.uri.clone(), params, requests::document_symbols).await
    }

    async fn symbol(
        &self,
        params: WorkspaceSymbolParams,
    ) -> Result<Option<Vec<SymbolInformation>>> {
        self.ask_world(None, params, requests::workspace_symbols).await
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        self.ask_model(&params.text_document.uri.clone(), params, requests::code_actions).await
    }

    async fn code_lens(&self, params: CodeLensParams) -> Result<Option<Vec<CodeLens>>> {
        self.ask_of(ALL, &params.text_document.uri.clone(), params, requests::code_lenses).await
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        let argument = params.arguments.into_iter().next().unwrap_or(Value::Null);
        match params.command.as_str() {
            SHOW => {
                let uri = argument.as_str().and_then(|uri| Url::parse(uri).ok());
                let view = uri.as_ref().and_then(View::parse);
                let view = view.ok_or_else(|| Error::invalid_params("the address of a document"));
                self.send(Event::Show(view?));
            }
            BENCHMARK => {
                let params = serde_json::from_value(argument);
                let params = params.map_err(|error| Error::invalid_params(error.to_string()));
                self.send(Event::Benchmark(params?));
            }
            _ => return Err(Error::invalid_params("no such command")),
        }
        Ok(None)
    }

    async fn document_link(&self, params: DocumentLinkParams) -> Result<Option<Vec<DocumentLink>>> {
        self.ask(&params.text_document.uri.clone(), params, requests::document_links).await
    }

    async fn formatting(&self, params: DocumentFormattingParams) -> Result<Option<Vec<TextEdit>>> {
        self.ask(&params.text_document.uri.clone(), params, requests::formatting).await
    }

    async fn range_formatting(
        &self,
        params: DocumentRangeFormattingParams,
    ) -> Result<Option<Vec<TextEdit>>> {
        self.ask(&params.text_document.uri.clone(), params, requests::range_formatting).await
    }

    async fn on_type_formatting(
        &self,
        params: DocumentOnTypeFormattingParams,
    ) -> Result<Option<Vec<TextEdit>>> {
        let uri = params.text_document_position.text_document.uri.clone();
        self.ask(&uri, params, requests::on_type_formatting).await
    }

    async fn prepare_rename(
        &self,
        params: TextDocumentPositionParams,
    ) -> Result<Option<PrepareRenameResponse>> {
        let uri = params.text_document.uri.clone();
        refused(self.ask(&uri, params, requests::prepare_rename).await?)
    }

    async fn rename(&self, params: RenameParams) -> Result<Option<WorkspaceEdit>> {
        let uri = params.text_document_position.text_document.uri.clone();
        refused(self.ask(&uri, params, requests::rename).await?)
    }

    async fn linked_editing_range(
        &self,
        params: LinkedEditingRangeParams,
    ) -> Result<Option<LinkedEditingRanges>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::linked_editing).await
    }

    async fn folding_range(&self, params: FoldingRangeParams) -> Result<Option<Vec<FoldingRange>>> {
        self.ask(&params.text_document.uri.clone(), params, requests::folding_ranges).await
    }

    async fn selection_range(
        &self,
        params: SelectionRangeParams,
    ) -> Result<Option<Vec<SelectionRange>>> {
        self.ask(&params.text_document.uri.clone(), params, requests::selection_ranges).await
    }

    async fn prepare_call_hierarchy(
        &self,
        params: CallHierarchyPrepareParams,
    ) -> Result<Option<Vec<CallHierarchyItem>>> {
        let uri = params.text_document_position_params.text_document.uri.clone();
        self.ask(&uri, params, requests::prepare_call_hierarchy).await
    }

    async fn incoming_calls(
        &self,
        params: CallHierarchyIncomingCallsParams,
    ) -> Result<Option<Vec<CallHierarchyIncomingCall>>> {
        self.ask(&params.item.uri.clone(), params, requests::incoming_calls).await
    }

    async fn outgoing_calls(
        &self,
        params: CallHierarchyOutgoingCallsParams,
    ) -> Result<Option<Vec<CallHierarchyOutgoingCall>>> {
        self.ask(&params.item.uri.clone(), params, requests::outgoing_calls).await
    }

    async fn semantic_tokens_full(
        &self,
        params: SemanticTokensParams,
    ) -> Result<Option<SemanticTokensResult>> {
        self.ask(&params.text_document.uri.clone(), params, requests::tokens_full).await
    }

    async fn semantic_tokens_full_delta(
        &self,
        params: SemanticTokensDeltaParams,
    ) -> Result<Option<SemanticTokensFullDeltaResult>> {
        self.ask(&params.text_document.uri.clone(), params, requests::tokens_delta).await
    }

    async fn semantic_tokens_range(
        &self,
        params: SemanticTokensRangeParams,
    ) -> Result<Option<SemanticTokensRangeResult>> {
        self.ask(&params.text_document.uri.clone(), params, requests::tokens_range).await
    }
}
