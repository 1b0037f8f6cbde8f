//! A scenario: what happens to the migration, with which devices, and how large
//! the model is; and the verdict that each plan must get in it.
//! Must not know: what is explored how.

use super::data::{self, DataError, Model};
use crate::lock::Rule;
use crate::runtime::Timing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// When the environment (network, management) moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moves {
    /// Only when no thread of either QEMU can; each such step is a tick.
    Idle,
    /// At any time.
    Any,
}

impl From<Moves> for Timing {
    fn from(moves: Moves) -> Timing {
        match moves {
            Moves::Idle => Timing::Idle,
            Moves::Any => Timing::Any,
        }
    }
}

/// While what the network may break.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Break {
    Never,
    /// From the arrival of the package until the source has sent its last page.
    WhilePagesAreStreamed,
    /// Once, at any step of the migration.
    Anytime,
}

/// A device of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// A plain PCI-like device: its load asserts the BQL (memory API).
    Pci,
    /// Its `post_load` calls `run_on_cpu()` (the KVM apic).
    RunOnCpu,
    /// Block dirty bitmap: postcopiable, own lock.
    DirtyBitmap,
    /// VFIO with a load thread that needs the BQL.
    Vfio,
}

/// The verdict of an exploration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Clean,
    Violated,
    Inconclusive,
}

/// What a plan must come out as.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub verdict: Verdict,
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Why, in one sentence.
    #[serde(default)]
    pub reason: String,
}

/// How large the model is: who takes part.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Size {
    pub name: String,
    pub monitor: bool,
    pub fault_thread: bool,
    /// Migration thread, two return-path threads and the network. Without them
    /// the stream is a script.
    pub source: bool,
    pub vcpus: u8,
    pub pages: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    schema: u32,
    sizes: Vec<Size>,
}

/// A scenario.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Format of the file: 1.
    pub schema: u32,
    pub name: String,
    /// One sentence: what happens.
    pub about: String,
    /// When the environment moves.
    pub environment: Moves,
    #[serde(rename = "break")]
    pub breaks: Break,
    pub devices: Vec<Device>,
    /// vCPUs do MMIO, under the BQL.
    pub mmio: bool,
    /// The MMIO handler reads guest memory, and may fault.
    pub dma: bool,
    /// A section that is not postcopiable arrives on the postcopy channel.
    pub hostile_section: bool,
    /// RCU callbacks, run under the BQL, are pending.
    pub rcu_callbacks: bool,
    /// Messages of the postcopy stream that may be in flight when a write
    /// returns; 0: a write returns when its message has arrived; absent: it never
    /// blocks. What comes before, the package included, is buffered.
    #[serde(default)]
    pub stream_capacity: Option<usize>,
    /// The same of the return path.
    #[serde(default)]
    pub return_path_capacity: Option<usize>,
    /// The source does not go over to postcopy: it completes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub precopy: bool,
    /// The user of the source cancels, at any step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
    /// Condition waits that may end without a signal.
    #[serde(default)]
    pub spurious_wakeups: u32,
    /// Ticks that a vCPU may wait for the BQL.
    pub stall_bound: u32,
    /// The default size.
    pub size: String,
    /// The plans it concerns and what each must come out as.
    pub expect: BTreeMap<String, Expectation>,
}

const BUILT_IN: [(&str, &str); 13] = [
    ("precopy", include_str!("../../models/scenarios/precopy.json")),
    ("precopy-break-anytime", include_str!("../../models/scenarios/precopy-break-anytime.json")),
    ("precopy-cancel", include_str!("../../models/scenarios/precopy-cancel.json")),
    ("postcopy-cancel", include_str!("../../models/scenarios/postcopy-cancel.json")),
    ("postcopy", include_str!("../../models/scenarios/postcopy.json")),
    ("postcopy-recover", include_str!("../../models/scenarios/postcopy-recover.json")),
    ("postcopy-break-anytime", include_str!("../../models/scenarios/postcopy-break-anytime.json")),
    ("postcopy-run-on-cpu", include_str!("../../models/scenarios/postcopy-run-on-cpu.json")),
    (
        "postcopy-recover-run-on-cpu",
        include_str!("../../models/scenarios/postcopy-recover-run-on-cpu.json"),
    ),
    ("postcopy-mmio-dma", include_str!("../../models/scenarios/postcopy-mmio-dma.json")),
    (
        "postcopy-recover-mmio-dma",
        include_str!("../../models/scenarios/postcopy-recover-mmio-dma.json"),
    ),
    ("postcopy-vfio", include_str!("../../models/scenarios/postcopy-vfio.json")),
    ("hostile-source", include_str!("../../models/scenarios/hostile-source.json")),
];

