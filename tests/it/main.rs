//! One integration binary: each module is a subject.

mod agree;
mod dpor;
mod engine;
mod mutants;
mod random;
mod reduction;
mod script;
mod toys;
mod witness;
