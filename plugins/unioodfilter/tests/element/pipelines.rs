//! The ready launch lines of `pipelines/` and the appsink example: each is run, its ends replaced.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{HANG, ModelSet, Pipeline, built, completes_within, film, have, init, plugin_for_launch, workspace_dir};

const SOURCE: &str = "videotestsrc num-buffers=12 ! video/x-raw,format=I420,width=160,height=120,framerate=25/1";

/// A script of `pipelines/` in a folder of its own, with the plugin of this build.
struct Script {
    name: &'static str,
    dir: TempDir,
}

impl Script {
    fn new(name: &'static str) -> Option<Self> {
        init();
        let plugin = plugin_for_launch()?;
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        std::os::unix::fs::symlink(plugin, dir.path().join("plugins/libgstuniood.so")).unwrap();
        Some(Self { name, dir })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(workspace_dir().join("pipelines").join(self.name));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("GST_PLUGIN_PATH", self.dir.path().join("plugins"))
            .env("GST_REGISTRY", self.dir.path().join("registry.bin"))
            .env("SETTINGS", settings().join(" "))
            .env_remove("G_DEBUG");
        command
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join(file)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the script would launch, as it stands but for `replaced`, is a line that GStreamer takes.
    fn parses(&self, arguments: &[&str], replaced: &[(&str, &str)]) {
        let printed = succeeded(self.command(arguments).env("GST_LAUNCH", "echo").envs(replaced.iter().copied()));
        let text = String::from_utf8(printed.stdout).unwrap();
        let line = text.trim().trim_start_matches("-e ").trim_start_matches("-q ");
        // The source of a camera that is not there is still a source.
        drop(Pipeline::parse(line));
    }
}

/// For the golden set, which has no detector.
fn settings() -> Vec<String> {
    vec!["detector=frame".to_owned(), "device=cpu".to_owned(), format!("model-cache-dir={}", env!("CARGO_TARGET_TMPDIR"))]
}

#[track_caller]
fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_file() {
    completes_within(HANG, || {
        let Some(script) = Script::new("file.sh") else { return };
        let Some(film) = film(script.dir.path(), 12) else { return };
        let set = ModelSet::golden();
        let mut arguments = vec![film.to_str().unwrap().to_owned(), set.dir().to_owned()];
        arguments.extend(settings());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        script.parses(&arguments, &[]);
        succeeded(script.command(&arguments).env("SINK", "fakesink"));
        let lines = script.lines("verdicts.jsonl");
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[0]["source"], "film.avi");
    });
}

#[test]
fn a_camera() {
    completes_within(HANG, || {
        let Some(script) = Script::new("camera.sh") else { return };
        let set = ModelSet::golden();
        let mut arguments = vec!["/dev/video0".to_owned(), set.dir().to_owned()];
        arguments.extend(settings());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if have(&["v4l2src", "autovideosink"]) {
            script.parses(&arguments, &[]);
        }
        succeeded(
            script.command(&arguments).env("SINK", "fakesink").env("SOURCE", SOURCE.replace("videotestsrc", "videotestsrc is-live=true")),
        );
    });
}

#[test]
fn a_network_camera() {
    completes_within(HANG, || {
        let Some(script) = Script::new("rtsp.sh") else { return };
        if !have(&["rtspsrc", "rtpjpegpay", "rtpjpegdepay", "jpegenc", "jpegdec"]) {
            return;
        }
        let set = ModelSet::golden();
        let mut arguments = vec!["rtsp://127.0.0.1:9/stream".to_owned(), set.dir().to_owned()];
        arguments.extend(settings());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        script.parses(&arguments, &[]);
        let shown = succeeded(script.command(&arguments).env("SINK", "fakesink").env("SOURCE", format!("{SOURCE} ! jpegenc ! rtpjpegpay")));
        let lines = String::from_utf8(shown.stdout).unwrap().lines().filter(|line| line.starts_with('{')).count();
        assert_eq!(lines, 12);
    });
}

#[test]
fn many_cameras() {
    completes_within(HANG, || {
        let Some(script) = Script::new("cameras.sh") else { return };
        if !have(&["compositor"]) {
            return;
        }
        let set = ModelSet::golden();
        let arguments = [set.dir(), "rtsp://127.0.0.1:9/a", "b.mp4", "rtsp://127.0.0.1:9/c"];
        script.parses(&arguments, &[]);
        succeeded(script.command(&arguments).env("SINK", "fakesink").env("SOURCE", SOURCE));
        for camera in 0..3 {
            let lines = script.lines(&format!("cam{camera}.jsonl"));
            assert_eq!(lines.len(), 12);
            assert_eq!(lines[0]["stream_id"], format!("cam{camera}"));
        }
        let without = script.command(&[set.dir()]).output().unwrap();
        assert_eq!(without.status.code(), Some(2));
    });
}

#[test]
fn another_detector_in_front() {
    completes_within(HANG, || {
        let Some(script) = Script::new("upstream.sh") else { return };
        let Some(film) = film(script.dir.path(), 12) else { return };
        let set = ModelSet::golden();
        let arguments = [film.to_str().unwrap(), "detector.xml", set.dir(), "device=cpu"];
        // Whatever puts regions of interest on buffers is a detector; this one is always there.
        let detector = format!("unioodfilter model-dir={} {} annotate=false", set.dir(), settings().join(" "));
        script.parses(&arguments, &[("DETECTOR", &detector)]);
        succeeded(script.command(&arguments).env("SINK", "fakesink").env("DETECTOR", &detector));
        let lines = script.lines("verdicts.jsonl");
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[0]["objects"][0]["roi_type"], "object");
        assert_eq!(lines[0]["objects"][0]["w"], 160);
        assert_eq!(lines[0]["objects"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn every_script_is_tested() {
    let tested = ["camera.sh", "cameras.sh", "file.sh", "rtsp.sh", "upstream.sh"];
    let mut there: Vec<_> =
        fs::read_dir(workspace_dir().join("pipelines")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    assert_eq!(there, tested);
}

#[test]
fn the_appsink_example_tells_every_verdict() {
    completes_within(HANG, || {
        init();
        let Some(example) = built("examples/appsink") else { return };
        let dir = tempfile::tempdir().unwrap();
        let Some(film) = film(dir.path(), 12) else { return };
        let set = ModelSet::golden();
        let told = succeeded(Command::new(&example).args([film.to_str().unwrap(), set.dir(), "frame"]));
        let text = String::from_utf8(told.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("threshold")).count(), 12, "{text}");
        let refused = Command::new(&example).args([film.to_str().unwrap(), "/no/such/set"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("/no/such/set"));
    });
}
