//! What `uniood run` reads: video files, folders of them, addresses, cameras; and their outputs' names.

use std::{
    borrow::Cow,
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use uniood::address::Address;

/// File name endings that are taken for video in a folder.
pub(crate) const VIDEO: [&str; 14] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "flv", "wmv", "3gp"];

/// Addresses with these schemes are files that lie elsewhere: they have an end.
const REMOTE_FILES: [&str; 4] = ["http", "https", "file", "ftp"];

/// One thing to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A video file.
    File(PathBuf),
    /// `rtsp://…` and the like.
    Address(Address),
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
        } else if let Some(address) = Address::parse(argument) {
            inputs.push(Input::Address(address));
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
    /// Whether it goes on without an end, and returns after a loss: a camera.
    pub(crate) fn is_live(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Address(address) => !REMOTE_FILES.contains(&address.scheme()),
            Self::Camera(_) => true,
        }
    }

    /// How the user knows it, without user and password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) | Self::Camera(path) => path.display().to_string(),
            Self::Address(address) => address.to_string(),
        }
    }

    /// Its URI, without user and password.
    pub(crate) fn uri(&self) -> Result<String> {
        Ok(match self {
            Self::File(path) => {
                let path = std::path::absolute(path).with_context(|| format!("cannot read {}", path.display()))?;
                gst::glib::filename_to_uri(path, None)?.into()
            }
            Self::Address(address) => address.without_credentials(),
            Self::Camera(device) => format!("v4l2://{}", device.display()),
        })
    }

    /// What somebody else says of it, without user and password.
    pub(crate) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Address(address) => address.hide(text),
            Self::File(_) | Self::Camera(_) => text.into(),
        }
    }

    fn plain_name(&self) -> String {
        let name = match self {
            Self::File(path) | Self::Camera(path) => path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            Self::Address(address) => {
                address.rest().chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '.' { c } else { '-' }).collect()
            }
        };
        let name = name.trim_matches(['-', '.']).to_owned();
        if name.is_empty() { "input".to_owned() } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[&str]) -> Vec<String> {
        named(inputs.iter().map(|input| Address::parse(input).map_or_else(|| Input::File(input.into()), Input::Address)).collect())
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
        let input = Input::Address(Address::parse("rtsp://admin:secret@cam.local:554/stream?x=1").unwrap());
        assert_eq!((input.shown().as_str(), input.is_live()), ("rtsp://…@cam.local:554/stream?x=1", true));
        assert_eq!(input.uri().unwrap(), "rtsp://cam.local:554/stream?x=1");
        assert_eq!(names(&["rtsp://admin:secret@cam.local:554/stream?x=1"]), ["cam.local-554-stream-x-1"]);
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
