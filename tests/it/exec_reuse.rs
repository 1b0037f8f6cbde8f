//! A descriptor that becomes another file's while somebody waits for the first
//! (`exec/reuse.c`).

use crate::cli::directory;
use crate::exec_kernel::{NOTHING, ends_of};
use crate::made_build::trial;

#[test]
fn a_call_that_waits_stays_with_its_file() {
    let sources = [("trial.c", include_str!("exec/reuse.c"), "")];
    let Some(image) = trial(&directory("exec reuse"), &sources) else { return };
    ends_of(&image, "1:200", NOTHING, "reused right", &[(200, r#"exit 0 "0 ""#)]);
    let wrong = [(107, r#"exit 0 "0 ""#), (93, r#"exit 0 "3 new""#)];
    ends_of(&image, "1:200", NOTHING, "reused wrong", &wrong);
}
