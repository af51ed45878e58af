//! Everything that can be linked in front: raw, encoded, containers, RTP, late pads.

use std::path::Path;

use gst::prelude::*;
use gstuniood::OodMeta;

use crate::support::{HANG, ModelSet, Pipeline, completes_within, film, filter, have, launch_settings, shared};

const FRAMES: usize = 20;

/// Encodes [`FRAMES`] frames into `file`.
fn encode(chain: &str, file: &Path) {
    let line = format!(
        "videotestsrc num-buffers={FRAMES} ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! {chain} ! filesink location={}",
        file.display()
    );
    Pipeline::parse(&line).play().unwrap();
}

/// Plays `source ! unioodfilter` and gives the sizes and verdicts that came out.
fn played(source: &str, set: &ModelSet) -> Result<usize, String> {
    let line = format!("{source} ! unioodfilter name=f {} ! fakesink name=out f.meta ! fakesink name=lines", launch_settings(set));
    let pipeline = Pipeline::parse(&line);
    let (frames, lines) = (pipeline.keep("out"), pipeline.keep("lines"));
    pipeline.play()?;
    let frames = frames.lock().unwrap();
    assert!(frames.iter().all(|frame| OodMeta::from_buffer(frame).is_some_and(|meta| meta.objects.len() == 1 && meta.error.is_none())));
    assert_eq!(frames.len(), lines.lock().unwrap().len(), "a line a frame");
    Ok(frames.len())
}

#[test]
fn containers_are_decoded_in_pull_and_push_mode_and_behind_a_demuxer_or_decodebin() {
    completes_within(4 * HANG, || {
        let dir = tempfile::tempdir().unwrap();
        let set = ModelSet::golden();
        for (name, chain, elements, demuxer) in [
            ("a.mp4", "x264enc tune=zerolatency ! mp4mux", &["x264enc", "mp4mux", "avdec_h264"][..], Some("qtdemux")),
            ("a.mkv", "vp8enc deadline=1 ! matroskamux", &["vp8enc", "matroskamux", "vp8dec"], Some("matroskademux")),
            ("a.ts", "x264enc tune=zerolatency ! mpegtsmux", &["x264enc", "mpegtsmux", "avdec_h264"], Some("tsdemux")),
            ("a.avi", "jpegenc ! avimux", &["jpegenc", "avimux", "jpegdec"], Some("avidemux")),
            ("a.ogg", "theoraenc ! oggmux", &["theoraenc", "oggmux", "theoradec"], None),
            ("a.h264", "x264enc tune=zerolatency ! video/x-h264,stream-format=byte-stream", &["x264enc", "avdec_h264"], None),
        ] {
            if !have(elements) {
                continue;
            }
            let file = dir.path().join(name);
            encode(chain, &file);
            let source = format!("filesrc location={}", file.display());
            let mut forms = vec![source.clone(), format!("{source} ! queue"), format!("{source} ! decodebin")];
            forms.extend(demuxer.map(|demuxer| format!("{source} ! {demuxer}")));
            for form in forms {
                let count = played(&form, &set).unwrap_or_else(|error| panic!("{form}: {error}"));
                // An elementary stream's timestamps are guessed, and its parser may drop what it cannot place.
                assert!(count == FRAMES || name == "a.h264" && count > FRAMES - 3, "{form}: {count} frames");
            }
        }
    });
}

#[test]
fn the_audio_of_a_file_is_left_alone() {
    completes_within(HANG, || {
        if !have(&["x264enc", "mp4mux", "avdec_h264", "voaacenc", "avdec_aac"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("av.mp4");
        let line = format!(
            "mp4mux name=m ! filesink location={} audiotestsrc num-buffers=40 ! voaacenc ! m. \
             videotestsrc num-buffers={FRAMES} ! video/x-raw,width=160,height=120,framerate=25/1 ! x264enc tune=zerolatency ! m.",
            file.display()
        );
        Pipeline::parse(&line).play().unwrap();
        let set = ModelSet::golden();
        for form in ["", " ! queue", " ! qtdemux", " ! decodebin"] {
            assert_eq!(played(&format!("filesrc location={}{form}", file.display()), &set), Ok(FRAMES), "{form}");
        }
    });
}

#[test]
fn input_without_video_is_an_error_that_says_so() {
    completes_within(HANG, || {
        if !have(&["vorbisenc", "oggmux", "vorbisdec"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let set = ModelSet::golden();
        let audio = dir.path().join("a.ogg");
        Pipeline::parse(&format!("audiotestsrc num-buffers=20 ! vorbisenc ! oggmux ! filesink location={}", audio.display()))
            .play()
            .unwrap();
        let error = played(&format!("filesrc location={}", audio.display()), &set).unwrap_err();
        assert!(error.contains("no video"), "{error}");
        for (name, content) in [
            ("text.txt", &b"This is only a text file, with words in it and no frames at all.\n"[..]),
            ("empty.mp4", b""),
            ("noise.mp4", &[7; 4000]),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, content).unwrap();
            let error = played(&format!("filesrc location={}", file.display()), &set).unwrap_err();
            assert!(!error.is_empty(), "{name}");
        }
        assert!(played("filesrc location=/no/such/file.mp4", &set).is_err());
    });
}

#[test]
fn a_truncated_file_gives_the_frames_it_has() {
    completes_within(HANG, || {
        let dir = tempfile::tempdir().unwrap();
        let Some(file) = film(dir.path(), FRAMES) else { return };
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let set = ModelSet::golden();
        match played(&format!("filesrc location={}", file.display()), &set) {
            Ok(count) => assert!((1..FRAMES).contains(&count), "{count}"),
            Err(error) => assert!(!error.is_empty()),
        }
    });
}

#[test]
fn raw_video_goes_straight_to_the_scoring_element() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        for source in
            ["videotestsrc num-buffers=5", "videotestsrc num-buffers=5 ! queue", "videotestsrc num-buffers=5 ! videoconvert ! videoscale"]
        {
            let pipeline = Pipeline::parse(&format!("{source} ! unioodfilter name=f {} ! fakesink", launch_settings(&set)));
            let bin: gst::Bin = pipeline.by_name("f").downcast().unwrap();
            assert_eq!(bin.children().len(), 1, "{source}");
            pipeline.play().unwrap();
        }
    });
}

