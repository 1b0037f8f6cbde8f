//! stub
use super::{Event, Refusal};
use crate::sim::{Plan, Status};
pub const EVENTS: [&str; 1] = ["savevm_state_header"];
pub struct Source {
    status: Status,
}
impl Source {
    pub fn new(_plan: &Plan) -> Source {
        Source { status: Status::None }
    }
    pub fn begin(&mut self, _status: &str) {}
    pub fn event(&mut self, _event: &Event) -> Result<(), Refusal> {
        let _ = self.status;
        Ok(())
    }
}
