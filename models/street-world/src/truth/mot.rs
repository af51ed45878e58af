//! Tracks in the format of MOTChallenge's ground truth.

use std::fmt::Write;

use super::Truth;

/// The lines of one frame: `frame,track,left,top,width,height,conf,class,visibility`.
///
/// Frames count from 1. The box is that of the whole thing within the frame, as MOTChallenge has it; `conf` is 0 where evaluations look away.
#[must_use]
pub fn lines(truth: &Truth) -> String {
    let mut lines = String::new();
    for object in &truth.objects {
        let (area, counts) = (object.whole, u8::from(!object.ignore()));
        writeln!(
            lines,
            "{},{},{},{},{},{},{counts},{},{:.3}",
            truth.index + 1,
            object.track,
            area.left,
            area.top,
            area.width(),
            area.height(),
            object.class.category(),
            object.visibility
        )
        .expect("a string takes every byte");
    }
    lines
}
