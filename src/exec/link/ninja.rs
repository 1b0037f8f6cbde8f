//! Questions to ninja, none of which changes the build directory.
//! Must not know: what is made of the answers.

use super::LinkError;
use super::error::LinkError as Error;
use serde::Deserialize;
use std::path::Path;
use std::process::{Command, Output};

fn ask(folder: &Path, arguments: &[&str]) -> Result<Output, LinkError> {
    let mut command = Command::new("ninja");
    command.arg("-C").arg(folder).args(arguments);
    command.output().map_err(|error| Error::program("ninja", "ninja-build", &error))
}

/// The first line of what ninja complains about.
fn complaint(output: &Output) -> String {
    let all = [&output.stderr[..], &output.stdout[..]].concat();
    let text = String::from_utf8_lossy(&all).into_owned();
    let lines = || text.lines().filter(|line| !line.starts_with("ninja: Entering"));
    let line = lines().find(|line| line.contains("error")).or_else(|| lines().next());
    line.unwrap_or("no reason given").trim_start_matches("ninja: ").to_string()
}

/// The command that links `target`, a shell's line. A response file of ninja's
/// own, which exists only while the command runs, is put in its place.
pub fn link_command(folder: &Path, target: &str) -> Result<String, LinkError> {
    let output = ask(folder, &["-t", "commands", "-s", target])?;
    if !output.status.success() {
        return Err(Error::build(folder, &format!("ninja says: {}", complaint(&output))));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("ninja:"));
    let line = line.ok_or_else(|| Error::build(folder, &format!("no command makes {target}")))?;
    if !line.contains(&format!("@{target}.rsp")) {
        return Ok(line.to_string());
    }
    #[derive(Deserialize)]
    struct Edge {
        command: String,
        output: String,
    }
    let output = ask(folder, &["-t", "compdb", "-x"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.find('[').map_or("", |begin| &text[begin..]);
    let edges: Vec<Edge> = serde_json::from_str(text).map_err(|error| {
        let said = if output.status.success() { error.to_string() } else { complaint(&output) };
        Error::build(folder, &format!("ninja -t compdb cannot be read: {said}"))
    })?;
    let edge = edges.into_iter().find(|edge| edge.output == target);
    let edge = edge.ok_or_else(|| Error::build(folder, &format!("no command makes {target}")))?;
    Ok(edge.command)
}

/// What keeps `target` from being up to date, if anything does.
///
/// QEMU's qemu-version.h is made anew by every run of ninja, and a dry run
/// cannot know that it will come out the same. So the reasons count, not the
/// steps: "is dirty" follows from another reason, and `PHONY`, which has no inputs,
/// is never there. A file that has none, as meson.build, has to be: if it is not,
/// ninja would configure first, and says nothing of the rest.
pub fn outdated(folder: &Path, target: &str) -> Result<Option<String>, LinkError> {
    let output = ask(folder, &["-n", "-d", "explain", target])?;
    if !output.status.success() {
        return Ok(Some(complaint(&output)));
    }
    let all = [&output.stderr[..], &output.stdout[..]].concat();
    let text = String::from_utf8_lossy(&all);
    let reasons = text.lines().filter_map(|line| line.strip_prefix("ninja explain: "));
    let mut real = reasons.filter(|reason| {
        !reason.ends_with(" is dirty")
            && *reason != "output PHONY of phony edge with no inputs doesn't exist"
    });
    Ok(real.next().map(String::from))
}
