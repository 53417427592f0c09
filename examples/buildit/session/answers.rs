//! Approvals that were given on the command line, and whether they are enough.

use std::collections::BTreeSet;

use buildit::diagnostic::{Diagnostic, Diagnostics};
use buildit::event::Approval;
use buildit::pipeline::{ApprovalField, PipelineSpec, RunContext, StageSpec};
use indexmap::IndexMap;

use crate::args::RunArgs;

/// The answers of `--approve`, `--approve-all` and `--approve-field`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    all: bool,
    stages: BTreeSet<String>,
    fields: IndexMap<String, String>,
    by: String,
}

impl Answers {
    /// Those of these arguments, given by this person.
    pub(crate) fn new(args: &RunArgs, by: impl Into<String>) -> Self {
        Self {
            all: args.approve_all,
            stages: args.approve.iter().cloned().collect(),
            fields: args.approve_fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect(),
            by: by.into(),
        }
    }

    /// Whether no stage and no field is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.fields.is_empty()
    }

    /// Who answers.
    pub(crate) fn by(&self) -> &str {
        &self.by
    }

    /// The value that was given for a field, or else its default.
    pub(crate) fn field<'a>(&'a self, field: &'a ApprovalField) -> Option<&'a str> {
        self.fields.get(&field.name).or(field.default.as_ref()).map(String::as_str)
    }

    /// The answer for a stage that asks for these fields; `None` when a person has to give it.
    pub(crate) fn answer(&self, stage: &StageSpec, fields: &[ApprovalField]) -> Option<Approval> {
        if !self.covers(stage) || fields.iter().any(|field| self.lacks(field)) {
            return None;
        }
        let mut approval = Approval::yes(&self.by);
        for field in fields {
            approval = approval.with_field(&field.name, self.field(field).unwrap_or_default());
        }
        Some(approval)
    }

    /// What is wrong before the run starts: names that are no stage that asks or no field, and what [`needed`](Self::needed) tells.
    pub(crate) fn check(
        &self,
        plan: &PipelineSpec,
        context: &RunContext,
        interactive: bool,
        may_ask: impl Fn(&StageSpec) -> bool,
    ) -> Result<(), Diagnostics> {
        let mut findings = self.unknown(plan, context);
        findings.extend(self.needed(plan, context, interactive, may_ask));
        if findings.is_empty() { Ok(()) } else { Err(Diagnostics(findings)) }
    }

    /// Names that are no stage that asks, or no field.
    pub(crate) fn unknown(&self, plan: &PipelineSpec, context: &RunContext) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for name in &self.stages {
            let meant = |stage: &&std::sync::Arc<StageSpec>| stage.name == **name || *stage.written_name() == **name;
            match plan.stages.iter().find(meant) {
                None => {
                    findings.push(Diagnostic::error("unknown-stage", format!("--approve: there is no stage `{name}`")))
                }
                Some(stage) if !asks(stage, context) => {
                    let message = format!("--approve: stage `{name}` asks for no approval");
                    findings.push(Diagnostic::error("no-approval", message));
                }
                Some(_) => {}
            }
        }
        let approvals = plan.stages.iter().filter_map(|stage| stage.approval.as_ref());
        let known: BTreeSet<&str> =
            approvals.flat_map(|approval| &approval.fields).map(|field| field.name.as_str()).collect();
        for name in self.fields.keys().filter(|name| !known.contains(name.as_str())) {
            let message = format!("--approve-field: there is no field `{name}`");
            let names: Vec<&str> = known.iter().copied().collect();
            let help = match names.as_slice() {
                [] => "no stage asks for a field".to_owned(),
                [only] => format!("the only field is {only}"),
                [names @ .., last] => format!("the fields are {} and {last}", names.join(", ")),
            };
            findings.push(Diagnostic::error("unknown-field", message).with_help(help));
        }
        findings
    }

    /// Values that a field does not allow and, where nobody can be asked, stages that would wait for ever. `may_ask`
    /// tells whether a stage can come to ask at all.
    pub(crate) fn needed(
        &self,
        plan: &PipelineSpec,
        context: &RunContext,
        interactive: bool,
        may_ask: impl Fn(&StageSpec) -> bool,
    ) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for stage in plan.stages.iter().filter(|stage| asks(stage, context) && may_ask(stage)) {
            let origin = stage.origins.get("approval").or_else(|| stage.origins.get("environment"));
            let mut found = |finding: Diagnostic| match origin {
                Some(origin) => findings.push(finding.with_origin(origin.clone())),
                None => findings.push(finding),
            };
            if !self.covers(stage) {
                if !interactive {
                    let message = format!("stage `{}` waits for an approval, and there is nobody to ask", stage.name);
                    let help = format!("run it on a terminal, or with --approve {:?} or --approve-all", &*stage.name);
                    found(Diagnostic::error("approval-needed", message).with_help(help));
                }
                continue;
            }
            for field in stage.approval.iter().flat_map(|approval| &approval.fields) {
                let value = self.field(field);
                if self.lacks(field) && !interactive {
                    let message = format!("the approval of `{}` needs a value for `{}`", stage.name, field.name);
                    let help = format!("give it with --approve-field {}=VALUE", field.name);
                    found(Diagnostic::error("approval-field-missing", message).with_help(help));
                } else if let Some(value) = value
                    && !field.choices.is_empty()
                    && !field.choices.iter().any(|choice| choice == value)
                {
                    let message = format!("`{value}` is none of the choices for `{}` of `{}`", field.name, stage.name);
                    let help = format!("the choices are {}", field.choices.join(", "));
                    found(Diagnostic::error("not-a-choice", message).with_help(help));
                }
            }
        }
        findings
    }

    fn covers(&self, stage: &StageSpec) -> bool {
        self.all || self.stages.contains(stage.name.as_str()) || self.stages.contains(stage.written_name().as_str())
    }

    fn lacks(&self, field: &ApprovalField) -> bool {
        field.required && self.field(field).is_none_or(str::is_empty)
    }
}

