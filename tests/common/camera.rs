//! A camera that can be made to fail: a real RTSP server on loopback, in this process.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::JoinHandle,
};

use gst::{glib, prelude::*};
use gst_rtsp_server::{RTSPAuth, RTSPFilterResult, RTSPMediaFactory, RTSPServer, RTSPToken, prelude::*};

/// What happens to the packets on their way to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wire {
    /// Nothing.
    Good,
    /// They are swallowed; the connection stays.
    Silent,
    /// Some are lost, of some the payload is overwritten.
    Corrupt,
}

/// A camera's settings.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) size: (u32, u32),
    pub(crate) fps: u32,
    /// After so many frames it ends the stream.
    pub(crate) frames: Option<u32>,
    pub(crate) login: Option<(&'static str, &'static str)>,
}

impl Default for Model {
    fn default() -> Self {
        Self { size: (160, 120), fps: 15, frames: None, login: None }
    }
}

/// The running server. Dropped, it closes its port and every connection.
pub(crate) struct Camera {
    pub(crate) port: u16,
    wire: Arc<AtomicU8>,
    sent: Arc<AtomicU64>,
    main: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// On a port of the system's choice.
    pub(crate) fn start(model: &Model) -> Self {
        Self::on(0, model)
    }

    /// On this port.
    pub(crate) fn on(port: u16, model: &Model) -> Self {
        gst::init().unwrap();
        let (wire, sent) = (Arc::new(AtomicU8::new(Wire::Good as u8)), Arc::new(AtomicU64::new(0)));
        let context = glib::MainContext::new();
        let main = glib::MainLoop::new(Some(&context), false);
        let (ready, started) = sync_channel(1);
        let serve = {
            let (main, wire, sent, model) = (main.clone(), Arc::clone(&wire), Arc::clone(&sent), model.clone());
            move || {
                let server = server(port, &model, &wire, &sent);
                let source = server.attach(Some(&context)).expect("the port is free");
                let port = u16::try_from(server.bound_port()).unwrap();
                // From inside the loop: one that does not run yet cannot be quit.
                let runs = glib::idle_source_new(None, glib::Priority::DEFAULT, move || {
                    ready.send(port).unwrap();
                    glib::ControlFlow::Break
                });
                runs.attach(Some(&context));
                context.with_thread_default(|| main.run()).unwrap();
                context.find_source_by_id(&source).unwrap().destroy();
                server.client_filter(Some(&mut |_: &RTSPServer, _: &gst_rtsp_server::RTSPClient| RTSPFilterResult::Remove));
            }
        };
        let thread = std::thread::Builder::new().name("camera".to_owned()).spawn(serve).unwrap();
        let port = received(&started);
        Self { port, wire, sent, main, thread: Some(thread) }
    }

    /// Its address, over TCP.
    pub(crate) fn address(&self) -> String {
        format!("rtspt://127.0.0.1:{}/cam", self.port)
    }

    /// Its address for somebody.
    pub(crate) fn address_for(&self, user: &str, password: &str) -> String {
        format!("rtspt://{user}:{password}@127.0.0.1:{}/cam", self.port)
    }

    /// Frames that went out, to whoever was connected.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// From now on.
    pub(crate) fn wire(&self, wire: Wire) {
        self.wire.store(wire as u8, Ordering::Relaxed);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.main.quit();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn received(started: &Receiver<u16>) -> u16 {
    started.recv_timeout(std::time::Duration::from_secs(20)).expect("the server starts")
}

fn server(port: u16, model: &Model, wire: &Arc<AtomicU8>, sent: &Arc<AtomicU64>) -> RTSPServer {
    let Model { size: (width, height), fps, frames, login } = model;
    let server = RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(&port.to_string());
    let factory = RTSPMediaFactory::new();
    let frames = frames.map_or_else(String::new, |frames| format!("num-buffers={frames}"));
    factory.set_launch(&format!(
        "( videotestsrc is-live=true pattern=ball {frames} ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} ! rtph264pay name=pay0 pt=96 config-interval=1 )"
    ));
    // Neither `shared` nor `eos-shutdown`: such a media is kept until its end has come through when its last client leaves, GStreamer 1.22
    // answers 503 to everybody else until then, and a packet that no client is left to take may hold that end back for good.
    if let Some((user, password)) = login {
        let role = gst::Structure::builder("viewer").field("media.factory.access", true).field("media.factory.construct", true).build();
        factory.add_role_from_structure(&role);
        let auth = RTSPAuth::new();
        let token = RTSPToken::builder().field("media.factory.role", "viewer").build();
        auth.add_basic(&RTSPAuth::make_basic(user, password), &token);
        server.set_auth(Some(&auth));
    }
    let (wire, sent) = (Arc::clone(wire), Arc::clone(sent));
    factory.connect_media_configure(move |_, media| {
        let bin = media.element().downcast::<gst::Bin>().unwrap();
        let (sent, frames) = (Arc::clone(&sent), bin.by_name("pay0").unwrap().static_pad("sink").unwrap());
        frames.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            sent.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        let pad = bin.by_name("pay0").unwrap().static_pad("src").unwrap();
        let wire = Arc::clone(&wire);
        let mut packets = 0_u32;
        let packet = std::sync::Mutex::new(move |buffer: &mut gst::Buffer| {
            packets += 1;
            match wire.load(Ordering::Relaxed) {
                x if x == Wire::Silent as u8 => false,
                x if x == Wire::Corrupt as u8 => {
                    if packets.is_multiple_of(3) {
                        garble(buffer);
                    }
                    !packets.is_multiple_of(7)
                }
                _ => true,
            }
        });
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, probe| {
            let mut packet = packet.lock().unwrap();
            match &mut probe.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    if packet(buffer) {
                        gst::PadProbeReturn::Ok
                    } else {
                        gst::PadProbeReturn::Drop
                    }
                }
                Some(gst::PadProbeData::BufferList(list)) => {
                    let mut kept = gst::BufferList::new();
                    for buffer in list.iter_owned() {
                        let mut buffer = buffer;
                        if packet(&mut buffer) {
                            kept.make_mut().add(buffer);
                        }
                    }
                    *list = kept;
                    if list.is_empty() { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
                }
                _ => gst::PadProbeReturn::Drop,
            }
        });
    });
    server.mount_points().unwrap().add_factory("/cam", factory);
    server
}

/// Overwrites what follows the RTP header.
fn garble(buffer: &mut gst::Buffer) {
    let mut copy = buffer.copy_deep().unwrap();
    if let Ok(mut bytes) = copy.make_mut().map_writable() {
        for (index, byte) in bytes.iter_mut().enumerate().skip(14) {
            *byte ^= u8::try_from(index * 37 % 251).unwrap();
        }
    }
    *buffer = copy;
}
