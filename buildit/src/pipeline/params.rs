//! The parameters that a run is given, against those that a pipeline declares.

use indexmap::IndexMap;

use super::{PipelineError, PipelineSpec};

impl PipelineSpec {
    /// Checks the parameters that a run is given: each must be declared, have one of its choices, and none without a
    /// default may be missing.
    ///
    /// # Errors
    ///
    /// [`PipelineError::Param`] for the first that does not hold.
    pub fn check_params(&self, given: &IndexMap<String, String>) -> Result<(), PipelineError> {
        let wrong = |name: &str, reason: String| PipelineError::Param { name: name.to_owned(), reason };
        for (name, value) in given {
            let Some(param) = self.params.iter().find(|param| param.name == *name) else {
                let known: Vec<&str> = self.params.iter().map(|param| param.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(wrong(name, format!("the pipeline does not declare it (declared: {known})")));
            };
            if !param.choices.is_empty() && !param.choices.contains(value) {
                return Err(wrong(name, format!("`{value}` is none of its choices: {}", param.choices.join(", "))));
            }
        }
        match self.params.iter().find(|param| param.default.is_none() && !given.contains_key(&param.name)) {
            Some(param) => Err(wrong(&param.name, "it has no default, so it must be given".to_owned())),
            None => Ok(()),
        }
    }

    /// The value of each declared parameter: what was given, else its default.
    pub fn params_of<'a>(&'a self, given: &'a IndexMap<String, String>) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.params.iter().filter_map(|param| {
            let value = given.get(&param.name).or(param.default.as_ref())?;
            Some((param.name.as_str(), value.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ParamSpec;

    #[test]
    fn parameters_are_checked() {
        let region = ParamSpec {
            name: "region".into(),
            default: Some("eu".into()),
            choices: vec!["eu".into(), "us".into()],
            ..ParamSpec::default()
        };
        let token = ParamSpec { name: "token".into(), ..ParamSpec::default() };
        let spec = PipelineSpec { params: vec![region, token], ..PipelineSpec::default() };
        let given = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let name = |given| match spec.check_params(&given) {
            Err(PipelineError::Param { name, .. }) => name,
            other => format!("{other:?}"),
        };
        assert_eq!(name(given(&[])), "token");
        assert_eq!(name(given(&[("token", "x"), ("regio", "eu")])), "regio");
        assert_eq!(name(given(&[("token", "x"), ("region", "mars")])), "region");
        let fine = given(&[("token", "x")]);
        assert!(spec.check_params(&fine).is_ok());
        assert_eq!(spec.params_of(&fine).collect::<Vec<_>>(), [("region", "eu"), ("token", "x")]);
    }
}
