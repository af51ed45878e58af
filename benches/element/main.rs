//! Speed of the element, as ratios: against the dual encoder alone in a loop, against `identity`, several that share an
//! engine against one, and its pixels against the encoder. ViT-B/32 with random weights. Prints Markdown.
//!
//! `cargo bench --bench element [-- --repeats N] [-- --only throughput|streams|own-cost|pixels]`, after `make build`, whose plugin it loads.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its figures and fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod encoder;
mod own_cost;
mod pixels;
mod streams;
mod threads;
mod throughput;

use std::path::Path;

use common::{
    Figure, Options,
    random_clip::{BASE, Sizes},
};
use encoder::Encoder;

const SIZES: Sizes = BASE[0];

/// Objects in a batch, of the element and of the loop.
const BATCH: usize = 8;

/// A model set with random weights in a folder.
pub(crate) struct Set<'a> {
    dir: &'a Path,
}

fn main() {
    let Some(options) = Options::read() else { return };
    let repeats = options.repeats();
    let wanted = |part: &str| options.value_of("--only").is_none_or(|only| only == part);
    gst::init().unwrap();
    load_plugin();
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let set = Set::write(temporary.path());
    let mut encoder = Encoder::open(&set);
    println!("### The element, {}\n", SIZES.name);
    println!("{}, fp32, random weights, batch size {BATCH}, {} threads; {repeats} interleaved repeats.\n", SIZES.name, encoder.threads());
    println!("{}", Figure::HEAD);
    if wanted("throughput") {
        common::print(&throughput::figures(&set, &mut encoder, repeats));
    }
    if wanted("streams") {
        common::print(&streams::figures(&set, repeats));
    }
    if wanted("own-cost") {
        common::print(&own_cost::figures(&set, repeats));
    }
    if wanted("pixels") {
        common::print(&pixels::figures(&mut encoder, repeats));
    }
    println!();
}

/// The plugin of the same target folder.
fn load_plugin() {
    let program = std::env::current_exe().unwrap();
    let beside = program.ancestors().nth(2).unwrap().join("libgstuniood.so");
    assert!(beside.exists(), "there is no {}; run `make build` first", beside.display());
    gst::Plugin::load_file(&beside).unwrap();
}

impl<'a> Set<'a> {
    fn write(dir: &'a Path) -> Self {
        SIZES.write_set(dir);
        Self { dir }
    }

    /// The element over this set.
    fn filter(&self, detector: &str) -> gst::Element {
        gst::ElementFactory::make("unioodfilter")
            .property("model-dir", self.dir.to_str().unwrap())
            .property("model-cache-dir", self.dir.join("cache").to_str().unwrap())
            .property("detector", detector)
            .property("device", "cpu")
            .property("batch-size", u32::try_from(BATCH).unwrap())
            .build()
            .unwrap()
    }
}
