//! DATA on the command line: what the library reads by itself, and a video with JSON lines of ours.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use uniood::data::{self, DataSet, Faults, FrameReader};

use crate::{frames::VideoFile, inputs};

/// Opens a data set of which these classes are wanted; `images` is the folder of a COCO file's pictures, or the video of JSON lines, where it is none of
/// the usual ones.
pub(crate) fn open(path: &Path, images: Option<&Path>, classes: &[String], faults: &mut Faults) -> Result<DataSet> {
    match lines_and_video(path, images)? {
        Some(both) => open_video(&both, classes, faults),
        None => Ok(DataSet::open(path, images, faults)?),
    }
}

/// The same, but a folder that holds nothing but pictures is a set too.
pub(crate) fn open_unlabelled(path: &Path, images: Option<&Path>, classes: &[String], faults: &mut Faults) -> Result<DataSet> {
    match lines_and_video(path, images)? {
        Some(both) => open_video(&both, classes, faults),
        None => Ok(DataSet::open_unlabelled(path, images, faults)?),
    }
}

fn open_video((lines, video): &(PathBuf, PathBuf), classes: &[String], faults: &mut Faults) -> Result<DataSet> {
    let video: Arc<dyn FrameReader> = Arc::new(VideoFile::new(video));
    Ok(DataSet::open_lines(lines, &video, classes, faults)?)
}

/// Whether it is JSON lines.
pub(crate) fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "jsonl")
}

/// Where lines and frames lie, if `path` names either.
fn lines_and_video(path: &Path, images: Option<&Path>) -> Result<Option<(PathBuf, PathBuf)>> {
    if is_lines(path) {
        let video = match images {
            Some(video) => video.to_owned(),
            None => video_of(path)?,
        };
        if !video.is_file() {
            bail!("{}: there is no such video; name the one that {} was made of with --images", video.display(), path.display());
        }
        return Ok(Some((path.to_owned(), video)));
    }
    if !(path.is_file() && inputs::is_video(path)) {
        return Ok(None);
    }
    let lines = images.map_or_else(|| path.with_extension("jsonl"), Path::to_owned);
    if !lines.is_file() {
        bail!(
            "{}: a video is data where JSON lines say what is in it, and there is no {}; make them with `uniood run`, look them through, and put them there",
            path.display(),
            lines.display()
        );
    }
    Ok(Some((lines, path.to_owned())))
}

/// The video of a file of lines: what they say they came from, there or beside them, else one of their own name.
fn video_of(lines: &Path) -> Result<PathBuf> {
    let source = data::source(lines).with_context(|| lines.display().to_string())?;
    let beside = |name: &Path| lines.with_file_name(name.file_name().unwrap_or_default());
    let said = source.iter().flat_map(|source| [source.clone(), lines.with_file_name(source), beside(source)]);
    let own = inputs::VIDEO.iter().map(|ending| lines.with_extension(ending));
    let found = said.chain(own).find(|path| path.is_file());
    found.with_context(|| {
        let said = source.map_or_else(String::new, |source| format!(" (`{}`)", source.display()));
        format!("{}: its video{said} is neither there nor beside it; name it with --images", lines.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_video_is_what_the_lines_say_or_beside_them_or_of_their_name() {
        let dir = tempfile::tempdir().unwrap();
        let (lines, elsewhere) = (dir.path().join("out/drive.jsonl"), dir.path().join("drive.mp4"));
        fs::create_dir(dir.path().join("out")).unwrap();
        let line = |source: &str| {
            format!(
                r#"{{"schema":"uniood.frame/1","stream_id":"a","frame_id":0,"resolution":{{"width":1,"height":1}},"source":"{source}","objects":[],"image":null,"timings_ms":{{"detect":0,"encode":0,"total":0}},"error":null}}"#
            )
        };
        fs::write(&lines, line(elsewhere.to_str().unwrap())).unwrap();
        let error = |path: &Path| format!("{:#}", lines_and_video(path, None).unwrap_err());
        assert!(error(&lines).contains("name it with --images"), "{}", error(&lines));
        for video in [&elsewhere, &dir.path().join("out/drive.mp4"), &dir.path().join("out/drive.mkv")] {
            fs::write(video, "").unwrap();
            assert_eq!(lines_and_video(&lines, None).unwrap(), Some((lines.clone(), video.clone())));
            fs::remove_file(video).unwrap();
        }
        assert!(format!("{:#}", lines_and_video(&lines, Some(&elsewhere)).unwrap_err()).contains("no such video"));
        fs::write(&elsewhere, "").unwrap();
        assert!(error(&elsewhere).contains("there is no"), "{}", error(&elsewhere));
        assert_eq!(lines_and_video(&elsewhere, Some(&lines)).unwrap(), Some((lines, elsewhere)));
        assert_eq!(lines_and_video(dir.path(), None).unwrap(), None);
    }
}
