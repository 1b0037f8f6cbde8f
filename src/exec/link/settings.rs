//! What is linked into every image: the list of wrapped names, our C, and where
//! the runtime is.
//! Must not know: the build that it is linked with.

use super::glue::{self, Glue, Kind};
use super::{LinkError, error::LinkError as Error};
use serde::Deserialize;
use std::path::PathBuf;

/// The runtime's file.
pub const RUNTIME: &str = "libbqlcheck.so";

/// What an image is made with, beside the build.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory with `libbqlcheck.so`.
    pub runtime: PathBuf,
    /// Functions of libc whose calls go to `__wrap_` and the name.
    pub wrap: Vec<String>,
    /// Our C.
    pub glue: Vec<Glue>,
    /// Accesses to memory are told to the runtime.
    pub races: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Libc {
    wrap: Vec<String>,
    /// Names that are not wrapped, and why not: for readers.
    #[serde(rename = "left")]
    _left: serde::de::IgnoredAny,
}

impl Settings {
    /// The built-in list and glue, and the runtime beside this executable.
    pub fn built_in() -> Result<Settings, LinkError> {
        let libc: Libc = serde_json::from_str(include_str!("../../../models/exec/libc.json"))
            .expect("built in, and read by a test");
        let own = std::env::current_exe().map_err(|error| {
            Error::new(format!("this executable cannot be found: {error}"), "mount /proc")
        })?;
        let folder = own.parent().expect("a file is in a directory");
        // Installed, it is beside us. cargo leaves it in deps/, where tests are, and
        // copies it beside us in some runs only: the newest is ours.
        let places = [folder.to_path_buf(), folder.join("deps"), folder.join("../deps")];
        let age = |place: &PathBuf| place.join(RUNTIME).metadata()?.modified();
        let found = places.into_iter().filter_map(|place| Some((age(&place).ok()?, place)));
        let runtime = found.max().map_or_else(|| folder.to_path_buf(), |(_, place)| place);
        Ok(Settings { runtime, wrap: libc.wrap, glue: glue::built_in(), races: false })
    }

    /// Whether the runtime is where it is looked for.
    pub(super) fn runtime_is_there(&self) -> Result<(), LinkError> {
        if self.runtime.join(RUNTIME).is_file() {
            return Ok(());
        }
        let message = format!("{RUNTIME} is not in {}", self.runtime.display());
        let help = format!("{RUNTIME} is built with bqlcheck and belongs beside it: copy both");
        Err(Error::new(message, help))
    }

    /// The same with what is asked to tell of data races.
    pub fn with_races(mut self) -> Settings {
        self.glue.push(glue::race());
        self.races = true;
        self
    }

    /// The same for a program that is no QEMU: without what needs QEMU's headers and
    /// wraps QEMU's own functions.
    pub fn without_qemu(mut self) -> Settings {
        self.glue.retain(|glue| glue.kind == Kind::Plain);
        self.wrap.retain(|name| name != "qemu_init");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_sound() {
        let names = Settings::built_in().expect("it can be read").wrap;
        let mut once = names.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), names.len(), "a name twice");
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(names.iter().all(plain));
        assert!(names.iter().any(|name| name == "main"));
    }
}
