//! GStreamer plugin `uniood`: the element `unioodfilter` gives every object in a video an ID/OOD verdict.
//!
//! ```text
//! encoded ─▶ [decodebin ─▶ videoconvert] ─▶ score ─▶ src   annotated frames with metadata
//! raw ──────────────────────────────────────▶ │ └───▶ meta  JSON lines
//! ```
//!
//! `filter` is the bin that users see and the decoder it may put in front; `score` is the element inside
//! that asks the engine of the `uniood` library: a chain function queues frames in a bounded lane, a task
//! on its source pad takes them out in order once they are answered. Every property is in `properties`, once.
//!
//! Applications read what was said with [`OodMeta`]: from a buffer, or from a message on the bus.

mod choices;
mod draw;
mod errors;
mod filter;
mod lane;
mod layout;
mod meta;
mod origin;
mod properties;
mod regions;
mod score;
mod settings;
mod source;
mod stats;

/// What [`lane`] is made of; `tests/lane/` compiles it with shuttle's in place of these.
mod sync {
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

pub use choices::{Background, Events, Overload, Precision, SchedulingPolicy, Scope, Tracker};
pub use filter::UniOodFilter;
pub use meta::{NAME as META_NAME, OodMeta, OodObject, Region};

pub use plugin::plugin_register_static;

/// What GStreamer finds in the library.
#[expect(missing_docs, reason = "the macro's own items")]
mod plugin {
    use gst::glib;

    fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        crate::meta::register();
        crate::filter::register(plugin)
    }

    gst::plugin_define!(
        uniood,
        env!("CARGO_PKG_DESCRIPTION"),
        init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        "Unknown package origin",
        env!("BUILD_REL_DATE")
    );
}
