//! Messages of a pipeline.

/// The next message of these kinds that is there, or comes within `wait`. (`timed_pop_filtered` gives none that is there
/// where the wait is zero.)
pub(crate) fn next(bus: &gst::Bus, wait: gst::ClockTime, kinds: &[gst::MessageType]) -> Option<gst::Message> {
    bus.pop_filtered(kinds).or_else(|| bus.timed_pop_filtered(wait, kinds))
}
