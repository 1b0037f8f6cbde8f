//! One integration binary: each module is a subject.

mod agree;
mod cli;
mod dpor;
mod engine;
mod engines_agree;
mod image;
mod invariants;
mod literate;
mod mutants;
mod random;
mod readme;
mod reduction;
mod replay;
mod results;
mod scan_patch;
mod scan_report;
mod scan_mask;
mod scan_parse;
mod scan_rules;
mod script;
mod simulator;
mod suppress;
mod timeline;
mod toys;
mod trees;
mod witness;
