//! The settings that are looked for: names, values that are tried, and where they stand among what was tuned.

use uniood::{
    engine::Device,
    tuned::{BATCH_SIZE_DEFAULT, BATCH_TIMEOUT_DEFAULT, Tuned},
};

use crate::settings::Settings;

/// A setting that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knob {
    BatchSize,
    EncoderThreads,
    EncoderSessions,
    DetectorThreads,
    BatchTimeout,
}

impl Knob {
    /// In the order they are looked for: each is tried with the best of those before it.
    pub(super) const ALL: [Self; 5] =
        [Self::EncoderSessions, Self::EncoderThreads, Self::DetectorThreads, Self::BatchSize, Self::BatchTimeout];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BatchSize => "batch-size",
            Self::EncoderThreads => "encoder-threads",
            Self::EncoderSessions => "encoder-sessions",
            Self::DetectorThreads => "detector-threads",
            Self::BatchTimeout => "batch-timeout",
        }
    }

    pub(super) fn of(self, tuned: Tuned) -> i64 {
        match self {
            Self::BatchSize => tuned.batch_size.unwrap_or(BATCH_SIZE_DEFAULT).into(),
            Self::EncoderThreads => tuned.encoder_threads.unwrap_or(0).into(),
            Self::EncoderSessions => tuned.encoder_sessions.unwrap_or(1).into(),
            Self::DetectorThreads => tuned.detector_threads.unwrap_or(0).into(),
            Self::BatchTimeout => tuned.batch_timeout.unwrap_or(BATCH_TIMEOUT_DEFAULT).into(),
        }
    }

    pub(super) fn set(self, mut tuned: Tuned, value: i32) -> Tuned {
        let number = u32::try_from(value).ok();
        match self {
            Self::BatchSize => tuned.batch_size = number,
            Self::EncoderThreads => tuned.encoder_threads = number,
            Self::EncoderSessions => tuned.encoder_sessions = number,
            Self::DetectorThreads => tuned.detector_threads = number,
            Self::BatchTimeout => tuned.batch_timeout = Some(value),
        }
        tuned
    }

    pub(super) const fn is_given(self, given: Tuned) -> bool {
        match self {
            Self::BatchSize => given.batch_size.is_some(),
            Self::EncoderThreads => given.encoder_threads.is_some(),
            Self::EncoderSessions => given.encoder_sessions.is_some(),
            Self::DetectorThreads => given.detector_threads.is_some(),
            Self::BatchTimeout => given.batch_timeout.is_some(),
        }
    }

    /// What is tried in place of the default.
    pub(super) fn others(self, cores: usize, settings: &Settings) -> Vec<i32> {
        let on_processor = matches!(settings.device, Device::Auto | Device::Cpu | Device::OpenVino { .. });
        let fewer = || {
            let cores = i32::try_from(cores).unwrap_or(i32::MAX);
            let mut fewer: Vec<i32> = [cores / 2, cores / 4, 1].into_iter().filter(|number| (1..cores).contains(number)).collect();
            fewer.dedup();
            fewer
        };
        match self {
            Self::EncoderSessions if on_processor => {
                [2_u8, 4, 8].into_iter().filter(|sessions| usize::from(*sessions) <= cores).map(i32::from).collect()
            }
            Self::EncoderThreads if on_processor => fewer(),
            Self::DetectorThreads if on_processor && settings.detector.as_deref() != Some("frame") => fewer(),
            Self::EncoderSessions | Self::EncoderThreads | Self::DetectorThreads => Vec::new(),
            Self::BatchSize if on_processor => vec![4, 8, 32],
            Self::BatchSize => vec![8, 32, 64, 128],
            Self::BatchTimeout => vec![0, 50],
        }
    }
}

/// All of them, so that the file says what was found and not what the next version's defaults are.
pub(super) fn all(tuned: Tuned) -> Tuned {
    Tuned {
        batch_size: tuned.batch_size.or(Some(BATCH_SIZE_DEFAULT)),
        batch_timeout: tuned.batch_timeout.or(Some(BATCH_TIMEOUT_DEFAULT)),
        encoder_threads: tuned.encoder_threads.or(Some(0)),
        encoder_sessions: tuned.encoder_sessions.or(Some(1)),
        detector_threads: tuned.detector_threads.or(Some(0)),
    }
}

/// As on a launch line.
pub(super) fn words(tuned: Tuned) -> String {
    Knob::ALL.map(|knob| format!("{}={}", knob.name(), knob.of(tuned))).join(" ")
}
