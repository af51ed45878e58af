//! Settings that were found for a machine and a model set (`uniood.settings/1`): `uniood bench --tune` writes them, element and
//! commands take them. The form lives in this file alone.

use std::{fs, io::Write, num::NonZero, ops::RangeInclusive, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, engine::Threads, whole};

/// The version of the form.
pub const SCHEMA: &str = "uniood.settings/1";

/// What each setting may be.
const BATCH_SIZE: RangeInclusive<i64> = 1..=1024;
const BATCH_TIMEOUT: RangeInclusive<i64> = -1..=60_000;
const THREADS: RangeInclusive<i64> = 0..=1024;
const ENCODER_SESSIONS: RangeInclusive<i64> = 1..=64;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The settings.
    pub settings: Tuned,
    /// Where they come from; nothing depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

/// Settings that change how fast the same answers come, by the names of the element's properties; what is absent has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tuned {
    /// Objects in an encode batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// Milliseconds that an open batch waits; -1: until it is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_timeout: Option<i32>,
    /// Threads of the encoder; 0: one a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_threads: Option<u32>,
    /// Sessions of the encoder that share its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_sessions: Option<u32>,
    /// Threads of the detector; 0: one a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector_threads: Option<u32>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The version of uniood that measured.
    pub uniood: String,
    /// The model set's name.
    pub model: String,
    /// Device and precision, as asked for.
    pub device: String,
    /// As asked for.
    pub precision: String,
    /// The machine's cores.
    pub cores: usize,
    /// The clip.
    pub clip: String,
    /// Rounds of each setting.
    pub repeats: usize,
    /// Objects a second over those with the defaults, in the same rounds; 1 where the defaults are kept.
    pub gain: f64,
    /// What the rounds' gains are apart.
    pub spread: f64,
    /// Everything that was tried.
    pub tried: Vec<Trial>,
}

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The property.
    pub setting: String,
    /// Its value.
    pub value: i64,
    /// Median of the rounds.
    pub objects_per_second: f64,
    /// The slowest and the fastest round.
    pub range: (f64, f64),
    /// Median of the rounds.
    pub frames_per_second: f64,
    /// 99 of 100 frames were through in this time, in ms: median of the rounds.
    pub p99_ms: f64,
    /// Objects a second over those of the best setting so far, in the same rounds: median.
    pub gain: f64,
    /// What the rounds' gains are apart.
    pub spread: f64,
}

/// The defaults of element and commands.
pub const BATCH_SIZE_DEFAULT: u32 = 16;
/// In milliseconds.
pub const BATCH_TIMEOUT_DEFAULT: i32 = 10;

