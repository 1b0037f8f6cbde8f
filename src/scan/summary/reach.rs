//! What a function comes to by its calls, before any is followed: whether a lock can
//! be touched, which parameters are looked at.
//! Must not know: lock states.

use super::Summaries;
use crate::scan::hooks::each_call;
use crate::scan::program::FnId;
use crate::scan::resolve::{CallStep, Invoke, Step};

impl Summaries<'_> {
    pub(super) fn find_relevant(&self) -> Vec<bool> {
        let count = self.program.count();
        let mut relevant = vec![false; count];
        let mut callers: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut queue: Vec<u32> = Vec::new();
        for id in self.program.ids() {
            let mark = |relevant: &mut Vec<bool>, queue: &mut Vec<u32>| {
                if !std::mem::replace(&mut relevant[id.0 as usize], true) {
                    queue.push(id.0);
                }
            };
            for block in &self.resolved[id.0 as usize].blocks {
                for step in &block.ops {
                    let call = match step {
                        Step::Call(call) | Step::Idle(call) => call,
                        Step::Set { .. } | Step::RequireCoroutine { .. } => continue,
                        _ => {
                            mark(&mut relevant, &mut queue);
                            continue;
                        }
                    };
                    let hook = matches!(call.invoke, Invoke::Hook(key)
                        if self.primitives.hooks.contains_key(&key));
                    let param = matches!(call.invoke, Invoke::Param(_));
                    if self.primitives.speak_of(call) || hook || param {
                        mark(&mut relevant, &mut queue);
                    }
                    let mut calls = |function: FnId| {
                        if self.comments.contains_key(&function)
                            || self.asserted.contains_key(&function)
                        {
                            mark(&mut relevant, &mut queue);
                        }
                        callers[function.0 as usize].push(id.0);
                    };
                    match &call.invoke {
                        Invoke::Functions(functions) => {
                            functions.iter().copied().for_each(&mut calls)
                        }
                        Invoke::Hook(key) => {
                            let targets = self.hooks.targets(*key);
                            targets.iter().for_each(|target| calls(target.function));
                        }
                        _ => {}
                    }
                    for arg in &call.args {
                        arg.functions.iter().copied().for_each(&mut calls);
                    }
                }
            }
        }
        while let Some(id) = queue.pop() {
            for &caller in &callers[id as usize] {
                if !std::mem::replace(&mut relevant[caller as usize], true) {
                    queue.push(caller);
                }
            }
        }
        relevant
    }

    /// Parameters that a condition looks at, here or where they are passed on.
    pub(super) fn find_interesting(&self) -> Vec<u16> {
        let mut interesting: Vec<u16> = self.resolved.iter().map(|r| r.interesting).collect();
        let mut passing: Vec<(FnId, &CallStep)> = Vec::new();
        each_call(self.program, self.resolved, |id, call| {
            if call.args.iter().any(|arg| arg.param.is_some()) {
                passing.push((id, call));
            }
        });
        for _ in 0..3 {
            let mut more: Vec<(FnId, u16)> = Vec::new();
            for &(id, call) in &passing {
                let Invoke::Functions(functions) = &call.invoke else { continue };
                for (at, arg) in call.args.iter().take(8).enumerate() {
                    if let Some(own @ 0..8) = arg.param
                        && functions.iter().any(|f| interesting[f.0 as usize] & (1 << at) != 0)
                        && interesting[id.0 as usize] & (1 << own) == 0
                    {
                        more.push((id, 1 << own));
                    }
                }
            }
            if more.is_empty() {
                break;
            }
            for (id, bits) in more {
                interesting[id.0 as usize] |= bits;
            }
        }
        interesting
    }
}
