//! QEMU's link command as words: what it reads, and the same with another output.
//! Must not know: our glue, glib, or which linker is best.

use super::{Build, LinkError, error::LinkError as Error, words};
use std::path::{Path, PathBuf};

/// The words of a link command, the compiler first.
#[derive(Debug)]
pub struct Command {
    /// Without `-o` and its file.
    pub words: Vec<String>,
    /// Response files that it names; `words` has them as they are.
    pub responses: Vec<PathBuf>,
}

impl Command {
    /// Splits the command of `build`, and refuses one whose calls cannot be caught.
    pub fn parse(build: &Build) -> Result<Command, LinkError> {
        let path = build.folder.join("build.ninja");
        let line = &build.link_command;
        let unreadable = |why: &str| Error::build(&path, &format!("{}: {why}", build.target));
        let all = words::split(line)
            .ok_or_else(|| unreadable("a quote in its link command is not closed"))?;
        if let Some(word) = all.iter().find(|word| matches!(&word[..], "&&" | "||" | ";" | "|")) {
            return Err(unreadable(&format!("its link command is several commands: {word}")));
        }
        let mut command = Command { words: Vec::new(), responses: Vec::new() };
        let mut output = false;
        let mut rest = all.into_iter();
        while let Some(word) = rest.next() {
            if word == "-o" {
                output = rest.next().is_some_and(|file| file == build.target);
                continue;
            }
            if let Some(file) = word.strip_prefix('@') {
                command.responses.push(build.folder.join(file));
            }
            command.words.push(word);
        }
        if command.words.is_empty() || !output {
            return Err(unreadable("its link command has no -o with its name"));
        }
        let flags = command.flags()?;
        for (flag, what) in [
            ("-flto", "link-time optimisation resolves calls before they can be wrapped"),
            ("-fsanitize=", "a sanitizer's runtime replaces the same functions"),
            ("-static", "a static libc cannot be shared with our runtime"),
        ] {
            let same = |word: &&String| match flag {
                "-static" => matches!(&word[..], "-static" | "-static-pie"),
                _ => word.starts_with(flag),
            };
            if let Some(word) = flags.iter().find(same) {
                let message = format!("{}: linked with {word}: {what}", build.target);
                let help = match word.ends_with("=thread") {
                    false => "configure a build directory without it",
                    true => {
                        "configure a build directory without it: --races compiles what it needs"
                    }
                };
                return Err(Error::new(message, help));
            }
        }
        Ok(command)
    }

    /// The compiler that links.
    pub fn compiler(&self) -> String {
        self.words[0].clone()
    }

    /// All words, those of response files too.
    fn flags(&self) -> Result<Vec<String>, LinkError> {
        let mut all = self.words.clone();
        for path in &self.responses {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                // The build makes it: that it is not finished is said elsewhere.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::build(path, &error.to_string())),
            };
            let unreadable = || Error::build(path, "a quote is not closed");
            all.extend(words::response(&text).ok_or_else(unreadable)?);
        }
        Ok(all)
    }

    /// The files that it reads, as far as its words are files, from `folder`.
    pub fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let words = self.flags().unwrap_or_default().into_iter().skip(1);
        let plain = words.filter(|word| !word.starts_with(['-', '@']));
        let files = plain.map(|word| folder.join(word)).filter(|path| path.is_file());
        files.chain(self.responses.iter().cloned()).collect()
    }
}
