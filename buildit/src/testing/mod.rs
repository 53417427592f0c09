//! What a test of a pipeline, an executor or a store needs, for this crate and for those who build on it.
