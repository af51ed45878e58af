//! Data sets as the field lays them out: what is told by what is there, what is left out, and how wrong ones are refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::symlink, path::Path};

use image::RgbImage;
use proptest::prelude::*;
use serde_json::{Value, json};
use uniood::{
    data::{DataSet, Faults, Layout, Place},
    geometry::BBox,
};

fn picture(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(40, 30, image::Rgb([9, 90, 200])).save(path).unwrap();
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn coco() -> Value {
    json!({
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"id": 10, "image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 12.5]},
            {"id": 11, "image_id": 1, "category_id": 7, "bbox": [5, 5, 6, 6], "iscrowd": 0, "segmentation": [[1, 2, 3]]},
            {"id": 12, "image_id": 2, "category_id": 3, "bbox": [0, 0, 40, 30], "ignore": true},
        ],
        "categories": [{"id": 3, "name": "car", "supercategory": "id"}, {"id": 7, "name": "traffic light"}],
    })
}

fn open(path: &Path) -> Result<(DataSet, Faults), String> {
    let mut faults = Faults::default();
    DataSet::open(path, None, &mut faults).map(|set| (set, faults)).map_err(|error| error.to_string())
}

#[test]
fn coco_is_found_with_its_pictures_wherever_the_field_puts_them() {
    for (json, picture_file) in [
        ("instances.json", "images/a.png"),
        ("instances.json", "a.png"),
        ("_annotations.coco.json", "a.png"),
        ("annotations/instances_val2017.json", "val2017/a.png"),
        ("annotations/instances_val2017.json", "images/val2017/a.png"),
        ("annotations/anything.json", "images/a.png"),
        ("val_coco_format.json", "JPEGImages/a.png"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(json), &coco().to_string());
        picture(&dir.path().join(picture_file));
        for path in [dir.path().join(json), dir.path().join(json).parent().unwrap().to_owned()] {
            let (set, faults) = open(&path).unwrap_or_else(|error| panic!("{json} {picture_file}: {error}"));
            assert_eq!((set.layout, set.pictures.len(), faults.count()), (Layout::Coco, 2, 0));
            assert_eq!(set.categories.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["car", "traffic light"]);
            let object = &set.pictures[0].objects[0];
            assert_eq!((object.category, object.place), (0, Place::Box(BBox { x: 1.0, y: 2.0, w: 10.0, h: 12.5 })));
            assert_eq!(set.pictures[0].read().unwrap().width, 40);
            // b.png is missing, which shows when it is read.
            assert!(set.pictures[1].read().unwrap_err().to_string().contains("b.png"));
        }
    }
}

#[test]
fn a_folder_of_pictures_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("x.json"), &coco().to_string());
    picture(&dir.path().join("far/away/a.png"));
    let error = open(&dir.path().join("x.json")).unwrap_err();
    assert!(error.contains("`a.png`") && error.contains("name their folder"), "{error}");
    let set = DataSet::open(&dir.path().join("x.json"), Some(&dir.path().join("far/away")), &mut Faults::default()).unwrap();
    assert!(set.pictures[0].read().is_ok());
}

#[test]
fn ids_may_be_strings() {
    let dir = tempfile::tempdir().unwrap();
    let text = json!({
        "images": [{"id": "first", "file_name": "a.png"}],
        "annotations": [{"image_id": "first", "category_id": "c", "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": "c", "name": "car"}],
    });
    write(&dir.path().join("instances.json"), &text.to_string());
    picture(&dir.path().join("a.png"));
    let (set, _) = open(dir.path()).unwrap();
    assert_eq!(set.pictures[0].objects[0].id.as_ref(), "number 1");
}

#[test]
fn crowds_are_counted_and_ignored_objects_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("a.png"));
    let mut text = coco();
    text["annotations"][0]["iscrowd"] = json!(1);
    write(&dir.path().join("instances.json"), &text.to_string());
    let (set, faults) = open(dir.path()).unwrap();
    assert_eq!((faults.crowds, faults.ignored, faults.count()), (1, 1, 0));
    assert_eq!(set.pictures[0].objects.len(), 1);
    assert!(set.pictures[1].objects[0].ignore);
    assert_eq!(set.counts(), [0, 1]);
}

