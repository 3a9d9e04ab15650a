import { execFile } from 'node:child_process';
import * as path from 'node:path';
import * as vscode from 'vscode';

/** The scheme of a summary's address; its query is the address of the document. */
export const SUMMARY = 'taper-summary';

/** Shows the summary of a document as the server prints it, in a preview of Markdown. */
export class Summaries implements vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly server: () => string | undefined) {}

  async show(document: vscode.TextDocument): Promise<void> {
    const summary = document.uri.with({ scheme: SUMMARY, path: `${document.uri.path}.md`, query: `${document.uri}` });
    this.changed.fire(summary);
    await vscode.commands.executeCommand('markdown.showPreviewToSide', summary);
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(uri.query));
    const server = this.server();
    return server ? summarise(server, document) : "Taper's server is not here.";
  }
}

function summarise(server: string, document: vscode.TextDocument): Promise<string> {
  const isSaved = !document.isDirty && !document.isUntitled;
  const options = { cwd: document.isUntitled ? undefined : path.dirname(document.fileName), maxBuffer: 1 << 28 };
  return new Promise((resolve) => {
    const summary = ['summary', isSaved ? document.fileName : '-', '--format', 'markdown'];
    const child = execFile(server, summary, options, (_, printed, errors) => resolve(printed || errors));
    child.stdin?.end(document.getText());
  });
}
