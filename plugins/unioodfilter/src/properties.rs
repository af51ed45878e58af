//! Every property of the element, once: name, nick, blurb, range, default, and where it lives in [`Settings`].

use std::sync::OnceLock;

use gst::{glib, prelude::*};

use uniood::{
    models::shipped::MODELS_VARIABLE,
    tuned::{BATCH_SIZE_DEFAULT, BATCH_TIMEOUT_DEFAULT},
};

use crate::{
    choices::{Background, Events, Overload, Precision, SchedulingPolicy, Scope, Tracker},
    settings::{Settings, THRESHOLD_OF_THE_SET},
};

/// The read-only property that is no setting.
pub(crate) const STATS: &str = "stats";

/// All properties, `stats` among them.
pub(crate) fn all() -> &'static [glib::ParamSpec] {
    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
    PROPERTIES.get_or_init(|| {
        let d = Settings::default();
        let text = |name: &'static str, nick: &'static str, blurb: &str| {
            glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
        };
        vec![
            text(
                "model-dir",
                "Model set",
                &format!("Folder with uniood.json; empty: the one that the environment variable {MODELS_VARIABLE} names, or else street-tiny, which ships"),
            ),
            text(
                "detector",
                "Detector",
                "ONNX detector file, OWLv2 folder, `upstream` (boxes from region-of-interest metas on the buffer) or `frame` (the whole frame is the object); empty: the model set's",
            ),
            glib::ParamSpecString::builder("classes")
                .nick("ID classes")
                .blurb("In-distribution classes: `car,bus` or a text file with one a line; empty: the model set's. A change takes effect between two frames")
                .mutable_playing()
                .build(),
            glib::ParamSpecDouble::builder("ood-threshold")
                .nick("OOD threshold")
                .blurb("An object that scores below it is OOD; -10: the model set's")
                .minimum(THRESHOLD_OF_THE_SET)
                .maximum(10.0)
                .default_value(d.ood_threshold)
                .mutable_playing()
                .build(),
            glib::ParamSpecDouble::builder("detection-threshold")
                .nick("Detection threshold")
                .blurb("Boxes with less confidence are dropped")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(d.detection_threshold)
                .mutable_playing()
                .build(),
            glib::ParamSpecDouble::builder("iou-threshold")
                .nick("IoU threshold")
                .blurb("Of two boxes that overlap by more, the less confident is dropped, whatever their classes")
                .minimum(0.0)
                .maximum(1.0)
                .default_value(d.iou_threshold)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("max-objects")
                .nick("Most objects")
                .blurb("The most confident objects of a frame that are scored; the others are reported unscored")
                .minimum(1)
                .maximum(10_000)
                .default_value(d.max_objects)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("min-object-size")
                .nick("Least object size")
                .blurb("Boxes with a shorter side below it, in pixels, are dropped")
                .maximum(65_535)
                .default_value(d.min_object_size)
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("object-class")
                .nick("Object classes")
                .blurb("Only boxes with one of these detector labels, a comma list; empty: all")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("scope", d.scope)
                .nick("Scope")
                .blurb("Verdict per object, per frame, or both")
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("keep-scores")
                .nick("Keep scores")
                .blurb("The score of every class in metadata, messages and JSON lines")
                .default_value(d.keep_scores)
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("device")
                .nick("Device")
                .blurb("Where the models run: auto, cpu, cuda[:n], tensorrt[:n] or openvino[:name]")
                .default_value(d.device.as_deref())
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("precision", d.precision)
                .nick("Precision")
                .blurb("What the encoder computes in: auto (fp32), fp32, fp16 (with device=tensorrt), bf16 (with device=openvino) or int8 (on a processor)")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb("Objects that are encoded together; twice as many frames (4 to 64, and at most 256 MiB of them) are in flight, more with encoder-sessions")
                .minimum(1)
                .maximum(1024)
                .default_value(BATCH_SIZE_DEFAULT)
                .mutable_ready()
                .build(),
            glib::ParamSpecInt::builder("batch-timeout")
                .nick("Batch timeout")
                .blurb("Milliseconds that an open batch waits for more objects; -1: until it is full")
                .minimum(-1)
                .maximum(60_000)
                .default_value(BATCH_TIMEOUT_DEFAULT)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("encoder-threads")
                .nick("Encoder threads")
                .blurb("Threads of the encoder on a processor; 0: one a core")
                .maximum(1024)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("encoder-sessions")
                .nick("Encoder sessions")
                .blurb("Sessions of the encoder that share its threads and encode a batch each; weights are in memory once for each")
                .minimum(1)
                .maximum(64)
                .default_value(1)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("detector-threads")
                .nick("Detector threads")
                .blurb("Threads of the detector on a processor; 0: one a core")
                .maximum(1024)
                .mutable_ready()
                .build(),
            text(
                "settings",
                "Settings",
                "JSON file that `uniood bench --tune` wrote: batch-size, batch-timeout, encoder-threads, encoder-sessions and detector-threads where they were not set themselves",
            ),
            glib::ParamSpecEnum::builder_with_default("background", d.background)
                .nick("Background")
                .blurb("How an object's background is encoded; shared is an approximation, for less work where frames hold many objects")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("shortlist")
                .nick("Shortlist")
                .blurb("An object is scored against so many classes alone, those most like it by plain CLIP, an approximation; 0: against all")
                .maximum(100_000)
                .default_value(d.shortlist)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("inference-interval")
                .nick("Inference interval")
                .blurb("Detect on every n-th frame; the tracker carries boxes between, so another value than 1 wants a tracker")
                .minimum(1)
                .default_value(d.inference_interval)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("tracker", d.tracker)
                .nick("Tracker")
                .blurb("What follows an object from frame to frame: ids that stay, and verdicts that are the median of a track's last scores")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("reclassify-interval")
                .nick("Reclassify interval")
                .blurb("Score a tracked object again every n frames, and when its crop has changed; 0: only then; another value than 1 wants a tracker")
                .default_value(d.reclassify_interval)
                .mutable_playing()
                .build(),
            text(
                "model-instance-id",
                "Model instance",
                "Elements of a process with the same id share models, threads and batches; what the engine is made of must be the same in all of them. Empty: an engine of its own",
            ),
            text("model-cache-dir", "Model cache", "Where built graphs are kept; empty: the user's cache"),
            glib::ParamSpecEnum::builder_with_default("overload", d.overload)
                .nick("Overload")
                .blurb("What a full queue does: hold upstream back, or let the frame through unscored and marked")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("scheduling-policy", d.scheduling_policy)
                .nick("Scheduling policy")
                .blurb("What a batch that is not full waits for: an idle encoder, or more objects until batch-timeout")
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("qos")
                .nick("Quality of service")
                .blurb("Frames that a sink would show too late, by its QoS events, go through unscored and marked")
                .default_value(d.qos)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("annotate")
                .nick("Annotate")
                .blurb("Draw boxes, verdicts and scores")
                .default_value(d.annotate)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("post-messages")
                .nick("Post messages")
                .blurb("Post one element message a frame on the bus")
                .default_value(d.post_messages)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("events", d.events)
                .nick("Events")
                .blurb("What the JSON lines tell of: every frame, every track's start, changes and end, or both; tracks want a tracker")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("event-interval")
                .nick("Event interval")
                .blurb("Seconds after which there is a line of a track whose verdict has not changed; 0: none")
                .maximum(86_400)
                .default_value(d.event_interval)
                .mutable_ready()
                .build(),
            text("stream-id", "Stream id", "Name of the stream in metadata, messages and JSON lines; empty: the element's name"),
            text("run-id", "Run id", "Said in JSON lines as `run_id`, where those of several runs come together; empty: none"),
            text(
                "metrics",
                "Metrics",
                "IP and port that serve /metrics for Prometheus, as 127.0.0.1:9464; elements of a process may share it; empty: none",
            ),
            glib::ParamSpecBoxed::builder::<gst::Structure>(STATS)
                .nick("Statistics")
                .blurb("Frames, objects, OOD objects, unscored by reason, errors, frames a second, milliseconds per stage: means and percentiles; since READY→PAUSED")
                .read_only()
                .build(),
        ]
    })
}

