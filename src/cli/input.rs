//! Plans, scenarios and sizes as the command line names them.
//! Must not know: what is done with them.

use super::exit::Failure;
use crate::sim::{Plan, Scenario, Size};
use std::path::Path;

/// Whether `argument` means a file rather than a built-in name.
fn is_file(argument: &str, mut built_in: impl Iterator<Item = &'static str>) -> bool {
    let path = Path::new(argument);
    !built_in.any(|name| name == argument)
        && (argument.contains('/') || argument.ends_with(".json") || path.exists())
}

/// The plan called so, or in the file called so.
pub fn plan(argument: &str) -> Result<Plan, Failure> {
    match is_file(argument, Plan::names()) {
        true => Ok(Plan::load(Path::new(argument))?),
        false => Ok(Plan::built_in(argument)?),
    }
}

/// The scenario called so, or in the file called so.
pub fn scenario(argument: &str) -> Result<Scenario, Failure> {
    match is_file(argument, Scenario::names()) {
        true => Ok(Scenario::load(Path::new(argument))?),
        false => Ok(Scenario::built_in(argument)?),
    }
}

/// The size called so, or else the scenario's own.
pub fn size(argument: Option<&str>, scenario: &Scenario) -> Result<Size, Failure> {
    let named = Size::named(argument.unwrap_or(&scenario.size));
    named.map_err(|error| Failure::new(error.to_string(), "the sizes are in models/sizes.json"))
}
