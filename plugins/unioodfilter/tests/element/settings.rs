//! Properties: names, defaults, what changes while playing, and what every mistake is answered with.

use std::{fs, path::Path, process::Command};

use gst::{glib, prelude::*};
use gst_video::VideoFormat;
use gstuniood::OodMeta;
use uniood::{
    calibrate::{FILE, Known, Plan, fit},
    verdict::Scored,
};

use crate::support::{
    HANG, ModelSet, Pipeline, Rig, built, completes_within, filter, info, init, launch_settings, picture, plugin_for_launch, refusal, said,
    scored, shown,
};

#[test]
fn every_property_of_the_documentation_has_its_default() {
    init();
    let fresh = gst::ElementFactory::make("unioodfilter").build().unwrap();
    // Name, default, whether it may change while playing.
    let table = [
        ("model-dir", "(gchararray) NULL", false),
        ("detector", "(gchararray) NULL", false),
        ("classes", "(gchararray) NULL", true),
        ("ood-threshold", "-10.0", true),
        ("detection-threshold", "0.3", true),
        ("iou-threshold", "0.5", true),
        ("max-objects", "32", true),
        ("min-object-size", "16", true),
        ("object-class", "(gchararray) NULL", true),
        ("scope", "object", true),
        ("device", "auto", false),
        ("precision", "auto", false),
        ("batch-size", "16", false),
        ("batch-timeout", "10", false),
        ("encoder-threads", "0", false),
        ("encoder-sessions", "1", false),
        ("detector-threads", "0", false),
        ("settings", "(gchararray) NULL", false),
        ("background", "exact", true),
        ("shortlist", "0", true),
        ("inference-interval", "1", true),
        ("tracker", "none", true),
        ("reclassify-interval", "1", true),
        ("model-instance-id", "(gchararray) NULL", false),
        ("model-cache-dir", "(gchararray) NULL", false),
        ("overload", "block", true),
        ("scheduling-policy", "auto", true),
        ("qos", "false", true),
        ("annotate", "true", true),
        ("post-messages", "false", true),
        ("keep-scores", "false", true),
        ("stream-id", "(gchararray) NULL", false),
        ("metrics", "(gchararray) NULL", false),
    ];
    for (name, default, playing) in table {
        let pspec = fresh.find_property(name).unwrap_or_else(|| panic!("no {name}"));
        let value = shown(&fresh, name);
        let same =
            value == default || default.parse::<f64>().is_ok_and(|number| value.parse() == Ok(number)) || value.to_lowercase() == default;
        assert!(same, "{name} is {value}, wanted {default}");
        assert_eq!(pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING), playing, "{name}");
        assert!(!pspec.nick().is_empty() && pspec.blurb().is_some_and(|blurb| !blurb.is_empty()), "{name}");
    }
    assert!(fresh.find_property("stats").unwrap().flags() == glib::ParamFlags::READABLE);
}

#[test]
fn gst_inspect_shows_the_element() {
    init();
    let Some(library) = built("libgstuniood.so") else { return };
    let Ok(shown) = Command::new("gst-inspect-1.0").arg(library).env_remove("G_DEBUG").output() else {
        return eprintln!("skipped: no gst-inspect-1.0");
    };
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success() && text.contains("unioodfilter"), "{text}{}", String::from_utf8_lossy(&shown.stderr));
}

fn score(rig: &Rig, info: &gst_video::VideoInfo, number: u64) -> Scored {
    rig.push(picture(info, number));
    scored(&OodMeta::from_buffer(&rig.buffer()).unwrap().objects[0].verdict).clone()
}

#[test]
fn classes_change_between_two_frames_and_a_bad_list_leaves_the_old_one() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("keep-scores", true);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::I420, 96, 64);
        rig.start(&info);
        let names = |scored: &Scored| scored.omegas.as_ref().unwrap().iter().map(|(class, _)| class.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&score(&rig, &info, 0)).len(), 5);
        rig.filter.set_property("classes", "bus, raccoon");
        let two = score(&rig, &info, 1);
        assert_eq!(names(&two), ["bus", "raccoon"]);
        assert!(["bus", "raccoon"].contains(&&*two.nearest));
        for (bad, word) in [("bus,,car", "empty"), ("bus,bus", "twice"), ("/no/such/file", "/no/such/file")] {
            rig.filter.set_property("classes", bad);
            let warning = rig.bus.pop_filtered(&[gst::MessageType::Warning]).expect("a warning");
            assert!(said(&warning).contains(word) && said(&warning).contains("classes stays as it was"), "{}", said(&warning));
            assert_eq!(names(&score(&rig, &info, 2)), ["bus", "raccoon"]);
            assert_eq!(rig.filter.property::<String>("classes"), "bus, raccoon");
        }
        rig.filter.set_property("classes", None::<&str>);
        assert_eq!(names(&score(&rig, &info, 3)).len(), 5);
    });
}

