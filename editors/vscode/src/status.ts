import * as vscode from 'vscode';

/** How long nothing was typed before the totals are asked for. */
const PAUSE = 300;

/** The totals of the model at the cursor, in the status bar; a click opens its layers. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('taper.totals', vscode.StatusBarAlignment.Right, 100);
  private readonly disposables: vscode.Disposable[] = [this.item];
  private timer: NodeJS.Timeout | undefined;

  constructor() {
    this.item.name = 'Taper: Totals';
    const later = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.update(), PAUSE);
    };
    this.disposables.push(
      vscode.window.onDidChangeActiveTextEditor(later),
      vscode.window.onDidChangeTextEditorSelection(later),
      vscode.workspace.onDidChangeTextDocument(later),
    );
    later();
  }

  private async update(): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const isTaper = editor && (editor.document.languageId === 'taper' || editor.document.fileName.endsWith('.json'));
    const lenses = isTaper
      ? await vscode.commands.executeCommand<vscode.CodeLens[]>('vscode.executeCodeLensProvider', editor.document.uri)
      : [];
    const line = editor?.selection.active.line ?? 0;
    const totals = (lenses ?? []).filter((lens) => lens.command?.command === 'taper.show');
    const lens = totals.filter((one) => one.range.start.line <= line).pop() ?? totals[0];
    if (!lens?.command) {
      this.item.hide();
      return;
    }
    // Above a config the totals stand beside the lens that shows the layers.
    const beside = lenses.find((one) => one.range.start.line === lens.range.start.line);
    const title = beside?.command?.title ?? lens.command.title;
    this.item.text = `$(symbol-structure) ${title.split(' · ').slice(0, 2).join(' · ')}`;
    this.item.tooltip = `${title}\nShow the layers`;
    this.item.command = lens.command;
    this.item.show();
  }

  dispose(): void {
    clearTimeout(this.timer);
    vscode.Disposable.from(...this.disposables).dispose();
  }
}
