//! One integration binary: each module is a subject.

mod agree;
mod cli;
mod dpor;
mod engine;
mod mutants;
mod random;
mod readme;
mod reduction;
mod replay;
mod script;
mod timeline;
mod toys;
mod witness;
