//! What cannot be painted.

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a frame cannot be had, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The size is out of range.
    #[error("a frame of {width}x{height} pixels cannot be painted; each side must be 16 to {MAX_SIDE}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The frame rate is out of range.
    #[error("{0} frames a second cannot be had; give more than 0 and at most 1000")]
    Rate(f64),
    /// A share is not within 0..=1.
    #[error("{name} is {value}; it is a share, from 0 to 1")]
    Share {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f32,
    },
}

/// The longest side of a frame in pixels.
pub const MAX_SIDE: u32 = 8192;
