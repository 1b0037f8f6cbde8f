//! What travels through channels: any message, with its fingerprint.
//! Must not know: the message types.

use crate::lock::fingerprint;
use std::any::Any;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// A message with its type erased, so that the world needs no type parameter.
#[derive(Clone)]
pub struct Payload {
    digest: u128,
    label: fn(&(dyn Any + Send + Sync)) -> String,
    body: Arc<dyn Any + Send + Sync>,
}

impl Payload {
    /// Wraps `message`.
    pub fn new<T: Any + Send + Sync + Hash + fmt::Debug>(message: T) -> Payload {
        Payload {
            digest: fingerprint(&message),
            label: |body| format!("{:?}", body.downcast_ref::<T>().expect("own type")),
            body: Arc::new(message),
        }
    }

    /// Fingerprint of the message.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// The message, if it is a `T`.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.body.downcast_ref()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.label)(&*self.body))
    }
}
