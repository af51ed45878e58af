//! Several inputs at a time: every live one, since none of them ends, and as many files as the user allows.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{Builder, ScopedJoinHandle, scope},
};

use crate::inputs::Named;

/// How many run at the same time.
pub(crate) fn at_once(inputs: &[Named], jobs: usize) -> usize {
    let files = inputs.iter().filter(|named| is_file(named)).count();
    inputs.len() - files + files.min(jobs)
}

/// What `one` gives for each input that was begun, in their order; none is begun any more once `stop` says so.
///
/// # Errors
/// Where the system gives no thread; what runs then is waited for.
pub(crate) fn run<T: Send>(
    inputs: &[Named],
    jobs: usize,
    stop: impl Fn() -> bool + Sync,
    one: impl Fn(&Named) -> T + Sync,
) -> io::Result<Vec<T>> {
    let indexed = || inputs.iter().enumerate();
    let files: Vec<(usize, &Named)> = indexed().filter(|(_, named)| is_file(named)).collect();
    let next = AtomicUsize::new(0);
    let queue_of_files = || {
        let mut done = Vec::new();
        while !stop()
            && let Some((index, named)) = files.get(next.fetch_add(1, Ordering::Relaxed))
        {
            done.push((*index, one(named)));
        }
        done
    };
    let mut done = scope(|scope| {
        let one = &one;
        let mut threads: Vec<ScopedJoinHandle<'_, Vec<(usize, T)>>> = Vec::new();
        for (index, named) in indexed().filter(|(_, named)| !is_file(named)) {
            threads.push(Builder::new().name(named.name.clone()).spawn_scoped(scope, move || vec![(index, one(named))])?);
        }
        for _ in 0..jobs.min(files.len()) {
            threads.push(Builder::new().name("files".to_owned()).spawn_scoped(scope, queue_of_files)?);
        }
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        io::Result::Ok(joined.flatten().collect::<Vec<_>>())
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn is_file(named: &Named) -> bool {
    !named.input.is_live()
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use uniood::address::Address;

    use super::*;
    use crate::inputs::Input;

    fn inputs(names: &[&str]) -> Vec<Named> {
        let input = |name: &&str| Address::parse(name).map_or_else(|| Input::File(name.into()), Input::Address);
        names.iter().map(|name| Named { input: input(name), name: (*name).to_owned() }).collect()
    }

    #[test]
    fn live_inputs_run_together_and_files_as_many_as_allowed() {
        let inputs = inputs(&["rtsp://a", "1", "2", "rtsp://b", "3", "4"]);
        assert_eq!((at_once(&inputs, 1), at_once(&inputs, 2), at_once(&inputs, 9)), (3, 4, 6));
        // Both cameras and one file of two at a time wait for one another: with fewer at once this hangs.
        let together = Barrier::new(4);
        let running = Mutex::new((0_usize, 0_usize));
        let done = run(
            &inputs,
            2,
            || false,
            |named| {
                if is_file(named) {
                    let mut running = running.lock().unwrap();
                    running.0 += 1;
                    running.1 = running.1.max(running.0);
                }
                if !matches!(&*named.name, "3" | "4") {
                    together.wait();
                }
                if is_file(named) {
                    running.lock().unwrap().0 -= 1;
                }
                named.name.clone()
            },
        );
        assert_eq!(done.unwrap(), ["rtsp://a", "1", "2", "rtsp://b", "3", "4"]);
        assert_eq!(running.into_inner().unwrap().1, 2);
    }

    #[test]
    fn nothing_is_begun_after_a_stop() {
        let begun = AtomicUsize::new(0);
        let done = run(&inputs(&["1", "2", "3"]), 1, || begun.load(Ordering::Relaxed) > 0, |_| begun.fetch_add(1, Ordering::Relaxed));
        assert_eq!(done.unwrap(), [0]);
    }
}
