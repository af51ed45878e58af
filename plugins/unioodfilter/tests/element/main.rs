//! The element as applications meet it, each file one concern.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod flow;
mod formats;
mod metadata;
mod metrics;
mod order;
mod pipelines;
mod settings;
mod shared;
mod sources;
mod support;
mod time;
mod tracks;
