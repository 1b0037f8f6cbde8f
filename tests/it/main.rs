//! One integration binary: each module is a subject.

mod engine;
mod toys;
