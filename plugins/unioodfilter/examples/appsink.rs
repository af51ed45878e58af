//! Verdicts in an application of your own: the element in a pipeline, its frames and what is said of them in an appsink.
//!
//! ```sh
//! cargo run -p gst-plugin-uniood --example appsink -- VIDEO [MODELS [DETECTOR]]
//! ```
#![allow(clippy::print_stdout, reason = "its output is the point")]

use std::{error::Error, path::Path, process::ExitCode};

use gst::prelude::*;
use gstuniood::OodMeta;
use uniood::verdict::Verdict;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (video, models, detector) = match arguments.as_slice() {
        [video] => (video, None, None),
        [video, models] => (video, Some(models.as_str()), None),
        [video, models, detector] => (video, Some(models.as_str()), Some(detector.as_str())),
        _ => {
            eprintln!("usage: appsink VIDEO [MODELS [DETECTOR]]");
            return ExitCode::from(2);
        }
    };
    match run(Path::new(video), models, detector) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(video: &Path, models: Option<&str>, detector: Option<&str>) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    // Linked in; an application may as well leave it to GST_PLUGIN_PATH.
    gstuniood::plugin_register_static()?;

    let source = gst::ElementFactory::make("filesrc").property("location", video).build()?;
    let filter = gst::ElementFactory::make("unioodfilter").property("model-dir", models).property("detector", detector).build()?;
    let sink = gst_app::AppSink::builder().sync(false).max_buffers(4).build();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(|sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(buffer) = sample.buffer() {
                    tell(buffer);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );

    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &filter, sink.upcast_ref()])?;
    gst::Element::link_many([&source, &filter, sink.upcast_ref()])?;
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    let started = pipeline.set_state(gst::State::Playing);
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    if let Some(gst::MessageView::Error(error)) = end.as_ref().map(|message| message.view()) {
        return Err(error.error().message().into());
    }
    started?;
    Ok(())
}

/// Prints a line for every object that was scored.
fn tell(buffer: &gst::BufferRef) {
    let Some(meta) = OodMeta::from_buffer(buffer) else { return };
    let seconds = buffer.pts().map_or(0.0, gst::ClockTime::seconds_f64);
    for object in &meta.objects {
        if let Verdict::Scored(scored) = &object.verdict {
            let word = if scored.ood { "OOD" } else { "ID" };
            println!(
                "{seconds:.3} s: {word} {:+.4} (threshold {:+.4}), nearest {}, at {:?}",
                scored.omega, scored.threshold, scored.nearest, object.region
            );
        }
    }
}
