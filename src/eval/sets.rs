//! Which data sets an evaluation reads, and what their objects count as.

use std::path::{Path, PathBuf};

use crate::{
    Error, Result,
    data::{DataSet, Faults, Layout},
};

/// What the objects of a set count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// All of them are ID.
    Known,
    /// All of them are OOD.
    Unknown,
    /// Those of the class list are ID, the others OOD: each object must be matched to a labelled one.
    Mixed,
}

/// A data set with its role.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is called in tables: its folder or file.
    pub name: String,
    /// What its objects count as.
    pub role: Role,
    /// Its pictures.
    pub data: DataSet,
    /// Of each of its categories, the class of that name.
    pub class_of: Vec<Option<usize>>,
}

/// ID and OOD in sets of their own; nothing is matched.
///
/// # Errors
/// [`Error::Content`] where an OOD set has objects of a known class.
pub fn apart(id: DataSet, ood: Vec<DataSet>, classes: &[String]) -> Result<Vec<Part>> {
    let mut parts = vec![Part::new(name_of(&id.path), id, Role::Known, classes)?];
    for set in ood {
        let mut name = name_of(&set.path);
        if parts.iter().any(|part| part.name == name) {
            name = set.path.display().to_string();
        }
        parts.push(Part::new(name, set, Role::Unknown, classes)?);
    }
    Ok(parts)
}

/// ID and OOD in one set.
///
/// # Errors
/// [`Error::Content`] where it has no boxes, or nothing of either kind.
pub fn open_world(set: DataSet, classes: &[String]) -> Result<Vec<Part>> {
    let part = Part::new(name_of(&set.path), set, Role::Mixed, classes)?;
    let refuse = |problem: &str| Err(Error::content(&part.data.path, problem));
    if part.data.layout.is_whole_pictures() {
        return refuse("its pictures have no boxes, so nothing can be matched; give ID and OOD apart with --id and --ood");
    }
    let counts = part.data.counts();
    let of = |known: bool| counts.iter().zip(&part.class_of).filter(|(_, class)| class.is_some() == known).map(|(count, _)| count).sum();
    let (known, unknown): (usize, usize) = (of(true), of(false));
    if known == 0 {
        let there = part.data.categories.join(", ");
        return refuse(&format!("none of the classes ({}) is in it; name some of its own with --classes: {there}", classes.join(", ")));
    }
    if unknown == 0 {
        return refuse("all of its objects belong to the class list, so nothing is OOD; take some classes off the list with --classes");
    }
    Ok(vec![part])
}

/// A set of which the known objects are wanted: labelled ones that belong to the classes, or whole pictures of them.
///
/// # Errors
/// [`Error::Content`] where it has no object of the classes.
pub fn known(set: DataSet, classes: &[String]) -> Result<Part> {
    let part = Part::new(name_of(&set.path), set, Role::Mixed, classes)?;
    let objects: usize = part.data.counts().iter().zip(&part.class_of).filter(|(_, class)| class.is_some()).map(|(count, _)| count).sum();
    if objects == 0 {
        let there = part.data.categories.join(", ");
        let problem =
            format!("none of the set's classes ({}) is in it, but: {there}; give pictures with labels of those", classes.join(", "));
        return Err(Error::content(&part.data.path, problem));
    }
    Ok(if part.data.layout.is_whole_pictures() { Part { role: Role::Known, ..part } } else { part })
}

/// The ID sets of the field's object-level protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VosSet {
    /// Pascal VOC 2007 and 2012.
    Voc,
    /// BDD-100k.
    Bdd,
}

impl VosSet {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voc => "voc",
            Self::Bdd => "bdd",
        }
    }

    /// Annotations and pictures of the ID set, then of its OOD sets, below the root.
    const fn files(self) -> [[&'static str; 3]; 3] {
        let open_images = [
            "OpenImages",
            "OpenImages/ood_classes_rm_overlap/COCO-Format/val_coco_format.json",
            "OpenImages/ood_classes_rm_overlap/images",
        ];
        match self {
            Self::Voc => [
                ["VOC", "VOC_0712_converted/val_coco_format.json", "VOC_0712_converted/JPEGImages"],
                ["COCO", "COCO/annotations/instances_val2017_ood_rm_overlap.json", "COCO/val2017"],
                open_images,
            ],
            Self::Bdd => [
                ["BDD", "bdd100k/val_bdd_converted.json", "bdd100k/images/100k/val"],
                ["COCO", "COCO/annotations/instances_val2017_ood_wrt_bdd_rm_overlap.json", "COCO/val2017"],
                open_images,
            ],
        }
    }
}