#[test]
fn a_broken_annotation_is_named_and_left_out_or_stops_it_all() {
    for (change, sentence) in [
        (json!({"id": 5, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3]}), "annotation 5 has no box"),
        (json!({"id": 5, "image_id": 1, "category_id": 3, "bbox": null}), "annotation 5 has no box"),
        (json!({"id": 5, "image_id": 1, "category_id": 3}), "annotation 5 has no box"),
        (json!({"id": 5, "image_id": 1, "category_id": 3, "bbox": [1, 2, 0, 4]}), "annotation 5 has no box"),
        (json!({"id": 5, "image_id": 1, "category_id": 3, "bbox": [1, 2, 1e300, 4]}), "annotation 5 has no box"),
        (json!({"id": 5, "image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4]}), "belongs to image 9"),
        (json!({"id": 5, "image_id": 1, "category_id": 99, "bbox": [1, 2, 3, 4]}), "has category 99"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        picture(&dir.path().join("a.png"));
        let mut text = coco();
        text["annotations"].as_array_mut().unwrap().push(change);
        write(&dir.path().join("instances.json"), &text.to_string());
        let (set, faults) = open(dir.path()).unwrap();
        assert_eq!((set.pictures[0].objects.len(), faults.count()), (2, 1), "{sentence}");
        assert!(faults.sentences()[0].contains(sentence), "{}", faults.sentences()[0]);
        let strict = DataSet::open(dir.path(), None, &mut Faults::strict()).unwrap_err().to_string();
        assert!(strict.contains(sentence) && strict.contains("instances.json"), "{strict}");
    }
}

#[test]
fn what_is_no_data_set_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path, sentence: &str| {
        let error = open(path).unwrap_err();
        assert!(error.contains(sentence), "`{sentence}`: {error}");
    };
    refused(&dir.path().join("nowhere"), "cannot read");
    refused(dir.path(), "no data set that is known");
    write(&dir.path().join("text.json"), "{}");
    refused(&dir.path().join("text.json"), "not a COCO file");
    write(&dir.path().join("two.json"), "{}");
    refused(dir.path(), "2 JSON files");
    let mut text = coco();
    text["images"][1]["id"] = json!(1);
    let twice = dir.path().join("twice/instances.json");
    write(&twice, &text.to_string());
    picture(&dir.path().join("twice/a.png"));
    refused(&twice, "same image id");
    let mut text = coco();
    text["categories"][1]["id"] = json!(3);
    write(&twice, &text.to_string());
    refused(&twice, "category id 3 stands there twice");
    write(&twice, &json!({"images": [], "annotations": [], "categories": []}).to_string());
    refused(&twice, "name their folder");
    let bare = dir.path().join("bare");
    picture(&bare.join("a.png"));
    refused(&bare, "no data set that is known");
}

#[test]
fn boxes_are_not_cut_from_a_picture_of_another_size_than_was_annotated() {
    let dir = tempfile::tempdir().unwrap();
    let (json, file) = (dir.path().join("instances.json"), dir.path().join("a.png"));
    picture(&file);
    for (width, height, is_read) in
        [(json!(40), json!(30), true), (json!(30), json!(40), false), (json!(0), json!(0), true), (json!("wide"), json!(null), true)]
    {
        let mut text = coco();
        (text["images"][0]["width"], text["images"][0]["height"]) = (width, height);
        write(&json, &text.to_string());
        match open(&json).unwrap().0.pictures[0].read() {
            Ok(_) => assert!(is_read, "{text}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!is_read && error.contains("40×30") && error.contains("annotations say 30×40"), "{error}");
            }
        }
    }
    let voc = dir.path().join("voc");
    picture(&voc.join("JPEGImages/a.png"));
    write(&voc.join("Annotations/a.xml"), &VOC.replace("<width>40</width>", "<width>41</width>"));
    assert!(open(&voc).unwrap().0.pictures[0].read().unwrap_err().to_string().contains("annotations say 41×30"));
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_the_annotations() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("a.png"));
    write(&dir.path().join("instances.json"), &format!("\u{feff}{}", coco()).replace(',', ",\r\n"));
    assert_eq!(open(dir.path()).unwrap().0.pictures.len(), 2);
}

#[test]
fn a_pipe_or_a_device_in_a_file_s_place_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("instances.json"), &coco().to_string());
    symlink("/dev/zero", dir.path().join("a.png")).unwrap();
    // Where the pictures lie is told, since none of them is a file.
    let set = DataSet::open(&dir.path().join("instances.json"), Some(dir.path()), &mut Faults::default()).unwrap();
    assert!(set.pictures[0].read().unwrap_err().to_string().contains("no file"));
    let voc = dir.path().join("voc/Annotations");
    write(&voc.join("a.xml"), VOC);
    picture(&voc.join("a.png"));
    symlink("/dev/zero", voc.join("b.xml")).unwrap();
    let (set, faults) = open(&dir.path().join("voc")).unwrap();
    assert_eq!((set.pictures.len(), faults.count()), (1, 1));
    assert!(faults.sentences()[0].contains("b.xml") && faults.sentences()[0].contains("no file"), "{:?}", faults.sentences());
}

const VOC: &str = "<annotation><folder>VOC2012</folder><filename>a.png</filename><size><width>40</width><height>30</height></size>
<object><name>car</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>3</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>
<object><name>person</name><difficult>1</difficult><bndbox><xmin>5.5</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object></annotation>";

