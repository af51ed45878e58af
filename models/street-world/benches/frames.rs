//! Frames a second on one core, by camera and viewpoint, as Markdown: `cargo bench --bench frames`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Instant;

use street_world::{
    film::{Film, Settings},
    optics::Camera,
    scene::Viewpoint,
};

const SCENES: u64 = 10;
const FRAMES: usize = 30;

fn main() {
    // `cargo test --benches` asks whether it runs, not how fast.
    let (scenes, frames) = if std::env::args().any(|argument| argument == "--bench") { (SCENES, FRAMES) } else { (1, 1) };
    println!("## Street world\n");
    println!("Frames a second at 640×360 on one core, over {scenes} scenes of {frames} frames.\n");
    println!("| camera | driving | standing |\n|---|---|---|");
    for camera in Camera::ALL {
        let rate = |viewpoint| {
            let (mut seconds, mut count) = (0.0, 0.0);
            for seed in 0..scenes {
                let mut film = Film::new(&Settings { seed, viewpoint, camera, ..Settings::default() }).expect("the default size");
                let begun = Instant::now();
                for frame in film.by_ref().take(frames) {
                    std::hint::black_box(frame);
                    count += 1.0;
                }
                seconds += begun.elapsed().as_secs_f64();
            }
            count / seconds
        };
        println!("| {} | {:.0} | {:.0} |", camera.name(), rate(Viewpoint::Drive), rate(Viewpoint::Surveillance));
    }
    println!();
}
