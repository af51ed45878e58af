//! One stream's way into an engine: its own bounded queue, its own place in every turn.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::{
    Abort, Aborted, Engine, Job, Ticket,
    detect::{ToBatch, ToDetect},
    task::Submitted,
    turns::StreamKey,
};

/// Frames of a stream that wait for the detect stage: one to be taken next, one ready behind it.
const FRAMES: usize = 2;

/// One stream's way into an engine, which it keeps alive.
///
/// Its frames pass the detect stage in the order they were submitted in. Streams are served in turn: frames one by one
/// by the detect stage, objects one by one by the batch stage.
///
/// Dropping it drops what waits of it, but for frames that somebody still holds a ticket for.
pub struct Stream {
    engine: Arc<Engine>,
    key: StreamKey,
    /// One message for each frame that may be queued now.
    room: Receiver<()>,
    left: Sender<()>,
    hurries: AtomicBool,
}

/// What a stream's objects wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheduling {
    /// A batch with one of its objects closes as soon as the encoder has nothing to do.
    Latency,
    /// Batches wait for more until they are full or `batch_timeout` is over.
    #[default]
    Throughput,
}

/// A frame's place in its stream's queue; another may have it when this is dropped.
pub(super) struct Place(Sender<()>);

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody wants it where the stream is gone.
        let _ = self.0.try_send(());
    }
}

impl Engine {
    /// A new stream; [`Scheduling::Throughput`] until told otherwise.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> Stream {
        let (left, room) = bounded(FRAMES);
        for _ in 0..FRAMES {
            left.try_send(()).expect("it is as large");
        }
        Stream { engine: Arc::clone(self), key: self.new_key(), room, left, hurries: AtomicBool::new(false) }
    }
}

impl Stream {
    /// The engine behind it.
    #[must_use]
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What objects of frames submitted from now on wait for.
    pub fn set_scheduling(&self, scheduling: Scheduling) {
        self.hurries.store(scheduling == Scheduling::Latency, Ordering::Relaxed);
    }

    /// What objects of frames submitted now wait for.
    #[must_use]
    pub fn scheduling(&self) -> Scheduling {
        if self.hurries.load(Ordering::Relaxed) { Scheduling::Latency } else { Scheduling::Throughput }
    }

    /// Queues a frame; waits while the stream's queue is full. A frame that meets a dead worker gets a ticket that says so.
    ///
    /// # Errors
    /// [`Aborted`] when `abort` closed before there was room.
    pub fn submit(&self, job: Job, abort: &Abort) -> Result<Ticket, Aborted> {
        select! {
            recv(self.room) -> _ => Ok(self.queue(job)),
            recv(abort) -> _ => Err(Aborted),
        }
    }

    /// Queues a frame if there is room now; else hands the job back (`overload=bypass`).
    ///
    /// # Errors
    /// The job itself when the queue is full.
    pub fn try_submit(&self, job: Job) -> Result<Ticket, Job> {
        match self.room.try_recv() {
            Ok(()) => Ok(self.queue(job)),
            Err(_) => Err(job),
        }
    }

    /// Closes the open batch behind everything submitted so far, where it holds anything of this stream: call it before
    /// waiting for the last tickets.
    pub fn flush(&self) {
        self.engine.hub.put_mark(self.key, ToDetect::Flush, |last| matches!(last, ToDetect::Flush));
    }

    fn queue(&self, job: Job) -> Ticket {
        let (reply, answer) = bounded(1);
        let ticket = Ticket::new(answer, &self.engine.waiting);
        let submitted = Submitted {
            frame: job.frame,
            settings: job.settings,
            tracks: job.tracks,
            reply,
            cancelled: ticket.cancelled(),
            at: Instant::now(),
            stream: self.key,
            hurries: self.hurries.load(Ordering::Relaxed),
        };
        self.engine.hub.put_frame(self.key, ToDetect::Frame(submitted, job.boxes, Place(self.left.clone())));
        ticket
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let frame = |waiting: &ToDetect| matches!(waiting, ToDetect::Frame(submitted, ..) if !submitted.is_cancelled());
        let object = |waiting: &ToBatch| matches!(waiting, ToBatch::Object(object) if !object.frame.is_cancelled());
        self.engine.hub.prune(self.key, frame, object);
        // For what is still waited for.
        self.flush();
    }
}
