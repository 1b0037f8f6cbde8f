//! Static glib in place of the shared one, so that its state lies in the image's
//! own memory and its calls of libc are wrapped too.
//! Must not know: anything else of the link.

use super::command::Command as Link;
use super::{LinkError, error::LinkError as Error};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: [&str; 4] = ["glib-2.0", "gobject-2.0", "gmodule-2.0", "gio-2.0"];

/// The words of the link command that are to be replaced, each with what goes
/// in its place.
pub type Replacements = BTreeMap<String, Vec<String>>;

/// Which of glib's libraries `word` links, if any.
fn library(word: &str) -> Option<&'static str> {
    let name = match word.strip_prefix("-l") {
        Some(name) => name,
        None => {
            let file = Path::new(word).file_name()?.to_str()?;
            let (name, _) = file.strip_prefix("lib")?.split_once(".so")?;
            name
        }
    };
    NAMES.into_iter().find(|known| *known == name)
}

/// What pkg-config says.
fn ask(arguments: &[&str]) -> Result<String, LinkError> {
    let output = Command::new("pkg-config")
        .args(arguments)
        .output()
        .map_err(|error| Error::program("pkg-config", "pkg-config", &error))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if output.status.success() {
        return Ok(text);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = said.lines().next().unwrap_or("no reason given");
    let message = format!("pkg-config {}: {said}", arguments.join(" "));
    Err(Error::new(message, "install it: apt-get install libglib2.0-dev"))
}

/// The archive of `name`, which stands beside its shared library.
fn archive(name: &str, word: &str) -> Result<PathBuf, LinkError> {
    let file = format!("lib{name}.a");
    let beside = Path::new(word).parent().filter(|_| !word.starts_with("-l"));
    let folder = match beside {
        Some(folder) => folder.to_path_buf(),
        None => PathBuf::from(ask(&["--variable=libdir", name])?),
    };
    let path = folder.join(&file);
    if path.is_file() {
        return Ok(path);
    }
    let message = format!("{}: static glib is not there", path.display());
    Err(Error::new(message, "install it: apt-get install libglib2.0-dev"))
}

/// What to put in place of glib's shared libraries. Those of `command` that are
/// not glib's stay.
pub fn replacements(command: &Link) -> Result<Replacements, LinkError> {
    let mut all = Replacements::new();
    for word in &command.words {
        let Some(name) = library(word).filter(|_| !all.contains_key(word)) else { continue };
        let mut words = vec![archive(name, word)?.display().to_string()];
        // What the archive needs; the other libraries of glib once more as archives.
        for need in ask(&["--static", "--libs", name])?.split_whitespace() {
            match library(need) {
                Some(same) if same == name => {}
                Some(other) => words.push(archive(other, need)?.display().to_string()),
                None => words.push(need.to_string()),
            }
        }
        all.insert(word.clone(), words);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glib_is_told_from_other_libraries() {
        assert_eq!(library("-lglib-2.0"), Some("glib-2.0"));
        assert_eq!(library("/usr/lib/libgio-2.0.so"), Some("gio-2.0"));
        assert_eq!(library("/usr/lib/libglib-2.0.so.0"), Some("glib-2.0"));
        for other in ["-lfdt", "/usr/lib/libz.so", "libglib-2.0.a", "-lglib-2", "glib-2.0"] {
            assert_eq!(library(other), None, "{other}");
        }
    }
}
