//! What cargo cannot do by itself: `cargo xtask install`, `dist`, `editors`.

// What it says goes to whoever ran it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod circles;
mod sizes;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;

/// What a step of a task gives; the error is for a person.
type Result<T = ()> = std::result::Result<T, String>;

/// Builds, installs and packs Taper.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Build the server and install it, with the clients that are asked for.
    Install {
        /// The extension of VS Code, with the server inside; needs Node 20 and `code`.
        #[arg(long)]
        vscode: bool,
        /// The plugin of Neovim 0.11 or newer.
        #[arg(long)]
        nvim: bool,
    },
    /// Make everything that is given to users, into `dist/`; needs Node 20 for VS Code's extensions.
    Dist,
    /// Try the clients in real editors (Debian; what is missing is installed below `target/`).
    Editors {
        /// Take the pictures of the documents anew.
        #[arg(long)]
        pictures: bool,
    },
    /// Draw what a terminal shows, from stdin to stdout.
    Svg,
    /// Name modules of a crate that need each other in a circle.
    Circles,
    /// List files, functions and lists of parameters that are long.
    Sizes,
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Install { vscode, nvim } => install(vscode, nvim),
        Task::Dist => dist(),
        Task::Editors { pictures } => editors(pictures),
        Task::Svg => svg(),
        Task::Circles => circles::check(),
        Task::Sizes => sizes::print(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn install(vscode: bool, nvim: bool) -> Result {
    run(cargo().args(["install", "--locked", "--path", "server/taper"]))?;
    if nvim {
        install_nvim()?;
    }
    if vscode {
        let package = package_vscode(Some(&server()?))?;
        run(Command::new(script("code")).arg("--install-extension").arg(&package).arg("--force"))?;
        println!("installed for VS Code; open a `.taper` file");
    }
    Ok(())
}

/// Copies the plugin to where Neovim finds packages.
fn install_nvim() -> Result {
    let ask = "lua io.write(vim.fn.has('nvim-0.11'), ' ', vim.fn.stdpath('data'))";
    let asked =
        output(Command::new("nvim").args(["--clean", "--headless", "-c", ask, "-c", "qall!"]))?;
    let data = match asked.split_once(' ') {
        Some(("1", data)) => PathBuf::from(data.trim()),
        _ => return Err("Neovim 0.11 or newer is needed, and `nvim` is older".to_owned()),
    };
    let to = data.join("site/pack/taper/start/taper");
    if to.exists() {
        fs::remove_dir_all(&to).map_err(at(&to))?;
    }
    copy_folder(&root().join("editors/nvim"), &to)?;
    println!("installed for Neovim in {}; open a `.taper` file", to.display());
    Ok(())
}

fn dist() -> Result {
    let dist = root().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(at(&dist))?;
    }
    fs::create_dir_all(&dist).map_err(at(&dist))?;
    let target = target()?;
    let server = server()?;
    archive(
        &dist.join(format!("taper-{target}.tar.gz")),
        &[
            (&server, "taper"),
            (&root().join("LICENSE-MIT"), "LICENSE-MIT"),
            (&root().join("LICENSE-APACHE"), "LICENSE-APACHE"),
            (&root().join("README.md"), "README.md"),
        ],
    )?;
    archive(&dist.join("taper-nvim.tar.gz"), &[(&root().join("editors/nvim"), "taper")])?;
    let grammar = root().join("editors/tree-sitter-taper");
    archive(&dist.join("tree-sitter-taper.tar.gz"), &[(&grammar, "tree-sitter-taper")])?;
    for with in [Some(server.as_path()), None] {
        let package = package_vscode(with)?;
        let to = dist.join(package.file_name().unwrap_or_default());
        fs::rename(&package, &to).map_err(at(&to))?;
    }
    for file in fs::read_dir(&dist).map_err(at(&dist))?.flatten() {
        let bytes = file.metadata().map_err(at(&file.path()))?.len();
        println!("{} {bytes} bytes", file.path().display());
    }
    Ok(())
}