/// Whether a stage waits for a person, because the pipeline says so or its environment does.
pub(crate) fn asks(stage: &StageSpec, context: &RunContext) -> bool {
    let environment = stage.environment.as_deref().and_then(|name| context.environments.get(name));
    stage.approval.is_some() || environment.is_some_and(|environment| environment.protection.approvals > 0)
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::{ApprovalSpec, PipelineBuilder, StageBuilder};

    use super::*;

    fn plan() -> PipelineSpec {
        let fields = vec![
            ApprovalField { name: "note".into(), required: true, ..ApprovalField::default() },
            ApprovalField { name: "speed".into(), default: Some("slow".into()), ..ApprovalField::default() },
        ];
        PipelineBuilder::new("p")
            .stage(StageBuilder::run("a", "true").approval(ApprovalSpec::default()))
            .stage(StageBuilder::run("b", "true").approval(ApprovalSpec { fields, ..ApprovalSpec::default() }))
            .stage(StageBuilder::run("c", "true"))
            .build()
    }

    fn answers(stages: &[&str], fields: &[(&str, &str)]) -> Answers {
        Answers {
            all: false,
            stages: stages.iter().map(|&stage| stage.into()).collect(),
            fields: fields.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            by: "ann".into(),
        }
    }

    fn codes(answers: &Answers, interactive: bool) -> Vec<&'static str> {
        let found = answers.check(&plan(), &RunContext::manual(), interactive, |_| true).err().unwrap_or_default();
        found.0.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn without_a_terminal_every_approval_must_be_given() {
        assert_eq!(codes(&answers(&["a"], &[]), false), ["approval-needed"]);
        assert_eq!(codes(&answers(&["a", "b"], &[]), false), ["approval-field-missing"]);
        assert!(codes(&answers(&["a", "b"], &[("note", "x")]), false).is_empty());
        assert!(codes(&answers(&[], &[]), true).is_empty());
        assert!(answers(&[], &[]).check(&plan(), &RunContext::manual(), false, |_| false).is_ok());
    }

    #[test]
    fn names_that_mean_nothing_are_told() {
        assert_eq!(codes(&answers(&["c", "d"], &[]), true), ["no-approval", "unknown-stage"]);
    }

    #[test]
    fn an_answer_has_all_fields() {
        let plan = plan();
        let fields = &plan.stages[1].approval.as_ref().unwrap().fields;
        let given = answers(&["b"], &[("note", "x")]);
        let approval = given.answer(&plan.stages[1], fields).unwrap();
        assert_eq!(approval, Approval::yes("ann").with_field("note", "x").with_field("speed", "slow"));
        assert_eq!(answers(&["b"], &[]).answer(&plan.stages[1], fields), None);
    }
}
