//! `uniood models pull` against a hub on the loopback.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/hub.rs"]
mod hub;
#[path = "common/program.rs"]
mod program;
#[path = "common/tls.rs"]
mod tls;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{golden_dir, python};
use hub::{Hub, Mishap, Repository, Seen, sha256};
use program::{Ran, run, uniood};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;
use tls::Authority;
use uniood::pull::catalog;

const ID: &str = "someone/small-clip";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";

/// A CLIP with random weights, and what else lies in such a repository.
fn clip() -> Repository {
    let mut clip = Repository::of(ID, COMMIT, &golden_dir().join("quick_gelu_g7/clip"));
    clip.files.insert("README.md".to_owned(), b"---\nlicense: mit\n---\n# A small CLIP\n".to_vec());
    clip.files.insert("pytorch_model.bin".to_owned(), b"not to be fetched".to_vec());
    clip
}

/// A hub, and the user's folders.
struct World {
    hub: Hub,
    home: TempDir,
}

impl World {
    fn new(repositories: Vec<Repository>) -> Self {
        Self { hub: Hub::serve(repositories), home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `uniood models pull WHAT --out OUT` and more arguments.
    fn command(&self, what: &str, out: &str, more: &[&str]) -> Command {
        let out = self.path(out);
        let mut command = uniood(&[&["models", "pull", what, "--out", out.to_str().unwrap()], more].concat());
        let of_the_hub = ["TOKEN", "TOKEN_PATH", "HUB_CACHE", "HUB_OFFLINE", "HUB_ETAG_TIMEOUT", "HUB_DOWNLOAD_TIMEOUT"]
            .map(|name| format!("HF_{name}"));
        let others = ["TRANSFORMERS_OFFLINE", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        for name in of_the_hub.iter().map(String::as_str).chain(others) {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", self.hub.endpoint()).env("HF_HOME", self.path("hf"));
        command
    }

    fn pull(&self, what: &str, out: &str, more: &[&str]) -> Ran {
        self.command(what, out, more).output().unwrap().into()
    }

    /// The CLIP above into `out`, with one attempt.
    fn pull_clip(&self, out: &str) -> Ran {
        self.pull(ID, out, &["--classes", "car,bus", "--attempts", "1"])
    }

    fn blobs(&self) -> BTreeMap<String, u64> {
        let Ok(entries) = fs::read_dir(self.path("hf/hub").join("models--someone--small-clip/blobs")) else { return BTreeMap::new() };
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
            })
            .collect()
    }
}

fn manifest(set: &Path) -> Value {
    serde_json::from_slice(&fs::read(set.join("uniood.json")).unwrap()).unwrap()
}

/// Where requests for weights began.
fn ranges(seen: &[Seen]) -> Vec<&str> {
    seen.iter().filter(|seen| seen.at_cdn).map(|seen| seen.headers.get("range").map_or("", String::as_str)).collect()
}

#[test]
fn a_pulled_clip_is_a_set_that_checks_and_scores_and_a_second_pull_fetches_nothing() {
    let world = World::new(vec![clip()]);
    let ran: Ran = world.command(ID, "set", &["--classes", "car,bus"]).env("HF_TOKEN", "secret").output().unwrap().into();
    ran.check(0, "licence: mit");
    assert!(ran.stdout.contains("2 classes, plain CLIP, no detector"), "{}", ran.stdout);
    assert!(!(ran.stdout.clone() + &ran.stderr).contains("secret"));
    let set = world.path("set");
    let written = manifest(&set);
    assert_eq!((&written["classes"], &written["licence"], &written["name"]), (&json!(["car", "bus"]), &json!("mit"), &json!("set")));
    assert_eq!(written["threshold"], json!(0.2));
    assert!(fs::read_to_string(set.join("README.md")).unwrap().contains(COMMIT));
    assert!(!set.join("clip/pytorch_model.bin").exists());

    let seen = world.hub.seen();
    for request in &seen {
        let token = (!request.at_cdn).then_some("Bearer secret");
        assert_eq!(request.headers.get("authorization").map(String::as_str), token, "{request:?}");
        assert!(!request.path.contains("pytorch_model"), "{request:?}");
    }
    assert_eq!(ranges(&seen), [""], "the weights come once, from the other host");
    let licence = ran.stderr.find("licence: mit").unwrap();
    assert!(licence < ran.stderr.find(WEIGHTS).unwrap(), "the licence is told before the weights: {}", ran.stderr);

    // The hub's own layout.
    let repository = world.path("hf/hub/models--someone--small-clip");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let weights = repository.join("snapshots").join(COMMIT).join(WEIGHTS);
    assert_eq!(fs::read_link(&weights).unwrap(), Path::new("../../blobs").join(sha256(&clip().files[WEIGHTS])));

    let checked = run(&["models", "check", set.to_str().unwrap()]);
    assert!(checked.check(0, "").stdout.contains("agrees with the plain reference"), "{}", checked.stdout);
    let picture = golden_dir().join("quick_gelu_g7/frame.png");
    let scored = run(&["score", "--models", set.to_str().unwrap(), "--boxes", "frame", "--json", picture.to_str().unwrap()]);
    assert!(scored.check(0, "").stdout.contains("\"omega\""), "{}", scored.stdout);

    let again = world.pull(ID, "again", &["--classes", "car,bus", "--json"]);
    let document: Value = serde_json::from_str(&again.check(0, "").stdout).unwrap();
    assert_eq!((&document["schema"], &document["sources"][0]["commit"]), (&json!("uniood.pull/1"), &json!(COMMIT)));
    assert_eq!(document["manifest"], manifest(&world.path("again")));
    let paths: Vec<String> = world.hub.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/api/models/someone/small-clip/revision/main"]);
    world.pull_clip("set").check(1, "there is something already");
}

#[test]
fn a_cut_connection_is_gone_on_with_in_the_same_call_and_in_the_next() {
    let world = World::new(vec![clip()]);
    let size = clip().files[WEIGHTS].len() as u64;
    world.hub.next("GET", "/large/", Mishap::Cut(200_000));
    world.hub.next("GET", "/large/", Mishap::Cut(100_000));
    world.pull_clip("set").check(1, "the same command goes on from what is there");
    assert!(!world.path("set").exists());
    let part = format!("{}.incomplete", sha256(&clip().files[WEIGHTS]));
    assert_eq!(world.blobs().get(&part), Some(&200_000));

    world.pull(ID, "set", &["--classes", "car,bus"]).check(0, "next attempt in 1s");
    assert_eq!(ranges(&world.hub.seen()), ["", "bytes=200000-", "bytes=300000-"]);
    assert_eq!((world.blobs().get(&part), world.blobs().get(part.trim_end_matches(".incomplete"))), (None, Some(&size)));
    assert_eq!(fs::read(world.path("set/clip").join(WEIGHTS)).unwrap(), clip().files[WEIGHTS]);
}

#[test]
fn a_server_that_knows_no_ranges_begins_again() {
    let world = World::new(vec![clip()]);
    world.hub.next("GET", "/large/", Mishap::Cut(200_000));
    world.hub.next("GET", "/large/", Mishap::Whole);
    world.pull(ID, "set", &["--classes", "car,bus"]).check(0, "");
    assert_eq!(ranges(&world.hub.seen()), ["", "bytes=200000-"]);
    assert_eq!(fs::read(world.path("set/clip").join(WEIGHTS)).unwrap(), clip().files[WEIGHTS]);
}

#[test]
fn a_server_that_begins_again_and_again_is_given_up() {
    let world = World::new(vec![clip()]);
    // Each time as far as before, then nothing of it can be gone on with.
    for _ in 0..2 {
        world.hub.next("GET", "/large/", Mishap::Cut(200_000));
        world.hub.next("GET", "/large/", Mishap::Answer("416 Range Not Satisfiable", Vec::new()));
    }
    world.pull(ID, "set", &["--classes", "car,bus", "--attempts", "3"]).check(1, "3 times in a row");
    assert_eq!(ranges(&world.hub.seen()), ["", "bytes=200000-", ""]);
    assert!(!world.path("set").exists());
}

#[test]
fn what_does_not_have_its_hash_is_removed() {
    let world = World::new(vec![clip()]);
    // A large file, by SHA-256, and a small one, by git's hash.
    for path in ["/large/", "/config.json"] {
        world.hub.next("GET", path, Mishap::Damage);
        let before = world.blobs();
        world.pull_clip("set").check(1, "came damaged and was removed");
        assert!(!world.path("set").exists());
        assert!(!world.blobs().keys().any(|name| name.ends_with(".incomplete")), "{:?}", world.blobs());
        assert!(!world.blobs().contains_key(&sha256(&clip().files[WEIGHTS])), "{before:?}");
        fs::remove_dir_all(world.path("hf")).unwrap();
    }
    world.pull_clip("set").check(0, "");
}

#[test]
fn refusals_say_what_to_do() {
    let world = World::new(vec![clip()]);
    let gated = |line| Mishap::Answer(line, vec![("X-Error-Code", "GatedRepo".to_owned())]);
    world.hub.next("GET", "/api/", gated("401 Unauthorized"));
    world.pull_clip("set").check(1, "accept its licence at").check(1, "set HF_TOKEN");
    world.hub.next("HEAD", WEIGHTS, gated("403 Forbidden"));
    let with_token: Ran = world.command(ID, "set", &["--classes", "car"]).env("HF_TOKEN", "t").output().unwrap().into();
    with_token.check(1, "of the account that accepted it");
    world.hub.next("GET", "/api/", Mishap::Answer("401 Unauthorized", Vec::new()));
    let with_token: Ran = world.command(ID, "set", &["--classes", "car"]).env("HF_TOKEN", "t").output().unwrap().into();
    with_token.check(1, "refuses the token");
    world.hub.next("GET", "/api/", Mishap::Answer("418 I'm a teapot", vec![("X-Error-Message", "short and stout".to_owned())]));
    world.pull_clip("set").check(1, "answers 418 I'm a teapot to its list of files of someone/small-clip: short and stout");
    world.pull("someone/else", "set", &["--classes", "car"]).check(1, "has no repository someone/else, or it is private");
    world.pull(ID, "set", &["--classes", "car", "--revision", "v9"]).check(1, "has no revision v9");
    world.pull(ID, "set", &["--classes", "car", "--revision", "refs/pr/1"]).check(0, "");
}

#[test]
fn a_busy_server_is_asked_again() {
    let world = World::new(vec![clip()]);
    world.hub.next("GET", "/api/", Mishap::Answer("503 Service Unavailable", vec![("Retry-After", "1".to_owned())]));
    world.hub.next("HEAD", "config.json", Mishap::Answer("429 Too Many Requests", Vec::new()));
    world.hub.next("GET", "/large/", Mishap::Answer("403 Forbidden", Vec::new()));
    let ran = world.pull(ID, "set", &["--classes", "car,bus"]);
    ran.check(0, "503").check(0, "429").check(0, "403 Forbidden to model.safetensors");
}

#[test]
fn without_a_connection_there_is_what_the_cache_has() {
    let world = World::new(vec![clip()]);
    let offline =
        |out: &str| -> Ran { world.command(ID, out, &["--classes", "car,bus"]).env("HF_HUB_OFFLINE", "1").output().unwrap().into() };
    offline("set").check(1, "HF_HUB_OFFLINE is set, and someone/small-clip at main is not in");
    world.hub.next("GET", "/large/", Mishap::Cut(0));
    world.pull_clip("set").check(1, "");
    offline("set").check(1, "HF_HUB_OFFLINE is set, and model.safetensors of someone/small-clip");
    world.pull_clip("set").check(0, "");
    world.hub.seen();
    offline("offline").check(0, "licence: mit");
    assert_eq!(world.hub.seen(), []);
    assert_eq!(manifest(&world.path("offline"))["classes"], json!(["car", "bus"]));
}

#[test]
fn huggingface_hub_and_we_take_what_the_other_has_fetched() {
    let Some(mut ours_first) = python(&["huggingface_hub"]) else { return };
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/hub_cache.py");
    let files = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "README.md", WEIGHTS];
    let world = World::new(vec![clip()]);
    let fetch = |python: &mut Command, offline: &str| -> Vec<PathBuf> {
        python.arg(&oracle).arg(ID).args(files).env_remove("HF_TOKEN").env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_OFFLINE", offline);
        let ran: Ran = python.env("HF_ENDPOINT", world.hub.endpoint()).env("HF_HOME", world.path("hf")).output().unwrap().into();
        serde_json::from_str(&ran.check(0, "").stdout).unwrap()
    };
    world.pull_clip("set").check(0, "");
    world.hub.seen();
    for (path, file) in fetch(&mut ours_first, "1").iter().zip(files) {
        assert_eq!(fs::read(path).unwrap(), clip().files[file], "{file}");
    }
    fs::remove_dir_all(world.path("hf")).unwrap();
    let mut theirs_first = python(&["huggingface_hub"]).unwrap();
    fetch(&mut theirs_first, "0");
    world.hub.seen();
    world.pull_clip("again").check(0, "");
    let paths: Vec<String> = world.hub.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/api/models/someone/small-clip/revision/main"]);
}

#[test]
fn a_server_that_never_answers_ends_in_a_sentence() {
    let world = World::new(vec![clip()]);
    let impatient = || -> Ran {
        let mut command = world.command(ID, "set", &["--classes", "car,bus", "--attempts", "1"]);
        command.env("HF_HUB_ETAG_TIMEOUT", "1").env("HF_HUB_DOWNLOAD_TIMEOUT", "1").output().unwrap().into()
    };
    let began = Instant::now();
    world.hub.next("GET", "/api/", Mishap::Silence);
    impatient().check(1, "does not answer in time");
    world.hub.next("GET", "/large/", Mishap::Stall(100_000));
    impatient().check(1, "does not answer in time");
    // Both waits together are two seconds; the rest is a busy machine's.
    assert!(began.elapsed() < Duration::from_mins(1));
    world.hub.seen();
    impatient().check(0, "");
    assert_eq!(ranges(&world.hub.seen()), ["bytes=100000-"]);
    drop(world.hub);
    let gone: Ran = uniood(&["models", "pull", ID, "--classes", "car", "--attempts", "1", "--out"])
        .arg(world.home.path().join("gone"))
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .env("HF_HOME", world.home.path())
        .output()
        .unwrap()
        .into();
    gone.check(1, "the connection to 127.0.0.1:1 failed");
}

#[test]
fn ctrl_c_ends_every_wait_and_the_next_call_goes_on() {
    let world = World::new(vec![clip()]);
    // For the head of an answer, for more of a body, for the next attempt.
    let busy = Mishap::Answer("503 Service Unavailable", vec![("Retry-After", "30".to_owned())]);
    let waits = [("GET", "/api/", Mishap::Silence), ("GET", "/large/", Mishap::Stall(150_000)), ("GET", "/api/", busy)];
    for (method, path, mishap) in waits {
        world.hub.seen();
        world.hub.next(method, path, mishap.clone());
        let mut command = world.command(ID, "set", &["--classes", "car,bus"]);
        command.env("HF_HUB_ETAG_TIMEOUT", "600").env("HF_HUB_DOWNLOAD_TIMEOUT", "600");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        world.hub.wait_for(method, path);
        let began = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.check(130, "interrupted; the same command goes on");
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert!(!world.path("set").exists());
    }
    world.hub.seen();
    world.pull_clip("set").check(0, "");
    let seen = world.hub.seen();
    let from: u64 = ranges(&seen)[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
    assert!(from <= 150_000, "{from}");
    assert_eq!(fs::read(world.path("set/clip").join(WEIGHTS)).unwrap(), clip().files[WEIGHTS]);
}

#[test]
fn what_is_no_clip_is_refused_before_anything_large_is_fetched() {
    let config = "config.json";
    for (without, with, sentence) in [
        (config, Some((config, r#"{"model_type": "siglip"}"#)), "holds a model of the type `siglip`; taken are models of the type `clip`"),
        (config, Some(("open_clip_config.json", "{}")), "holds an OpenCLIP model (open_clip_config.json and no config.json)"),
        (WEIGHTS, None, "has its weights as pytorch_model.bin alone"),
        (config, Some((config, r#"{"model_type": "clip"}"#)), "not a CLIP configuration"),
    ] {
        let mut other = clip();
        other.files.remove(without);
        other.files.extend(with.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec())));
        let world = World::new(vec![other]);
        world.pull_clip("set").check(1, sentence);
        assert!(!world.hub.seen().iter().any(|seen| seen.path.contains(WEIGHTS) || seen.path.contains("pytorch")));
    }
}

#[test]
fn nothing_of_a_server_leaves_the_cache() {
    let world = World::new(vec![clip()]);
    let header = |name, value: &str| Mishap::Answer("200 OK", vec![(name, value.to_owned())]);
    world.hub.next("HEAD", "config.json", header("ETag", "\"../../../../evil\""));
    world.pull_clip("set").check(1, "does not say the hash of config.json");
    world.hub.next("HEAD", "config.json", header("X-Repo-Commit", "../../evil"));
    world.pull_clip("set").check(1, "of commit ../../evil where 0123456789");
    world.hub.next("GET", "/large/", Mishap::Answer("302 Found", vec![("Location", "file:///etc/passwd".to_owned())]));
    world.pull_clip("set").check(1, "no http or https address");
    assert!(!world.path("evil").exists());

    // A commit that is a path, and shards that are.
    let mut elsewhere = clip();
    elsewhere.commit = "../../../../evil".to_owned();
    World::new(vec![elsewhere]).pull_clip("set").check(1, "does not answer as a hub does");
    let mut sharded = clip();
    sharded.files.remove(WEIGHTS);
    let index = json!({"weight_map": {"a": "../../../../evil.safetensors"}});
    sharded.files.insert("model.safetensors.index.json".to_owned(), index.to_string().into_bytes());
    World::new(vec![sharded]).pull_clip("set").check(1, "wanted names of safetensors files beside the index");
}

#[test]
fn https_is_trusted_by_the_systems_authorities_and_is_not_left() {
    let world = World::new(vec![clip()]);
    let authority = Authority::new();
    let front = authority.front(world.hub.address());
    let empty = tempfile::tempdir().unwrap();
    let pull = |trusted: &Path| -> Ran {
        let mut command = world.command(ID, "set", &["--classes", "car,bus", "--attempts", "1"]);
        command
            .env("HF_ENDPOINT", format!("https://{front}"))
            .env("SSL_CERT_FILE", trusted)
            .env("SSL_CERT_DIR", empty.path())
            .output()
            .unwrap()
            .into()
    };
    pull(&Authority::new().certificate()).check(1, "is not trusted").check(1, "SSL_CERT_FILE");
    assert_eq!(world.hub.seen(), []);
    pull(Path::new("/dev/null")).check(1, "no certificate authorities");
    // All that the hub itself has comes; its weights would come by plain http.
    pull(&authority.certificate()).check(1, "leaves https");
    assert!(world.hub.seen().iter().any(|seen| seen.path.ends_with("config.json")));
}

#[test]
fn shards_are_fetched_with_their_index() {
    let mut sharded = clip();
    let weights = sharded.files.remove(WEIGHTS).unwrap();
    let shard = "model-00001-of-00001.safetensors";
    let map: BTreeMap<String, &str> =
        SafeTensors::deserialize(&weights).unwrap().names().into_iter().map(|name| (name.to_owned(), shard)).collect();
    sharded.files.insert("model.safetensors.index.json".to_owned(), json!({"weight_map": map}).to_string().into_bytes());
    sharded.files.insert(shard.to_owned(), weights);
    let world = World::new(vec![sharded]);
    world.pull_clip("set").check(0, "");
    run(&["models", "check", world.path("set").to_str().unwrap()]).check(0, "");
}

#[test]
fn a_full_disk_is_said() {
    let world = World::new(vec![clip()]);
    let blobs = world.path("hf/hub/models--someone--small-clip/blobs");
    fs::create_dir_all(&blobs).unwrap();
    symlink("/dev/full", blobs.join(format!("{}.incomplete", sha256(&clip().files[WEIGHTS])))).unwrap();
    world.pull_clip("set").check(1, "there is no room left").check(1, "HF_HOME");
    assert!(!world.path("set").exists());
}

#[test]
fn two_at_a_time_fetch_once() {
    let world = World::new(vec![clip()]);
    let start = |out| world.command(ID, out, &["--classes", "car,bus"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for child in [start("one"), start("two")] {
        let ran: Ran = child.wait_with_output().unwrap().into();
        ran.check(0, "");
    }
    assert_eq!(ranges(&world.hub.seen()), [""]);
}

#[test]
fn sets_of_the_catalog_name_their_models_and_their_detectors_layout() {
    let owlv2 = golden_dir().join("owlv2_s96/owlv2");
    let clip = golden_dir().join("quick_gelu_g7/clip");
    let built = json!({"file": "owlv2", "layout": "owlv2", "labels": []});
    let file =
        json!({"file": "rf-detr.onnx", "layout": "detr", "resize": "stretch", "labels": [], "scores": "sigmoid", "normalize": "imagenet"});
    for (name, wanted) in [("driving", built), ("surveillance-small", file)] {
        let entry = catalog::find(name).unwrap();
        let mut detector = Repository::of(entry.detector.repository, entry.detector.commit, &owlv2);
        detector.files.insert("onnx/model.onnx".to_owned(), b"a detector".to_vec());
        let world = World::new(vec![Repository::of(entry.clip.repository, entry.clip.commit, &clip), detector]);
        let ran = world.pull(name, "set", &[]);
        ran.check(0, entry.clip.licence).check(0, entry.detector.licence);
        let written = manifest(&world.path("set"));
        assert_eq!(written["detector"], wanted);
        assert_eq!(written["classes"], json!(entry.classes));
        let detector = world.path("set").join(wanted["file"].as_str().unwrap());
        assert!(detector.is_file() || detector.join(WEIGHTS).is_file() && detector.join("preprocessor_config.json").is_file());
    }
}

#[test]
fn wrong_usage_is_said_before_anything_is_asked() {
    let world = World::new(vec![clip()]);
    world.pull("drivng", "set", &[]).check(2, "there are driving, driving-small, voc");
    world.pull(ID, "set", &[]).check(2, "--classes");
    world.pull("a/../b", "set", &["--classes", "car"]).check(2, "wanted owner/name");
    world.pull("driving", "set", &["--revision", "main"]).check(2, "--revision");
    world.pull(ID, "set", &["--classes", "car", "--revision", "../x"]).check(2, "no revision");
    assert_eq!(world.hub.seen(), []);
    let listed = run(&["models", "list"]);
    assert!(listed.check(0, "").stdout.contains("driving-small"), "{}", listed.stdout);
    assert!(run(&["models", "pull", "--help"]).check(0, "").stdout.contains("Example"));
}
