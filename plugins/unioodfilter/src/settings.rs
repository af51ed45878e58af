//! What the user set: survives restarts, source of every default, and what it means to the engine.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

use uniood::{
    Error, Result,
    detect::Selection,
    engine::{self, Approximation, DetectorChoice, Device, EngineConfig, Scheduling, Threads},
    models::{ModelSet, shipped},
    pair, track,
    tuned::Tuned,
};

use crate::choices::{Background, Events, Overload, Precision, SchedulingPolicy, Scope, Tracker};

/// `ood-threshold` at this value is the model set's own δ.
pub(crate) const THRESHOLD_OF_THE_SET: f64 = -10.0;

/// One field a property, same names.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(crate) struct Settings {
    pub(crate) model_dir: Option<String>,
    pub(crate) detector: Option<String>,
    pub(crate) classes: Option<String>,
    pub(crate) ood_threshold: f64,
    pub(crate) detection_threshold: f64,
    pub(crate) iou_threshold: f64,
    pub(crate) max_objects: u32,
    pub(crate) min_object_size: u32,
    pub(crate) object_class: Option<String>,
    pub(crate) scope: Scope,
    pub(crate) keep_scores: bool,
    pub(crate) device: Option<String>,
    pub(crate) precision: Precision,
    /// Those of them that were set; the file `settings` is asked for the others.
    pub(crate) tuned: Tuned,
    pub(crate) tuned_file: Option<String>,
    pub(crate) background: Background,
    pub(crate) shortlist: u32,
    pub(crate) inference_interval: u32,
    pub(crate) tracker: Tracker,
    pub(crate) reclassify_interval: u32,
    pub(crate) model_instance_id: Option<String>,
    pub(crate) model_cache_dir: Option<String>,
    pub(crate) overload: Overload,
    pub(crate) scheduling_policy: SchedulingPolicy,
    pub(crate) qos: bool,
    pub(crate) annotate: bool,
    pub(crate) post_messages: bool,
    pub(crate) events: Events,
    pub(crate) event_interval: u32,
    pub(crate) stream_id: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) metrics: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let selection = Selection::default();
        Self {
            model_dir: None,
            detector: None,
            classes: None,
            ood_threshold: THRESHOLD_OF_THE_SET,
            // Not widened from f32: 0.3 is what the documentation says.
            detection_threshold: 0.3,
            iou_threshold: 0.5,
            max_objects: u32::try_from(selection.max_objects).unwrap_or(u32::MAX),
            min_object_size: selection.min_object_size,
            object_class: None,
            scope: Scope::Object,
            keep_scores: false,
            device: Some("auto".to_owned()),
            precision: Precision::Auto,
            tuned: Tuned::default(),
            tuned_file: None,
            background: Background::Exact,
            shortlist: 0,
            inference_interval: 1,
            tracker: Tracker::None,
            reclassify_interval: 1,
            model_instance_id: None,
            model_cache_dir: None,
            overload: Overload::Block,
            scheduling_policy: SchedulingPolicy::Auto,
            qos: false,
            annotate: true,
            post_messages: false,
            events: Events::Frames,
            event_interval: 10,
            stream_id: None,
            run_id: None,
            metrics: None,
        }
    }
}

/// What an engine is made of: two starts with equal keys want the same engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineKey {
    /// The name it is shared under.
    instance: Option<String>,
    /// `None`: the set that ships.
    model_dir: Option<PathBuf>,
    pub(crate) detector: DetectorChoice,
    device: Device,
    precision: engine::Precision,
    batch_size: usize,
    batch_timeout: Option<Duration>,
    threads: Option<Threads>,
    cache_dir: Option<PathBuf>,
}

impl EngineKey {
    /// The name that the engine is shared under; `None`: an engine of its own.
    pub(crate) fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    /// Whether no model set is named.
    pub(crate) fn set_is_the_shipped(&self) -> bool {
        self.model_dir.is_none()
    }

