//! The scenarios of a restless user and of a switchover that is stuck: they are there for
//! each version, and the README says so.

use bqlcheck::exec::scenario;

const ALL: [&str; 6] = [
    "postcopy-restless",
    "postcopy-restless-anytime",
    "postcopy-restless-out",
    "postcopy-restless-late-out",
    "switchover-stuck-out",
    "switchover-stuck-postcopy-out",
];

#[test]
fn each_is_there_for_each_version() {
    let names = scenario::names();
    for name in ALL {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}");
        for version in ["7.2.22", "10.0.13", "10.2.50"] {
            assert!(scenario::find(name, version).is_some(), "{name} {version}");
        }
    }
    assert!(scenario::find("postcopy-restless-in", "10.0.13").is_none());
    assert!(scenario::find("switchover-stuck", "10.0.13").is_none());
}

#[test]
fn the_readme_names_each() {
    let readme = include_str!("../../README.md");
    for name in ALL {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