#[test]
fn a_peer_that_is_exchanged_is_looked_at_anew() {
    completes_within(HANG, || {
        let set = ModelSet::golden();
        let filter: gst::Bin = filter(&set).downcast().unwrap();
        let pipeline = gst::Pipeline::new();
        let sink = filter.static_pad("sink").unwrap();
        pipeline.add(&filter).unwrap();
        let [raw, any, audio] = ["videotestsrc", "filesrc", "audiotestsrc"].map(|name| {
            let element = gst::ElementFactory::make(name).build().unwrap();
            pipeline.add(&element).unwrap();
            element.static_pad("src").unwrap()
        });
        for _ in 0..3 {
            any.link(&sink).unwrap();
            assert_eq!(filter.children().len(), 3, "decodebin and videoconvert in front");
            any.unlink(&sink).unwrap();
            raw.link(&sink).unwrap();
            assert_eq!(filter.children().len(), 1);
            raw.unlink(&sink).unwrap();
        }
        assert!(audio.link(&sink).is_err(), "sound is no video");
        let rtp = |caps: &str| {
            let source = gst::ElementFactory::make("udpsrc").property_from_str("caps", caps).build().unwrap();
            pipeline.add(&source).unwrap();
            source.static_pad("src").unwrap()
        };
        assert!(rtp("application/x-rtp,media=audio,encoding-name=OPUS").link(&sink).is_err(), "nor is it over RTP");
        assert!(rtp("application/x-rtp,encoding-name=H264").link(&sink).is_ok());
    });
}

#[test]
fn rtp_is_depayloaded_and_decoded() {
    completes_within(HANG, || {
        if !have(&["rtpjpegpay", "rtpjpegdepay", "jpegenc", "jpegdec"]) {
            return;
        }
        let set = ModelSet::golden();
        let source = format!(
            "videotestsrc num-buffers={FRAMES} ! video/x-raw,format=I420,width=160,height=120,framerate=25/1 ! jpegenc ! rtpjpegpay"
        );
        let count = played(&source, &set).unwrap();
        assert_eq!(count, FRAMES);
    });
}

#[test]
fn a_format_that_is_not_scored_as_it_is_is_converted() {
    completes_within(HANG, || {
        if !have(&["x264enc", "matroskamux", "avdec_h264"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("y444.mkv");
        let line = format!(
            "videotestsrc num-buffers={FRAMES} ! video/x-raw,format=Y444,width=160,height=120,framerate=25/1 ! x264enc ! matroskamux ! filesink location={}",
            file.display()
        );
        Pipeline::parse(&line).play().unwrap();
        let set = ModelSet::golden();
        for form in ["", " ! queue", " ! matroskademux", " ! decodebin"] {
            assert_eq!(played(&format!("filesrc location={}{form}", file.display()), &set), Ok(FRAMES), "{form}");
        }
        assert_eq!(played("videotestsrc num-buffers=5 ! video/x-raw,format=YUY2", &set), Ok(5));
    });
}

#[test]
fn an_encoded_file_plays_again_after_ready_and_null() {
    completes_within(HANG, || {
        let dir = tempfile::tempdir().unwrap();
        let Some(file) = film(dir.path(), FRAMES) else { return };
        let set = ModelSet::golden();
        let line = format!("filesrc location={} ! unioodfilter name=f {} ! fakesink name=out", file.display(), launch_settings(&set));
        let pipeline = Pipeline::parse(&line);
        let kept = pipeline.keep("out");
        for _ in 0..5 {
            pipeline.play().unwrap();
            assert_eq!(kept.lock().unwrap().drain(..).count(), FRAMES);
        }
    });
}

#[test]
fn the_real_clips_give_a_line_a_frame() {
    let Some(clips) = shared("clips") else { return };
    completes_within(2 * HANG, move || {
        let set = ModelSet::golden();
        let frames = [("udacity_vehicle_test_video.mp4", 38), ("udacity_solidWhiteRight.mp4", 221), ("finite_car.mp4", 441)];
        for (name, wanted) in frames {
            let file = clips.join(name);
            assert_eq!(played(&format!("filesrc location={}", file.display()), &set), Ok(wanted), "{name}");
        }
    });
}
