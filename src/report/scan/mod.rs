//! What a scan came to, in the forms people and programs read: one file a form.
//! Must not know: how a finding was found, or where the report goes.

mod clean;
mod concise;
mod github;
mod gitlab;
mod help;
mod json;
mod lines;
mod mail;
mod query;
mod sarif;
mod sarif_model;
mod shown;
mod tables;
mod text;

use crate::scan::Report;
pub use query::Asker;
use shown::Shown;
use std::sync::Arc;

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// For people: each finding with its source line and its call path.
    #[default]
    Text,
    /// A line a finding, for editors.
    Concise,
    /// Everything, for programs.
    Json,
    /// SARIF 2.1.0, for viewers of static analysis.
    Sarif,
    /// GitLab's code quality report.
    Gitlab,
    /// Annotations of GitHub's workflows.
    Github,
    /// For a reply on a mailing list.
    Mail,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 7] = [
        Format::Text,
        Format::Concise,
        Format::Json,
        Format::Sarif,
        Format::Gitlab,
        Format::Github,
        Format::Mail,
    ];
}

/// How a report is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    pub format: Format,
    /// Also what does not count: notes, suppressed, known, unchanged findings.
    pub all: bool,
    /// Colours, in the text form only.
    pub colour: bool,
}

/// The bytes of a scanned file, patches applied, by its path below the tree.
pub type Source<'a> = dyn Fn(&str) -> Option<Arc<[u8]>> + 'a;

/// `report` as `options` say. The same report gives the same bytes.
pub fn render(report: &Report, source: &Source<'_>, options: Options) -> String {
    let shown = Shown::new(report, source, options.all);
    match options.format {
        Format::Text => text::render(&shown, options.colour),
        Format::Concise => concise::render(&shown),
        Format::Json => json::render(&shown),
        Format::Sarif => sarif::render(&shown),
        Format::Gitlab => gitlab::render(&shown),
        Format::Github => github::render(&shown),
        Format::Mail => mail::render(&shown),
    }
}
