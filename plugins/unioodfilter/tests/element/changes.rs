//! What changes between two frames while the element plays, and what a file of settings does.

use std::{fs, path::Path};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};
use gstuniood::OodMeta;
use uniood::{
    tuned::{Document, SCHEMA, Tuned},
    verdict::{Reason, Verdict},
};

use crate::support::{HANG, ModelSet, Rig, completes_within, filter, info, init, picture, refusal, scored};

const REGIONS: u32 = 3;

/// Boxes come with the frames, and each class's score is kept.
fn crowd() -> (Rig, VideoInfo) {
    init();
    let filter = filter(&ModelSet::golden());
    filter.set_property("detector", "upstream");
    filter.set_property("keep-scores", true);
    let rig = Rig::new(filter);
    let info = info(VideoFormat::I420, 96, 64);
    rig.start(&info);
    (rig, info)
}

/// Verdicts of the same pixels, whatever frame they are.
fn verdicts(rig: &Rig, info: &VideoInfo) -> Vec<Verdict> {
    let mut buffer = picture(info, 5);
    for region in 0..REGIONS {
        VideoRegionOfInterestMeta::add(buffer.make_mut(), "thing", (4 + 28 * region, 6 + 10 * region, 22, 24));
    }
    rig.push(buffer);
    let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
    meta.objects.iter().map(|object| object.verdict.clone()).collect()
}

fn omegas(verdicts: &[Verdict]) -> Vec<f32> {
    verdicts.iter().map(|verdict| scored(verdict).omega).collect()
}

#[test]
fn backgrounds_are_shared_from_one_frame_on_and_exact_again_from_another_on() {
    completes_within(HANG, || {
        let (rig, info) = crowd();
        let exact = omegas(&verdicts(&rig, &info));
        assert_eq!(exact.len(), REGIONS as usize);
        for _ in 0..2 {
            rig.filter.set_property_from_str("background", "shared");
            let shared = omegas(&verdicts(&rig, &info));
            assert_ne!(shared, exact, "it is another computation");
            assert!(shared.iter().zip(&exact).all(|(shared, exact)| (shared - exact).abs() < 0.2), "{shared:?} for {exact:?}");
            rig.filter.set_property_from_str("background", "exact");
            let again = omegas(&verdicts(&rig, &info));
            assert!(again.iter().zip(&exact).all(|(again, exact)| (again - exact).abs() < 1e-6), "{again:?} for {exact:?}");
        }
        assert!(rig.bus.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Error]).is_none());
    });
}

#[test]
fn a_shortlist_and_the_number_of_objects_change_between_two_frames() {
    completes_within(HANG, || {
        let (rig, info) = crowd();
        let classes = |verdicts: &[Verdict]| -> Vec<usize> {
            verdicts.iter().map(|verdict| scored(verdict).omegas.as_ref().map_or(0, Vec::len)).collect()
        };
        assert_eq!(classes(&verdicts(&rig, &info)), [5; 3]);
        rig.filter.set_property("shortlist", 2_u32);
        assert_eq!(classes(&verdicts(&rig, &info)), [2; 3]);
        rig.filter.set_property("shortlist", 0_u32);
        assert_eq!(classes(&verdicts(&rig, &info)), [5; 3]);
        rig.filter.set_property("keep-scores", false);
        assert_eq!(classes(&verdicts(&rig, &info)), [0; 3]);
        rig.filter.set_property("max-objects", 2_u32);
        let few = verdicts(&rig, &info);
        let left_out = |verdict: &&Verdict| matches!(verdict, Verdict::Unscored(Reason::MaxObjects));
        assert_eq!((few.len(), few.iter().filter(left_out).count()), (3, 1), "{few:?}");
        rig.filter.set_property("max-objects", 32_u32);
        assert_eq!(omegas(&verdicts(&rig, &info)).len(), 3);
    });
}

