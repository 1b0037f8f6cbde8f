//! bqlcheck tells a QEMU developer whether a change to live migration keeps its
//! lock discipline. Dependencies point one way:
//! `lock ← runtime ← {sim, explore, exec} ← report ← cli`.

pub mod cli;
pub mod exec;
pub mod explore;
pub mod lock;
mod memory;
mod numbers;
mod parallel;
pub mod report;
pub mod runtime;
pub mod scan;
pub mod sim;
pub mod trace;
