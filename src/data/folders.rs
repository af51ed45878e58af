//! A folder per class: `car/1.jpg`, `bus/2.jpg`, the whole picture being the object; or pictures alone.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{Annotated, Categories, DataSet, Labelled, Layout, PICTURES, Place, has_ending, listed};
use crate::{Error, Result};

/// The set, where folders below `path` hold pictures; `None` where none does.
pub(super) fn open(path: &Path, entries: &[PathBuf]) -> Result<Option<DataSet>> {
    let mut categories = Categories::default();
    let mut pictures = Vec::new();
    for folder in entries.iter().filter(|entry| entry.is_dir()) {
        let name = folder.file_name().and_then(OsStr::to_str);
        let name = name.ok_or_else(|| Error::content(folder, "the folder's name is a class name and must be UTF-8; rename it"))?;
        for file in listed(folder)?.into_iter().filter(|file| has_ending(file, &PICTURES) && file.is_file()) {
            let object = Labelled { id: "1".into(), category: categories.index(name), place: Place::Whole, ignore: false };
            pictures.push(Annotated::file(file, vec![object]));
        }
    }
    let found = DataSet { path: path.to_owned(), layout: Layout::FolderPerClass, categories: categories.names, pictures };
    Ok((!found.pictures.is_empty()).then_some(found))
}

/// The set of a folder's own pictures, where there are any and nothing says more of them.
pub(super) fn pictures(path: &Path, entries: &[PathBuf]) -> Option<DataSet> {
    let labelled = entries.iter().any(|entry| has_ending(entry, &["json", "xml"]));
    let own = entries.iter().filter(|entry| has_ending(entry, &PICTURES) && entry.is_file());
    let pictures: Vec<Annotated> = own.map(|file| Annotated::file(file.clone(), Vec::new())).collect();
    let found = DataSet { path: path.to_owned(), layout: Layout::Pictures, categories: Vec::new(), pictures };
    (!labelled && !found.pictures.is_empty()).then_some(found)
}
