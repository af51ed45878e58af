//! One file of the hub into the cache: what is there of it is gone on with, what comes is hashed, and only a whole one gets its name.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use ureq::http::StatusCode;

use super::{
    News, Watch,
    cache::{Cached, make_parent},
    client::{Answer, Client},
    fault::Fault,
    hash::{Etag, Hasher},
    patience::Patience,
};
use crate::{Error, Result, whole};

/// An attempt that brought so much was none in vain.
const PROGRESS: u64 = 64 << 10;

/// What is to be fetched.
pub(super) struct Wanted<'a> {
    /// Its path in the repository.
    pub(super) path: &'a str,
    pub(super) address: String,
    pub(super) etag: Etag,
    pub(super) size: u64,
}

/// Fetches a blob, unless it is there; what stands for the refusal of a request is `refused`'s.
pub(super) fn fetch(
    client: &Client,
    cached: &Cached,
    wanted: &Wanted<'_>,
    mut patience: Patience,
    refused: impl Fn(&Answer) -> Fault,
    watch: &mut Watch<'_>,
) -> Result<PathBuf> {
    let blob = cached.blob(&wanted.etag);
    let _lock = cached.lock(&wanted.etag, watch)?;
    if fs::metadata(&blob).is_ok_and(|there| there.is_file() && there.len() == wanted.size) {
        return Ok(blob);
    }
    let mut part = Part::open(&blob, wanted, watch)?;
    watch(News::File { path: wanted.path, bytes: wanted.size, there: part.there })?;
    // What was there before and had to be fetched anew is no progress: a server may do that to us for ever.
    let mut furthest = part.there;
    while part.there < wanted.size {
        if let Err(fault) = part.go_on(client, wanted, &refused, watch) {
            if part.there.saturating_sub(furthest) >= PROGRESS {
                furthest = part.there;
                patience.encourage();
            }
            patience.wait(fault, watch)?;
        }
    }
    part.finish(&blob, wanted)?;
    Ok(blob)
}

/// What is there of a blob.
struct Part {
    path: PathBuf,
    file: File,
    there: u64,
    hasher: Hasher,
}

impl Part {
    /// Takes up what an earlier run has left.
    fn open(blob: &Path, wanted: &Wanted<'_>, watch: &mut Watch<'_>) -> Result<Self> {
        let path = whole::with_suffix(blob, ".incomplete");
        make_parent(&path)?;
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(Error::file("write", &path))?;
        let length = file.metadata().map_err(Error::file("read", &path))?.len();
        let mut hasher = wanted.etag.hasher(wanted.size);
        let mut there = 0;
        if length > wanted.size {
            file.set_len(0).map_err(Error::file("write", &path))?;
        } else {
            let mut piece = vec![0; 1 << 20];
            while there < length {
                watch(News::Idle)?;
                let read = file.read(&mut piece).map_err(Error::file("read", &path))?;
                if read == 0 {
                    break;
                }
                hasher.update(&piece[..read]);
                there += read as u64;
            }
        }
        Ok(Self { path, file, there, hasher })
    }

    /// One request for what is missing.
    fn go_on(
        &mut self,
        client: &Client,
        wanted: &Wanted<'_>,
        refused: &impl Fn(&Answer) -> Fault,
        watch: &mut Watch<'_>,
    ) -> Result<(), Fault> {
        let mut answer = client.get(&wanted.address, self.there, watch)?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT if self.there > 0 && starts_at(&answer, self.there) => {}
            // It sends all of it, or something else than was asked for, or has less than is there.
            StatusCode::OK => self.begin_again(wanted)?,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if self.there > 0 => {
                self.begin_again(wanted)?;
                return Err(Fault::passing(format!("the server of {} cannot go on where it ended", wanted.path)));
            }
            _ => return Err(refused(&answer)),
        }
        while let Some(piece) = answer.next(watch)? {
            if self.there + piece.len() as u64 > wanted.size {
                self.begin_again(wanted)?;
                return Err(Fault::passing(format!("the server sends more of {} than its {} bytes", wanted.path, wanted.size)));
            }
            self.file.write_all(&piece).map_err(|cause| self.unwritten(cause))?;
            self.hasher.update(&piece);
            self.there += piece.len() as u64;
            watch(News::There(self.there))?;
        }
        if self.there < wanted.size {
            return Err(Fault::passing(format!("the connection was cut at byte {} of {} of {}", self.there, wanted.size, wanted.path)));
        }
        Ok(())
    }

    fn begin_again(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        if self.there > 0 {
            self.file.set_len(0).map_err(Error::file("write", &self.path))?;
            self.file.seek(SeekFrom::Start(0)).map_err(Error::file("write", &self.path))?;
        }
        self.there = 0;
        self.hasher = wanted.etag.hasher(wanted.size);
        Ok(())
    }

    /// Gives it its name where it is what was wanted, and removes it where it is not.
    fn finish(self, blob: &Path, wanted: &Wanted<'_>) -> Result<()> {
        let found = self.hasher.finish();
        if found != wanted.etag.as_str() {
            fs::remove_file(&self.path).map_err(Error::file("remove", &self.path))?;
            return Err(Error::Hub(format!(
                "{} came damaged and was removed: its hash is {found}, wanted {}; try again, and if it stays so, look for what changes it on \
                 the way (a proxy, a mirror in HF_ENDPOINT)",
                wanted.path,
                wanted.etag.as_str()
            )));
        }
        self.file.sync_all().map_err(Error::file("write", &self.path))?;
        fs::rename(&self.path, blob).map_err(Error::file("write", blob))
    }

    fn unwritten(&self, cause: io::Error) -> Error {
        let cause = match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => io::Error::new(
                cause.kind(),
                "there is no room left; make some, or name a cache elsewhere with HF_HOME (what is there is kept, the same command goes on)",
            ),
            _ => cause,
        };
        Error::file("write", &self.path)(cause)
    }
}

/// Whether an answer's bytes are those from `at` on.
fn starts_at(answer: &Answer, at: u64) -> bool {
    let range = answer.header("content-range").and_then(|range| range.strip_prefix("bytes "));
    range.and_then(|range| range.split_once('-')).is_some_and(|(from, _)| from.trim().parse() == Ok(at))
}
