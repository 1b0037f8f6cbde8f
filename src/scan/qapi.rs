//! QMP commands from `qapi/*.json`: which run in the main loop with the BQL, which
//! in a coroutine, which out of band in the monitor's IOThread.
//! Must not know: what a command does.

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// `qmp_migrate_recover`.
    pub function: String,
    pub out_of_band: bool,
    pub coroutine: bool,
}

/// The commands that a schema file declares. What is not understood is left out:
/// its handler is then an in-band one.
pub fn commands(text: &[u8]) -> Vec<Command> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    let text: String = lines.flat_map(|line| [line, " "]).collect();
    let mut commands = Vec::new();
    for part in text.split("'command'").skip(1) {
        // Up to the next definition of whatever kind.
        let end = ["'command'", "'event'", "'struct'", "'enum'", "'union'", "'alternate'"]
            .iter()
            .filter_map(|word| part.find(&format!("{{ {word}:")))
            .min()
            .unwrap_or(part.len());
        let part = &part[..end];
        let Some(name) = part.split('\'').nth(1) else { continue };
        let flag = |name: &str| {
            let at = part.find(&format!("'{name}'"));
            at.is_some_and(|at| part[at..].split([',', '}']).next().unwrap_or("").contains("true"))
        };
        commands.push(Command {
            function: format!("qmp_{}", name.replace(['-', '.'], "_")),
            out_of_band: flag("allow-oob"),
            coroutine: flag("coroutine"),
        });
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_say_where_they_run() {
        let text = b"# 'command': 'not-this'\n{ 'command': 'migrate-recover',\n  'data': { 'uri': 'str' },\n  'allow-oob': true }\n{ 'command': 'migrate', 'data': 'X' }\n{ 'command': 'block_resize', 'coroutine': true }\n";
        let found = commands(text);
        let flags: Vec<(&str, bool, bool)> =
            found.iter().map(|c| (&*c.function, c.out_of_band, c.coroutine)).collect();
        assert_eq!(
            flags,
            [
                ("qmp_migrate_recover", true, false),
                ("qmp_migrate", false, false),
                ("qmp_block_resize", false, true)
            ]
        );
    }
}