fn editors(pictures: bool) -> Result {
    for script in ["nvim.sh", "vscode.sh"] {
        let folder = pictures.then_some("docs/images");
        run(Command::new("bash").arg(Path::new("tests/editors").join(script)).args(folder))?;
    }
    Ok(())
}

fn svg() -> Result {
    let shown = io::read_to_string(io::stdin()).map_err(|error| format!("stdin: {error}"))?;
    println!("{}", anstyle_svg::Term::new().render_svg(&shown));
    Ok(())
}

/// The server, built.
fn server() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--locked", "--package", "taper"]))?;
    let folder = env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    Ok(folder.join("release").join(format!("taper{}", env::consts::EXE_SUFFIX)))
}

/// An extension for VS Code: for this platform with the server inside, or for all without.
fn package_vscode(server: Option<&Path>) -> Result<PathBuf> {
    let folder = root().join("editors/vscode");
    let npm =
        |arguments: &[&str]| run(Command::new(script("npm")).args(arguments).current_dir(&folder));
    npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])?;
    copy(&root().join("examples/tour.taper"), &folder.join("media/tour.taper"))?;
    copy(&root().join("LICENSE-MIT"), &folder.join("LICENSE-MIT"))?;
    copy(&root().join("LICENSE-APACHE"), &folder.join("LICENSE-APACHE"))?;
    let inside = folder.join("server");
    if inside.exists() {
        fs::remove_dir_all(&inside).map_err(at(&inside))?;
    }
    let mut arguments = vec!["exec", "--", "vsce", "package", "--skip-license"];
    arguments.extend(["--no-dependencies", "--allow-missing-repository", "--out"]);
    let platform = platform();
    let package = match server {
        Some(server) => {
            fs::create_dir_all(&inside).map_err(at(&inside))?;
            copy(server, &inside.join(server.file_name().unwrap_or_default()))?;
            format!("taper-{platform}.vsix")
        }
        None => "taper.vsix".to_owned(),
    };
    arguments.push(&package);
    if server.is_some() {
        arguments.extend(["--target", &platform]);
    }
    npm(&arguments)?;
    Ok(folder.join(package))
}

/// As VS Code calls this platform.
fn platform() -> String {
    let system = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{processor}")
}

/// As Rust calls this platform.
fn target() -> Result<String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

/// Packs files and folders under new names; `tar` is on every platform.
fn archive(to: &Path, content: &[(&Path, &str)]) -> Result {
    let folder = to.with_extension("folder");
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    for (from, name) in content {
        let to = folder.join(name);
        if from.is_dir() { copy_folder(from, &to)? } else { copy(from, &to)? }
    }
    let names = content.iter().map(|(_, name)| name);
    run(Command::new("tar").arg("-czf").arg(to).arg("-C").arg(&folder).args(names))?;
    fs::remove_dir_all(&folder).map_err(at(&folder))
}

/// Copies what git knows of a folder, and nothing that was made there.
fn copy_folder(from: &Path, to: &Path) -> Result {
    let files = output(Command::new("git").args(["ls-files", "."]).current_dir(from))?;
    for file in files.lines() {
        copy(&from.join(file), &to.join(file))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::copy(from, to).map(drop).map_err(at(from))
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A program that is a script on Windows.
fn script(name: &str) -> String {
    if cfg!(windows) { format!("{name}.cmd") } else { name.to_owned() }
}

/// Runs a command in the root of the repository, unless it says where.
fn run(command: &mut Command) -> Result {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let status = command.status().map_err(cannot_run(command))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(command))) }
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let done = command.output().map_err(cannot_run(command))?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{} failed: {}\n{errors}", shown(command), done.status));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("{} printed no text", shown(command)))
}

fn cannot_run(command: &Command) -> impl Fn(io::Error) -> String + use<> {
    let shown = shown(command);
    move |error| format!("{shown} cannot be run: {error}")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    format!("`{}`", words.join(" "))
}

fn at(path: &Path) -> impl Fn(io::Error) -> String + use<> {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
