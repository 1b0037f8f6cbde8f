//! Calls that give the same each time, `kvm_pic_in_kernel()`, which share a
//! variable; and the variables through which locks are reached.
//! Must not know: steps.

use super::Resolver;
use crate::scan::ir::{Base, Call, Callee, Expr, Op, Path};
use crate::scan::place::Root;

impl<'p> Resolver<'p> {
    /// Calls that give the same each time share a variable; and the variables
    /// through which locks are reached.
    pub(super) fn find_predicates(&mut self) {
        let function = self.scope.function;
        for op in function.blocks.iter().flat_map(|block| &block.ops) {
            let lock = match op {
                Op::Call(call) => {
                    self.predicate(call);
                    if let Callee::Name(name) = call.callee {
                        self.temp_names.insert(call.temp, self.scope.sym(name));
                    }
                    match (&call.callee, call.args.first()) {
                        (Callee::Name(name), Some(Expr::Path(path)))
                            if self.primitives.locks.contains_key(&self.scope.sym(*name)) =>
                        {
                            path
                        }
                        _ => continue,
                    }
                }
                Op::Enter { lock, .. } => lock,
                _ => continue,
            };
            let root = self.scope.place_of(lock).root;
            if matches!(root, Root::Local(_) | Root::Param(_)) && !self.lock_roots.contains(&root) {
                self.lock_roots.push(root);
            }
        }
    }

    fn predicate(&mut self, call: &Call) {
        let Callee::Name(name) = call.callee else { return };
        let sym = self.scope.sym(name);
        if self.primitives.is_primitive(sym) {
            return;
        }
        let text = self.scope.program.text(sym);
        let asks = ["_is_", "is_", "has_", "_in_", "_enabled", "_supported", "use_", "can_"];
        let says = call.args.is_empty() || asks.iter().any(|word| text.contains(word));
        if !says || call.args.len() > 2 {
            return;
        }
        let mut words = Vec::new();
        for arg in &call.args {
            let Expr::Path(Path { base: Base::Var(base), fields, address: false }) = arg else {
                return;
            };
            words.push(*base);
            words.extend(fields);
        }
        let known = self.predicates.get(&(sym, words.clone())).copied();
        let var = known.unwrap_or_else(|| self.fresh());
        self.predicates.insert((sym, words), var);
        self.temps.insert(call.temp, var);
    }
}
