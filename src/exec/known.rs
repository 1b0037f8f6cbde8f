//! Data races that were looked at and found harmless, or that are written down
//! elsewhere (`models/exec/races.json`): those that a run met are counted and do not
//! fail it, so that the race that a patch adds stands out.
//! Must not know: how races are found.

use super::job::{self, Violation};
use super::named::{Call, Named, Race};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What is raced for, as `s->state`; none: what the word says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A word that both lines have, as the name of a member; none: what the object
    /// says. A patch may add another race to the same functions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// Functions of which one has one of the accesses; two lists, one for each.
    /// An empty list is any function.
    pub functions: [BTreeSet<String>; 2],
    /// Why it is harmless, or where it is written down.
    pub why: String,
}

/// A known race that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub object: String,
    /// What each access does, where.
    pub accesses: [(String, Call); 2],
    pub executions: u64,
    pub why: String,
}

/// What a run's races came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Races {
    /// Pairs of places that were not known.
    pub new: usize,
    pub known: Vec<Seen>,
    /// Entries of the list that no race of this run was like.
    pub unused: Vec<Entry>,
}

/// The races of a run, as they come.
pub struct Sorted {
    list: Vec<Entry>,
    used: BTreeSet<usize>,
    /// By pair of places.
    places: BTreeMap<[String; 2], Met>,
}

/// A race that was met.
struct Met {
    race: Race,
    /// The entry that it is like.
    like: Option<usize>,
    /// The pairs of instructions that are at its places.
    sites: Vec<[u64; 2]>,
}

impl Default for Sorted {
    fn default() -> Sorted {
        Sorted { list: built_in(), used: BTreeSet::new(), places: BTreeMap::new() }
    }
}

/// The list of the package.
pub fn built_in() -> Vec<Entry> {
    let text = include_str!("../../models/exec/races.json");
    serde_json::from_str(text).expect("it is part of the package")
}

/// The call that has the access: who frees is not the allocator.
fn own(calls: &[Call]) -> Option<&Call> {
    let of_glib = |call: &&Call| call.function.starts_with("g_");
    calls.iter().find(|call| !of_glib(call)).or(calls.first())
}

fn place(calls: &[Call]) -> String {
    own(calls).map_or(String::new(), |call| call.place.clone())
}

impl Entry {
    fn is_like(&self, race: &Race) -> bool {
        let [one, two] = race
            .accesses
            .each_ref()
            .map(|access| own(&access.calls).map_or("", |call| call.function.as_str()));
        let among = |list: &BTreeSet<String>, name: &str| list.is_empty() || list.contains(name);
        let [first, second] = &self.functions;
        let fit =
            among(first, one) && among(second, two) || among(first, two) && among(second, one);
        // clang makes one instruction of several lines' and gives it none: the bytes are
        // the same, so that the other's line tells.
        let mentioned = |word: &String| {
            let mut lines = race.accesses.iter().map(|access| access.line.as_str());
            lines.clone().any(|line| line.contains(&**word))
                && lines.all(|line| line.is_empty() || line.contains(&**word))
        };
        fit && self.object.as_ref().is_none_or(|object| *object == race.object)
            && self.word.as_ref().is_none_or(mentioned)
    }
}

impl Sorted {
    /// Takes a race; whether it is to be reported: none at these places was before, and
    /// it is not known.
    pub fn take(&mut self, found: &Named, told: &Violation) -> bool {
        let (Some(race), Some(raw)) = (&found.race, &told.race) else { return true };
        let mut sites = raw.accesses.each_ref().map(|access| access.site);
        sites.sort_unstable();
        let mut places = race.accesses.each_ref().map(|access| place(&access.calls));
        places.sort();
        if let Some(met) = self.places.get_mut(&places) {
            met.sites.push(sites);
            return false;
        }
        let like = self.list.iter().position(|entry| entry.is_like(race));
        self.used.extend(like);
        self.places.insert(places, Met { race: race.clone(), like, sites: vec![sites] });
        like.is_none()
    }

