//! A user of a postcopy who gives commands that nothing calls for, at any time: pauses,
//! recovers, resumes. A command that is refused is none the worse.
//! Must not know: what a command is good for.

use super::board::Board;
use super::incoming::{self, Incoming, RECOVER};
use super::network::{self, Break};
use super::outgoing::{self, Deed, Outgoing};
use super::qmp::Qmp;
use super::story::Story;
use super::task::{add, dawdle};
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{State, Status};
use serde_json::{Value, json};
use std::sync::Arc;

/// Commands that nothing calls for, at most.
const MOST: usize = 3;
/// Places to switch before each, at most.
const LONG: [usize; 3] = [1, 20, 300];

const IN_BAND: &str = "execute";
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

/// A client who does not read: the other user does, and writes down the answers.
struct Restless<'a, S> {
    qmp: Qmp,
    story: &'a Board<S>,
    answers: fn(&S) -> &[bool],
    /// Begins or ends its turn to type, if others type too.
    turn: fn(&Board<S>, bool),
}

impl<S> Restless<'_, S> {
    /// Gives a command, and says whether it was done. It is begun before, so that it is
    /// done as soon as `when` is over: QEMU takes long to read one.
    fn give(&mut self, (how, name): (&str, &str), arguments: Value, when: impl FnOnce()) -> bool {
        let before = self.story.look(|story| (self.answers)(story).len());
        let message = json!({ how: name, "arguments": arguments, "id": name });
        // If nobody listens any more, nobody will answer either.
        (self.turn)(self.story, true);
        let _ = self.qmp.begin(&message);
        when();
        let _ = self.qmp.send(&message);
        (self.turn)(self.story, false);
        self.story.wait(|story| (self.answers)(story).get(before).copied())
    }
}

impl Restless<'_, Story> {
    /// Lets the destination listen again; if it does, a source that waits for that is
    /// told. One that has not paused yet would take an old word for a new one.
    fn mend(&mut self, when: impl FnOnce()) -> bool {
        let listens = self.give((OUT_OF_BAND, RECOVER.0), incoming::recover(), when);
        self.story.with(|story| story.recovers |= listens && story.waits);
        listens
    }
}

/// At some time, or soon if something has come that was waited for.
fn later(came: Option<()>) {
    let soon = if came.is_some() { 1 } else { 0 };
    dawdle(LONG[choose(LONG.len() - soon)]);
}

/// Begins or ends one's turn to type to the source.
pub fn turn(story: &Board<outgoing::Story>, begins: bool) {
    if begins {
        story.wait(|story| (!std::mem::replace(&mut story.types, true)).then_some(()));
    } else {
        story.with(|story| story.types = false);
    }
}

impl Incoming {
    /// Adds the restless user of a destination.
    pub(super) fn add_restless(
        &self,
        state: &Arc<Board<State>>,
        story: &Arc<Board<Story>>,
        monitor: &Qmp,
    ) {
        let (this, state, story, qmp) =
            (self.clone(), state.clone(), story.clone(), monitor.clone());
        add("restless user", move || this.restless(&state, &story, qmp.clone()));
    }

    /// Afterwards, whenever the source has paused and all is at rest, the destination is
    /// made to listen again.
    fn restless(&self, state: &Board<State>, story: &Board<Story>, qmp: Qmp) {
        let turn = |_: &Board<Story>, _| ();
        let mut user = Restless { qmp, story, answers: |story| &story.answers, turn };
        // Else the source fails, and the guest is where it should not be.
        let early = [Status::Active, Status::PostcopyDevice];
        state.wait(|state| (!early.contains(&state.status)).then_some(()));
        if self.breaks.stalls() {
            story.wait(|story| story.runs.then_some(()));
        }
        for _ in 0..choose(MOST + 1) {
            let cut = self.breaks != Break::Never && choose(3) == 0;
            let fails = |story: &mut Story| (story.cut || story.waits).then_some(());
            let when = || later(cut.then(|| story.wait(fails)));
            match choose(2) {
                0 => user.give((OUT_OF_BAND, PAUSE), json!({}), when),
                _ => user.mend(when),
            };
        }
        story.with(|story| story.calm = true);
        // What does no harm may be tried while the migration ends, too.
        if choose(2) == 0 {
            user.mend(|| later(None));
        }
        loop {
            story.wait(|story| (story.waits && !story.recovers).then_some(()));
            if !user.mend(network::rest) {
                return;
            }
        }
    }
}

impl Outgoing {
    /// The restless user of a source; the other user resumes where it has paused.
    pub(super) fn restless(&self, story: &Board<outgoing::Story>, qmp: Qmp) {
        let mut user = Restless { qmp, story, answers: |story| &story.answers, turn };
        match self.deed {
            Deed::Pause => story.wait(|story| story.runs.then_some(())),
            _ => story.wait(|story| story.channel.map(|_| ())),
        }
        for _ in 0..choose(MOST + 1) {
            let cut = self.deed == Deed::Pause && choose(3) == 0;
            let fails = |story: &mut outgoing::Story| {
                let over = ["completed", "failed"].map(String::from);
                let over = story.statuses.last().is_some_and(|last| over.contains(last));
                (story.cut || over || story.paused() > 0).then_some(())
            };
            let when = || later(cut.then(|| story.wait(fails)));
            if !cut {
                self.later();
            }
            match choose(2) {
                0 => user.give((OUT_OF_BAND, PAUSE), json!({}), when),
                _ => user.give((IN_BAND, "migrate"), outgoing::resume(), when),
            };
        }
        story.with(|story| story.calm = true);
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