#[test]
fn classes_may_change_while_frames_flow() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("keep-scores", true);
        let rig = Rig::new(filter);
        let info = info(VideoFormat::I420, 96, 64);
        rig.start(&info);
        let changing = rig.filter.clone();
        let changer = std::thread::Builder::new()
            .spawn(move || {
                for turn in 0..20 {
                    changing.set_property("classes", ["bus,raccoon", "motorcycle,bus,pedestrian"][turn % 2]);
                }
            })
            .unwrap();
        for number in 0..200 {
            rig.push(picture(&info, number));
        }
        changer.join().unwrap();
        for buffer in rig.buffers() {
            let meta = OodMeta::from_buffer(&buffer).unwrap();
            let scored = scored(&meta.objects[0].verdict);
            let names: Vec<_> = scored.omegas.as_ref().unwrap().iter().map(|(class, _)| &**class).collect();
            let one_list = [5, 2, 3].contains(&names.len()) && names.contains(&&*scored.nearest);
            assert!(one_list, "{names:?}");
        }
    });
}

#[test]
fn thresholds_and_scope_change_between_two_frames() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 96, 64);
        rig.start(&info);
        assert!(score(&rig, &info, 0).threshold.abs() < f32::EPSILON, "the set's");
        rig.filter.set_property("ood-threshold", 2.0);
        assert!(score(&rig, &info, 1).ood);
        rig.filter.set_property("ood-threshold", -2.0);
        assert!(!score(&rig, &info, 2).ood);
        rig.filter.set_property_from_str("scope", "image");
        rig.push(picture(&info, 3));
        assert!(OodMeta::from_buffer(&rig.buffer()).unwrap().image.is_some());
    });
}

#[test]
fn a_calibrated_sets_threshold_is_the_streams_and_gives_percentiles() {
    completes_within(HANG, || {
        let set = ModelSet::written(|_, _| ());
        let known = |stream: &str, omega: f32| Known { omega, nearest: String::new(), stream: Some(stream.to_owned()) };
        let objects: Vec<Known> = (0..40_u8).flat_map(|_| [known("gate", 0.9), known("yard", -0.9)]).collect();
        let plan = Plan { keep: 0.95, per_class: false, per_stream: true };
        let models = uniood::models::ModelSet::open(Path::new(set.dir())).unwrap();
        fit(&objects, &plan, &models, "test").unwrap().write(&Path::new(set.dir()).join(FILE)).unwrap();
        init();
        let info = info(VideoFormat::I420, 96, 64);
        for (stream, threshold) in [("gate", 0.9), ("yard", -0.9), ("another", -0.9)] {
            let filter = filter(&set);
            filter.set_property("stream-id", stream);
            let rig = Rig::new(filter);
            rig.start(&info);
            let calibrated = score(&rig, &info, 0);
            assert!((calibrated.threshold - threshold).abs() < 1e-6 && calibrated.percentile.is_some(), "{stream}: {calibrated:?}");
            rig.filter.set_property("ood-threshold", 0.125);
            assert!((score(&rig, &info, 1).threshold - 0.125).abs() < 1e-6, "the user's goes first");
            rig.filter.set_property("ood-threshold", -10.0);
            rig.filter.set_property("classes", "bus,raccoon");
            let other = score(&rig, &info, 2);
            assert!(other.percentile.is_none() && other.threshold.abs() < 1e-6, "other classes are not calibrated: {other:?}");
        }
    });
}

#[test]
fn the_encoder_computes_in_the_precision_that_was_asked_for_or_the_start_fails() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        init();
        let info = info(VideoFormat::I420, 96, 64);
        let [fp32, int8] = ["fp32", "int8"].map(|precision| {
            let filter = filter(&set);
            filter.set_property_from_str("precision", precision);
            let rig = Rig::new(filter);
            rig.start(&info);
            score(&rig, &info, 0).omega
        });
        assert!((fp32 - int8).abs() > 0.0 && (fp32 - int8).abs() < 0.05, "{int8} for {fp32}");

        let half = filter(&set);
        half.set_property_from_str("precision", "fp16");
        let sentence = refusal(&half).expect("no processor computes in it");
        assert!(sentence.contains("precision fp16 cannot be had"), "{sentence}");
    });
}

