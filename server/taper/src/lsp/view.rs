//! The address of a document that the server makes.

use tower_lsp::lsp_types::Url;

/// The scheme of their addresses.
pub const SCHEME: &str = "taper";

/// A document that the server makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// The table of a model of a document.
    Layers { path: String, model: String },
    /// The report of a model of a document, for a browser.
    Report { path: String, model: String },
    /// The tensors of a checkpoint by module.
    Tensors { path: String },
    /// A file of the library.
    Library { path: String },
}

impl View {
    /// The file of the library that a workspace knows by a path.
    pub fn of_library(path: &str) -> Option<View> {
        let path = path.strip_prefix(library::PREFIX)?;
        Some(View::Library { path: path.to_owned() })
    }

    /// Its address, as `taper://layers/models/config.json/LlamaForCausalLM.txt`.
    pub fn uri(&self) -> Option<Url> {
        let (kind, path) = match self {
            View::Layers { path, model } => ("layers", format!("{}/{model}.txt", encoded(path)?)),
            View::Report { path, model } => ("report", format!("{}/{model}.html", encoded(path)?)),
            View::Tensors { path } => ("tensors", format!("{}.txt", encoded(path)?)),
            View::Library { path } => ("library", format!("/{path}")),
        };
        Url::parse(&format!("{SCHEME}://{kind}{path}")).ok()
    }

    /// The document of an address.
    pub fn parse(uri: &Url) -> Option<View> {
        if uri.scheme() != SCHEME {
            return None;
        }
        Some(match uri.host_str()? {
            "layers" => {
                let (path, model) = uri.path().strip_suffix(".txt")?.rsplit_once('/')?;
                View::Layers { path: decoded(path)?, model: model.to_owned() }
            }
            "report" => {
                let (path, model) = uri.path().strip_suffix(".html")?.rsplit_once('/')?;
                View::Report { path: decoded(path)?, model: model.to_owned() }
            }
            "tensors" => View::Tensors { path: decoded(uri.path().strip_suffix(".txt")?)? },
            "library" => View::Library { path: uri.path().trim_start_matches('/').to_owned() },
            _ => return None,
        })
    }

    /// It is opened by another program than the editor.
    pub fn is_external(&self) -> bool {
        matches!(self, View::Report { .. })
    }
}

/// A path as it stands in an address.
fn encoded(path: &str) -> Option<String> {
    Some(Url::from_file_path(path).ok()?.path().to_owned())
}

fn decoded(path: &str) -> Option<String> {
    let path = Url::parse(&format!("file://{path}")).ok()?.to_file_path().ok()?;
    Some(crate::files::key(&path))
}
