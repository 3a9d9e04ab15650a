import * as vscode from 'vscode';
import type { ShowDocumentRequest } from 'vscode-languageclient';

/** A report that the server has for a browser opens in a panel: there may be no browser where the editor is. */
export const showDocument: ShowDocumentRequest.MiddlewareSignature = async (params, token, next) => {
  if (!params.external || !params.uri.endsWith('.html')) return next(params, token);
  const uri = vscode.Uri.parse(params.uri);
  const page = Buffer.from(await vscode.workspace.fs.readFile(uri)).toString('utf8');
  const name = uri.path.split('/').pop()?.replace(/\.html$/, '');
  const beside = vscode.ViewColumn.Beside;
  const panel = vscode.window.createWebviewPanel('taper.report', `Report of ${name}`, beside, { enableScripts: true });
  panel.webview.html = page;
  return { success: true };
};
