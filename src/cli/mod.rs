//! The command line: one file a verb, and what they share.
//! Must not know: how anything is explored or drawn.

mod args;
mod args_trace;
mod child;
mod compressed;
mod engine;
mod exit;
mod explain;
mod explore;
mod guest;
mod input;
mod interrupt;
mod lab;
mod matrix;
mod output;
mod progress;
mod qmp;
mod ram;
mod replay;
mod trace;
mod witness;

pub use exit::Exit;

use args::Verb;

/// Parses the command line and does what it says.
pub fn run() -> Exit {
    exit::guard(|| match args::parse() {
        Verb::Explore(args) => explore::run(&args),
        Verb::Replay { file } => replay::run(&file),
        Verb::Explain { code } => explain::run(code.as_deref()),
        Verb::Trace(args) => trace::run(&args),
        Verb::Lab(args) => lab::run(&args),
        Verb::Loom => child::serve(),
    })
}
