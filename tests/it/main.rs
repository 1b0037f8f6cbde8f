//! One integration binary: each module is a subject.

mod dpor;
mod engine;
mod toys;
