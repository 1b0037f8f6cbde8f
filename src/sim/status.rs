//! MigrationStatus and PostcopyState with their legal transitions: the tables
//! of `domain/THREADS.md`, sections 5 and 6, for three versions.
//! Must not know: who makes a transition, or when.

use super::plan::Version;
use std::fmt;

/// QEMU's MigrationStatus (qapi/migration.json), as far as postcopy uses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u64)]
pub enum Status {
    None,
    Setup,
    Active,
    Device,
    PostcopyDevice,
    PostcopyActive,
    PostcopyPaused,
    PostcopyRecoverSetup,
    PostcopyRecover,
    Cancelling,
    Cancelled,
    Completed,
    Failed,
}

use Status::*;

const ALL: [Status; 13] = [
    None,
    Setup,
    Active,
    Device,
    PostcopyDevice,
    PostcopyActive,
    PostcopyPaused,
    PostcopyRecoverSetup,
    PostcopyRecover,
    Cancelling,
    Cancelled,
    Completed,
    Failed,
];

impl From<u64> for Status {
    fn from(value: u64) -> Status {
        ALL[value as usize]
    }
}

impl fmt::Display for Status {
    /// As `query-migrate` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            None => "none",
            Setup => "setup",
            Active => "active",
            Device => "device",
            PostcopyDevice => "postcopy-device",
            PostcopyActive => "postcopy-active",
            PostcopyPaused => "postcopy-paused",
            PostcopyRecoverSetup => "postcopy-recover-setup",
            PostcopyRecover => "postcopy-recover",
            Cancelling => "cancelling",
            Cancelled => "cancelled",
            Completed => "completed",
            Failed => "failed",
        })
    }
}

impl Status {
    /// The status that is printed so, if the model has it.
    pub fn named(name: &str) -> Option<Status> {
        ALL.into_iter().find(|status| status.to_string() == name)
    }

    /// `postcopy_is_paused()`.
    pub fn is_paused(self) -> bool {
        matches!(self, PostcopyPaused | PostcopyRecoverSetup)
    }

    /// Whether the outgoing MigrationState may go from `self` to `to`.
    pub fn source_may_become(self, to: Status, version: Version) -> bool {
        let old = version == Version::V7_2;
        let device = version == Version::V10_2;
        match (self, to) {
            (Setup, Active)
            | (Setup | Active | Device, Cancelling)
            | (Cancelling, Cancelled)
            | (Active | PostcopyActive, Failed)
            | (PostcopyActive, PostcopyPaused | Completed)
            | (PostcopyRecover, PostcopyActive | PostcopyPaused) => true,
            (Active, PostcopyActive | Completed) => old,
            (PostcopyPaused, PostcopyRecover) => old,
            (Active, Device) | (Device, Failed | Completed) => !old,
            (PostcopyPaused, PostcopyRecoverSetup)
            | (PostcopyRecoverSetup, PostcopyRecover | PostcopyPaused) => !old,
            (Device, PostcopyActive) => version == Version::V10_0,
            (Device, PostcopyDevice) | (PostcopyDevice, PostcopyActive | Failed) => device,
            _ => false,
        }
    }

    /// Whether the MigrationIncomingState may go from `self` to `to`.
    pub fn destination_may_become(self, to: Status, version: Version) -> bool {
        let device = version == Version::V10_2;
        match (self, to) {
            (None, Active) => version == Version::V7_2,
            (Setup, Active) => version != Version::V7_2,
            (Active, Failed | Completed)
            | (PostcopyActive, Failed | Completed | PostcopyPaused)
            | (PostcopyPaused, PostcopyRecover)
            | (PostcopyRecover, PostcopyActive | PostcopyPaused) => true,
            (Active, PostcopyActive) => !device,
            (Active, PostcopyDevice) | (PostcopyDevice, PostcopyActive | Failed) => device,
            _ => false,
        }
    }
}

/// QEMU's PostcopyState (migration/postcopy-ram.h).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u64)]
pub enum PostcopyState {
    None,
    Advise,
    Discard,
    Listening,
    Running,
    End,
}

impl From<u64> for PostcopyState {
    fn from(value: u64) -> PostcopyState {
        use PostcopyState::*;
        [None, Advise, Discard, Listening, Running, End][value as usize]
    }
}

impl fmt::Display for PostcopyState {
    /// As QEMU's constants, without what is before it: `POSTCOPY_INCOMING_ADVISE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use PostcopyState::*;
        f.pad(match self {
            None => "NONE",
            Advise => "ADVISE",
            Discard => "DISCARD",
            Listening => "LISTENING",
            Running => "RUNNING",
            End => "END",
        })
    }
}

impl PostcopyState {
    /// Whether the destination may go from `self` to `to`.
    pub fn may_become(self, to: PostcopyState) -> bool {
        use PostcopyState::*;
        matches!(
            (self, to),
            (_, None | End)
                | (None, Advise)
                | (Advise | Discard, Discard | Listening)
                | (Listening, Running)
        )
    }
}
