//! The element as applications meet it, each file one concern.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
#[path = "../../../../tests/common/mod.rs"]
mod common;
mod flow;
mod following;
mod formats;
mod late;
mod metadata;
mod metrics;
mod order;
mod pipelines;
mod rig;
mod settings;
mod shared;
mod sources;
mod support;
mod time;
mod tracks;
