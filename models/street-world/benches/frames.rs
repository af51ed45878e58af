//! Frames a second on one core, by camera and viewpoint: `cargo bench -p street-world`.

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
    println!("640x360, one core: frames a second over {scenes} scenes");
    for viewpoint in [Viewpoint::Drive, Viewpoint::Surveillance] {
        for camera in Camera::ALL {
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
            println!("{viewpoint:?} {:10} {:7.1}", camera.name(), count / seconds);
        }
    }
}
