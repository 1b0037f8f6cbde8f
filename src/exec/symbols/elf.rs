//! An executable's sections and its variables. The only file that names object.
//! Must not know: what is in a section.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A variable of the executable, as its symbol table has it.
#[derive(Debug)]
pub struct Variable {
    pub address: u64,
    pub size: u64,
    pub name: String,
}

/// What is read of an executable.
#[derive(Debug)]
pub struct Elf {
    sections: HashMap<String, Arc<[u8]>>,
    /// By address.
    pub variables: Vec<Variable>,
}

impl Elf {
    /// Reads the sections of debug information, and the table of symbols.
    pub fn parse(bytes: &[u8]) -> Result<Elf, String> {
        let file = object::File::parse(bytes).map_err(|error| error.to_string())?;
        let mut sections = HashMap::new();
        for section in file.sections() {
            let Some(name) = section.name().ok().filter(|name| name.starts_with(".debug_")) else {
                continue;
            };
            let data: Cow<[u8]> = section.uncompressed_data().map_err(|error| error.to_string())?;
            sections.insert(name.to_string(), Arc::from(data));
        }
        let data = |symbol: &object::Symbol| {
            symbol.kind() == SymbolKind::Data && symbol.is_definition() && symbol.size() > 0
        };
        let named = file.symbols().filter(data).filter_map(|symbol| {
            let name = symbol.name().ok()?.to_string();
            Some(Variable { address: symbol.address(), size: symbol.size(), name })
        });
        let mut variables: Vec<Variable> = named.collect();
        variables.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Ok(Elf { sections, variables })
    }

    /// A section's bytes; none are as good as an empty one.
    pub fn section(&self, name: &str) -> Arc<[u8]> {
        self.sections.get(name).cloned().unwrap_or_default()
    }

    /// The variable that `address` lies in.
    pub fn variable(&self, address: u64) -> Option<&Variable> {
        let after = self.variables.partition_point(|variable| variable.address <= address);
        let found = self.variables[..after].last()?;
        (address - found.address < found.size).then_some(found)
    }
}
