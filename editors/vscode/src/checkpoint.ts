import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** Shows a safetensors file by the server's document of its tensors. */
export class CheckpointEditor implements vscode.CustomReadonlyEditorProvider {
  constructor(private readonly client: () => LanguageClient | undefined) {}

  openCustomDocument(uri: vscode.Uri): vscode.CustomDocument {
    return { uri, dispose() {} };
  }

  async resolveCustomEditor(document: vscode.CustomDocument, panel: vscode.WebviewPanel): Promise<void> {
    const show = async () => {
      panel.webview.html = page(await this.text(document.uri).catch((error) => String(error)));
    };
    const watcher = vscode.workspace.createFileSystemWatcher(document.uri.fsPath);
    watcher.onDidChange(show);
    panel.onDidDispose(() => watcher.dispose());
    await show();
  }

  private async text(uri: vscode.Uri): Promise<string> {
    const client = this.client();
    if (!client) return "Taper's server does not run.";
    const tensors = vscode.Uri.from({ scheme: 'taper', authority: 'tensors', path: `${uri.path}.txt` });
    const answer = await client.sendRequest<{ text: string }>('workspace/textDocumentContent', {
      uri: tensors.toString(),
    });
    return answer.text;
  }
}

function page(text: string): string {
  const escaped = text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  const policy = `default-src 'none'; style-src 'unsafe-inline'`;
  const style = 'pre { font-family: var(--vscode-editor-font-family); font-size: var(--vscode-editor-font-size); }';
  return `<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy" content="${policy}">
<style>${style}</style></head><body><pre>${escaped}</pre></body></html>`;
}