    /// What they came to; `met` says how often.
    pub fn done(self, met: &[job::Met]) -> Races {
        let often = |sites: &[[u64; 2]]| {
            let of = met.iter().filter(|met| sites.contains(&met.sites));
            of.map(|met| met.executions).max().unwrap_or(0)
        };
        let seen = |Met { race, like, sites }: &Met| {
            let nothing = Call { function: String::new(), place: String::new() };
            Some(Seen {
                object: race.object.clone(),
                accesses: race.accesses.each_ref().map(|access| {
                    (access.what.clone(), own(&access.calls).cloned().unwrap_or(nothing.clone()))
                }),
                executions: often(sites),
                why: self.list[(*like)?].why.clone(),
            })
        };
        let known: Vec<Seen> = self.places.values().filter_map(seen).collect();
        let unused = self.list.iter().enumerate().filter(|(nth, _)| !self.used.contains(nth));
        Races {
            new: self.places.len() - known.len(),
            known,
            unused: unused.map(|(_, entry)| entry.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::named::Access;
    use super::*;
    use crate::lock::Rule;

    fn access(function: &str, line: u32) -> Access {
        let call =
            |function: &str| Call { function: function.into(), place: format!("f.c:{line}") };
        let calls = vec![call("g_free"), call(function)];
        Access {
            thread: 0,
            what: "reads".into(),
            calls,
            line: "f->x = 1;".into(),
            holds: Vec::new(),
        }
    }

    fn told(site: u64) -> Violation {
        let access = |site| job::Access {
            thread: 0,
            what: "reads".into(),
            site,
            frames: Vec::new(),
            holds: Vec::new(),
        };
        Violation {
            rule: Rule::DataRace,
            message: String::new(),
            ticks: 0,
            execution: 1,
            number: 0,
            schedule: Vec::new(),
            threads: Vec::new(),
            steps: Vec::new(),
            waits: Vec::new(),
            by: None,
            race: Some(Box::new(job::Race {
                object: "x".into(),
                accesses: [access(site), access(1)],
            })),
            circle: Vec::new(),
        }
    }

    fn race(one: &str, two: &str, object: &str, line: u32) -> Named {
        let accesses = [access(one, line), access(two, 7)];
        Named {
            rule: Rule::DataRace,
            message: String::new(),
            execution: 1,
            executions: 1,
            ticks: 0,
            forced: 0,
            threads: Vec::new(),
            steps: Vec::new(),
            waits: Vec::new(),
            by: None,
            race: Some(Race { object: object.into(), accesses }),
            circle: Vec::new(),
        }
    }

    fn sorted(object: Option<&str>, word: Option<&str>, functions: [&[&str]; 2]) -> Sorted {
        let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let functions = functions.map(set);
        let [object, word] = [object, word].map(|text| text.map(String::from));
        let entry = Entry { object, word, functions, why: "so".into() };
        Sorted { list: vec![entry], ..Sorted::default() }
    }

    #[test]
    fn every_entry_says_what_and_why() {
        for entry in built_in() {
            assert!(entry.why.len() > 10, "{entry:?}");
            assert!(entry.functions.iter().any(|list| !list.is_empty()), "{entry:?}");
            assert!(entry.object.is_some() || entry.word.is_some(), "{entry:?}");
        }
    }

    #[test]
    fn a_known_race_is_told_apart_from_a_new_one() {
        let mut races = sorted(Some("s->state"), None, [&["a", "b"], &[]]);
        assert!(!races.take(&race("c", "b", "s->state", 1), &told(10)));
        assert!(races.take(&race("c", "b", "s->other", 2), &told(20)));
        assert!(races.take(&race("c", "d", "s->state", 3), &told(30)));
        let met = |site, executions| job::Met { sites: [1, site], executions };
        let done = races.done(&[met(10, 5), met(20, 6), met(30, 7)]);
        assert_eq!((done.new, done.unused.len()), (2, 0));
        let [seen] = &done.known[..] else { panic!("{done:?}") };
        assert_eq!((seen.executions, seen.accesses[0].1.function.as_str()), (5, "c"));
    }

    #[test]
    fn the_same_two_places_are_one_race_and_what_is_unused_is_told() {
        let mut races = sorted(None, None, [&["a"], &["b"]]);
        assert!(races.take(&race("c", "d", "x", 1), &told(10)));
        assert!(!races.take(&race("d", "c", "y", 1), &told(20)));
        let done = races.done(&[]);
        assert_eq!((done.new, done.known.len(), done.unused.len()), (1, 0, 1));
    }
    #[test]
    fn another_race_of_the_same_functions_is_new() {
        let mut races = sorted(None, Some("f->x"), [&["a"], &["b"]]);
        assert!(!races.take(&race("a", "b", "heap+0x10", 1), &told(10)));
        let mut races = sorted(None, Some("f->y"), [&["a"], &["b"]]);
        assert!(races.take(&race("a", "b", "heap+0x10", 1), &told(10)));
    }

    #[test]
    fn an_instruction_without_a_line_is_known_by_the_other_s() {
        let with = |lines: [&str; 2]| {
            let mut races = sorted(None, Some("f->x"), [&["a"], &["b"]]);
            let mut found = race("a", "b", "heap+0x10", 1);
            let accesses = &mut found.race.as_mut().expect("it is one").accesses;
            for (access, line) in accesses.iter_mut().zip(lines) {
                access.line = line.into();
            }
            !races.take(&found, &told(10))
        };
        assert!(with(["f->x = 1;", ""]));
        assert!(!with(["f->y = 1;", ""]));
        assert!(!with(["f->x = 1;", "return f->y;"]));
        assert!(!with(["", ""]));
    }
}
