//! Reading and writing messages through tower-lsp, hardened.
//!
//! tower-lsp 0.20 by itself loses order once a handler awaits, starves `$/cancelRequest`, can
//! deadlock on full queues, dies with a panicking handler, and does not end on `exit` while
//! standard input is open. What is done here against each stands beside it.

use std::{
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::FutureExt;
use serde_json::Value;
use tokio::sync::oneshot;
use tower_lsp::{
    LspService, Server,
    jsonrpc::{Error, Id, Request, Response},
};
use tower_service::Service;

use super::{backend::Backend, client_watch::ClientWatch, log::Log};

/// More handlers at once than a client has requests under way: a full queue could otherwise block
/// the reader, and with it the answers that would empty the queue.
const CONCURRENCY: usize = 1024;

/// Serves until the client says `exit`, closes the pipe or ends.
pub fn serve(log: Option<&Path>, client_process: Option<i32>) -> std::io::Result<ExitCode> {
    let log = Log::open(log)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (watch, client_gone) = ClientWatch::new();
    client_process.into_iter().for_each(|process| watch.start(process));

    let code = runtime.block_on(async {
        let (exit, exited) = oneshot::channel();
        let shut_down = Arc::new(AtomicBool::new(false));
        let (service, socket) =
            LspService::build(|client| Backend::new(client, log.clone(), watch))
                .custom_method("workspace/textDocumentContent", Backend::text_document_content)
                .custom_method("window/workDoneProgress/cancel", Backend::cancel_progress)
                .finish();
        let guarded =
            Guarded { inner: service, exit: Some(exit), shut_down: shut_down.clone(), log };
        let server = Server::new(tokio::io::stdin(), tokio::io::stdout(), socket);
        // In a task of its own, so that a panic in it ends the server and not the process.
        let serving = tokio::spawn(server.concurrency_level(CONCURRENCY).serve(guarded));
        tokio::select! {
            _ = serving => {}
            _ = exited => {}
            _ = client_gone => {}
        }
        if shut_down.load(Ordering::SeqCst) { 0 } else { 1 }
    });
    // tokio's thread for standard input cannot be stopped, so nothing waits for it.
    std::process::exit(code)
}

/// The service with its weak places closed.
struct Guarded<S> {
    inner: S,
    exit: Option<oneshot::Sender<()>>,
    shut_down: Arc<AtomicBool>,
    log: Log,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Option<Response>, E>> + Send>>;

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Option<Response>>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Option<Response>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Answer<S::Error> {
        let id = request.id().cloned();
        self.log.request(&request);
        self.shut_down.fetch_or(request.method() == "shutdown", Ordering::SeqCst);
        let exits = request.method() == "exit";

        let mut answer = Box::pin(self.inner.call(normalise(request)));
        if exits && let Some(exit) = self.exit.take() {
            // `serve` itself would wait for the end of standard input.
            let _ = exit.send(());
        }
        // A handler takes effect as its message is read: what it does before it first waits is
        // done in the order of the messages, and a cancellation needs no free place.
        let first = catch_unwind(AssertUnwindSafe(|| {
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        }));
        match first {
            Ok(Poll::Ready(result)) => Box::pin(ready(result)),
            Ok(Poll::Pending) => Box::pin(
                AssertUnwindSafe(answer)
                    .catch_unwind()
                    .map(move |result| result.unwrap_or_else(|_| panicked(id))),
            ),
            Err(_) => Box::pin(ready(panicked(id))),
        }
    }
}

/// A panicking handler loses its answer, not the server.
fn panicked<E>(id: Option<Id>) -> Result<Option<Response>, E> {
    Ok(id.map(|id| Response::from_error(id, Error::internal_error())))
}

/// Messages as tower-lsp and its types take them.
fn normalise(request: Request) -> Request {
    match request.method() {
        // Some clients send `null` or `{}`, which it refuses.
        "shutdown" | "exit" => {
            let (method, id, _) = request.into_parts();
            let request = Request::build(method);
            match id {
                Some(id) => request.id(id).finish(),
                None => request.finish(),
            }
        }
        "initialize" => {
            let (method, id, params) = request.into_parts();
            let mut request =
                Request::build(method).params(known_values(params.unwrap_or(Value::Null)));
            if let Some(id) = id {
                request = request.id(id);
            }
            request.finish()
        }
        _ => request,
    }
}

/// What newer clients say in `initialize` and the types do not know.
fn known_values(mut params: Value) -> Value {
    if let Some(trace) = params.get_mut("trace")
        && !matches!(trace.as_str(), Some("off" | "messages" | "verbose"))
    {
        *trace = "off".into();
    }
    // The types call it by the name that it had in a draft.
    if let Some(Value::Object(workspace)) = params.pointer_mut("/capabilities/workspace")
        && let Some(diagnostics) = workspace.remove("diagnostics")
    {
        workspace.entry("diagnostic").or_insert(diagnostics);
    }
    // What they do not know at all is kept where they keep everything.
    let content = params.pointer("/capabilities/workspace/textDocumentContent").cloned();
    if let (Some(content), Some(Value::Object(capabilities))) =
        (content, params.get_mut("capabilities"))
    {
        let experimental = capabilities.entry("experimental").or_insert(Value::Null);
        if !experimental.is_object() {
            *experimental = Value::Object(serde_json::Map::new());
        }
        experimental["textDocumentContent"] = content;
    }
    retain(
        &mut params,
        "/capabilities/textDocument/foldingRange/foldingRangeKind/valueSet",
        &["comment", "imports", "region"],
    );
    retain(
        &mut params,
        "/capabilities/workspace/workspaceEdit/resourceOperations",
        &["create", "rename", "delete"],
    );
    params
}

fn retain(params: &mut Value, pointer: &str, known: &[&str]) {
    if let Some(Value::Array(values)) = params.pointer_mut(pointer) {
        values.retain(|value| value.as_str().is_some_and(|value| known.contains(&value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service whose handlers panic, at once or after they have waited.
    struct Panics;

    impl Service<Request> for Panics {
        type Response = Option<Response>;
        type Error = std::convert::Infallible;
        type Future = Answer<Self::Error>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request) -> Self::Future {
            let (method, id, _) = request.into_parts();
            Box::pin(async move {
                assert_ne!(method, "at once");
                tokio::task::yield_now().await;
                assert_ne!(method, "later");
                Ok(id.map(|id| Response::from_ok(id, Value::Null)))
            })
        }
    }

    #[tokio::test]
    async fn a_panic_loses_one_answer() {
        let mut guarded =
            Guarded { inner: Panics, exit: None, shut_down: Arc::default(), log: Log::default() };
        for (number, method) in ["at once", "later", "never"].into_iter().enumerate() {
            let request = Request::build(method).id(number as i64).finish();
            let answer = guarded.call(request).await.expect("no failure").expect("an answer");
            let code = answer.error().map(|error| error.code.code());
            assert_eq!(code, (method != "never").then_some(-32603), "{method}");
        }
    }
}
