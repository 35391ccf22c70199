//! An emulator of AWS for tests, made by others, and a proxy before it that breaks calls.
#![allow(clippy::unwrap_used)]

mod bridge;
mod machine;
mod packages;
mod proxy;

pub use bridge::{Bridge, Form, TOPIC, events_queue, of_queue};
pub use machine::Emulator;
pub use packages::python;
pub use proxy::{Call, Fault, Proxy, accepted};

/// What the SDK's ordinary chain finds for the emulator.
pub const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "eu-west-1")];
