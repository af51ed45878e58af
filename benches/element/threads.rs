//! What each of this process's threads has had of the processor, as Linux counts it.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// A thread.
#[derive(Default)]
pub(crate) struct Thread {
    pub(crate) name: String,
    /// How long it ran.
    pub(crate) ran: Duration,
    /// How long it could have run, had a processor been free.
    pub(crate) waited: Duration,
}

/// The threads there are now, by their numbers.
pub(crate) fn all() -> BTreeMap<String, Thread> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    // One that ends meanwhile is left out.
    tasks.filter_map(|task| task.ok().and_then(|task| Some((task.file_name().into_string().ok()?, read(&task.path())?)))).collect()
}

fn read(task: &Path) -> Option<Thread> {
    let name = fs::read_to_string(task.join("comm")).ok()?.trim().to_owned();
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    let mut times = times.split(' ').map_while(|time| time.parse().ok().map(Duration::from_nanos));
    Some(Thread { name, ran: times.next()?, waited: times.next()? })
}

/// What each has had since `before`.
pub(crate) fn since(before: &BTreeMap<String, Thread>) -> Vec<Thread> {
    let none = Thread::default();
    let of = |(number, now): (String, Thread)| {
        let before = before.get(&number).unwrap_or(&none);
        Thread { name: now.name, ran: now.ran.saturating_sub(before.ran), waited: now.waited.saturating_sub(before.waited) }
    };
    all().into_iter().map(of).collect()
}

/// What the threads that run now have used, all together.
pub(crate) fn processor_time() -> Duration {
    all().values().map(|thread| thread.ran).sum()
}
