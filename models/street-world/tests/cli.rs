//! The command line as a user runs it.

#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

fn street_world() -> Command {
    Command::new(env!("CARGO_BIN_EXE_street-world"))
}

fn run(arguments: &[&str], out: &Path) -> Output {
    street_world().args(arguments).arg("--out").arg(out).output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

/// All files under a folder, as relative names with their content.
fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn render_writes_the_same_files_twice_and_coco_that_loads() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    for out in [&first, &second] {
        let output = run(&["render", "--seed", "3", "--frames", "6", "--size", "320x180"], out);
        assert!(output.status.success(), "{output:?}");
    }
    assert!(tree(&first) == tree(&second), "two runs differ");
    let coco = json(&first.join("instances.json"));
    let (images, annotations) = (coco["images"].as_array().unwrap(), coco["annotations"].as_array().unwrap());
    assert_eq!(images.len(), 6);
    assert_eq!(coco["categories"].as_array().unwrap().len(), 40);
    for image in images {
        assert!(first.join("images").join(image["file_name"].as_str().unwrap()).is_file());
    }
    for annotation in annotations {
        let [x, y, w, h] = [0, 1, 2, 3].map(|i| annotation["bbox"][i].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 320 && y + h <= 180);
        assert!((0.0..=1.0).contains(&annotation["visibility"].as_f64().unwrap()));
        assert!(images.iter().any(|image| image["id"] == annotation["image_id"]));
        assert!(["id", "named-ood", "unseen-ood", "look-alike"].contains(&annotation["supercategory"].as_str().unwrap()));
        assert_eq!(annotation["occluded"].as_bool().unwrap(), annotation["visibility"].as_f64().unwrap() < 0.4);
    }
}

#[test]
fn a_sequence_has_tracks_and_string_ids_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("sequence");
    let output = run(
        &[
            "render",
            "--seed",
            "4",
            "--frames",
            "8",
            "--size",
            "161x91",
            "--sequence",
            "--ids",
            "string",
            "--format",
            "png",
            "--view",
            "surveillance",
        ],
        &out,
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(json(&out.join("instances.json"))["images"][0]["id"], "000001");
    let tracks = fs::read_to_string(out.join("gt/gt.txt")).unwrap();
    assert!(!tracks.is_empty());
    for line in tracks.lines() {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        assert_eq!(fields.len(), 9, "{line}");
        assert!((1.0..=8.0).contains(&fields[0]) && fields[1] >= 1.0 && fields[4] > 0.0 && fields[5] > 0.0 && fields[8] <= 1.0, "{line}");
    }
}

#[test]
fn vos_like_is_laid_out_as_the_protocol_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["dataset", "--protocol", "vos-like", "--frames", "4", "--size", "160x90"], folder.path());
    assert!(output.status.success(), "{output:?}");
    let sets = [
        ("bdd100k/train_bdd_converted.json", "bdd100k/images/100k/train", Some("id")),
        ("bdd100k/val_bdd_converted.json", "bdd100k/images/100k/val", Some("id")),
        ("COCO/annotations/instances_val2017_ood_wrt_bdd_rm_overlap.json", "COCO/val2017", Some("named-ood")),
        ("OpenImages/ood_classes_rm_overlap/COCO-Format/val_coco_format.json", "OpenImages/ood_classes_rm_overlap/images", None),
        (
            "OpenImages/ood_classes_rm_overlap/COCO-Format/truth_coco_format.json",
            "OpenImages/ood_classes_rm_overlap/images",
            Some("unseen-ood"),
        ),
    ];
    let mut seeds = Vec::new();
    for (annotations, images, kind) in sets {
        let coco = json(&folder.path().join(annotations));
        assert_eq!(coco["images"].as_array().unwrap().len(), 4, "{annotations}");
        for image in coco["images"].as_array().unwrap() {
            assert!(folder.path().join(images).join(image["file_name"].as_str().unwrap()).is_file());
            seeds.push(image["seed"].as_u64().unwrap());
        }
        let objects = coco["annotations"].as_array().unwrap();
        assert_eq!(objects.is_empty(), kind.is_none(), "{annotations}");
        assert!(objects.iter().all(|object| Some(object["supercategory"].as_str().unwrap()) == kind), "{annotations}");
    }
    seeds.dedup();
    // The last two files are of the same pictures.
    seeds.truncate(16);
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 16, "a scene is in two sets");
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["render", "--frames", "1"], 1, "cannot create the folder"),
        (&["sheet"], 1, "cannot write"),
        (&["render", "--size", "640"], 2, "WIDTHxHEIGHT"),
        (&["render", "--size", "100000x100000"], 1, "16 to 8192"),
        (&["render", "--seed", "-1"], 2, "seed"),
        (&["render", "--seed", "99999999999999999999999"], 2, "seed"),
        (&["render", "--frames", "0"], 2, "frames"),
    ];
    for (arguments, code, words) in cases {
        let output = run(arguments, &file.join("under"));
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}

/// A limit on file size fails a write as a full disk does.
#[test]
fn a_write_that_fails_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_street-world"), "render", "--frames", "4", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot write"), "{told}");
    assert!(tree(folder.path()).is_empty(), "half files are left");
}

#[test]
fn ctrl_c_leaves_whole_files_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = street_world().args(["render", "--frames", "100000", "--out"]).arg(folder.path()).spawn().unwrap();
    let watchdog = Instant::now();
    let whole = |name: &str| Path::new(name).extension().is_some_and(|ending| ending == "jpg") && !name.contains(".street-world-");
    // Names alone: a file that is being written may be gone before it can be read.
    let names = || fs::read_dir(folder.path().join("images")).into_iter().flatten().flatten().map(|entry| entry.file_name());
    while !names().any(|name| whole(&name.to_string_lossy())) {
        assert!(watchdog.elapsed() < Duration::from_secs(45), "no picture came");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let files = tree(folder.path());
    assert!(files.iter().all(|(name, bytes)| whole(name) && bytes.ends_with(&[0xff, 0xd9])), "unfinished files are left");
}

#[cfg(feature = "video")]
#[test]
fn a_video_comes_whole_with_its_truth_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("street.mp4");
    // 162·3 bytes are no multiple of four: rows are padded.
    let output = run(&["video", "--seconds", "1", "--fps", "12", "--size", "162x90"], &out);
    assert!(output.status.success(), "{output:?}");
    let video = fs::read(&out).unwrap();
    assert_eq!(&video[4..8], b"ftyp");
    assert!(video.windows(4).any(|word| word == b"moov") && video.windows(4).any(|word| word == b"avc1"), "no H.264");
    assert_eq!(json(&folder.path().join("street.coco.json"))["images"].as_array().unwrap().len(), 12);
    let tracks = fs::read_to_string(folder.path().join("street.mot.txt")).unwrap();
    assert!(tracks.lines().last().unwrap().starts_with("12,"));
    assert_eq!(tree(folder.path()).len(), 3);
    let odd = run(&["video", "--size", "161x90"], &out);
    assert!(String::from_utf8_lossy(&odd.stderr).contains("even sides"));
}
