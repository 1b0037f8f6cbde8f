//! A lock plan: what is done at each place where QEMU's versions and the
//! proposals of the discussion differ.
//! Must not know: what a plan leads to.

use super::data::{self, DataError, Model};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The BQL round `qemu_loadvm_state_main()` in the listen thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadvmBql {
    /// Not taken: QEMU as released.
    None,
    /// Held across it, network reads included.
    Held,
    /// Held, but dropped while waiting for stream I/O.
    DroppedForIo,
}

/// Where and how the destination's migration state is torn down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teardown {
    /// In the listen thread, without the BQL, `load_cleanup` hooks last (7.2).
    ListenWithoutBql,
    /// In the listen thread, with the BQL, hooks first (10.0).
    ListenWithBql,
    /// In a bottom half of the main loop that joins the listen thread (10.2).
    MainBhJoin,
}

/// Whether sections on the postcopy channel are checked before they are loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SectionCheck {
    None,
    /// One whose handler has no `has_postcopy` is a load error.
    Postcopiable,
}

/// The load hooks of `SaveVMHandlers`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadState {
    /// One `load_state` for both channels.
    Single,
    /// `load_state` with the BQL, `load_state_postcopy` without, the latter only
    /// for handlers that are postcopiable.
    Split,
}

/// How VFIO's `load_cleanup` waits for its load thread, which needs the BQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VfioCleanup {
    /// Called with the BQL, keeps it while it waits.
    WaitsUnderBql,
    /// Called with the BQL, releases it round the wait (10.0, 10.2).
    ReleasesBql,
    /// Hooks are called without the BQL; VFIO takes it where it needs it.
    TakesBql,
}

/// Where the listener of `migrate-recover` accepts the new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoverAccept {
    /// On the monitor IOThread's own context, without the BQL: QEMU as it is.
    Iothread,
    /// In the main loop, with the BQL.
    MainLoop,
}

/// Whose source side and state tables the plan follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, Serialize)]
pub enum Version {
    #[serde(rename = "7.2")]
    V7_2,
    #[serde(rename = "10.0")]
    V10_0,
    #[serde(rename = "10.2")]
    V10_2,
}

impl Version {
    /// The one whose protocol a QEMU of this version (`10.0.13`) speaks: of several
    /// the newest that is not newer.
    pub fn of_qemu(version: &str) -> Version {
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        match (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) {
            (..10, _) => Version::V7_2,
            (10, ..2) => Version::V10_0,
            _ => Version::V10_2,
        }
    }
}

/// A lock plan.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// Format of the file: 1.
    pub schema: u32,
    pub name: String,
    /// One sentence: what the plan stands for.
    pub about: String,
    pub version: Version,
    pub loadvm_bql: LoadvmBql,
    pub teardown: Teardown,
    /// POSTCOPY_DEVICE between the package and RUN, with PACKAGED_LOADED (10.2).
    pub postcopy_device: bool,
    pub section_check: SectionCheck,
    pub load_state: LoadState,
    pub vfio_cleanup: VfioCleanup,
    pub recover_accept: RecoverAccept,
}

const BUILT_IN: [(&str, &str); 11] = [
    ("qemu-7.2", include_str!("../../models/plans/qemu-7.2.json")),
    ("qemu-10.0", include_str!("../../models/plans/qemu-10.0.json")),
    ("qemu-10.2", include_str!("../../models/plans/qemu-10.2.json")),
    ("qemu-10.0-main-accept", include_str!("../../models/plans/qemu-10.0-main-accept.json")),
    ("bql-around-loadvm", include_str!("../../models/plans/bql-around-loadvm.json")),
    (
        "bql-around-loadvm-main-accept",
        include_str!("../../models/plans/bql-around-loadvm-main-accept.json"),
    ),
    ("io-drops-bql", include_str!("../../models/plans/io-drops-bql.json")),
    ("split-load-state", include_str!("../../models/plans/split-load-state.json")),
    ("check-postcopiable", include_str!("../../models/plans/check-postcopiable.json")),
    ("vfio-join-under-bql", include_str!("../../models/plans/vfio-join-under-bql.json")),
    ("vfio-takes-bql", include_str!("../../models/plans/vfio-takes-bql.json")),
];

impl Model for Plan {
    const KIND: &'static str = "plan";
    const FOLDER: &'static str = "models/plans";
    const BUILT_IN: &'static [(&'static str, &'static str)] = &BUILT_IN;

    fn contradiction(&self) -> Option<String> {
        if self.schema != 1 {
            return Some(format!("schema {} is not known; this program reads 1", self.schema));
        }
        let without_bql = self.teardown == Teardown::ListenWithoutBql;
        if self.postcopy_device && self.version != Version::V10_2 {
            return Some("\"postcopy-device\" exists from version 10.2 on".into());
        }
        if (self.vfio_cleanup == VfioCleanup::TakesBql) != without_bql
            && self.version != Version::V7_2
        {
            return Some(
                "\"vfio-cleanup\": \"takes-bql\" goes with \"teardown\": \
                 \"listen-without-bql\": otherwise the hook would take a BQL that is held, \
                 or release one that is not"
                    .into(),
            );
        }
        if self.teardown == Teardown::MainBhJoin && self.version != Version::V10_2 {
            return Some("\"teardown\": \"main-bh-join\" exists from version 10.2 on".into());
        }
        None
    }
}

impl Plan {
    /// The names of the built-in plans, in the order of the matrix.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in plan called `name`.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn built_in(name: &str) -> Result<Plan, DataError> {
        data::built_in(name)
    }

    /// The plan in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is not a plan, or contradicts itself.
    pub fn load(path: &Path) -> Result<Plan, DataError> {
        data::load(path).and_then(|model: Plan| model.checked(&path.display().to_string()))
    }

    pub(crate) fn checked(self, file: &str) -> Result<Plan, DataError> {
        data::checked(self, file)
    }
}
