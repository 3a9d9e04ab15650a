//! Read-only documents that the server makes: a model's layers, a checkpoint's tensors, the files of
//! the library.
//!
//! A client that asks for the content of documents (`workspace/textDocumentContent` of LSP 3.18)
//! gets an address of the scheme `taper`; for any other the text is written to a file of the user's
//! cache.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};
use tower_lsp::lsp_types::{Url, request::Request};

use super::{convert::uri, pages, view::View, world::World};
use crate::commands::{inspect, summary};

/// `workspace/textDocumentContent/refresh`, which the types do not know yet.
pub enum ContentRefresh {}

/// The document whose content has changed.
#[derive(Debug, Deserialize, Serialize)]
pub struct ContentRefreshParams {
    pub uri: Url,
}

impl Request for ContentRefresh {
    type Params = ContentRefreshParams;
    type Result = ();
    const METHOD: &'static str = "workspace/textDocumentContent/refresh";
}

impl View {
    /// Its text as things are now, or why there is none.
    pub fn text(&self, world: &World) -> Result<String, String> {
        match self {
            View::Layers { path, model } => {
                let found = world.with_snapshot(path, |snapshot| {
                    snapshot.analysis().model(model).map(summary::layers)
                });
                found.flatten().ok_or_else(|| format!("{path} has no model `{model}` now"))
            }
            View::Report { path, model } => {
                let found = world.with_snapshot(path, |snapshot| {
                    snapshot.analysis().model(model).map(summary::report)
                });
                let page =
                    found.flatten().ok_or_else(|| format!("{path} has no model `{model}` now"))?;
                page.map_err(|error| error.to_string())
            }
            View::Tensors { path } => {
                let open = uri(path).and_then(|uri| world.documents.get(&uri));
                match open.and_then(|document| document.index()) {
                    Some(index) => index.as_ref().map(inspect::text).map_err(String::clone),
                    None => Ok(inspect::text(&*world.sources.weights(path)?)),
                }
            }
            View::Library { path } => {
                let file = library::FILES.iter().find(|file| file.path == path);
                let file = file.ok_or_else(|| format!("the library has no file {path}"))?;
                Ok(file.text.to_owned())
            }
        }
    }

    /// What the client can open: its address, or a file with its text.
    pub fn address(&self, world: &World) -> Result<Url, String> {
        let own = self.uri().ok_or("this has no address")?;
        if world.client.reads_content && !self.is_external() {
            return Ok(own);
        }
        let file = |view: &View, below: &Path| {
            pages::write(below, &view.text(world)?).map_err(|error| error.to_string())
        };
        let below = |uri: &Url| {
            let kind = uri.host_str().unwrap_or_default();
            PathBuf::from(kind).join(uri.path().trim_start_matches('/'))
        };
        // The files of the library use each other.
        static LIBRARY: OnceLock<()> = OnceLock::new();
        if matches!(self, View::Library { .. }) && LIBRARY.get().is_none() {
            for one in library::FILES {
                let path = one.path.to_owned();
                file(&View::Library { path }, &Path::new("library").join(one.path))?;
            }
            let _ = LIBRARY.set(());
        }
        let path = file(self, &below(&own))?;
        Url::from_file_path(path).map_err(|()| "the cache folder has no address".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_is_shown() {
        let path = || "/models/my llama/config.json".to_owned();
        for (view, uri) in [
            (
                View::Layers { path: path(), model: "Llama".to_owned() },
                "taper://layers/models/my%20llama/config.json/Llama.txt",
            ),
            (
                View::Report { path: path(), model: "Llama".to_owned() },
                "taper://report/models/my%20llama/config.json/Llama.html",
            ),
            (View::Tensors { path: path() }, "taper://tensors/models/my%20llama/config.json.txt"),
            (
                View::Library { path: "huggingface/llama.taper".to_owned() },
                "taper://library/huggingface/llama.taper",
            ),
        ] {
            let own = view.uri().expect("an address");
            assert_eq!(own.as_str(), uri);
            assert_eq!(View::parse(&own), Some(view));
        }
        assert_eq!(View::parse(&Url::parse("taper://other/x.txt").expect("an address")), None);
    }
}
