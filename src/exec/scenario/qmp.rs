//! Management: QMP over a connection, as any client speaks it. Commands go through
//! QEMU's own monitor, in band in the main loop, out of band in its IOThread.
//! Must not know: what is commanded.

use super::channel::Channel;
use crate::exec::peer::Wire;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// A client.
#[derive(Clone, Debug)]
pub struct Qmp {
    channel: Channel,
    /// Bytes that came and make no line yet.
    rest: Vec<u8>,
    /// Events that came and were not asked for yet.
    events: VecDeque<Value>,
    /// The beginning of the next command, if the client has sent that already.
    typed: String,
}

impl Qmp {
    /// Connects and negotiates, out-of-band execution included.
    pub fn connect(name: &str) -> Result<Qmp, String> {
        let channel = Channel::connect(name).map_err(|error| format!("{name}: {error}"))?;
        let mut qmp =
            Qmp { channel, rest: Vec::new(), events: VecDeque::new(), typed: String::new() };
        let greeting = qmp.line()?;
        if greeting.get("QMP").is_none() {
            return Err(format!("no QMP greeting but {greeting}"));
        }
        qmp.command("qmp_capabilities", json!({ "enable": ["oob"] }))?;
        Ok(qmp)
    }

    /// The next line, whatever it is.
    pub fn line(&mut self) -> Result<Value, String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| error.to_string());
            }
            let mut bytes = [0; 4096];
            match self.channel.recv(&mut bytes) {
                Ok(0) => return Err("the monitor is closed".into()),
                Ok(many) => self.rest.extend(&bytes[..many]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Sends a command, and does not wait.
    pub fn send(&mut self, message: &Value) -> Result<(), String> {
        let text = format!("{message}\n");
        // What was sent cannot be taken back.
        let typed = std::mem::take(&mut self.typed);
        let rest = text.strip_prefix(&typed).ok_or("another command was begun")?;
        self.channel.send(rest.as_bytes()).map_err(|error| error.to_string())
    }

    /// Sends a command out of band as far as its last brace, before which QEMU does
    /// nothing but parse. It reads commands a byte at a time, each in a round of its
    /// loop: done before the snapshot, that is not in each execution.
    pub fn begin_out_of_band(&mut self, name: &str, arguments: Value) -> Result<(), String> {
        self.begin(&json!({ "exec-oob": name, "arguments": arguments }))
    }

    /// The same with any command.
    pub fn begin(&mut self, message: &Value) -> Result<(), String> {
        let text = message.to_string();
        let typed = text.strip_suffix('}').expect("an object");
        self.channel.send(typed.as_bytes()).map_err(|error| error.to_string())?;
        self.typed = typed.into();
        Ok(())
    }

    fn answer(&mut self) -> Result<Value, String> {
        loop {
            let line = self.line()?;
            if line.get("id").is_some() {
                self.events.push_back(line);
                continue;
            }
            if let Some(error) = line.get("error") {
                return Err(error["desc"].as_str().unwrap_or("an error").into());
            }
            match line.get("return") {
                Some(value) => return Ok(value.clone()),
                None => self.events.push_back(line),
            }
        }
    }

    /// Gives a command and waits for its answer; an error is QEMU's.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value, String> {
        self.send(&json!({ "execute": name, "arguments": arguments }))?;
        self.answer()
    }

    /// The same, out of band.
    pub fn out_of_band(&mut self, name: &str, arguments: Value) -> Result<Value, String> {
        self.send(&json!({ "exec-oob": name, "arguments": arguments }))?;
        self.answer()
    }

    /// The next event.
    pub fn event(&mut self) -> Result<Value, String> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => self.line(),
        }
    }

    /// The events that QEMU has sent by now.
    pub fn waiting(&mut self) -> Result<VecDeque<Value>, String> {
        self.command("query-status", json!({}))?;
        Ok(std::mem::take(&mut self.events))
    }

    /// Waits for a MIGRATION event with one of `wanted`; gives the status.
    pub fn migration_status(&mut self, wanted: &[&str]) -> Result<String, String> {
        loop {
            let event = self.event()?;
            let status = event["data"]["status"].as_str().unwrap_or_default();
            if event["event"] == "MIGRATION" && wanted.contains(&status) {
                return Ok(status.into());
            }
        }
    }
}
