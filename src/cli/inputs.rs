//! What `uniood run` reads: video files, folders of them, addresses, cameras; and their outputs' names.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use gst::prelude::*;

/// File name endings that are taken for video in a folder.
pub(crate) const VIDEO: [&str; 14] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "flv", "wmv", "3gp"];

/// One thing to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A video file.
    File(PathBuf),
    /// `rtsp://…` and the like.
    Address(String),
    /// A camera's device file.
    Camera(PathBuf),
}

/// An input and the name of its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) input: Input,
    pub(crate) name: String,
}

/// Whether a file's name ends as a video's.
pub(crate) fn is_video(path: &Path) -> bool {
    path.extension().is_some_and(|ending| VIDEO.contains(&ending.to_string_lossy().to_lowercase().as_str()))
}

/// Reads the arguments; folders become the video files in them and below, in name order.
pub(crate) fn parse(arguments: &[String]) -> Result<Vec<Named>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if let Some(device) = argument.strip_prefix("v4l2:") {
            inputs.push(Input::Camera(device.into()));
        } else if argument.contains("://") {
            inputs.push(Input::Address(argument.clone()));
        } else {
            let path = PathBuf::from(argument);
            let kind = fs::metadata(&path).with_context(|| format!("cannot read {argument}"))?;
            if kind.is_dir() {
                let before = inputs.len();
                videos_below(&path, &mut inputs)?;
                if inputs.len() == before {
                    bail!("{argument}: there is no video file in this folder (looked for {})", VIDEO.join(", "));
                }
            } else {
                inputs.push(Input::File(path));
            }
        }
    }
    let live = inputs.iter().filter(|input| !matches!(input, Input::File(_))).count();
    if live > 1 || live == 1 && inputs.len() > 1 {
        bail!("a live input never ends, so nothing after it would be read; start one `uniood run` for each");
    }
    Ok(named(inputs))
}

fn videos_below(folder: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            videos_below(&path, inputs)?;
        } else if is_video(&path) && path.is_file() {
            inputs.push(Input::File(path));
        }
    }
    Ok(())
}

/// Names without endings; the second of a name gets `-2`.
fn named(inputs: Vec<Input>) -> Vec<Named> {
    let mut taken = HashSet::new();
    let name = |input: Input| {
        let plain = input.plain_name();
        let name = (1..=u32::MAX)
            .map(|count| if count == 1 { plain.clone() } else { format!("{plain}-{count}") })
            .find(|name| taken.insert(name.to_lowercase()))
            .expect("there are more numbers than inputs");
        Named { input, name }
    };
    inputs.into_iter().map(name).collect()
}

impl Input {
    /// How the user knows it. Addresses may hold a password: it is left out.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) | Self::Camera(path) => path.display().to_string(),
            Self::Address(address) => match address.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
                Some((scheme, Some((user, rest)))) if !user.contains('/') => format!("{scheme}://…@{rest}"),
                _ => address.clone(),
            },
        }
    }

    fn plain_name(&self) -> String {
        let name = match self {
            Self::File(path) | Self::Camera(path) => path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            Self::Address(_) => {
                let shown = self.shown();
                let rest = shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest).trim_start_matches("…@");
                rest.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '.' { c } else { '-' }).collect()
            }
        };
        let name = name.trim_matches(['-', '.']).to_owned();
        if name.is_empty() { "input".to_owned() } else { name }
    }

    /// Puts what reads this input into the pipeline, its first video stream linked to `filter` as raw frames.
    pub(crate) fn source(&self, pipeline: &gst::Pipeline, filter: &gst::Element) -> Result<()> {
        let convert = make("videoconvert")?;
        pipeline.add(&convert)?;
        convert.link(filter)?;
        let decoder = match self {
            Self::Camera(device) => {
                let camera = make("v4l2src")?;
                camera.set_property("device", device.to_str().context("the camera's name is not UTF-8")?);
                let decoder = make("decodebin")?;
                pipeline.add_many([&camera, &decoder])?;
                camera.link(&decoder)?;
                decoder
            }
            Self::File(path) => {
                let path = std::path::absolute(path).with_context(|| format!("cannot read {}", path.display()))?;
                Self::decoder(pipeline, gst::glib::filename_to_uri(path, None)?.as_str())?
            }
            Self::Address(address) => Self::decoder(pipeline, address)?,
        };
        let (shown, whole) = (self.shown(), pipeline.downgrade());
        let sink = convert.static_pad("sink").context("videoconvert's sink pad")?;
        let unlinked = sink.clone();
        decoder.connect_pad_added(move |_, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            if caps.structure(0).is_some_and(|caps| caps.name() == "video/x-raw") && !sink.is_linked() {
                // A pad that does not link leaves the stream without video, which is said below.
                let _ = pad.link(&sink);
            }
        });
        decoder.connect_no_more_pads(move |_| {
            if let Some(pipeline) = whole.upgrade().filter(|_| !unlinked.is_linked()) {
                gst::element_error!(pipeline, gst::StreamError::WrongType, ("{shown} holds no video that can be decoded"));
            }
        });
        Ok(())
    }

    fn decoder(pipeline: &gst::Pipeline, address: &str) -> Result<gst::Element> {
        let decoder = make("uridecodebin")?;
        decoder.set_property("uri", address);
        // Sound and subtitles are not decoded only to be dropped.
        decoder.connect("autoplug-continue", false, |values| {
            let caps = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
            let is_other = |name: &str| name.starts_with("audio/") || name.starts_with("text/") || name.starts_with("subpicture/");
            let other = caps.and_then(|caps| caps.structure(0).map(|caps| is_other(caps.name())));
            Some((!other.unwrap_or(false)).to_value())
        });
        pipeline.add(&decoder)?;
        Ok(decoder)
    }
}

fn make(factory: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(factory)
        .build()
        .with_context(|| format!("GStreamer has no {factory}; `uniood doctor` says which package is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[&str]) -> Vec<String> {
        named(
            inputs
                .iter()
                .map(|input| if input.contains("://") { Input::Address((*input).to_owned()) } else { Input::File(input.into()) })
                .collect(),
        )
        .into_iter()
        .map(|named| named.name)
        .collect()
    }

    #[test]
    fn inputs_of_one_name_do_not_share_outputs() {
        assert_eq!(names(&["a/dash.mp4", "b/dash.mkv", "c/DASH.avi", "x.mp4"]), ["dash", "dash-2", "DASH-3", "x"]);
    }

    #[test]
    fn a_password_is_in_no_name_and_no_message() {
        let input = Input::Address("rtsp://admin:secret@cam.local:554/stream?x=1".to_owned());
        assert_eq!(input.shown(), "rtsp://…@cam.local:554/stream?x=1");
        assert_eq!(names(&["rtsp://admin:secret@cam.local:554/stream?x=1"]), ["cam.local-554-stream-x-1"]);
    }

    #[test]
    fn live_inputs_come_alone() {
        let error = parse(&["rtsp://a/1".to_owned(), "rtsp://a/2".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("one `uniood run` for each"), "{error}");
    }

    #[test]
    fn folders_give_their_videos_in_name_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.MP4", "b/z.mkv", "a.txt", "a.mov"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = parse(&[dir.path().to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|named| named.name.as_str()).collect::<Vec<_>>(), ["a", "z", "c"]);
    }
}
