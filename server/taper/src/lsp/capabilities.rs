//! What the client can, and what the server says it can.

use std::path::PathBuf;

use serde_json::Value;
use tower_lsp::lsp_types::*;

use super::{convert::Encoding, view};

/// What is known of the client.
#[derive(Debug, Clone)]
pub struct ClientCapabilities {
    pub encoding: Encoding,
    /// It asks for diagnostics, so none are pushed.
    pub pulls_diagnostics: bool,
    /// It can be asked for its settings.
    pub configuration: bool,
    /// It can be told later that its settings should be watched.
    pub registers_configuration: bool,
    /// It watches files for us.
    pub watches_files: bool,
    /// What it can be asked to ask for again.
    pub refreshes: Refreshes,
    /// Places in hints may come with `inlayHint/resolve`.
    pub resolves_hint_locations: bool,
    /// Completions may have places to be filled in.
    pub snippets: bool,
    /// A completion may say what it inserts and what it replaces.
    pub insert_replace: bool,
    /// Locations may say what they are asked from.
    pub definition_links: bool,
    /// Edits may name the version that they are for.
    pub document_changes: bool,
    /// Edits may say what they mean.
    pub change_annotations: bool,
    /// Actions may say why they cannot be done.
    pub disabled_actions: bool,
    /// Whole lines are folded.
    pub folds_lines: bool,
    /// It can be asked to show a document.
    pub shows_documents: bool,
    /// It shows the progress of what it did not ask about.
    pub shows_progress: bool,
    /// It asks for the content of documents that the server makes.
    pub reads_content: bool,
}

/// What a client can be asked to ask for again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refreshes {
    pub inlay_hints: bool,
    pub diagnostics: bool,
    pub semantic_tokens: bool,
    pub code_lenses: bool,
}

impl Refreshes {
    pub fn any(self) -> bool {
        self.inlay_hints || self.diagnostics || self.semantic_tokens || self.code_lenses
    }
}

impl Default for ClientCapabilities {
    fn default() -> ClientCapabilities {
        client(&InitializeParams::default())
    }
}

/// What `initialize` says.
pub struct Initial {
    pub client: ClientCapabilities,
    pub folders: Vec<PathBuf>,
    /// The settings of a client that cannot be asked for them.
    pub options: Value,
}

/// What both sides can.
pub fn negotiate(params: InitializeParams) -> (InitializeResult, Initial) {
    let client = client(&params);
    let server_info = ServerInfo {
        name: "taper".to_owned(),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    };
    let result = InitializeResult { capabilities: server(&client), server_info: Some(server_info) };
    let folders = folders(&params);
    let options = params.initialization_options.unwrap_or(Value::Null);
    (result, Initial { client, folders, options })
}

/// The folders of the project; older clients name one root.
fn folders(params: &InitializeParams) -> Vec<PathBuf> {
    #[allow(deprecated)] // It is all that older clients send.
    let root = params.root_uri.clone();
    let folders = params.workspace_folders.clone().unwrap_or_default();
    let named = folders.into_iter().map(|folder| folder.uri);
    let uris: Vec<Url> = named.collect();
    let uris = if uris.is_empty() { root.into_iter().collect() } else { uris };
    uris.iter().filter_map(|uri| uri.to_file_path().ok()).collect()
}

