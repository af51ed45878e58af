//! Things that no caption and no class list ever names: what an open world has in store.

pub mod camp;
pub mod luggage;
pub mod machines;
pub mod zoo;
