//! `SaveVMHandlers`: who has which hook, what it may assume about the BQL, and
//! the one door through which hooks are called.
//! Must not know: what the hooks do.

use super::cast::Cast;
use super::plan::{LoadState, Version, VfioCleanup};
use super::scenario::Device;
use crate::lock::{Rule, Site};
use crate::runtime::Runtime;

/// Who registered handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Ram,
    Device(Device),
}

/// The load-side hooks of `SaveVMHandlers` (include/migration/register.h).
// QEMU's names.
#[allow(clippy::enum_variant_names)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    LoadSetup,
    LoadState,
    /// The other half of a split `load_state`.
    LoadStatePostcopy,
    LoadCleanup,
}

/// What a hook may assume at its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    Held,
    NotHeld,
    Either,
}

impl Owner {
    /// The section's idstr.
    pub fn idstr(self) -> &'static str {
        match self {
            Owner::Ram => "ram",
            Owner::Device(Device::Pci) => "pci-device",
            Owner::Device(Device::RunOnCpu) => "apic",
            Owner::Device(Device::DirtyBitmap) => "dirty-bitmap",
            Owner::Device(Device::Vfio) => "vfio",
        }
    }

    /// `has_postcopy`.
    pub fn has_postcopy(self) -> bool {
        matches!(self, Owner::Ram | Owner::Device(Device::DirtyBitmap))
    }

    /// Whether it registered `hook`. Devices with a VMStateDescription have no
    /// hooks of their own; their load counts as `load_state`.
    pub fn has(self, hook: Hook) -> bool {
        match hook {
            Hook::LoadState => true,
            Hook::LoadStatePostcopy => self.has_postcopy(),
            Hook::LoadSetup | Hook::LoadCleanup => {
                matches!(self, Owner::Ram | Owner::Device(Device::Vfio))
            }
        }
    }
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Hook::LoadSetup => "load_setup",
            Hook::LoadState => "load_state",
            Hook::LoadStatePostcopy => "load_state_postcopy",
            Hook::LoadCleanup => "load_cleanup",
        }
    }
}

impl Cast {
    /// All who registered handlers, in the order of their sections.
    pub fn owners(&self) -> impl Iterator<Item = Owner> {
        let devices = self.scenario.devices.iter().map(|device| Owner::Device(*device));
        std::iter::once(Owner::Ram).chain(devices)
    }

    /// The hook that loads a section of `owner` on the postcopy channel, if the
    /// plan lets one run there.
    pub fn postcopy_load_hook(&self, owner: Owner) -> Option<Hook> {
        match self.plan.load_state {
            LoadState::Single => Some(Hook::LoadState),
            LoadState::Split => owner.has_postcopy().then_some(Hook::LoadStatePostcopy),
        }
    }

    /// HANDLER_CONTRACTS.md, section 2, destination side.
    fn entry(&self, owner: Owner, hook: Hook) -> Entry {
        match hook {
            Hook::LoadSetup => Entry::Held,
            Hook::LoadState if owner.has_postcopy() => Entry::Either,
            Hook::LoadState => Entry::Held,
            Hook::LoadStatePostcopy => Entry::NotHeld,
            Hook::LoadCleanup if self.plan.vfio_cleanup == VfioCleanup::TakesBql => Entry::NotHeld,
            Hook::LoadCleanup => Entry::Held,
        }
    }

    /// The door: checks the contract of `hook` before `owner`'s runs. Without
    /// the BQL a device's load aborts in the memory API; a cleanup only races.
    pub fn enter<R: Runtime>(&self, cx: &R, owner: Owner, hook: Hook, site: Site) {
        let held = cx.holds(self.bql);
        let me = cx.me();
        let (rule, say) = match self.entry(owner, hook) {
            Entry::Held if !held => (Rule::NeedsBql, "needs the BQL and is called without it"),
            Entry::NotHeld if held => {
                (Rule::MustNotHold, "must not hold the BQL and is called with it")
            }
            _ => return,
        };
        let aborts = hook != Hook::LoadCleanup || self.plan.version != Version::V7_2;
        cx.world(|world| {
            let message = format!(
                "{} of {} {say}, by {} in {}",
                hook.name(),
                owner.idstr(),
                world.name(me),
                site.function
            );
            if aborts && rule == Rule::NeedsBql {
                world.abort(rule, me, site, message);
            } else {
                world.violate(rule, me, site, message);
            }
        });
    }
}
