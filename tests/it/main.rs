//! One integration binary: each module is a subject.

mod agree;
mod cli;
mod dpor;
mod engine;
mod engines_agree;
mod image;
mod invariants;
mod mutants;
mod random;
mod readme;
mod reduction;
mod replay;
mod results;
mod script;
mod simulator;
mod timeline;
mod toys;
mod trace;
mod trace_conform;
mod trace_hostile;
mod witness;
