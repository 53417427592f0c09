//! The jobs that the suite runs.

use crate::pipeline::{ImageSpec, StageBuilder, StageSpec};

/// The jobs that the suite runs on an executor. A clause without its probe is left out.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    pub(super) succeeds: Option<StageSpec>,
    pub(super) fails: Option<StageSpec>,
    pub(super) prints: Option<StageSpec>,
    pub(super) stops: Option<StageSpec>,
    pub(super) ignores: Option<StageSpec>,
    pub(super) sets: Option<StageSpec>,
    pub(super) leaks: Option<StageSpec>,
    pub(super) reads: Option<StageSpec>,
    pub(super) pauses: Option<StageSpec>,
}

/// The lines that [`Probes::prints`] writes to each stream; more than one read takes.
pub(super) const LINES: usize = 2000;

impl Probes {
    /// No probe at all, to add to.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Small scripts for `sh` that need nothing but `sleep`.
    #[must_use]
    pub fn shell() -> Self {
        let stage = |name: &str, script: &str| StageBuilder::run(name, script).build();
        let prints = format!(
            "i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"out $i\"; echo \"err $i\" >&2; done; printf last"
        );
        Self::none()
            .succeeds(stage("succeeds", "true"))
            .fails(stage("fails", "exit 3"))
            .prints(stage("prints", &prints))
            .stops(stage("stops", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done"))
            .ignores(stage("ignores", "trap '' TERM; echo ready; while :; do sleep 0.1; done"))
            .sets(stage("sets", "echo version=1.2 >> \"$BUILDIT_OUTPUT\""))
            .leaks(stage("leaks", "echo \"it is $PROBE_SECRET\"; echo \"token=$PROBE_SECRET\" >> \"$BUILDIT_OUTPUT\""))
            .reads(stage("reads", "echo \"[$PROBE_TEXT]\""))
            .pauses(stage("pauses", "echo one; sleep 1; echo two"))
    }

    /// It ends well.
    #[must_use]
    pub fn succeeds(mut self, stage: StageSpec) -> Self {
        self.succeeds = Some(stage);
        self
    }

    /// It fails with the exit code 3.
    #[must_use]
    pub fn fails(mut self, stage: StageSpec) -> Self {
        self.fails = Some(stage);
        self
    }

    /// It writes `out 1` to `out 2000` to its standard output and `err 1` to `err 2000` to its standard error, then
    /// `last` to its standard output, without a line end.
    #[must_use]
    pub fn prints(mut self, stage: StageSpec) -> Self {
        self.prints = Some(stage);
        self
    }

    /// It writes `ready`, goes on for ever, and when it is asked to end, writes `bye` and ends with 0.
    #[must_use]
    pub fn stops(mut self, stage: StageSpec) -> Self {
        self.stops = Some(stage);
        self
    }

    /// It writes `ready`, goes on for ever, and does not heed a request to end.
    #[must_use]
    pub fn ignores(mut self, stage: StageSpec) -> Self {
        self.ignores = Some(stage);
        self
    }

    /// It sets its output `version` to `1.2`.
    #[must_use]
    pub fn sets(mut self, stage: StageSpec) -> Self {
        self.sets = Some(stage);
        self
    }

    /// It writes `it is ` and its secret variable `PROBE_SECRET`, and sets its output `token` to that.
    #[must_use]
    pub fn leaks(mut self, stage: StageSpec) -> Self {
        self.leaks = Some(stage);
        self
    }

    /// It writes its variable `PROBE_TEXT` in square brackets.
    #[must_use]
    pub fn reads(mut self, stage: StageSpec) -> Self {
        self.reads = Some(stage);
        self
    }

    /// It writes `one`, takes about a second, and writes `two`.
    #[must_use]
    pub fn pauses(mut self, stage: StageSpec) -> Self {
        self.pauses = Some(stage);
        self
    }

    pub(super) fn in_image(mut self, reference: &str) -> Self {
        let all = [
            &mut self.succeeds,
            &mut self.fails,
            &mut self.prints,
            &mut self.stops,
            &mut self.ignores,
            &mut self.sets,
            &mut self.leaks,
            &mut self.reads,
            &mut self.pauses,
        ];
        for stage in all.into_iter().flatten() {
            stage.image = Some(Box::new(ImageSpec::new(reference)));
        }
        self
    }
}
