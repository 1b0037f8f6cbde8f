//! The command line: one file a verb, and what they share.
//! Must not know: how anything is explored or drawn.

mod agree;
mod args;
mod args_exec;
mod args_scan;
mod args_trace;
mod cache;
mod child;
mod compressed;
mod engine;
mod exec;
mod exit;
mod explain;
mod explore;
mod guest;
mod input;
mod interrupt;
mod lab;
mod matrix;
mod outcomes;
mod output;
mod progress;
mod qmp;
mod query;
mod ram;
mod replay;
mod scan;
mod series;
mod source;
mod trace;
pub mod tree;
mod witness;

pub use exit::Exit;

use args::Verb;

/// Parses the command line and does what it says.
pub fn run() -> Exit {
    exit::guard(|| match args::parse() {
        Verb::Explore(args) => explore::run(&args),
        Verb::Scan(args) => scan::run(&args),
        Verb::Replay { file } => replay::run(&file),
        Verb::Callers(args) => query::calls(&args, query::CALLERS),
        Verb::Callees(args) => query::calls(&args, query::CALLEES),
        Verb::Paths(args) => query::paths(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Trace(args) => trace::run(&args),
        Verb::Lab(args) => lab::run(&args),
        Verb::Exec(args) => exec::run(&args),
        Verb::Agree(args) => agree::run(&args),
        Verb::Loom => child::serve(),
    })
}