#[test]
fn a_start_that_cannot_be_says_why_and_may_be_tried_again() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let fresh = filter(&set);
        let check = |property: &str, value: Option<&str>, words: &[&str]| {
            let before = fresh.property_value(property);
            fresh.set_property(property, value);
            let sentence = refusal(&fresh).unwrap_or_else(|| panic!("{property}={value:?} was taken"));
            assert!(words.iter().all(|word| sentence.contains(word)), "{property}={value:?}: {sentence}");
            fresh.set_property_from_value(property, &before);
        };
        check("model-dir", Some("/no/such/set"), &["/no/such/set/uniood.json", "read"]);
        check("detector", None, &["detector"]);
        check("detector", Some("/no/such.onnx"), &["/no/such.onnx"]);
        check("device", Some("abacus"), &["abacus", "cpu"]);
        check("device", Some("cuda:99"), &["cuda:99"]);
        check("classes", Some("bus,,car"), &["classes", "empty"]);
        check("classes", Some("/no/such/list.txt"), &["/no/such/list.txt"]);
        let empty = tempfile::NamedTempFile::with_suffix(".txt").unwrap();
        check("classes", empty.path().to_str(), &["class"]);
        let broken = ModelSet::written(|manifest, _| manifest["threshold"] = "high".into());
        check("model-dir", Some(broken.dir()), &["uniood.json"]);
        let garbage = ModelSet::written(|manifest, dir| {
            fs::write(dir.join("combiner.safetensors"), [0xFF; 64]).unwrap();
            manifest["combiner"] = "combiner.safetensors".into();
        });
        check("model-dir", Some(garbage.dir()), &["combiner.safetensors"]);
        assert_eq!(refusal(&fresh), None, "it starts with what was set right again");
    });
}

/// gst-launch-1.0 with the plugin of this build, somewhere else, in a process of its own: the environment belongs to all tests.
fn launched(line: &str, models: Option<&str>, home: &std::path::Path) -> Option<std::process::Output> {
    init();
    let library = plugin_for_launch()?;
    let runtime = std::env::var_os("ORT_DYLIB_PATH").map(|path| std::path::absolute(path).unwrap());
    let mut command = Command::new("gst-launch-1.0");
    command.arg(format!("--gst-plugin-load={}", library.display())).args(line.split(' '));
    command.env_remove("G_DEBUG").env_remove("UNIOOD_MODELS").env_remove("XDG_CACHE_HOME").env("HOME", home).current_dir(home);
    if let Some(models) = models {
        command.env("UNIOOD_MODELS", models);
    }
    if let Some(runtime) = runtime {
        command.env("ORT_DYLIB_PATH", runtime);
    }
    Some(command.output().unwrap())
}

#[test]
fn the_environment_names_the_set_where_the_property_does_not_and_the_shipped_one_is_used_where_neither_does() {
    completes_within(HANG, || {
        let (set, home) = (ModelSet::golden(), tempfile::tempdir().unwrap());
        let line = "-m videotestsrc num-buffers=2 ! unioodfilter detector=frame ! fakesink";
        let Some(named) = launched(line, Some(set.dir()), home.path()) else { return };
        assert!(named.status.success(), "{}", String::from_utf8_lossy(&named.stderr));
        assert!(!String::from_utf8_lossy(&named.stdout).contains("street-tiny"));
        let missing = launched(line, Some("/no/such/set"), home.path()).unwrap();
        assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("/no/such/set/uniood.json"));
        let shipped = launched(line, None, home.path()).unwrap();
        assert!(shipped.status.success(), "{}", String::from_utf8_lossy(&shipped.stderr));
        let told = String::from_utf8_lossy(&shipped.stdout);
        assert!(told.contains("no model-dir: model set street-tiny, which ships with uniood"), "{told}");
    });
}

#[test]
fn stats_count_what_went_through() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let line = format!(
            "videotestsrc num-buffers=20 ! video/x-raw,width=96,height=64 ! unioodfilter name=f {} ! fakesink",
            launch_settings(&set)
        );
        let pipeline = Pipeline::parse(&line);
        pipeline.by_name("f").set_property("ood-threshold", 2.0);
        pipeline.play().unwrap();
        let stats: gst::Structure = pipeline.by_name("f").property("stats");
        for (field, wanted) in [("frames", 20), ("objects", 20), ("encoded", 20), ("ood", 20), ("errors", 0)] {
            assert_eq!(stats.get::<u64>(field), Ok(wanted), "{field}");
        }
        assert!(stats.get::<f64>("fps").unwrap() > 0.0);
        let ms = stats.get::<gst::Structure>("ms").unwrap();
        assert!(ms.get::<f64>("encode").unwrap() > 0.0 && ms.get::<f64>("total").unwrap() >= ms.get::<f64>("encode").unwrap() / 2.0);
    });
}

#[test]
fn a_device_that_was_chosen_is_told_on_the_bus() {
    completes_within(HANG, || {
        let fresh = filter(&ModelSet::golden());
        fresh.set_property("device", "auto");
        let rig = Rig::new(fresh);
        let told = rig.bus.pop_filtered(&[gst::MessageType::Info]).expect("an info message");
        let gst::MessageView::Info(told) = told.view() else { unreachable!() };
        assert!(told.error().message().contains("models run on"), "{}", told.error().message());
    });
}
