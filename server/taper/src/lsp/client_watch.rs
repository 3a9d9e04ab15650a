//! Whether the client still lives.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

/// Tells when the client's process has ended: it may have been killed with the pipe still open.
#[derive(Clone)]
pub struct ClientWatch(Arc<Mutex<Option<oneshot::Sender<()>>>>);

impl ClientWatch {
    pub fn new() -> (ClientWatch, oneshot::Receiver<()>) {
        let (gone, receiver) = oneshot::channel();
        (ClientWatch(Arc::new(Mutex::new(Some(gone)))), receiver)
    }

    /// Watches a process on a thread of its own.
    pub fn start(&self, process: i32) {
        let gone = self.0.clone();
        std::thread::spawn(move || {
            let Ok(mut handle) = waitpid_any::WaitHandle::open(process) else { return };
            if handle.wait().is_ok()
                && let Some(gone) = gone.lock().ok().and_then(|mut gone| gone.take())
            {
                let _ = gone.send(());
            }
        });
    }
}
