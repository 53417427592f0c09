//! Stages that are `cacheable`: what their results are made of, and the port [`ResultStore`] that keeps them.
//!
//! # The way of a result
//!
//! 1. A cacheable stage becomes ready: its needs, its condition and its approval are behind it. Its job is made as for
//!    any other stage, but with nothing in it that it did not declare: of the variables of the run only those that its
//!    commands name, of the source only the files that its `inputs` match ([`InputGlobs`], never `.git`).
//! 2. [`ingredients`] lists what can decide what the job makes, each as a digest, and [`Ingredients::key`] is the digest
//!    of all of them. The files of a source are read once for all stages: a [`SourceIndexer`] gives their
//!    [`SourceIndex`].
//! 3. The [`ResultStore`] is asked for results under the keys of all stages that became ready together. One whose blobs
//!    are all there and whole, and that holds no secret of any stage of this run, is a hit: its log becomes the log of
//!    attempt 0 of the stage, and then the events [`ResultTaken`](crate::event::EventBody::ResultTaken) and
//!    `StageFinished` (`cached`) are stored, together. A log of attempt 0 without that event is of a result that was not
//!    taken in the end, and counts for nothing.
//! 4. Anything else is a miss, which is recorded with its reason, and the stage runs. When an attempt that this engine
//!    began succeeds, its result is kept under the key of that very attempt, before its end is recorded. So a crash in
//!    between leaves a result that is true, and an attempt that is taken over by the next engine keeps none: what its
//!    secrets were when it began is not known any more.
//!
//! A result is a copy, never a promise: whatever is missing, damaged or unreadable is a miss. Results of one pipeline
//! are not found by another.
//!
//! # What is an ingredient
//!
//! | in the key | why |
//! |---|---|
//! | image reference, platform, user, entry point, `privileged` | what the commands run in |
//! | executor, `runs-on`, shell, `workdir` | where and how they run; without an image the executor *is* the image |
//! | the commands: the script, and the text that is echoed | what runs, and what its log shows |
//! | the job's whole environment: `env` of pipeline and stage, what the run was given, the matrix cell, every variable that a command names | all that it can read |
//! | secrets that it gets, itself and its services | as keyed digests, with the [`Salt`] of the store, none of which is kept but as part of the key |
//! | services: image, command, environment, `ready`, resources | what it talks to |
//! | caches: name, paths, resolved key | what they *hold* is no ingredient: a cache may be lost at any time, so it must not decide what a stage makes |
//! | `artifacts` and `reports`: globs, names, conditions | what is gathered |
//! | the archives that its direct needs left | what lies in its workspace |
//! | the files of the source that `inputs` match: path, kind, permissions, content | what lies in its workspace |
//!
//! | not in the key | why |
//! |---|---|
//! | names of the stage and of its needs, its place, id and number of the run, the attempt | it cannot see them; where a command names one of their variables, that variable is in the key |
//! | outputs of needs | likewise: those that it refers to are variables |
//! | `needs`, `when`, `approval`, `retry`, `timeout`, `allow-failure`, `resources` | they decide whether and when it runs, not what a success is |
//! | registry credentials, `pull` | they decide how an image is fetched |
//! | times of files | no archive of ours has them |
//!
//! An image is taken by the reference that is written. A tag that moves is no change; pin the digest
//! (`rust@sha256:…`) where that matters.
//!
//! # On the host
//!
//! A job of `local` runs among the tools of its host. These, and what it inherits (`PATH`, `HOME`, `USER`, `TMPDIR`, and
//! for a cacheable stage nothing else), are no ingredients: a stage whose result depends on the compiler that is installed
//! names it, or runs in an image. The paths of its folders (`BUILDIT_WORKSPACE`, `BUILDIT_OUTPUT`, `BUILDIT_SUMMARY`)
//! differ from job to job and are no ingredients either, nor is `BUILDIT_JOB_ID`, by which its processes are found, unless
//! a command names it.

mod ingredients;
mod inputs;
mod key;
mod log;
mod result;
mod source;
mod store;

pub use ingredients::{Ingredient, Ingredients, Salt};
pub use inputs::InputGlobs;
pub use key::{JobParts, ingredients, names_variable};
pub use log::{LogDecoder, encode_log};
pub use result::{KeptLog, KeptResult};
pub use source::{FileKind, Selected, SourceFile, SourceIndex, SourceIndexer};
pub use store::ResultStore;
