//! What a tag says, and where it goes.

use std::fmt::Write as _;

use super::paint::Area;
use crate::{
    track::{LEAST_OBSERVATIONS, Track},
    verdict::Verdict,
};

/// Writes a verdict in a few words: `car 0.31 ≥ 0.24`, `OOD 0.18 < 0.24 (nearest truck)`, `unscored: overload`; of a track also which,
/// `#7 car 0.31 ≥ 0.24`, and what keeps it from being called OOD, `#7 car 0.18 < 0.24 (1 of 3)`.
pub(super) fn describe(verdict: &Verdict, track: Option<Track>, text: &mut String) {
    text.clear();
    // Writing to a String cannot fail.
    if let Some(Track { id, .. }) = track {
        let _ = write!(text, "#{id} ");
    }
    let _ = match verdict {
        Verdict::Scored(scored) => {
            // As many digits as tell the two apart.
            let same = |digits: usize| format!("{:.digits$}", scored.omega) == format!("{:.digits$}", scored.threshold);
            let digits =
                if scored.omega.to_bits() == scored.threshold.to_bits() { 2 } else { (2..6).find(|&digits| !same(digits)).unwrap_or(6) };
            let (omega, threshold) = (scored.omega, scored.threshold);
            if scored.ood {
                write!(text, "OOD {omega:.digits$} < {threshold:.digits$} (nearest {})", scored.nearest)
            } else if omega < threshold {
                let observations = track.map_or(0, |track| track.observations);
                write!(text, "{} {omega:.digits$} < {threshold:.digits$} ({observations} of {LEAST_OBSERVATIONS})", scored.nearest)
            } else {
                write!(text, "{} {omega:.digits$} ≥ {threshold:.digits$}", scored.nearest)
            }
        }
        Verdict::Unscored(reason) => write!(text, "unscored: {}", reason.as_str()),
    };
}

/// Cuts `text` to `most` characters, an ellipsis at the end of what was cut.
pub(super) fn shorten(text: &mut String, most: usize) {
    if text.chars().count() > most
        && let Some((end, _)) = text.char_indices().nth(most.saturating_sub(1))
    {
        text.truncate(end);
        text.push('…');
    }
}

/// Where a tag of `width`×`height` goes for a box: above it, below it, inside it at the top or bottom, each flush left or
/// right; the first place that covers no tag in `taken`, or else the one that covers least. It lies in `frame`.
pub(super) fn place(outline: &Area, (width, height): (i32, i32), frame: &Area, taken: &[Area]) -> Area {
    let lefts = [outline.left, outline.right - width];
    let tops = [outline.top - height, outline.bottom, outline.top, outline.bottom - height];
    let places = tops.into_iter().flat_map(|top| lefts.map(|left| inside((left, top), (width, height), frame)));
    // The order counts among equals: `min_by_key` keeps the first.
    let covered = |area: &Area| taken.iter().map(|other| i64::from(area.shared(other))).sum::<i64>();
    places.min_by_key(covered).unwrap_or(*outline)
}

/// An area moved into the frame; one that is larger begins at the frame's left or top.
fn inside((left, top): (i32, i32), (width, height): (i32, i32), frame: &Area) -> Area {
    let left = left.min(frame.right - width).max(frame.left);
    let top = top.min(frame.bottom - height).max(frame.top);
    Area { left, top, right: left + width, bottom: top + height }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verdict::{Reason, Scored};

    fn scored(omega: f32, threshold: f32) -> Verdict {
        let nearest = if omega < threshold { "truck" } else { "car" };
        Verdict::Scored(Scored {
            ood: omega < threshold,
            omega,
            threshold,
            percentile: None,
            nearest: nearest.into(),
            omegas: None,
            cosines: None,
        })
    }

    fn words(verdict: &Verdict) -> String {
        words_of(verdict, None)
    }

    fn words_of(verdict: &Verdict, track: Option<Track>) -> String {
        let mut text = "before".to_owned();
        describe(verdict, track, &mut text);
        text
    }

    #[test]
    fn a_tag_names_its_track_and_says_why_it_is_no_alarm_yet() {
        let track = |observations| Some(Track { id: 7, observations });
        assert_eq!(words_of(&scored(0.314, 0.243), track(4)), "#7 car 0.31 ≥ 0.24");
        assert_eq!(words_of(&scored(0.18, 0.243), track(3)), "#7 OOD 0.18 < 0.24 (nearest truck)");
        let Verdict::Scored(early) = scored(0.18, 0.243) else { unreachable!() };
        assert_eq!(words_of(&Verdict::Scored(Scored { ood: false, ..early }), track(2)), "#7 truck 0.18 < 0.24 (2 of 3)");
        assert_eq!(words_of(&Verdict::Unscored(Reason::Pending), track(0)), "#7 unscored: pending");
    }

    #[test]
    fn a_tag_sets_omega_against_the_threshold() {
        assert_eq!(words(&scored(0.314, 0.243)), "car 0.31 ≥ 0.24");
        assert_eq!(words(&scored(0.18, 0.243)), "OOD 0.18 < 0.24 (nearest truck)");
        assert_eq!(words(&scored(0.2412, 0.243)), "OOD 0.241 < 0.243 (nearest truck)");
        assert_eq!(words(&scored(0.243, 0.243)), "car 0.24 ≥ 0.24");
        assert_eq!(words(&Verdict::Unscored(Reason::MaxObjects)), "unscored: max-objects");
    }

    #[test]
    fn what_is_cut_ends_in_an_ellipsis() {
        for (most, wanted) in [(9, "straße 1"), (8, "straße 1"), (7, "straße…"), (1, "…"), (0, "…")] {
            let mut text = "straße 1".to_owned();
            shorten(&mut text, most);
            assert_eq!(text, wanted);
        }
    }

    const FRAME: Area = Area { left: 0, top: 0, right: 100, bottom: 60 };

    #[test]
    fn a_tag_stands_above_its_box_or_else_below() {
        let outline = |top| Area { left: 10, top, right: 40, bottom: top + 20 };
        assert_eq!(place(&outline(30), (20, 8), &FRAME, &[]), Area { left: 10, top: 22, right: 30, bottom: 30 });
        let above = Area { left: 10, top: 22, right: 40, bottom: 30 };
        assert_eq!(place(&outline(30), (20, 8), &FRAME, &[above]), Area { left: 10, top: 50, right: 30, bottom: 58 });
    }

    proptest! {
        #[test]
        fn a_tag_that_fits_is_in_the_frame(
            (left, top, width, height) in (0_i32..99, 0_i32..59, 1_i32..100, 1_i32..60),
            size in (1_i32..100, 1_i32..60),
            taken in prop::collection::vec((0_i32..90, 0_i32..50), 0..6),
        ) {
            let outline = Area { left, top, right: (left + width).min(100), bottom: (top + height).min(60) };
            let taken: Vec<Area> = taken.into_iter().map(|(left, top)| Area { left, top, right: left + 10, bottom: top + 10 }).collect();
            let tag = place(&outline, size, &FRAME, &taken);
            prop_assert_eq!(tag.within(&FRAME), tag);
            prop_assert_eq!((tag.width(), tag.height()), size);
        }
    }
}
