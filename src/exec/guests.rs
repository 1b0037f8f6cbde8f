//! What QEMUs for different guests want to be told, by the guest's architecture.
//! Must not know: how QEMU is started.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    guests: Vec<Guest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    /// As QEMU's executables are named: `x86_64`.
    guests: Vec<String>,
    /// A CPU that `-M none` can be given.
    cpu: String,
    /// For readers.
    #[serde(rename = "why")]
    _why: String,
}

fn data() -> Data {
    serde_json::from_str(include_str!("../../models/exec/guests.json"))
        .expect("built in, and read by a test")
}

/// What follows `-cpu` for an executable as `qemu-system-x86_64`; of one that nobody
/// named, x86_64's.
///
/// # Errors
/// If it is not known: what is wrong, and what to do about it.
pub fn cpu(target: Option<&str>) -> Result<String, (String, &'static str)> {
    let target = target.unwrap_or("qemu-system-x86_64");
    let name = target.strip_prefix("qemu-system-").unwrap_or(target);
    let found = data().guests.into_iter().find(|known| known.guests.iter().any(|one| one == name));
    found.map(|guest| guest.cpu).ok_or_else(|| {
        let message = format!("{target}: this scenario needs a CPU, and none is known for {name}");
        (message, "add one that -M none takes to models/exec/guests.json, or take another scenario")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_is_known_once() {
        let mut names: Vec<String> = data().guests.into_iter().flat_map(|one| one.guests).collect();
        let many = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), many);
        assert_eq!(cpu(Some("qemu-system-aarch64")).as_deref(), Ok("max"));
        assert_eq!(cpu(None), cpu(Some("qemu-system-i386")));
        let (message, help) = cpu(Some("qemu-system-avr")).expect_err("it is not there");
        assert_eq!(
            message,
            "qemu-system-avr: this scenario needs a CPU, and none is known for avr"
        );
        assert_eq!(
            help,
            "add one that -M none takes to models/exec/guests.json, or take another scenario"
        );
    }
}