impl Size {
    /// All sizes, smallest first.
    pub fn all() -> Vec<Size> {
        let text = include_str!("../../models/sizes.json");
        let sizes: Sizes = data::parse("models/sizes.json", text).expect("built-in data is valid");
        assert_eq!(sizes.schema, 1, "built-in data is of this schema");
        sizes.sizes
    }

    /// The size called `name`.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn named(name: &str) -> Result<Size, DataError> {
        let all = Size::all();
        let known: Vec<String> = all.iter().map(|size| size.name.clone()).collect();
        all.into_iter().find(|size| size.name == name).ok_or_else(|| DataError {
            file: name.into(),
            place: None,
            message: format!("no such size; one of: {}", known.join(", ")),
        })
    }
}

impl Model for Scenario {
    const KIND: &'static str = "scenario";
    const FOLDER: &'static str = "models/scenarios";
    const BUILT_IN: &'static [(&'static str, &'static str)] = &BUILT_IN;

    fn contradiction(&self) -> Option<String> {
        if self.schema != 1 {
            return Some(format!("schema {} is not known; this program reads 1", self.schema));
        }
        if self.dma && !self.mmio {
            return Some("\"dma\" is done by an MMIO handler: it needs \"mmio\"".into());
        }
        if self.breaks == Break::WhilePagesAreStreamed && self.environment == Moves::Any {
            return Some(
                "\"break\": \"while-pages-are-streamed\" needs \"environment\": \"idle\"".into(),
            );
        }
        if self.precopy && (self.hostile_section || self.breaks == Break::WhilePagesAreStreamed) {
            return Some("\"precopy\" has no postcopy channel to break or to be hostile on".into());
        }
        if self.cancel && self.breaks != Break::Never {
            return Some("\"cancel\" goes with \"break\": \"never\"".into());
        }
        if self.cancel && self.environment == Moves::Idle {
            return Some("\"cancel\" needs \"environment\": \"any\"".into());
        }
        if let Err(error) = Size::named(&self.size) {
            return Some(format!("\"size\": \"{}\": {}", self.size, error.message));
        }
        let twice = |device| self.devices.iter().filter(|d| **d == device).count() > 1;
        self.devices
            .iter()
            .find(|device| twice(**device))
            .map(|device| format!("\"devices\" names {device:?} twice"))
    }
}

impl Scenario {
    /// The names of the built-in scenarios, in the order of the matrix.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in scenario called `name`.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn built_in(name: &str) -> Result<Scenario, DataError> {
        data::built_in(name)
    }

    /// The scenario in the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is not a scenario, or contradicts itself.
    pub fn load(path: &Path) -> Result<Scenario, DataError> {
        data::load(path).and_then(|model: Scenario| model.checked(&path.display().to_string()))
    }

    pub(crate) fn checked(self, file: &str) -> Result<Scenario, DataError> {
        data::checked(self, file)
    }

    /// Why the scenario cannot be had in `size`, if it cannot.
    pub fn too_small(&self, size: &Size) -> Option<String> {
        let needs_monitor = self.breaks != Break::Never && !size.monitor;
        let needs = match self.breaks {
            Break::Anytime => Some("breaks the network at any step"),
            _ if self.cancel => Some("cancels"),
            _ if self.precopy => Some("has no script"),
            _ => None,
        };
        if let Some(what) = needs.filter(|_| !size.source) {
            return Some(format!(
                "{} {what}, which needs a source: size l or larger, not {}",
                self.name, size.name
            ));
        }
        if self.hostile_section && !size.monitor {
            return Some(format!(
                "{} may pause the destination, which needs the monitor: size s or larger, not {}",
                self.name, size.name
            ));
        }
        needs_monitor.then(|| {
            format!(
                "{} recovers from a break, which needs the monitor: size s or larger, not {}",
                self.name, size.name
            )
        })
    }
}