fn client(params: &InitializeParams) -> ClientCapabilities {
    // Each group is the default where the client says nothing of it.
    let general = params.capabilities.general.clone().unwrap_or_default();
    let workspace = params.capabilities.workspace.clone().unwrap_or_default();
    let text = params.capabilities.text_document.clone().unwrap_or_default();
    let window = params.capabilities.window.clone().unwrap_or_default();
    let offered = general.position_encodings.unwrap_or_default();
    let preferred = [Encoding::Utf8, Encoding::Utf32, Encoding::Utf16];
    let encoding = preferred
        .into_iter()
        .find(|encoding| offered.contains(&encoding.kind()))
        .unwrap_or(Encoding::Utf16);
    let resolved = text
        .inlay_hint
        .and_then(|hint| hint.resolve_support)
        .map_or_else(Vec::new, |resolve| resolve.properties);
    let item = text.completion.and_then(|completion| completion.completion_item);
    let item = item.unwrap_or_default();
    let edit = workspace.workspace_edit.unwrap_or_default();
    let is_set = |set: Option<bool>| set.unwrap_or(false);
    let dynamic = |registration: Option<DynamicRegistrationClientCapabilities>| {
        is_set(registration.and_then(|registration| registration.dynamic_registration))
    };
    ClientCapabilities {
        encoding,
        pulls_diagnostics: text.diagnostic.is_some(),
        configuration: is_set(workspace.configuration),
        registers_configuration: dynamic(workspace.did_change_configuration),
        watches_files: is_set(
            workspace.did_change_watched_files.and_then(|watched| watched.dynamic_registration),
        ),
        refreshes: Refreshes {
            inlay_hints: is_set(workspace.inlay_hint.and_then(|hint| hint.refresh_support)),
            diagnostics: is_set(
                workspace.diagnostic.and_then(|diagnostic| diagnostic.refresh_support),
            ),
            semantic_tokens: is_set(
                workspace.semantic_tokens.and_then(|tokens| tokens.refresh_support),
            ),
            code_lenses: is_set(workspace.code_lens.and_then(|lens| lens.refresh_support)),
        },
        resolves_hint_locations: resolved
            .iter()
            .any(|property| matches!(property.as_str(), "label.location" | "location")),
        snippets: is_set(item.snippet_support),
        insert_replace: is_set(item.insert_replace_support),
        definition_links: is_set(text.definition.and_then(|definition| definition.link_support)),
        document_changes: is_set(edit.document_changes),
        change_annotations: edit.change_annotation_support.is_some(),
        disabled_actions: is_set(text.code_action.and_then(|action| action.disabled_support)),
        folds_lines: is_set(text.folding_range.and_then(|folding| folding.line_folding_only)),
        shows_progress: is_set(window.work_done_progress),
        shows_documents: window.show_document.is_some_and(|show| show.support),
        // The types do not know it yet; [`transport`](super::transport) puts it here.
        reads_content: params.capabilities.experimental.as_ref().is_some_and(|experimental| {
            experimental["textDocumentContent"]["dynamicRegistration"] == true
        }),
    }
}

/// The kinds of tokens, by their number in an answer.
pub const TOKEN_TYPES: [SemanticTokenType; 12] = [
    SemanticTokenType::KEYWORD,
    SemanticTokenType::COMMENT,
    SemanticTokenType::STRING,
    SemanticTokenType::NUMBER,
    SemanticTokenType::OPERATOR,
    SemanticTokenType::TYPE,
    SemanticTokenType::CLASS,
    SemanticTokenType::FUNCTION,
    SemanticTokenType::PARAMETER,
    SemanticTokenType::VARIABLE,
    SemanticTokenType::TYPE_PARAMETER,
    SemanticTokenType::PROPERTY,
];

/// What a token may be beside its kind, by the bit in an answer.
pub const TOKEN_MODIFIERS: [SemanticTokenModifier; 3] = [
    SemanticTokenModifier::DECLARATION,
    SemanticTokenModifier::DEFAULT_LIBRARY,
    SemanticTokenModifier::new("hot"),
];

/// The command that shows one of the server's documents; its argument is the address.
pub const SHOW: &str = "taper.show";

/// The command that measures; its argument says what.
pub const BENCHMARK: &str = "taper.benchmark";

