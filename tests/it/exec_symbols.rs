//! Names for addresses: of a small program, and of a QEMU where there is one.

use crate::cli::directory;
use bqlcheck::exec::symbols::{Frame, Symbols};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, compiled; none without a compiler.
fn program(test: &str, flags: &[&str]) -> Option<(Symbols, PathBuf)> {
    let folder = directory(&format!("exec symbols {test}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/exec/symbols.c");
    std::fs::copy(source, folder.join("symbols.c")).expect("part of the repository");
    let path = folder.join("program");
    let compiled = Command::new("cc")
        .args(["-g", "-O1", "symbols.c", "-o", "program"])
        .args(flags)
        .current_dir(&folder)
        .output();
    let Ok(output) = compiled else {
        eprintln!("skipped: there is no cc");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((Symbols::open(&path, &folder).expect("an executable"), path))
}

#[test]
fn members_are_named_by_their_path() {
    for flags in [&["-gdwarf-5"][..], &["-gdwarf-4"], &["-gz"]] {
        let Some((symbols, _)) = program("members", flags) else { return };
        let of = |offset: u64| symbols.pointed("current", offset);
        let name = |text: &str| Some(text.to_string());
        // file 8, three of {int, padding, QemuMutex of 48}, union 8, flag, last.
        assert_eq!(of(0), name("file"));
        assert_eq!(of(3), name("file+0x3"));
        assert_eq!(of(8), name("inner[0].before"));
        assert_eq!(of(12), None, "between members");
        assert_eq!(of(16), name("inner[0].mutex"));
        assert_eq!(of(16 + 56), name("inner[1].mutex"));
        assert_eq!(of(16 + 2 * 56 + 8), name("inner[2].mutex.lock[1]"));
        assert_eq!(of(8 + 3 * 56), name("number"));
        assert_eq!(of(8 + 3 * 56 + 8), name("flag"));
        assert_eq!(of(8 + 3 * 56 + 16), name("last"));
        assert_eq!(of(8 + 3 * 56 + 16 + 48), None, "behind the end");
    }
}

#[test]
fn variables_are_named_by_address() {
    let Some((symbols, _)) = program("variables", &[]) else { return };
    let at = |name: &str| symbols.address(name).expect("a variable");
    let name = |text: &str| Some(text.to_string());
    assert_eq!(symbols.variable(at("big_lock")), name("big_lock"));
    assert_eq!(symbols.variable(at("big_lock") + 16), name("big_lock.lock[2]"));
    assert_eq!(symbols.variable(at("pair") + 56 + 8), name("pair[1].mutex"));
    assert_eq!(symbols.variable(at("state") + 16), name("state.inner[0].mutex"));
    assert_eq!(symbols.variable(1), None);
    assert_eq!(symbols.address("nothing"), None);
}

#[test]
fn what_a_variable_points_to_is_named() {
    for flags in [&["-gdwarf-5"][..], &["-gdwarf-4"]] {
        let Some((symbols, _)) = program("pointers", flags) else { return };
        let name = |text: &str| Some(text.to_string());
        // Of a struct that has no name.
        assert_eq!(symbols.pointed("with_array", 16), name("lock"));
        assert_eq!(symbols.pointed("with_array", 64), None, "behind the end");
        let of = |offset| symbols.element("with_array", "params", offset);
        assert_eq!(of(8), name("[0].mutex"));
        assert_eq!(of(2 * 56 + 8 + 16), name("[2].mutex.lock[2]"));
        // Another member is first, or it points to nothing.
        assert_eq!(symbols.element("with_array", "lock", 8), None);
        assert_eq!(symbols.element("with_array_later", "params", 8), None);
        assert_eq!(symbols.element("with_array_later", "number", 8), None);
        assert_eq!(symbols.pointed("state", 8), None, "no pointer");
        assert_eq!(symbols.pointed("nothing", 8), None);
    }
}

#[test]
fn a_place_in_the_code_has_its_function_and_what_is_inlined() {
    let Some((symbols, path)) = program("frames", &[]) else { return };
    let output = Command::new("nm").arg(path).output().expect("nm comes with cc");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.ends_with(" outer")).expect("it is not inlined");
    let begin = u64::from_str_radix(&line[..16], 16).expect("an address");
    let all: Vec<Vec<Frame>> = (begin..begin + 8).map(|address| symbols.frames(address)).collect();
    let frame =
        |function: &str, line| Frame { function: function.into(), file: "symbols.c".into(), line };
    // twice(), inlined, inside of outer().
    assert!(all.contains(&vec![frame("twice", 34), frame("outer", 39)]), "{all:?}");
    assert!(symbols.frames(0).is_empty());
}

#[test]
fn what_is_no_executable_is_told() {
    let folder = directory("exec symbols broken");
    let path = folder.join("text");
    std::fs::write(&path, "no ELF").expect("our own");
    let error = Symbols::open(&path, &folder).err().expect("no executable");
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    // Cut anywhere, it is an error or has fewer names: never a panic.
    let Some((_, program)) = program("cut", &[]) else { return };
    let bytes = std::fs::read(program).expect("just made");
    for end in (0..bytes.len()).step_by(bytes.len() / 200) {
        std::fs::write(&path, &bytes[..end]).expect("our own");
        if let Ok(symbols) = Symbols::open(&path, &folder) {
            let _ =
                (symbols.pointed("current", 16), symbols.variable(0x4000), symbols.frames(0x1139));
        }
    }
    // And with bytes changed.
    for nth in 0..200 {
        let mut changed = bytes.clone();
        let at = nth * bytes.len() / 200;
        changed[at] ^= 0xff;
        std::fs::write(&path, &changed).expect("our own");
        if let Ok(symbols) = Symbols::open(&path, &folder) {
            let _ =
                (symbols.pointed("current", 16), symbols.variable(0x4000), symbols.frames(0x1139));
        }
    }
}
