//! Our C, compiled: plain files with the compiler alone, those that include
//! QEMU's headers with the flags of migration/ram.c.
//! Must not know: what the C is for.

use super::{Build, LinkError, Settings, error::LinkError as Error};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a file of C includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// libc's headers only.
    Plain,
    /// QEMU's headers, as migration/ram.c.
    Qemu,
}

/// A file of C of our own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glue {
    /// As `stdio.c`.
    pub name: String,
    pub text: String,
    pub kind: Kind,
}

/// The flags of plain files.
const PLAIN: [&str; 6] = ["-O2", "-g", "-fPIE", "-std=gnu11", "-D_GNU_SOURCE", "-Wall"];

/// Those that are linked into every image.
pub(super) fn built_in() -> Vec<Glue> {
    let plain =
        |name: &str, text: &str| Glue { name: name.into(), text: text.into(), kind: Kind::Plain };
    let qemu =
        |name: &str, text: &str| Glue { name: name.into(), text: text.into(), kind: Kind::Qemu };
    vec![
        qemu("device.c", include_str!("../glue/qemu/device.c")),
        qemu("mmio.c", include_str!("../glue/qemu/mmio.c")),
        qemu("guest.c", include_str!("../glue/qemu/guest.c")),
        qemu("pages.c", include_str!("../glue/qemu/pages.c")),
        qemu("state.c", include_str!("../glue/qemu/state.c")),
        plain("main.c", include_str!("../glue/main.c")),
        plain("memory.c", include_str!("../glue/memory.c")),
        plain("stdio.c", include_str!("../glue/stdio.c")),
        plain("variadic.c", include_str!("../glue/variadic.c")),
    ]
}

/// The hooks of `--races`.
pub(super) fn race() -> Glue {
    let text = include_str!("../glue/race.c").into();
    Glue { name: "race.c".into(), text, kind: Kind::Plain }
}

/// Compiles all of them; the objects lie in `cache`.
pub(super) fn compile(
    build: &Build,
    cache: &Path,
    settings: &Settings,
) -> Result<Vec<PathBuf>, LinkError> {
    let cache = cache.canonicalize().map_err(|error| Error::cache(cache, &error))?;
    // Not the one that links, which is C++'s in QEMU 7.2; it may be `ccache cc`.
    let flag = |word: &String| word.starts_with('-');
    let (compiler, _) =
        build.compile.split_at(build.compile.iter().position(flag).unwrap_or(build.compile.len()));
    let mut objects = Vec::new();
    for glue in &settings.glue {
        let source = cache.join(&glue.name);
        let object = source.with_extension("o");
        std::fs::write(&source, &glue.text).map_err(|error| Error::cache(&source, &error))?;
        let mut command = Command::new(&build.compile[0]);
        match glue.kind {
            Kind::Plain => command.args(&compiler[1..]).args(PLAIN),
            Kind::Qemu => command.args(&build.compile[1..]),
        };
        command.args(["-Werror=implicit-function-declaration", "-c"]).arg(&source);
        // Messages are read by us: the wording must not depend on the language.
        command.arg("-o").arg(&object).current_dir(&build.folder).env("LC_ALL", "C");
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().map_err(|error| Error::compiler(&program, &error))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if let Some(full) = Error::full(&cache, &text) {
                return Err(full);
            }
            let line = text.lines().find(|line| line.contains("error:"));
            let line = line.or_else(|| text.lines().next()).unwrap_or("no reason given");
            let why = line.split_once("error: ").map_or(line, |(_, why)| why);
            let message = format!("src/exec/glue/{}: it does not compile: {why}", glue.name);
            let help = format!("it was written to {}", source.display());
            return Err(Error::new(message, help));
        }
        objects.push(object);
    }
    Ok(objects)
}
