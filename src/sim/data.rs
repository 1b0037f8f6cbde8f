//! Reading the models' JSON files, built in or the user's, with errors that
//! name the file and the place.
//! Must not know: what a plan or a scenario means.

use serde::de::DeserializeOwned;
use std::path::Path;

pub use crate::lock::DataError;

/// What is kept in files of `models/`: some built in, others the user's.
pub trait Model: DeserializeOwned {
    /// What one is called in messages.
    const KIND: &'static str;
    /// Where the built-in ones are, by name.
    const FOLDER: &'static str;
    /// The built-in ones: name and text.
    const BUILT_IN: &'static [(&'static str, &'static str)];

    /// What in it cannot be true together.
    fn contradiction(&self) -> Option<String>;
}

/// The built-in model called `name`.
///
/// # Errors
/// If there is none of that name.
pub fn built_in<T: Model>(name: &str) -> Result<T, DataError> {
    let Some((_, text)) = T::BUILT_IN.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = T::BUILT_IN.iter().map(|(known, _)| *known).collect();
        let message = format!("no such {}; a file, or one of: {}", T::KIND, known.join(", "));
        return Err(DataError { file: name.into(), place: None, message });
    };
    let file = format!("{}/{name}.json", T::FOLDER);
    parse(&file, text).and_then(|model| checked(model, &file))
}

/// `model`, which came from `file`, if it does not contradict itself.
///
/// # Errors
/// What it says that cannot be true together.
pub fn checked<T: Model>(model: T, file: &str) -> Result<T, DataError> {
    match model.contradiction() {
        None => Ok(model),
        Some(message) => Err(DataError { file: file.into(), place: None, message }),
    }
}

/// Parses `text`, which came from `file`.
///
/// # Errors
/// What is wrong and where, if it is not a `T`.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, DataError> {
    serde_json::from_str(text).map_err(|error| DataError::json(file, &error))
}

/// Parses the file at `path`.
///
/// # Errors
/// If it cannot be read, or is not a `T`.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(error) => Err(DataError { file, place: None, message: error.to_string() }),
    }
}
