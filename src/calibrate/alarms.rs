//! How many alarms a day unlabelled footage would give.

use super::{Document, Footage};
use crate::eval::quantile;

/// An object below the threshold must be there in this many frames.
const LEAST_FRAMES: usize = 3;

/// Alarms that are closer than this are one, in nanoseconds.
const GAP: u64 = 1_000_000_000;

/// What one threshold would have given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarms {
    /// The share of the calibration's ID objects that the threshold keeps.
    pub keep: f64,
    /// The threshold.
    pub threshold: f32,
    /// Alarms in the footage.
    pub count: usize,
    /// Alarms in a day of one stream.
    pub a_day: f64,
    /// Their 95 % interval, alarms being independent of one another (Poisson).
    pub interval: (f64, f64),
}

/// The alarms of footage under thresholds that keep these shares. An alarm is a stretch of frames of a run of a stream in which anything
/// is below the threshold, joined over gaps of less than a second, with three such frames at least.
#[must_use]
pub fn alarms(footage: &Footage, document: &Document, shares: &[f64]) -> Vec<Alarms> {
    let days = footage.seconds() / 86_400.0;
    let of = |&keep: &f64| {
        #[expect(clippy::cast_possible_truncation, reason = "between two numbers of that size")]
        let threshold = quantile(&document.quantiles, (1.0 - keep).clamp(0.0, 1.0)) as f32;
        let count = footage.spans.keys().map(|(stream, run)| stretches(footage, stream, run, threshold)).sum();
        let (low, high) = poisson(count);
        Alarms { keep, threshold, count, a_day: number(count) / days, interval: (low / days, high / days) }
    };
    shares.iter().map(of).collect()
}

fn stretches(footage: &Footage, stream: &str, run: &str, threshold: f32) -> usize {
    let below = footage.objects.iter().filter(|seen| (seen.stream.as_str(), seen.run.as_str()) == (stream, run) && seen.omega < threshold);
    let mut times: Vec<u64> = below.map(|seen| seen.time).collect();
    times.sort_unstable();
    times.dedup();
    times.chunk_by(|earlier, later| later - earlier < GAP).filter(|stretch| stretch.len() >= LEAST_FRAMES).count()
}

/// The 95 % interval of a Poisson mean of which this was counted (Wilson and Hilferty's cube).
fn poisson(count: usize) -> (f64, f64) {
    let z = 1.959_964;
    let k = number(count);
    let low = if count == 0 { 0.0 } else { k * (1.0 - 1.0 / (9.0 * k) - z / (3.0 * k.sqrt())).powi(3) };
    let more = k + 1.0;
    (low, more * (1.0 - 1.0 / (9.0 * more) + z / (3.0 * more.sqrt())).powi(3))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Seen;

    #[test]
    fn frames_within_a_second_are_one_alarm_and_two_frames_are_none() {
        let seen = |stream: &str, tenths: u64, omega: f32| Seen {
            stream: stream.to_owned(),
            run: String::new(),
            time: tenths * 100_000_000,
            track: None,
            omega,
            nearest: "car".to_owned(),
        };
        let objects = [0, 4, 9, 30, 31, 32, 60, 61].map(|tenths| seen("a", tenths, 0.1)).into_iter();
        let objects: Vec<Seen> = objects.chain([seen("a", 45, 0.9), seen("b", 1, 0.1), seen("b", 1, 0.1), seen("b", 2, 0.1)]).collect();
        // The same again on another day: its times are the first one's.
        let again = objects.iter().map(|seen| Seen { run: "next".to_owned(), ..seen.clone() });
        let objects = objects.iter().cloned().chain(again).collect();
        let footage = Footage { objects, ..Footage::default() };
        let found = |stream: &str, run: &str, threshold: f32| stretches(&footage, stream, run, threshold);
        assert_eq!((found("a", "", 0.5), found("a", "next", 0.5), found("b", "", 0.5), found("a", "", 0.05)), (2, 2, 0, 0));
    }

    #[test]
    fn poissons_interval_has_the_exact_ones_values() {
        // scipy.stats.chi2.ppf([.025, .975], [2k, 2k + 2]) / 2
        for (count, low, high) in [(0, 0.0, 3.6889), (5, 1.6235, 11.6683), (100, 81.3639, 121.6273)] {
            let found = poisson(count);
            assert!((found.0 - low).abs() < 0.02 && (found.1 - high).abs() < 0.05, "{count}: {found:?}");
        }
    }
}
