//! The property `metrics`: what Prometheus would scrape.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

use gst::prelude::*;

use crate::support::{HANG, ModelSet, Pipeline, completes_within, filter, first_error, init};

const RAW: &str = "video/x-raw,format=RGB,width=64,height=48";

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn elements_of_one_process_share_an_address() {
    completes_within(HANG, || {
        init();
        let (set, address) = (ModelSet::golden(), free_address());
        let pipeline = gst::Pipeline::new();
        for (stream, frames) in [("left", 3), ("right", 5)] {
            let source =
                gst::parse::bin_from_description(&format!("videotestsrc num-buffers={frames} ! capsfilter caps={RAW}"), true).unwrap();
            let filter = filter(&set);
            filter.set_property("stream-id", stream);
            filter.set_property("metrics", address.to_string());
            let sink = gst::ElementFactory::make("fakesink").build().unwrap();
            pipeline.add_many([source.upcast_ref(), &filter, &sink]).unwrap();
            gst::Element::link_many([source.upcast_ref(), &filter, &sink]).unwrap();
        }
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(gst::ClockTime::try_from(HANG).unwrap(), &kinds).unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        let text = scrape(address);
        for line in [
            "uniood_frames_total{stream=\"left\",outcome=\"scored\"} 3",
            "uniood_frames_total{stream=\"right\",outcome=\"scored\"} 5",
            "uniood_stage_seconds_count{stream=\"right\",stage=\"encode\"} 5",
            "uniood_score_count{stream=\"left\"} 3",
            "uniood_queue_depth{stream=\"left\",queue=\"scoring\"} ",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        pipeline.set_state(gst::State::Null).unwrap();
        let deadline = Instant::now() + HANG / 2;
        while TcpStream::connect(address).is_ok() {
            assert!(Instant::now() < deadline, "somebody still serves it");
            std::thread::yield_now();
        }
    });
}

#[test]
fn an_address_that_cannot_be_had_is_an_error_on_the_bus() {
    completes_within(HANG, || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, set) = (taken.local_addr().unwrap(), ModelSet::golden());
        for (metrics, problem) in [(address.to_string(), "metrics cannot be served at"), ("camera".to_owned(), "is no address")] {
            let line = format!(
                "videotestsrc ! {RAW} ! unioodfilter model-dir={} detector=frame device=cpu metrics={metrics} ! fakesink",
                set.dir()
            );
            let pipeline = Pipeline::parse(&line);
            assert!(pipeline.0.set_state(gst::State::Playing).is_err());
            let error = first_error(&pipeline.0.bus().unwrap());
            assert!(error.contains(problem), "{error}");
        }
    });
}
