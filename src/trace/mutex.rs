//! The mutexes of a log, by address, and their classes: all that are taken at the
//! same site are of one class.
//! Must not know: who may take which, or for how long.

use super::intern::Numbers;
use super::site::Sites;

/// No thread, no class.
pub const NONE: u32 = u32::MAX;
/// More mutexes at a time than this: those that nobody has are forgotten.
const MOST: usize = 1 << 16;
/// More classes than this share the last.
const MOST_CLASSES: usize = 1 << 14;

/// A mutex.
#[derive(Clone, Debug)]
pub struct Mutex {
    pub address: u64,
    /// The thread that has it.
    pub owner: u32,
    /// How often it has it: recursive ones have the same events.
    pub depth: u32,
    /// How many wait for it.
    pub waiting: u32,
    /// Whether it was seen taken or released: before that it may be held.
    pub known: bool,
    pub class: u32,
}

/// A class of mutexes.
#[derive(Clone, Debug)]
struct Class {
    /// What it was found to be part of; itself, if of nothing.
    parent: u32,
    /// The first site that tells it from others; else any.
    site: u32,
    /// For one that only wrappers take.
    address: u64,
    /// How many sites take it.
    sites: u32,
}

/// All mutexes.
#[derive(Default)]
pub struct Mutexes {
    numbers: Numbers,
    list: Vec<Mutex>,
    free: Vec<u32>,
    classes: Vec<Class>,
    /// The class of each site, as far as it has one.
    by_site: Vec<u32>,
    /// The BQL, once it is found.
    pub bql: Option<u32>,
    /// How many were forgotten to make room.
    pub forgotten: u64,
}

impl Mutexes {
    /// The mutex at `address`. None: there are too many that are held.
    pub fn at(&mut self, address: u64) -> Option<u32> {
        if let Some(number) = self.numbers.get(address) {
            return Some(number);
        }
        if self.list.len() >= MOST && self.free.is_empty() {
            self.sweep();
        }
        let mutex = Mutex { address, owner: NONE, depth: 0, waiting: 0, known: false, class: NONE };
        let number = match self.free.pop() {
            Some(number) => {
                self.list[number as usize] = mutex;
                number
            }
            None if self.list.len() >= MOST => return None,
            None => {
                self.list.push(mutex);
                self.list.len() as u32 - 1
            }
        };
        self.numbers.set(address, number);
        Some(number)
    }

    /// Forgets those that nobody has or waits for.
    fn sweep(&mut self) {
        for (number, mutex) in self.list.iter().enumerate() {
            let idle = mutex.owner == NONE && mutex.waiting == 0;
            if idle && self.bql != Some(number as u32) {
                self.numbers.forget(mutex.address);
                self.free.push(number as u32);
                self.forgotten += 1;
            }
        }
    }

    /// The mutex with this number.
    pub fn get(&self, number: u32) -> &Mutex {
        &self.list[number as usize]
    }

    /// The mutex with this number, to change it.
    pub fn get_mut(&mut self, number: u32) -> &mut Mutex {
        &mut self.list[number as usize]
    }

    /// `mutex` is taken at `site`: its class.
    pub fn classify(&mut self, mutex: u32, site: u32, sites: &Sites) -> u32 {
        let mine = self.list[mutex as usize].class;
        if sites.get(site).is_wrapper {
            if mine != NONE {
                return mine;
            }
            let address = self.list[mutex as usize].address;
            let class = self.class(Class { parent: 0, site, address, sites: 0 });
            self.list[mutex as usize].class = class;
            return class;
        }
        if self.by_site.len() <= site as usize {
            self.by_site.resize(site as usize + 1, NONE);
        }
        let theirs = self.by_site[site as usize];
        if mine == theirs && mine != NONE {
            return mine;
        }
        let class = match (mine, theirs) {
            (NONE, NONE) => self.class(Class { parent: 0, site, address: 0, sites: 1 }),
            (NONE, class) => class,
            (class, NONE) => {
                let root = self.root(class);
                let class = &mut self.classes[root as usize];
                class.sites += 1;
                if class.address != 0 {
                    (class.site, class.address) = (site, 0);
                }
                root
            }
            (mine, theirs) => self.join(mine, theirs),
        };
        self.list[mutex as usize].class = class;
        self.by_site[site as usize] = class;
        class
    }

    fn class(&mut self, class: Class) -> u32 {
        if self.classes.len() == MOST_CLASSES {
            return MOST_CLASSES as u32 - 1;
        }
        let number = self.classes.len() as u32;
        self.classes.push(Class { parent: number, ..class });
        number
    }

    /// What `class` was found to be part of.
    pub fn root(&self, mut class: u32) -> u32 {
        while self.classes[class as usize].parent != class {
            class = self.classes[class as usize].parent;
        }
        class
    }

    fn join(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return a;
        }
        let (low, high) = (a.min(b), a.max(b));
        // One of named sites gives its name.
        let named = self.classes[low as usize].address == 0;
        let other = self.classes[high as usize].clone();
        let class = &mut self.classes[low as usize];
        class.sites += other.sites;
        if !named {
            (class.site, class.address) = (other.site, other.address);
        }
        self.classes[high as usize].parent = low;
        low
    }

    /// The class of the BQL.
    pub fn bql_class(&self) -> Option<u32> {
        let class = self.list[self.bql? as usize].class;
        (class != NONE).then(|| self.root(class))
    }

    /// Names a class: `bql`, or the first site that takes it.
    pub fn name(&self, class: u32, sites: &Sites) -> String {
        if class == NONE {
            return "a lock".into();
        }
        let root = self.root(class);
        if self.bql_class() == Some(root) {
            return "bql".into();
        }
        let Class { site, address, .. } = self.classes[root as usize];
        match address {
            0 => sites.get(site).text.clone(),
            _ => format!("{} at {address:#x}", sites.get(site).text),
        }
    }

    /// Whether classes had to be thrown together.
    pub fn is_full(&self) -> bool {
        self.classes.len() == MOST_CLASSES
    }
}