#[test]
fn pascal_voc_counts_from_one_and_its_difficult_objects_are_ignored() {
    for (xml, picture_file) in [("Annotations/a.xml", "JPEGImages/a.png"), ("a.xml", "a.png"), ("labels/a.xml", "images/a.png")] {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join(xml), VOC);
        picture(&dir.path().join(picture_file));
        let path = if xml.starts_with("labels") { dir.path().join("labels") } else { dir.path().to_owned() };
        let (set, faults) = open(&path).unwrap();
        assert_eq!((set.layout, set.pictures.len(), faults.ignored), (Layout::PascalVoc, 1, 1));
        let [car, person] = &set.pictures[0].objects[..] else { panic!("{:?}", set.pictures[0].objects) };
        assert_eq!(car.place, Place::Box(BBox::from_edges(0.0, 2.0, 20.0, 30.0)));
        assert!(!car.ignore && person.ignore);
        assert_eq!(set.pictures[0].read().unwrap().height, 30);
    }
}

#[test]
fn broken_voc_files_are_named_and_left_out() {
    let broken = [
        ("no.xml", "<annotation", "not XML"),
        ("bomb.xml", "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><annotation>&b;</annotation>", "not XML"),
        ("other.xml", "<html/>", "<html>"),
        ("nameless.xml", "<annotation><filename>a.png</filename><object/></annotation>", "object 1 has no <name>"),
        ("boxless.xml", "<annotation><filename>a.png</filename><object><name>car</name></object></annotation>", "no <bndbox>"),
        ("few.xml", &VOC.replace("<xmax>20</xmax>", "<xmax>wide</xmax>"), "lacks one of the numbers"),
        ("empty.xml", &VOC.replace("<xmax>20</xmax>", "<xmax>0</xmax>"), "empty box"),
        ("lost.xml", &VOC.replace("a.png", "lost.png"), "its picture"),
    ];
    for (name, text, sentence) in broken {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("Annotations/a.xml"), VOC);
        write(&dir.path().join("Annotations").join(name), text);
        picture(&dir.path().join("JPEGImages/a.png"));
        let (set, faults) = open(dir.path()).unwrap();
        assert!(!set.pictures.is_empty());
        assert_eq!(faults.count(), 1, "{name}: {:?}", faults.sentences());
        assert!(faults.sentences()[0].contains(sentence) && faults.sentences()[0].contains(name), "{}", faults.sentences()[0]);
        assert!(DataSet::open(dir.path(), None, &mut Faults::strict()).is_err());
    }
}

#[test]
fn a_voc_file_cannot_name_a_picture_outside_its_data_set() {
    let dir = tempfile::tempdir().unwrap();
    picture(&dir.path().join("secret.png"));
    write(&dir.path().join("set/Annotations/x.xml"), &VOC.replace("a.png", "../../secret.png"));
    assert!(open(&dir.path().join("set")).unwrap_err().contains("no picture"));
}

#[test]
fn a_folder_per_class_is_whole_pictures() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["car/1.png", "car/2.PNG", "traffic light/1.png", "car/notes.txt"] {
        if file.ends_with("txt") { write(&dir.path().join(file), "no picture") } else { picture(&dir.path().join(file)) }
    }
    fs::create_dir(dir.path().join("empty")).unwrap();
    let (set, _) = open(dir.path()).unwrap();
    assert_eq!((set.layout, set.pictures.len()), (Layout::FolderPerClass, 3));
    assert_eq!(set.counts(), [2, 1]);
    let object = &set.pictures[0].objects[0];
    assert_eq!(object.place, Place::Whole);
    assert_eq!(object.rect(40, 30, Path::new("x")).unwrap().w(), 40);
}

#[test]
fn a_box_outside_its_picture_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = coco();
    text["annotations"][0]["bbox"] = json!([100, 2, 3, 4]);
    write(&dir.path().join("instances.json"), &text.to_string());
    picture(&dir.path().join("a.png"));
    let (set, _) = open(dir.path()).unwrap();
    let error = set.pictures[0].objects[0].rect(40, 30, Path::new("a.png")).unwrap_err().to_string();
    assert!(error.contains("annotation 10") && error.contains("40×30"), "{error}");
}

#[test]
fn only_the_first_faults_are_kept_in_words() {
    let mut faults = Faults::default();
    for index in 0..100 {
        faults.add(uniood::Error::Frame(index.to_string())).unwrap();
    }
    assert_eq!(faults.count(), 100);
    assert!(faults.sentences().len() < 30);
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "\\PC{0,200}", cut in 0usize..900) {
        let dir = tempfile::tempdir().unwrap();
        picture(&dir.path().join("a.png"));
        let whole = coco().to_string();
        for (name, text) in [("x.json", text.clone()), ("y.json", whole.chars().take(cut).collect())] {
            fs::write(dir.path().join(name), text).unwrap();
            let _ = open(&dir.path().join(name));
        }
        let annotations = dir.path().join("voc/Annotations");
        write(&annotations.join("a.xml"), &text);
        write(&annotations.join("b.xml"), &VOC.chars().take(cut).collect::<String>());
        let _ = open(&dir.path().join("voc"));
    }
}