    /// Whether the device is left to the engine.
    pub(crate) fn device_is_chosen_by_engine(&self) -> bool {
        self.device == Device::Auto
    }

    /// Reads the model set and adds it to what the settings say.
    ///
    /// # Errors
    /// Whatever a model set can be wrong in.
    pub(crate) fn config(&self) -> Result<EngineConfig> {
        Ok(EngineConfig {
            models: ModelSet::open_or_shipped(self.model_dir.as_deref(), self.cache_dir.as_deref())?,
            detector: self.detector.clone(),
            device: self.device.clone(),
            precision: self.precision,
            batch_size: self.batch_size,
            batch_timeout: self.batch_timeout,
            cache_dir: self.cache_dir.clone(),
            threads: self.threads,
        })
    }
}

impl Settings {
    /// What the engine is made of.
    ///
    /// # Errors
    /// [`Error::Setting`] where the device's name is unknown; whatever a file of settings can be wrong in.
    pub(crate) fn engine_key(&self) -> Result<EngineKey> {
        let tuned = self.tuned.or_file(filled(self.tuned_file.as_deref()).map(Path::new))?;
        Ok(EngineKey {
            instance: filled(self.model_instance_id.as_deref()).map(str::to_owned),
            model_dir: self.model_dir(),
            detector: match filled(self.detector.as_deref()) {
                None => DetectorChoice::Set,
                Some("upstream") => DetectorChoice::Upstream,
                Some("frame") => DetectorChoice::Frame,
                Some(file) => DetectorChoice::File(file.into()),
            },
            device: filled(self.device.as_deref()).unwrap_or("auto").parse()?,
            precision: self.precision.engine(),
            batch_size: tuned.batch_size(),
            batch_timeout: tuned.batch_timeout(),
            threads: tuned.threads(),
            cache_dir: filled(self.model_cache_dir.as_deref()).map(PathBuf::from),
        })
    }

    /// What the property or else the environment names.
    fn model_dir(&self) -> Option<PathBuf> {
        filled(self.model_dir.as_deref()).map(PathBuf::from).or_else(shipped::named_by_environment)
    }

    /// What counts as an object.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            detection_threshold: narrowed(self.detection_threshold),
            iou_threshold: narrowed(self.iou_threshold),
            max_objects: self.max_objects as usize,
            min_object_size: self.min_object_size,
            object_class: self
                .object_class
                .as_deref()
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The user's δ; `None` is that of the set.
    pub(crate) fn threshold(&self) -> Option<f32> {
        (self.ood_threshold > THRESHOLD_OF_THE_SET).then(|| narrowed(self.ood_threshold))
    }

    /// The engine's word for `scope`.
    pub(crate) const fn engine_scope(&self) -> engine::Scope {
        match self.scope {
            Scope::Object => engine::Scope::Object,
            Scope::Image => engine::Scope::Image,
            Scope::Both => engine::Scope::Both,
        }
    }

    /// What is left out for speed.
    pub(crate) fn approximation(&self) -> Approximation {
        Approximation {
            background: match self.background {
                Background::Exact => pair::Background::Exact,
                Background::Shared => pair::Background::Shared,
            },
            shortlist: NonZero::new(self.shortlist as usize),
        }
    }

    /// What this stream's objects wait for.
    pub(crate) const fn scheduling(&self, live: bool) -> Scheduling {
        match (self.scheduling_policy, live) {
            (SchedulingPolicy::Latency, _) | (SchedulingPolicy::Auto, true) => Scheduling::Latency,
            (SchedulingPolicy::Throughput, _) | (SchedulingPolicy::Auto, false) => Scheduling::Throughput,
        }
    }