fn server(client: &ClientCapabilities) -> ServerCapabilities {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let hints = InlayHintOptions { resolve_provider: Some(true), ..InlayHintOptions::default() };
    let diagnostics = DiagnosticOptions {
        identifier: Some("taper".to_owned()),
        inter_file_dependencies: true,
        workspace_diagnostics: false,
        ..DiagnosticOptions::default()
    };
    let folders = WorkspaceFoldersServerCapabilities {
        supported: Some(true),
        change_notifications: Some(OneOf::Left(true)),
    };
    let renamed = FileOperationRegistrationOptions { filters: vec![taper_files()] };
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
        completion_provider: Some(CompletionOptions {
            resolve_provider: Some(true),
            trigger_characters: words(&[".", "\"", "/"]),
            ..CompletionOptions::default()
        }),
        signature_help_provider: Some(SignatureHelpOptions {
            trigger_characters: words(&["(", ","]),
            retrigger_characters: words(&["="]),
            ..SignatureHelpOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        declaration_provider: Some(DeclarationCapability::Simple(true)),
        type_definition_provider: Some(TypeDefinitionProviderCapability::Simple(true)),
        references_provider: Some(OneOf::Left(true)),
        document_highlight_provider: Some(OneOf::Left(true)),
        document_symbol_provider: Some(OneOf::Left(true)),
        workspace_symbol_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![
                CodeActionKind::QUICKFIX,
                CodeActionKind::REFACTOR_EXTRACT,
                CodeActionKind::REFACTOR_INLINE,
                CodeActionKind::REFACTOR_REWRITE,
                CodeActionKind::EMPTY,
            ]),
            ..CodeActionOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: vec![SHOW.to_owned(), BENCHMARK.to_owned()],
            ..ExecuteCommandOptions::default()
        }),
        code_lens_provider: Some(CodeLensOptions { resolve_provider: Some(false) }),
        document_formatting_provider: Some(OneOf::Left(true)),
        document_range_formatting_provider: Some(OneOf::Left(true)),
        document_on_type_formatting_provider: Some(DocumentOnTypeFormattingOptions {
            first_trigger_character: "}".to_owned(),
            more_trigger_character: words(&["\n"]),
        }),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        document_link_provider: Some(DocumentLinkOptions {
            resolve_provider: Some(false),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        }),
        folding_range_provider: Some(FoldingRangeProviderCapability::Simple(true)),
        selection_range_provider: Some(SelectionRangeProviderCapability::Simple(true)),
        linked_editing_range_provider: Some(LinkedEditingRangeServerCapabilities::Simple(true)),
        call_hierarchy_provider: Some(CallHierarchyServerCapability::Simple(true)),
        semantic_tokens_provider: Some(
            SemanticTokensOptions {
                legend: SemanticTokensLegend {
                    token_types: TOKEN_TYPES.to_vec(),
                    token_modifiers: TOKEN_MODIFIERS.to_vec(),
                },
                range: Some(true),
                full: Some(SemanticTokensFullOptions::Delta { delta: Some(true) }),
                ..SemanticTokensOptions::default()
            }
            .into(),
        ),
        diagnostic_provider: client
            .pulls_diagnostics
            .then_some(DiagnosticServerCapabilities::Options(diagnostics)),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(folders),
            file_operations: Some(WorkspaceFileOperationsServerCapabilities {
                did_create: Some(renamed.clone()),
                did_rename: Some(renamed.clone()),
                did_delete: Some(renamed),
                ..WorkspaceFileOperationsServerCapabilities::default()
            }),
        }),
        ..ServerCapabilities::default()
    }
}

fn taper_files() -> FileOperationFilter {
    FileOperationFilter {
        scheme: Some("file".to_owned()),
        pattern: FileOperationPattern {
            glob: "**/*.taper".to_owned(),
            ..FileOperationPattern::default()
        },
    }
}

/// What the client should tell us of later: changes of files, and of settings.
pub fn registrations(client: &ClientCapabilities) -> Vec<Registration> {
    let mut registrations = Vec::new();
    let mut register = |method: &str, options: Value| {
        registrations.push(Registration {
            id: method.to_owned(),
            method: method.to_owned(),
            register_options: Some(options),
        });
    };
    if client.watches_files {
        let globs =
            ["**/*.taper", "**/config.json", "**/*.safetensors", "**/*.safetensors.index.json"];
        let watchers: Vec<Value> =
            globs.iter().map(|glob| serde_json::json!({ "globPattern": glob })).collect();
        register("workspace/didChangeWatchedFiles", serde_json::json!({ "watchers": watchers }));
    }
    if client.reads_content {
        let options = serde_json::json!({ "schemes": [view::SCHEME] });
        register("workspace/textDocumentContent", options);
    }
    if client.registers_configuration {
        register("workspace/didChangeConfiguration", serde_json::json!({ "section": "taper" }));
    }
    registrations
}