/// The sets of deeplearning-wisc/vos below `root`: the ID set that is there, and those of its OOD sets that are.
///
/// # Errors
/// [`Error::Content`] where both ID sets are there and none is named, or something is missing; what [`DataSet::open`] refuses.
pub fn vos(root: &Path, named: Option<VosSet>, classes: &[String], faults: &mut Faults) -> Result<(VosSet, Vec<Part>)> {
    let has = |set: VosSet| root.join(set.files()[0][1]).is_file();
    let wanted = || [VosSet::Voc, VosSet::Bdd].map(|set| set.files()[0][1]).join(" and ");
    let set = match (named, has(VosSet::Voc), has(VosSet::Bdd)) {
        (Some(set), ..) => set,
        (None, true, false) => VosSet::Voc,
        (None, false, true) => VosSet::Bdd,
        (None, true, true) => {
            return Err(Error::content(root, "there are both VOC and BDD in it; say which is ID with --id voc or --id bdd"));
        }
        (None, false, false) => return Err(Error::content(root, format!("no ID set of the protocol is in it; looked for {}", wanted()))),
    };
    let open = |[name, annotations, images]: [&str; 3], role, faults: &mut Faults| {
        Part::new(name.to_owned(), DataSet::open(&root.join(annotations), Some(&root.join(images)), faults)?, role, classes)
    };
    let [id, ood @ ..] = set.files();
    let mut parts = vec![open(id, Role::Known, faults)?];
    for files in ood.into_iter().filter(|[_, annotations, _]| root.join(annotations).is_file()) {
        parts.push(open(files, Role::Unknown, faults)?);
    }
    if parts.len() == 1 {
        let looked = ood.map(|[_, annotations, _]| annotations).join(" and ");
        return Err(Error::content(root, format!("none of the protocol's OOD sets is in it; looked for {looked}")));
    }
    Ok((set, parts))
}

impl Part {
    fn new(name: String, data: DataSet, role: Role, classes: &[String]) -> Result<Self> {
        let class_of = data.class_of(classes);
        if role == Role::Unknown
            && let Some((count, category)) = data
                .counts()
                .into_iter()
                .zip(&data.categories)
                .zip(&class_of)
                .find_map(|((count, category), class)| (count > 0 && class.is_some()).then_some((count, category)))
        {
            let problem =
                format!("{count} of its objects are of class `{category}`, which is on the ID list; take them out, or use --open-world");
            return Err(Error::content(&data.path, problem));
        }
        Ok(Self { name, role, data, class_of })
    }
}

impl Layout {
    /// Whether every picture is one object.
    #[must_use]
    pub const fn is_whole_pictures(self) -> bool {
        matches!(self, Self::FolderPerClass | Self::Pictures)
    }
}

/// A path's last part that says something.
fn name_of(path: &Path) -> String {
    let usual = ["images", "annotations", "instances.json", "_annotations.coco.json"];
    let parts: Vec<PathBuf> = path.ancestors().map(Path::to_owned).collect();
    let telling =
        parts.iter().filter_map(|part| part.file_name()).map(|name| name.to_string_lossy()).find(|name| !usual.contains(&&**name));
    telling.map_or_else(|| path.display().to_string(), |name| name.trim_end_matches(".jsonl").trim_end_matches(".json").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_called_by_the_last_part_that_says_something() {
        for (path, name) in [
            ("a/night/instances.json", "night"),
            ("iNaturalist/images", "iNaturalist"),
            ("x/val.json", "val"),
            ("drive.jsonl", "drive"),
            (".", "."),
        ] {
            assert_eq!(name_of(Path::new(path)), name);
        }
    }
}