impl Settings {
    /// Takes a property's value; GObject has checked its type and range.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) {
        fn take<T: for<'v> glib::value::FromValue<'v>>(field: &mut T, value: &glib::Value) {
            if let Ok(value) = value.get() {
                *field = value;
            }
        }
        match name {
            "model-dir" => take_text(&mut self.model_dir, value),
            "detector" => take_text(&mut self.detector, value),
            "classes" => take_text(&mut self.classes, value),
            "ood-threshold" => take(&mut self.ood_threshold, value),
            "detection-threshold" => take(&mut self.detection_threshold, value),
            "iou-threshold" => take(&mut self.iou_threshold, value),
            "max-objects" => take(&mut self.max_objects, value),
            "min-object-size" => take(&mut self.min_object_size, value),
            "object-class" => take_text(&mut self.object_class, value),
            "scope" => take::<Scope>(&mut self.scope, value),
            "keep-scores" => take(&mut self.keep_scores, value),
            "device" => take_text(&mut self.device, value),
            "precision" => take::<Precision>(&mut self.precision, value),
            "batch-size" => self.tuned.batch_size = value.get().ok(),
            "batch-timeout" => self.tuned.batch_timeout = value.get().ok(),
            "encoder-threads" => self.tuned.encoder_threads = value.get().ok(),
            "encoder-sessions" => self.tuned.encoder_sessions = value.get().ok(),
            "detector-threads" => self.tuned.detector_threads = value.get().ok(),
            "settings" => take_text(&mut self.tuned_file, value),
            "background" => take::<Background>(&mut self.background, value),
            "shortlist" => take(&mut self.shortlist, value),
            "inference-interval" => take(&mut self.inference_interval, value),
            "tracker" => take::<Tracker>(&mut self.tracker, value),
            "reclassify-interval" => take(&mut self.reclassify_interval, value),
            "model-instance-id" => take_text(&mut self.model_instance_id, value),
            "model-cache-dir" => take_text(&mut self.model_cache_dir, value),
            "overload" => take::<Overload>(&mut self.overload, value),
            "scheduling-policy" => take::<SchedulingPolicy>(&mut self.scheduling_policy, value),
            "qos" => take(&mut self.qos, value),
            "annotate" => take(&mut self.annotate, value),
            "post-messages" => take(&mut self.post_messages, value),
            "events" => take::<Events>(&mut self.events, value),
            "event-interval" => take(&mut self.event_interval, value),
            "stream-id" => take_text(&mut self.stream_id, value),
            "run-id" => take_text(&mut self.run_id, value),
            "metrics" => take_text(&mut self.metrics, value),
            _ => unreachable!("GObject passes on the properties of `all` alone"),
        }
    }

    /// A property's value; `stats` is not among them.
    pub(crate) fn get(&self, name: &str) -> glib::Value {
        match name {
            "model-dir" => self.model_dir.to_value(),
            "detector" => self.detector.to_value(),
            "classes" => self.classes.to_value(),
            "ood-threshold" => self.ood_threshold.to_value(),
            "detection-threshold" => self.detection_threshold.to_value(),
            "iou-threshold" => self.iou_threshold.to_value(),
            "max-objects" => self.max_objects.to_value(),
            "min-object-size" => self.min_object_size.to_value(),
            "object-class" => self.object_class.to_value(),
            "scope" => self.scope.to_value(),
            "keep-scores" => self.keep_scores.to_value(),
            "device" => self.device.to_value(),
            "precision" => self.precision.to_value(),
            "batch-size" => self.tuned.batch_size.unwrap_or(BATCH_SIZE_DEFAULT).to_value(),
            "batch-timeout" => self.tuned.batch_timeout.unwrap_or(BATCH_TIMEOUT_DEFAULT).to_value(),
            "encoder-threads" => self.tuned.encoder_threads.unwrap_or(0).to_value(),
            "encoder-sessions" => self.tuned.encoder_sessions.unwrap_or(1).to_value(),
            "detector-threads" => self.tuned.detector_threads.unwrap_or(0).to_value(),
            "settings" => self.tuned_file.to_value(),
            "background" => self.background.to_value(),
            "shortlist" => self.shortlist.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
            "tracker" => self.tracker.to_value(),
            "reclassify-interval" => self.reclassify_interval.to_value(),
            "model-instance-id" => self.model_instance_id.to_value(),
            "model-cache-dir" => self.model_cache_dir.to_value(),
            "overload" => self.overload.to_value(),
            "scheduling-policy" => self.scheduling_policy.to_value(),
            "qos" => self.qos.to_value(),
            "annotate" => self.annotate.to_value(),
            "post-messages" => self.post_messages.to_value(),
            "events" => self.events.to_value(),
            "event-interval" => self.event_interval.to_value(),
            "stream-id" => self.stream_id.to_value(),
            "run-id" => self.run_id.to_value(),
            "metrics" => self.metrics.to_value(),
            _ => unreachable!("GObject asks for the properties of `all` alone"),
        }
    }
}

fn take_text(field: &mut Option<String>, value: &glib::Value) {
    if let Ok(text) = value.get() {
        *field = text;
    }
}

#[cfg(test)]
mod tests {
    use uniood::tuned::Tuned;

    use super::*;

    #[test]
    fn every_property_reads_back_its_default_and_what_was_set() {
        let mut settings = Settings::default();
        for pspec in all().iter().filter(|pspec| pspec.name() != STATS) {
            let value = settings.get(pspec.name());
            assert_eq!(value.type_(), pspec.value_type(), "{}", pspec.name());
            let default = pspec.default_value();
            assert_eq!(format!("{value:?}"), format!("{default:?}"), "{}", pspec.name());
            settings.set(pspec.name(), &value);
            assert_eq!(format!("{:?}", settings.get(pspec.name())), format!("{default:?}"), "{}", pspec.name());
        }
        // What is set goes before a file of settings, a default too.
        let tuned = Tuned {
            batch_size: Some(16),
            batch_timeout: Some(10),
            encoder_threads: Some(0),
            encoder_sessions: Some(1),
            detector_threads: Some(0),
        };
        assert_eq!(settings, Settings { tuned, ..Settings::default() });
    }
}
