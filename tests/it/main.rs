//! One integration binary: each module is a subject.

mod agree;
mod dpor;
mod engine;
mod random;
mod script;
mod toys;
