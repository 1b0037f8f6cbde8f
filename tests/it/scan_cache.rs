//! The cache of facts: it may be cut short, torn, shared, locked away or left
//! out, and the report is the same.

use super::scan_cli::{BAD, Place};
use std::fs;
use std::path::{Path, PathBuf};

/// A tree of some files.
fn place(test: &str) -> Place {
    let place = Place::new(&format!("cache-{test}"), &[]);
    for at in 0..8 {
        let text = BAD.replace("box_take", &format!("box_take_{at}"));
        place.write(&format!("migration/box{at}.c"), text.as_bytes());
    }
    place
}

/// Every file below `directory`, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn an_entry_that_is_torn_or_of_another_is_made_anew() {
    let place = place("torn");
    let first = place.scan(&["--format", "json"]);
    let kept = files(&place.cache);
    let whole: Vec<Vec<u8>> = kept.iter().map(|file| fs::read(file).expect("kept")).collect();
    assert_eq!(kept.len(), 8);
    type Tear = fn(&[u8]) -> Vec<u8>;
    let tear: [Tear; 5] = [
        |_| Vec::new(),
        |whole| whole[..whole.len() / 2].to_vec(),
        |whole| whole[..7].to_vec(),
        |whole| whole.iter().rev().copied().collect(),
        |whole| {
            let mut whole = whole.to_vec();
            let last = whole.len() - 1;
            whole[last] ^= 1;
            whole
        },
    ];
    for torn in tear {
        for (file, whole) in kept.iter().zip(&whole) {
            fs::write(file, torn(whole)).expect("written");
        }
        assert_eq!(place.scan(&["--format", "json"]), first);
        for (file, whole) in kept.iter().zip(&whole) {
            assert_eq!(&fs::read(file).expect("made anew"), whole);
        }
    }
}

#[test]
fn what_a_killed_run_left_does_no_harm() {
    let place = place("killed");
    let first = place.scan(&["--format", "json"]);
    let kept = files(&place.cache);
    for file in &kept {
        let whole = fs::read(file).expect("kept");
        fs::remove_file(file).expect("removed");
        fs::write(file.with_file_name("1.0.partial"), &whole[..whole.len() / 2]).expect("written");
    }
    assert_eq!(place.scan(&["--format", "json"]), first);
    assert!(kept.iter().all(|file| file.is_file()));
}

#[test]
fn runs_at_once_share_it() {
    let place = place("shared");
    let alone = place.scan(&["--format", "json", "--no-cache"]);
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = place.command(&["--format", "json"]);
            command.stdout(std::process::Stdio::piped()).spawn().expect("it was just built")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), alone.1);
    }
    let kept = files(&place.cache);
    assert_eq!(kept.len(), 8, "nothing partial is left: {kept:?}");
}

#[test]
fn without_it_nothing_is_kept() {
    let place = place("none");
    let first = place.scan(&["--no-cache"]);
    assert_eq!(first.0, 1);
    assert!(!place.cache.exists());
}

#[test]
fn one_that_cannot_be_written_to_is_done_without() {
    let place = place("locked");
    let first = place.scan(&["--no-cache"]);
    // A file where the directory should be: not even root can write there.
    fs::write(&place.cache, "in the way").expect("written");
    assert_eq!(place.scan(&[]), first);
    let mut homeless = place.command(&[]);
    homeless.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let output = homeless.output().expect("it was just built");
    assert_eq!(String::from_utf8_lossy(&output.stdout), first.1);
}
