//! A user of a postcopy who gives commands that nothing calls for, at any time: pauses,
//! recovers, resumes. A command that is refused is none the worse.
//! Must not know: what a command is good for.

use super::board::Board;
use super::incoming::{self, Incoming, RECOVER};
use super::network;
use super::outgoing::{self, OUTGOING, Outgoing};
use super::qmp::Qmp;
use super::story::Story;
use super::task::dawdle;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{State, Status};
use serde_json::{Value, json};

/// Commands at most.
const MOST: usize = 3;
/// Places to switch before each, at most.
const LONG: usize = 300;

const OUT_OF_BAND: &str = "exec-oob";
const PAUSE: &str = "migrate-pause";

/// Whether a command was done, if that is what a line of QMP says.
pub fn answer(line: &Value) -> Option<bool> {
    line.get("id").map(|_| line.get("return").is_some())
}

/// How many were not, in words; nothing if none was given.
pub fn refused(answers: &[bool]) -> String {
    let not = answers.iter().filter(|done| !**done).count();
    if answers.is_empty() { String::new() } else { format!("; {not} of {} refused", answers.len()) }
}

impl Incoming {
    /// The restless user of a destination. Afterwards, whenever the source has paused and
    /// all is at rest, the destination is made to listen again.
    pub(super) fn restless(&self, state: &Board<State>, story: &Board<Story>, mut qmp: Qmp) {
        state.wait(|state| (state.status == Status::PostcopyActive).then_some(()));
        for _ in 0..choose(MOST + 1) {
            dawdle(LONG);
            match choose(2) {
                0 if give(story, &mut qmp, PAUSE, json!({})) => {
                    // What a network held back that was to fail does not come any more.
                    story.with(|story| story.cut = true);
                }
                0 => {}
                _ => {
                    mend(story, &mut qmp);
                }
            }
        }
        loop {
            story.wait(|story| (story.waits && !story.recovers).then_some(()));
            network::rest();
            if !mend(story, &mut qmp) {
                return;
            }
        }
    }
}

/// Gives a command, and says whether it was done.
fn give(story: &Board<Story>, qmp: &mut Qmp, name: &str, arguments: Value) -> bool {
    let before = story.look(|story| story.answers.len());
    if let Err(error) = qmp.aside(OUT_OF_BAND, name, arguments) {
        story.with(|story| story.wrong.push(error));
    }
    story.wait(|story| story.answers.get(before).copied())
}

/// Lets the destination listen again; if it does, a source that waits for that is told.
fn mend(story: &Board<Story>, qmp: &mut Qmp) -> bool {
    let listens = give(story, qmp, RECOVER.0, incoming::recover());
    // A source that has not paused yet would take an old word for a new one.
    story.with(|story| story.recovers |= listens && story.waits);
    listens
}

impl Outgoing {
    /// The restless user of a source; the other user resumes where it has paused.
    pub(super) fn restless(&self, story: &Board<outgoing::Story>, mut qmp: Qmp) {
        story.wait(|story| story.channel);
        for _ in 0..choose(MOST + 1) {
            self.later();
            let resume = json!({ "uri": format!("unix:{OUTGOING}"), "resume": true });
            let given = match choose(2) {
                0 => qmp.aside(OUT_OF_BAND, PAUSE, json!({})),
                _ => qmp.aside("execute", "migrate", resume),
            };
            if let Err(error) = given {
                return story.with(|story| story.wrong.push(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_has_the_name_of_a_command() {
        let line = |text: &str| answer(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(line(r#"{"id": "migrate-pause", "return": {}}"#), Some(true));
        assert_eq!(line(r#"{"id": "migrate-pause", "error": {"desc": "no"}}"#), Some(false));
        assert_eq!(line(r#"{"return": {}}"#), None);
        assert_eq!(line(r#"{"event": "RESUME"}"#), None);
    }

    #[test]
    fn who_gives_no_command_is_not_spoken_of() {
        assert_eq!(refused(&[]), "");
        assert_eq!(refused(&[true]), "; 0 of 1 refused");
        assert_eq!(refused(&[false, true, false]), "; 2 of 3 refused");
    }
}
