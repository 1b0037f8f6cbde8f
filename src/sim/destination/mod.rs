//! The destination QEMU, one thread a file.
//! Must not know: how the source comes to send what it sends.

pub mod devices;
pub mod fault_thread;
pub mod incoming;
pub mod listen_thread;
pub mod main_loop;
pub mod monitor;
pub mod ram_load;
pub mod return_path;
pub mod teardown;
pub mod vcpu;
