//! One integration binary: each module is a subject.

mod agree;
mod cli;
mod dpor;
mod engine;
mod random;
mod readme;
mod replay;
mod script;
mod timeline;
mod toys;
