//! What `bqlcheck explain` says of a rule: the pages in `models/rules`, parsed.
//! Must not know: how a face finds a breach.

use super::Rule;

/// A rule's page: why, a bad and a good example, known fixes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Explanation {
    pub title: &'static str,
    pub why: &'static str,
    /// C in QEMU's idiom that breaks the rule.
    pub bad: &'static str,
    /// The same, right.
    pub good: &'static str,
    /// Commits of QEMU that fixed a breach, or why there is none.
    pub fixed: &'static str,
}

/// The page of `rule`.
fn page(rule: Rule) -> &'static str {
    match rule {
        Rule::NeedsBql => include_str!("../../models/rules/BQL001.md"),
        Rule::MustNotHold => include_str!("../../models/rules/BQL002.md"),
        Rule::TakenTwice => include_str!("../../models/rules/BQL003.md"),
        Rule::Unbalanced => include_str!("../../models/rules/BQL004.md"),
        Rule::WaitForever => include_str!("../../models/rules/BQL005.md"),
        Rule::HeldWaiting => include_str!("../../models/rules/BQL006.md"),
        Rule::Stalled => include_str!("../../models/rules/BQL007.md"),
        Rule::OrderInversion => include_str!("../../models/rules/BQL008.md"),
        Rule::NotPostcopiable => include_str!("../../models/rules/BQL009.md"),
        Rule::IllegalTransition => include_str!("../../models/rules/BQL010.md"),
        Rule::GuestLost => include_str!("../../models/rules/BQL011.md"),
        Rule::UseAfterTeardown => include_str!("../../models/rules/BQL012.md"),
        Rule::NeverJoined => include_str!("../../models/rules/BQL013.md"),
        Rule::DataRace => include_str!("../../models/rules/BQL014.md"),
    }
}

/// What stands in `page` under the heading `name`.
fn section(page: &'static str, name: &str) -> &'static str {
    let after = page.split_once(&format!("\n## {name}\n")).expect("the page has the section").1;
    after.split("\n## ").next().expect("split gives one").trim()
}

/// The code of a section that is one fenced block.
fn code(section: &'static str) -> &'static str {
    let inside = section.strip_prefix("```c\n").and_then(|rest| rest.strip_suffix("\n```"));
    inside.expect("the section is one block of C")
}

impl Rule {
    /// What the rule says, in a few words.
    pub fn title(self) -> &'static str {
        let heading = page(self).lines().next().expect("the page has a first line");
        heading.split_once(": ").expect("`# CODE: title`").1
    }

    /// Why, a bad and a good example, known fixes.
    pub fn explanation(self) -> Explanation {
        let page = page(self);
        Explanation {
            title: self.title(),
            why: section(page, "Why"),
            bad: code(section(page, "Bad")),
            good: code(section(page, "Good")),
            fixed: section(page, "Fixed in QEMU"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_page_of_its_own_that_fits_a_mail() {
        for rule in Rule::ALL {
            assert!(page(rule).starts_with(&format!("# {rule}: ")), "{rule}: heading");
            let wide = page(rule).lines().find(|line| line.len() > 76);
            assert_eq!(wide, None, "{rule}: at most 76 columns");
            let Explanation { why, bad, good, fixed, .. } = rule.explanation();
            for part in [why, bad, good, fixed] {
                assert!(!part.is_empty(), "{rule}: no part is empty");
            }
        }
    }

    #[test]
    fn titles_are_unique() {
        let titles: std::collections::BTreeSet<_> = Rule::ALL.map(Rule::title).into();
        assert_eq!(titles.len(), Rule::ALL.len());
    }
}
