//! The different breaches of a run: in how many executions each was, and which of them
//! are shown with a schedule.
//! Must not know: how a schedule is shortened.

use super::job::Broken;
use super::judge::Breach;

/// Different breaches that are shown.
const SHOWN: usize = 8;
/// Different breaches that are told apart.
const MOST: usize = 64;

/// A breach that was met.
struct Seen {
    breach: Breach,
    executions: u64,
    shown: bool,
}

/// All that were met.
#[derive(Default)]
pub struct Breaches {
    all: Vec<Seen>,
    /// Executions with one more than are told apart.
    further: u64,
}

impl Breaches {
    /// Takes down what an execution broke; gives the first that is to be shown, and its
    /// number, if none like it was before.
    pub fn count(&mut self, breaches: Vec<Breach>) -> Option<(usize, Breach)> {
        let mut met: Vec<usize> = Vec::new();
        let mut further = false;
        for breach in breaches {
            let known = self.all.iter().position(|seen| seen.breach.same(&breach));
            let nth = match known {
                Some(nth) => nth,
                None if self.all.len() == MOST => {
                    further = true;
                    continue;
                }
                None => {
                    self.all.push(Seen { breach, executions: 0, shown: false });
                    self.all.len() - 1
                }
            };
            if !met.contains(&nth) {
                self.all[nth].executions += 1;
                met.push(nth);
            }
        }
        self.further += u64::from(further);
        if self.all.iter().filter(|seen| seen.shown).count() == SHOWN {
            return None;
        }
        let nth = met.into_iter().find(|nth| !self.all[*nth].shown)?;
        self.all[nth].shown = true;
        Some((nth, self.all[nth].breach.clone()))
    }

    /// Each with its number of executions, in the order in which they were met, and the
    /// executions that had further ones.
    pub fn told(&self) -> (Vec<Broken>, u64) {
        let told = |seen: &Seen| Broken {
            rule: seen.breach.rule,
            message: seen.breach.message.clone(),
            executions: seen.executions,
            shown: seen.shown,
        };
        (self.all.iter().map(told).collect(), self.further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Rule;

    fn breach(message: &str) -> Breach {
        Breach::new(Rule::WaitForever, message)
    }

    fn counts(all: &Breaches) -> Vec<(String, u64, bool)> {
        all.told().0.into_iter().map(|b| (b.message, b.executions, b.shown)).collect()
    }

    #[test]
    fn each_is_shown_once_and_counted_always() {
        let mut all = Breaches::default();
        assert_eq!(all.count(vec![]), None);
        assert_eq!(all.count(vec![breach("a"), breach("a"), breach("b")]), Some((0, breach("a"))));
        assert_eq!(all.count(vec![breach("a")]), None);
        assert_eq!(all.count(vec![breach("a"), breach("b")]), Some((1, breach("b"))));
        assert_eq!(counts(&all), [("a".into(), 3, true), ("b".into(), 2, true)]);
    }

    #[test]
    fn a_place_in_the_heap_makes_no_other() {
        let mut all = Breaches::default();
        assert!(all.count(vec![breach("main waits for heap+0x10; so")]).is_some());
        assert!(all.count(vec![breach("main waits for heap+0x20; so")]).is_none());
        assert!(all.count(vec![breach("main waits for mis+0x20; so")]).is_some());
    }

    #[test]
    fn those_that_are_not_shown_are_not_lost() {
        let mut all = Breaches::default();
        let shown = (0..70).filter(|nth| all.count(vec![breach(&nth.to_string())]).is_some());
        assert_eq!(shown.count(), SHOWN);
        let (told, further) = all.told();
        assert_eq!((told.len(), further), (MOST, 6));
        assert_eq!(told.iter().filter(|broken| broken.shown).count(), SHOWN);
    }
}
