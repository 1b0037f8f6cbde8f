//! The places in QEMU's sources where locks are taken and released.
//! Must not know: who takes what there.

use super::intern::Names;

/// What is known of a place by its file.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// `migration/savevm.c:2059`.
    pub text: String,
    /// A wrapper for many locks: it says nothing about which.
    pub is_wrapper: bool,
    /// system/cpus.c (softmmu/cpus.c until 8.1): `bql_unlock()` and the condition
    /// waits of vCPUs.
    pub is_cpus: bool,
    /// `os_host_main_loop_wait()`.
    pub is_main_loop: bool,
    pub is_rcu: bool,
    /// `prepare_mmio_access()`: a running guest.
    pub is_mmio: bool,
    pub is_monitor: bool,
    /// A condition wait has ended here.
    pub is_condition: bool,
}

impl Site {
    fn new(raw: &[u8]) -> Site {
        let mut text = String::from_utf8_lossy(raw).into_owned();
        while let Some(rest) = text.strip_prefix("../").or_else(|| text.strip_prefix("./")) {
            text = rest.into();
        }
        let file = text.rsplit_once(':').map_or(text.as_str(), |(file, _)| file);
        let ends = |end: &str| file == end || file.ends_with(&format!("/{end}"));
        Site {
            is_wrapper: ends("include/qemu/lockable.h"),
            is_cpus: ends("system/cpus.c") || ends("softmmu/cpus.c") || file == "cpus.c",
            is_main_loop: ends("main-loop.c"),
            is_rcu: ends("util/rcu.c"),
            is_mmio: ends("physmem.c"),
            is_monitor: ends("monitor/qmp.c"),
            is_condition: false,
            text,
        }
    }
}

/// All places of a log.
#[derive(Default)]
pub struct Sites {
    names: Names,
    list: Vec<Site>,
}

impl Sites {
    /// The number of the place that the log writes as `raw`.
    pub fn number(&mut self, raw: &[u8]) -> u32 {
        let (number, new) = self.names.number(raw);
        if new {
            self.list.push(Site::new(raw));
        }
        number
    }

    /// The place with this number.
    pub fn get(&self, number: u32) -> &Site {
        &self.list[number as usize]
    }

    /// The place with this number, to learn about it.
    pub fn get_mut(&mut self, number: u32) -> &mut Site {
        &mut self.list[number as usize]
    }

    /// Whether places had to be thrown together.
    pub fn is_full(&self) -> bool {
        self.names.is_full()
    }
}
