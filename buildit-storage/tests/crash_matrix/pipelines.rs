//! What is run and killed: the shapes that recovery must get right.

use super::matrix::Target;

/// A pipeline of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    body: &'static str,
    /// What its jobs note, once each: `stage#attempt`.
    pub(crate) effects: &'static [&'static str],
    /// Whether it needs sidecars, which hosts do not have.
    services: bool,
}

/// Each stage notes its side effect, prints numbered lines to both streams, and then does its own work. What is noted
/// is durable before anything else happens, so a job that runs twice is seen however early its second run dies.
const WORK: &str = concat!(
    r##"run #"echo "$BUILDIT_STAGE_NAME#$BUILDIT_STAGE_ATTEMPT" >> "$EFFECTS""#; "##,
    r##"run #"i=1; while [ $i -le 20 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done"#"##,
);

const SAMPLES: [Sample; 6] = [
    Sample {
        name: "linear",
        body: r#"
            stage "a" { WORK; run "echo version=7 >> $BUILDIT_OUTPUT"; run "echo made > made.txt"; artifacts "made.txt" }
            stage "b" { needs "a"; WORK; run "test \"${stages.a.outputs.version}\" = 7 && grep -q made made.txt" }
            stage "c" { needs "b"; WORK }
        "#,
        effects: &["a#1", "b#1", "c#1"],
        services: false,
    },
    Sample {
        name: "diamond",
        body: r#"
            stage "top" { WORK }
            stage "left" { needs "top"; WORK }
            stage "right" { needs "top"; WORK }
            stage "bottom" { needs "left" "right"; WORK }
        "#,
        effects: &["bottom#1", "left#1", "right#1", "top#1"],
        services: false,
    },
    Sample {
        name: "matrix-with-retries",
        body: r#"
            stage "m" {
                matrix { n "1" "2" }
                retry 1
                WORK
                run "test $BUILDIT_STAGE_ATTEMPT = 2"
            }
            stage "end" { needs "m"; WORK }
        "#,
        effects: &["end#1", "m[n=1]#1", "m[n=1]#2", "m[n=2]#1", "m[n=2]#2"],
        services: false,
    },
    Sample {
        name: "approval",
        body: r#"
            stage "build" { WORK }
            stage "ship" { needs "build"; approval { message "ship?"; field "note" }; WORK; run "test \"${approval.note}\" = go" }
        "#,
        effects: &["build#1", "ship#1"],
        services: false,
    },
    Sample {
        name: "failure",
        body: r#"
            stage "bad" { WORK; run "exit 3"; allow-failure }
            stage "after" { needs "bad"; WORK }
            stage "never" { needs "after"; when "failure() && false"; WORK }
        "#,
        effects: &["after#1", "bad#1"],
        services: false,
    },
    Sample {
        name: "services",
        body: r#"
            stage "with-db" { service "db" { image "busybox:local"; command "sh" "-c" "echo up > /up; exec sleep 1000"; ready "test -f /up" }; WORK }
            stage "end" { needs "with-db"; WORK }
        "#,
        effects: &["end#1", "with-db#1"],
        services: true,
    },
];

/// The pipelines that this target can run.
pub(crate) fn all(target: Target) -> impl Iterator<Item = Sample> {
    SAMPLES.into_iter().filter(move |sample| !sample.services || target == Target::Docker)
}

/// The pipeline of this name.
pub(crate) fn named(name: &str) -> Sample {
    SAMPLES.into_iter().find(|sample| sample.name == name).expect("the matrix names its own samples")
}

impl Sample {
    /// Its text for a target.
    pub(crate) fn kdl(&self, target: Target) -> String {
        let work = match target {
            Target::Local => WORK.to_owned(),
            Target::Docker => format!("image \"busybox:local\" pull=\"never\"; {WORK}"),
        };
        format!("pipeline \"{}\"\n{}", self.name, self.body.replace("WORK", &work))
    }
}