impl Document {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Content`] or [`Error::ModelSet`] where it is not what it should be.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        // Some editors put a mark of byte order first.
        let document: Self = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text))
            .map_err(|error| Error::content(path, format!("no settings: {error}; write them with `uniood bench --tune`")))?;
        document.check(path)?;
        Ok(document)
    }

    fn check(&self, path: &Path) -> Result<()> {
        if self.schema != SCHEMA {
            let found = format!("`{}`", self.schema);
            return Err(Error::model_set(path, "schema", found, format!("`{SCHEMA}`; a newer file needs a newer uniood")));
        }
        let Tuned { batch_size, batch_timeout, encoder_threads, encoder_sessions, detector_threads } = self.settings;
        for (key, value, range) in [
            ("batch-size", batch_size.map(i64::from), BATCH_SIZE),
            ("batch-timeout", batch_timeout.map(i64::from), BATCH_TIMEOUT),
            ("encoder-threads", encoder_threads.map(i64::from), THREADS),
            ("encoder-sessions", encoder_sessions.map(i64::from), ENCODER_SESSIONS),
            ("detector-threads", detector_threads.map(i64::from), THREADS),
        ] {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                return Err(Error::model_set(path, key, value.to_string(), format!("{} to {}", range.start(), range.end())));
            }
        }
        Ok(())
    }

    /// Writes it as `path`, whole or not at all.
    ///
    /// # Errors
    /// As [`whole::replace`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("settings are plain data") + "\n";
        whole::replace(path, |file| file.write_all(text.as_bytes()))
    }
}

impl Tuned {
    /// What the user set, else what the file says that the user names; what neither says has its default.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn or_file(self, path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(self) };
        let file = Document::read(path)?.settings;
        Ok(Self {
            batch_size: self.batch_size.or(file.batch_size),
            batch_timeout: self.batch_timeout.or(file.batch_timeout),
            encoder_threads: self.encoder_threads.or(file.encoder_threads),
            encoder_sessions: self.encoder_sessions.or(file.encoder_sessions),
            detector_threads: self.detector_threads.or(file.detector_threads),
        })
    }

    /// [`crate::engine::EngineConfig::batch_size`].
    #[must_use]
    pub fn batch_size(self) -> usize {
        self.batch_size.unwrap_or(BATCH_SIZE_DEFAULT) as usize
    }

    /// [`crate::engine::EngineConfig::batch_timeout`].
    #[must_use]
    pub fn batch_timeout(self) -> Option<Duration> {
        u64::try_from(self.batch_timeout.unwrap_or(BATCH_TIMEOUT_DEFAULT)).ok().map(Duration::from_millis)
    }

    /// [`crate::engine::EngineConfig::threads`].
    #[must_use]
    pub fn threads(self) -> Option<Threads> {
        let number = |threads: Option<u32>| NonZero::new(threads.unwrap_or(0) as usize);
        let threads = Threads {
            encoder: number(self.encoder_threads),
            // One is what there is by default.
            encoder_sessions: number(self.encoder_sessions).filter(|sessions| sessions.get() > 1),
            detector: number(self.detector_threads),
        };
        (threads != Threads::default()).then_some(threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_goes_before_the_file_and_the_file_before_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        let settings = Tuned { batch_size: Some(8), detector_threads: Some(1), ..Tuned::default() };
        Document { schema: SCHEMA.to_owned(), settings, found: None }.write(&path).unwrap();
        let set = Tuned { batch_size: Some(4), batch_timeout: Some(-1), ..Tuned::default() }.or_file(Some(&path)).unwrap();
        assert_eq!((set.batch_size(), set.batch_timeout()), (4, None));
        assert_eq!(set.threads(), Some(Threads { detector: NonZero::new(1), ..Threads::default() }));
        let none = Tuned::default().or_file(None).unwrap();
        assert_eq!((none.batch_size(), none.batch_timeout(), none.threads()), (16, Some(Duration::from_millis(10)), None));
    }

    #[test]
    fn a_file_that_went_through_an_editor_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        fs::write(&path, "\u{feff}{\"schema\":\"uniood.settings/1\",\r\n\"settings\":{\"batch-size\":8}}\r\n").unwrap();
        assert_eq!(Document::read(&path).unwrap().settings.batch_size, Some(8));
    }

    #[test]
    fn what_is_no_settings_is_refused_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        for (text, word) in [
            ("", "uniood bench --tune"),
            (r#"{"schema":"uniood.settings/2","settings":{}}"#, "newer uniood"),
            (r#"{"schema":"uniood.settings/1","settings":{"batch-size":0}}"#, "`batch-size` is 0; wanted 1 to 1024"),
            (r#"{"schema":"uniood.settings/1","settings":{"batch-timeout":-2}}"#, "`batch-timeout` is -2"),
            (r#"{"schema":"uniood.settings/1","settings":{"encoder-threads":5000}}"#, "`encoder-threads`"),
            (r#"{"schema":"uniood.settings/1","settings":{"max-objects":3}}"#, "max-objects"),
        ] {
            fs::write(&path, text).unwrap();
            let sentence = Document::read(&path).unwrap_err().to_string();
            assert!(sentence.contains(word) && sentence.contains("settings.json"), "{text}: {sentence}");
        }
        assert!(Tuned::default().or_file(Some(&dir.path().join("missing"))).unwrap_err().to_string().contains("cannot read"));
    }
}
