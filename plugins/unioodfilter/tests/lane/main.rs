//! The ticket lane, which is private to the element: its source compiled here, once with real locks, once with shuttle's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the element uses all of it")]
#![allow(clippy::duplicate_mod, reason = "with other locks each time")]

#[path = "../../../../tests/common/mod.rs"]
mod common;
mod interleavings;
mod threads;
