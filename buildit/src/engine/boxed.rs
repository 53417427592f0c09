//! Boxes for futures, which are used again: most jobs end at once, and need no memory of their own.

use tokio_util::sync::ReusableBoxFuture;

/// The future in a box: the spare one, if there is one.
pub(super) fn reuse<T>(
    spare: &mut Option<ReusableBoxFuture<'static, T>>,
    future: impl Future<Output = T> + Send + 'static,
) -> ReusableBoxFuture<'static, T> {
    match spare.take() {
        Some(mut boxed) => {
            boxed.set(future);
            boxed
        }
        None => ReusableBoxFuture::new(future),
    }
}
