//! The queues' doors over the real binary: SQS and Step Functions are the emulator's, on both databases.
#![allow(missing_docs, clippy::unwrap_used)]

mod gates;
mod intake;
mod pipelines;
mod schemas;
mod world;