#[test]
fn what_the_engine_is_made_of_is_taken_at_the_next_start_and_what_flows_stays_as_it_is() {
    completes_within(HANG, || {
        let (rig, info) = crowd();
        let before = omegas(&verdicts(&rig, &info));
        rig.filter.set_property("batch-size", 1_u32);
        rig.filter.set_property_from_str("precision", "int8");
        assert_eq!(omegas(&verdicts(&rig, &info)), before);
        // Pads that a stop made inactive are the test's own to wake.
        rig.src.set_active(false).unwrap();
        rig.filter.set_state(gst::State::Null).unwrap();
        rig.filter.set_state(gst::State::Playing).unwrap();
        rig.src.set_active(true).unwrap();
        rig.start(&info);
        assert_ne!(omegas(&verdicts(&rig, &info)), before);
    });
}

#[test]
fn a_file_of_settings_says_what_was_not_set_and_a_wrong_one_fails_the_start() {
    completes_within(HANG, || {
        init();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.json");
        let write = |settings| Document { schema: SCHEMA.to_owned(), settings, found: None }.write(&file).unwrap();
        write(Tuned { batch_size: Some(3), encoder_threads: Some(1), ..Tuned::default() });
        let set = ModelSet::golden();
        // Elements share an engine only where it is made of the same: that tells what each was made of.
        let named = |change: &dyn Fn(&gst::Element)| {
            let filter = filter(&set);
            filter.set_property("model-instance-id", "of settings");
            change(&filter);
            filter
        };
        let of_file = named(&|filter| filter.set_property("settings", file.to_str()));
        let rig = Rig::new(of_file);
        let same = named(&|filter| {
            filter.set_property("batch-size", 3_u32);
            filter.set_property("encoder-threads", 1_u32);
        });
        assert_eq!(refusal(&same), None);
        let set_too = named(&|filter| {
            filter.set_property("batch-size", 16_u32);
            filter.set_property("settings", file.to_str());
        });
        let sentence = refusal(&set_too).expect("a default that was set goes before the file");
        assert!(sentence.contains("batch-size is 16") && sentence.contains(" 3 "), "{sentence}");
        drop(rig);

        let wrong = |text: &str, words: &str| {
            fs::write(&file, text).unwrap();
            let filter = named(&|filter| filter.set_property("settings", file.to_str()));
            let sentence = refusal(&filter).unwrap_or_else(|| panic!("{text} was taken"));
            assert!(sentence.contains(words), "{sentence}");
        };
        wrong("{", "uniood bench --tune");
        wrong(r#"{"schema":"uniood.settings/1","settings":{"batch-size":0}}"#, "`batch-size` is 0");
        let missing = named(&|filter| filter.set_property("settings", Path::new("/no/such/settings.json").to_str()));
        assert!(refusal(&missing).unwrap().contains("/no/such/settings.json"));
    });
}

#[test]
fn what_is_set_while_models_are_loaded_counts_from_the_first_frame_on() {
    completes_within(HANG, || {
        let filter = filter(&ModelSet::golden());
        filter.set_property("device", "auto");
        let rig = Rig::new(filter);
        rig.src.set_active(false).unwrap();
        rig.filter.set_state(gst::State::Null).unwrap();
        // Which device was chosen is said once the models are there, and before a frame can be.
        let weak = rig.filter.downgrade();
        rig.bus.set_sync_handler(move |_, message| {
            if let (gst::MessageView::Info(_), Some(filter)) = (message.view(), weak.upgrade()) {
                filter.set_property("ood-threshold", 2.0);
            }
            gst::BusSyncReply::Drop
        });
        rig.filter.set_state(gst::State::Playing).unwrap();
        rig.src.set_active(true).unwrap();
        let info = info(VideoFormat::I420, 96, 64);
        rig.start(&info);
        rig.push(picture(&info, 0));
        let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
        assert!((scored(&meta.objects[0].verdict).threshold - 2.0).abs() < f32::EPSILON);
    });
}
