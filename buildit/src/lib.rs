//! BuildIt: a CI/CD engine that you embed.
//!
//! Hand an [`Engine`] a [`Pipeline`] and one or more [`Executor`]s, and get a durable, observable run.
//! The same engine is behind the `buildit` command line and the self-hosted server.
//!
//! ```
//! use async_trait::async_trait;
//! use buildit::engine::{Engine, StartOptions};
//! use buildit::executor::{ExecutorError, JobContext, Unsupported};
//! use buildit::job::Stream;
//! use buildit::{Executor, JobOutcome, JobSpec, PipelineBuilder, RunContext, RunStatus, StageBuilder};
//!
//! /// Says what it would run. Executors of processes and containers are in the crate `buildit-executors`.
//! #[derive(Debug)]
//! struct DryRun;
//!
//! #[async_trait]
//! impl Executor for DryRun {
//!     fn name(&self) -> &str {
//!         "dry-run"
//!     }
//!
//!     fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
//!         Ok(())
//!     }
//!
//!     async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
//!         ctx.log_line(&job.id, Stream::Stdout, &format!("would run {}", job.id.stage)).await?;
//!         Ok(JobOutcome::succeeded())
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let pipeline = PipelineBuilder::new("shop")
//!     .stage(StageBuilder::run("test", "cargo test"))
//!     .stage(StageBuilder::run("ship", "./ship ${git.branch}").needs(["test"]))
//!     .build();
//! let engine = Engine::builder().executor(DryRun).build()?;
//! let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await?;
//! assert_eq!(run.wait().await?.status, RunStatus::Succeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | module | what it holds |
//! |---|---|
//! | [`pipeline`] | what is to be run, as plain data; the builder; the trait [`Pipeline`] |
//! | `config` | pipelines written in KDL, with diagnostics |
//! | [`graph`], [`plan`], [`run`] | the DAG, the compiled pipeline, and the state machine of a run: all pure |
//! | [`variables`], [`condition`] | `${…}` and `when` |
//! | [`account`] | users, organizations and their tenants, credentials, the audit log: as plain data |
//! | [`executor`], [`backend`], [`deployer`], [`store`], [`artifact`], [`secret`], [`environment`] | the ports that backends implement |
//! | `durable`, `wrap` | an executor out of a backend whose jobs outlive the engine; limits and retries around any executor |
//! | [`memory`], `log` | stores in memory or journaled to a folder; whole, masked lines out of bytes |
//! | [`cached`] | what the result of a cacheable stage is made of, and where results are kept |
//! | [`compare`] | what is different between two runs |
//! | `engine` | the one driver of runs |
//! | `testing` | conformance suites, scripted executors, simulated time |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `engine` | yes | `engine`, `durable`, `wrap`, `log`, on tokio |
//! | `kdl` | yes | `config`: the pipeline language |
//! | `kdl-v1` | no | reads KDL 1 too |
//! | `condition` | yes | CEL expressions in `when` |
//! | `testing` | no | `testing`: suites and simulations for your own tests |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod artifact;
pub mod backend;
#[cfg(feature = "engine")]
mod backoff;
pub mod cached;
pub mod cancel;
pub mod clock;
pub mod compare;
pub mod condition;
#[cfg(feature = "kdl")]
#[cfg_attr(docsrs, doc(cfg(feature = "kdl")))]
pub mod config;
pub mod deployer;
pub mod deployment;
pub mod diagnostic;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod durable;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod engine;
pub mod environment;
pub mod event;
pub mod executor;
pub mod fault;
pub mod graph;
pub mod id;
pub mod job;
pub mod kept;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod log;
pub mod memory;
pub mod pipeline;
pub mod plan;
pub mod run;
pub mod secret;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod variables;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod wrap;

#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
#[doc(no_inline)]
pub use engine::{Engine, RunHandle, StartOptions};
#[doc(no_inline)]
pub use event::{Approval, Event, EventBody, RunStatus, StageResult};
#[doc(no_inline)]
pub use executor::Executor;
#[doc(no_inline)]
pub use id::{ExecutorName, JobId, RunId, StageName};
#[doc(no_inline)]
pub use job::{JobOutcome, JobSpec, Status};
#[doc(no_inline)]
pub use pipeline::{Pipeline, PipelineBuilder, PipelineSpec, RunContext, StageBuilder, StageSpec};
