// The client: it finds and starts the server, and gives its commands names. All that is shown is the server's.

import * as fs from 'node:fs';
import * as path from 'node:path';
import * as vscode from 'vscode';
import { LanguageClient, type LanguageClientOptions, type ServerOptions, State } from 'vscode-languageclient/node';
import { CheckpointEditor } from './checkpoint';
import { Progress } from './progress';
import { showDocument } from './report';
import { StatusBar } from './status';
import { SUMMARY, Summaries } from './summary';

/** Commands of the server. */
const SHOW = 'taper.show';
const BENCHMARK = 'taper.benchmark';

const CONFIG = '**/config.json';
const INDEX = '**/*.safetensors.index.json';

let client: LanguageClient | undefined;
const progress = new Progress(() => client);

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const summaries = new Summaries(() => findServer(context));
  const register = (name: string, run: (...args: never[]) => unknown) =>
    context.subscriptions.push(vscode.commands.registerCommand(name, run));
  register('taper.restart', () => restart(context));
  register('taper.showLayers', () => runLens('Show the layers of', SHOW));
  register('taper.showReport', showReport);
  register('taper.runBenchmark', () => runLens('Benchmark', BENCHMARK));
  register('taper.showSummary', () => {
    const document = vscode.window.activeTextEditor?.document;
    return document && summaries.show(document);
  });
  register('taper.compareWith', compareWith);
  register('taper.openExample', () => openExample(context));
  context.subscriptions.push(
    new StatusBar(),
    vscode.workspace.registerTextDocumentContentProvider(SUMMARY, summaries),
    vscode.window.registerCustomEditorProvider(
      'taper.checkpoint',
      new CheckpointEditor(() => client),
    ),
    vscode.workspace.onDidChangeConfiguration(
      (event) => event.affectsConfiguration('taper.server') && restart(context),
    ),
    // What was not trusted named no server.
    vscode.workspace.onDidGrantWorkspaceTrust(() => restart(context)),
  );
  await restart(context);
}

export async function deactivate(): Promise<void> {
  await client?.dispose();
}

async function restart(context: vscode.ExtensionContext): Promise<void> {
  const old = client;
  client = undefined;
  await old?.dispose();
  const server = findServer(context);
  if (server === undefined) {
    await explainMissingServer();
    return;
  }
  const options: ServerOptions = { command: server, args: ['lsp'] };
  client = new LanguageClient('taper', 'Taper', options, clientOptions());
  client.onDidChangeState((change) => change.newState === State.Stopped && progress.end());
  try {
    await client.start();
  } catch (error) {
    const message = `Taper's server ${server} does not start: ${error}`;
    if ((await vscode.window.showErrorMessage(message, 'Show Log')) !== undefined) {
      client.outputChannel.show();
    }
  }
}

function clientOptions(): LanguageClientOptions {
  return {
    documentSelector: [
      { language: 'taper' },
      { scheme: 'file', pattern: CONFIG },
      { scheme: 'file', pattern: INDEX },
    ],
    middleware: {
      // Other tools have files of this name too.
      didOpen: async (document, next) => {
        if (isModel(document)) await next(document);
      },
      handleWorkDoneProgress: progress.handle,
      window: { showDocument },
    },
  };
}

/** Whether a document has a model: a Taper file, an index of shards, or a config of Hugging Face's. */
function isModel(document: vscode.TextDocument): boolean {
  if (document.languageId === 'taper' || document.fileName.endsWith('.index.json')) return true;
  return /"(model_type|architectures)"/.test(document.getText());
}

/** The server: that of the environment, of the settings, of this extension, or of the path. */
function findServer(context: vscode.ExtensionContext): string | undefined {
  const name = process.platform === 'win32' ? 'taper.exe' : 'taper';
  const named = process.env['TAPER_SERVER'] || setting('server.path');
  if (named) return named;
  const bundled = context.asAbsolutePath(path.join('server', name));
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  const home = process.env['HOME'] ?? process.env['USERPROFILE'] ?? '';
  const installed = [...folders, path.join(home, '.cargo', 'bin')].map((folder) => path.join(folder, name));
  return [bundled, ...installed].find((file) => fs.existsSync(file));
}

function setting(name: string): string | undefined {
  return vscode.workspace.getConfiguration('taper').get<string>(name);
}

async function explainMissingServer(): Promise<void> {
  const message =
    "Taper's server is not here. Install it with `cargo xtask install` in a clone of Taper, or say where it is.";
  const answer = await vscode.window.showErrorMessage(message, 'Open Settings', 'Try Again');
  if (answer === 'Open Settings') {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'taper.server.path');
  } else if (answer === 'Try Again') {
    await vscode.commands.executeCommand('taper.restart');
  }
}

/** Runs the one of the server's lenses above a document with such a command; which, is asked. */
async function runLens(what: string, command: string): Promise<void> {
  const lens = await pick(what, command, vscode.window.activeTextEditor?.document.uri);
  if (lens?.command) {
    await vscode.commands.executeCommand(lens.command.command, ...(lens.command.arguments ?? []));
  }
}

async function pick(
  what: string,
  command: string,
  uri: vscode.Uri | undefined,
): Promise<vscode.CodeLens | undefined> {
  const all = uri ? await vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', uri) : [];
  const lenses = (all ?? []).filter((lens) => lens.command?.command === command);
  if (lenses.length === 0) {
    vscode.window.showInformationMessage('There is no model here.');
    return undefined;
  }
  const document = uri && (await vscode.workspace.openTextDocument(uri));
  const items = lenses.map((lens) => ({
    label: lens.command?.title ?? '',
    description: document?.lineAt(lens.range.start.line).text.trim().replace(/\s*\{$/, '') ?? '',
    lens,
  }));
  const chosen = items.length === 1 ? items[0] : await vscode.window.showQuickPick(items, { placeHolder: what });
  return chosen?.lens;
}

/** Opens the report of this document's model: it has the address of its layers, of another kind. */
async function showReport(): Promise<void> {
  const lens = await pick('Show the report of', SHOW, vscode.window.activeTextEditor?.document.uri);
  const address: unknown = lens?.command?.arguments?.[0];
  if (typeof address === 'string') {
    const report = address.replace(/^taper:\/\/layers/, 'taper://report').replace(/\.txt$/, '.html');
    await vscode.commands.executeCommand(SHOW, report);
  }
}

/** The table of the layers of this document's model beside that of another document's. */
async function compareWith(): Promise<void> {
  const here = vscode.window.activeTextEditor?.document.uri;
  const left = await pick('Compare', SHOW, here);
  if (!left) return;
  const files = await vscode.workspace.findFiles(`{**/*.taper,${CONFIG}}`, '**/node_modules/**');
  const items = files.map((uri) => ({ label: vscode.workspace.asRelativePath(uri), uri }));
  const other = await vscode.window.showQuickPick(items, { placeHolder: 'Compare with the model of' });
  const right = other && (await pick('Compare with', SHOW, other.uri));
  if (!right) return;
  const [from, to] = [left, right].map((lens) => vscode.Uri.parse(lens.command?.arguments?.[0]));
  await vscode.commands.executeCommand('vscode.diff', from, to, 'Layers');
}

async function openExample(context: vscode.ExtensionContext): Promise<void> {
  const text = await fs.promises.readFile(context.asAbsolutePath('media/tour.taper'), 'utf8');
  const document = await vscode.workspace.openTextDocument({ language: 'taper', content: text });
  await vscode.window.showTextDocument(document);
}
