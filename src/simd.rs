//! Plain loops, compiled a second time for AVX2 and chosen at run time.

#![expect(clippy::inline_always, reason = "only what is inlined is compiled for AVX2")]

/// Runs `work` with the widest vector instructions this machine has. What `work` calls must be
/// `#[inline(always)]` to profit; the result is the same either way.
#[inline]
pub(crate) fn wide<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);

    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Work<F> {
        type Output = R;

        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }

    pulp::Arch::new().dispatch(Work(work))
}
