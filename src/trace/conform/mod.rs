//! stub
use super::dialect::{Line, LockEvent};
use super::thread::Role;
use crate::sim::Plan;
use serde::Serialize;
#[derive(Clone, Debug, Serialize)]
pub struct Outcome { pub log: usize, pub plan: String, pub accepted: bool }
pub struct Conform { plan: Plan }
impl Conform {
    pub fn new(plan: Plan) -> Conform { Conform { plan } }
    pub fn lock(&mut self, _t: u32, _r: Role, _bql: bool, _l: LockEvent, _us: u64, _line: u64) {}
    pub fn event(&mut self, _t: u32, _r: Role, _bql: Option<bool>, _l: &Line, _line: u64) {}
    pub fn outcome(&self, log: usize) -> Outcome { Outcome { log, plan: self.plan.name.clone(), accepted: true } }
}
