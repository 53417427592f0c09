//! [`Durable`]: an executor made of a [`Backend`](crate::backend::Backend).

use crate::backend::Backend;

/// Makes an executor of a backend: create, confirm the lease, release, follow, collect (placeholder until its steps land).
#[derive(Clone, Debug)]
pub struct Durable<B: Backend> {
    backend: B,
}

impl<B: Backend> Durable<B> {
    /// An executor whose jobs this backend holds.
    pub fn new(backend: B) -> Self {
        Self { backend }
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }
}