    /// How objects are followed; `None` without a tracker.
    ///
    /// # Errors
    /// [`Error::Setting`] for intervals that nothing could keep.
    pub(crate) fn tracking(&self) -> Result<Option<track::Settings>> {
        let method = match self.tracker {
            Tracker::None => None,
            Tracker::Iou => Some(track::Method::Iou),
            Tracker::Sort => Some(track::Method::Sort),
        };
        if self.inference_interval != 1 && filled(self.detector.as_deref()) == Some("upstream") {
            return Err(Error::Setting(format!(
                "inference-interval={} is for a detector of our own, and detector=upstream brings boxes with every buffer; set it at the element that detects, and inference-interval=1 here",
                self.inference_interval
            )));
        }
        track::Settings::new(method, self.inference_interval, self.reclassify_interval)
    }

    /// What the JSON lines tell of.
    ///
    /// # Errors
    /// [`Error::Setting`] for tracks without a tracker.
    pub(crate) fn events(&self) -> Result<Events> {
        if self.events != Events::Frames && self.tracker == Tracker::None {
            return Err(Error::Setting(
                "events tell of tracks only where there is a tracker; set tracker=sort or tracker=iou, or events=frames".to_owned(),
            ));
        }
        Ok(self.events)
    }

    /// After how long there is news of a track in any case.
    pub(crate) fn event_interval(&self) -> Option<Duration> {
        (self.event_interval > 0).then(|| Duration::from_secs(self.event_interval.into()))
    }
}

/// An empty string is as good as none.
pub(crate) fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[expect(clippy::cast_possible_truncation, reason = "thresholds compare against scores in f32")]
const fn narrowed(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_librarys() {
        assert_eq!(Settings::default().selection(), Selection::default());
    }

    #[test]
    fn nothing_is_left_out_until_it_is_asked_for() {
        assert_eq!(Settings::default().approximation(), Approximation::default());
        let settings = Settings { background: Background::Shared, shortlist: 20, ..Settings::default() };
        let wanted = Approximation { background: pair::Background::Shared, shortlist: NonZero::new(20) };
        assert_eq!(settings.approximation(), wanted);
    }

    #[test]
    fn object_class_is_a_comma_list_without_blanks() {
        let settings = Settings { object_class: Some(" car , ,bus".to_owned()), ..Settings::default() };
        assert_eq!(settings.selection().object_class, ["car", "bus"]);
    }

    #[test]
    fn a_batch_timeout_below_zero_waits_until_full() {
        let tuned = Tuned { batch_timeout: Some(-1), ..Tuned::default() };
        let settings = Settings { model_dir: Some("set".to_owned()), tuned, ..Settings::default() };
        assert_eq!(settings.engine_key().unwrap().batch_timeout, None);
    }

    #[test]
    fn the_threshold_is_the_sets_until_the_user_names_one() {
        assert_eq!(Settings::default().threshold(), None);
        let settings = Settings { ood_threshold: -0.5, ..Settings::default() };
        assert_eq!(settings.threshold(), Some(-0.5));
    }

    #[test]
    fn an_interval_that_nothing_could_keep_is_refused_and_says_what_to_do() {
        assert_eq!(Settings::default().tracking().unwrap(), None);
        let sort = Settings { tracker: Tracker::Sort, inference_interval: 3, reclassify_interval: 0, ..Settings::default() };
        assert_eq!(sort.tracking().unwrap(), track::Settings::new(Some(track::Method::Sort), 3, 0).unwrap());
        for (settings, word) in [
            (Settings { reclassify_interval: 5, ..Settings::default() }, "reclassify-interval=5 needs a tracker"),
            (Settings { inference_interval: 2, ..Settings::default() }, "inference-interval=2 needs a tracker"),
            (Settings { detector: Some("upstream".to_owned()), ..sort }, "at the element that detects"),
        ] {
            let sentence = settings.tracking().unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
    }

    #[test]
    fn events_of_tracks_without_a_tracker_are_refused() {
        let settings = Settings { events: Events::Tracks, ..Settings::default() };
        assert!(settings.events().unwrap_err().to_string().contains("set tracker=sort"));
        assert_eq!(Settings { tracker: Tracker::Iou, ..settings }.events().unwrap(), Events::Tracks);
        assert_eq!(Settings { event_interval: 0, ..Settings::default() }.event_interval(), None);
    }
}
