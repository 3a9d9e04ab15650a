import * as vscode from 'vscode';
import {
  type Middleware,
  type ProgressToken,
  type WorkDoneProgressBegin,
  WorkDoneProgressCancelNotification,
  type WorkDoneProgressEnd,
  type WorkDoneProgressReport,
} from 'vscode-languageclient';
import type { LanguageClient } from 'vscode-languageclient/node';

/** Milliseconds between two messages: with each VS Code makes the button anew, and a click on the old one is lost. */
const PAUSE = 2000;

type Report = (value: WorkDoneProgressReport | WorkDoneProgressEnd) => void;

/** The server's work that can be cancelled, each as a notification with a button; by itself it is a word in the status bar. */
export class Progress {
  private readonly running = new Map<ProgressToken, Report>();

  constructor(private readonly client: () => LanguageClient | undefined) {}

  readonly handle: NonNullable<Middleware['handleWorkDoneProgress']> = (token, value, next) => {
    const report = this.running.get(token);
    if (report && value.kind !== 'begin') report(value);
    else if (value.kind === 'begin' && value.cancellable) this.begin(token, value);
    else next(token, value);
  };

  /** Ends what a server that is gone has begun. */
  end(): void {
    for (const report of [...this.running.values()]) report({ kind: 'end' });
  }

  private begin(token: ProgressToken, { title, message, percentage }: WorkDoneProgressBegin): void {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    let reached = 0;
    let said = 0;
    void vscode.window.withProgress(options, (progress, cancellation) => {
      cancellation.onCancellationRequested(() =>
        this.client()?.sendNotification(WorkDoneProgressCancelNotification.type, { token }),
      );
      return new Promise<void>((resolve) => {
        const report: Report = (value) => {
          if (value.kind === 'end') {
            this.running.delete(token);
            resolve();
            return;
          }
          const isNews = Date.now() - said > PAUSE;
          if (isNews) said = Date.now();
          const now = value.percentage ?? reached;
          progress.report({ message: isNews ? value.message : undefined, increment: now - reached });
          reached = now;
        };
        this.running.set(token, report);
        report({ kind: 'report', message, percentage });
      });
    });
  }
}
