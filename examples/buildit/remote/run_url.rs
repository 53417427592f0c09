//! The addresses of runs.

use std::str::FromStr;

use buildit::id::RunId;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{Client, Me, RunLine, named};
use crate::exit::Failure;

/// The address of a run: that of its page, as a browser shows it, or that of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunUrl {
    /// Where its server is.
    pub(crate) server: String,
    run: Named,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Id(RunId),
    Page { organization: String, tenant: String, pipeline: String, number: u64 },
}

impl RunUrl {
    /// The run's id, by this client of its server.
    pub(crate) async fn find(&self, client: &Client) -> Result<RunId, Failure> {
        match &self.run {
            Named::Id(run) => Ok(*run),
            Named::Page { organization, tenant, pipeline, number } => {
                of_this_key(client, organization, tenant).await?;
                let of = named(client, pipeline).await?;
                let found = client.get::<RunLine>(&["pipelines", &of.id, "runs", &number.to_string()], &[]).await;
                match found {
                    Err(error) if error.status() == Some(404) => {
                        Err(Failure::usage(format!("there is no run #{number} of `{pipeline}` on this server")))
                    }
                    found => Ok(found?.id),
                }
            }
        }
    }
}

/// Sees to it that the client's key is of this tenant: a pipeline of another one may have the same name.
async fn of_this_key(client: &Client, organization: &str, tenant: &str) -> Result<(), Failure> {
    let me: Me = client.get(&["me"], &[]).await?;
    let (Some(own), Some(of)) = (me.tenant_name, me.organization_name) else { return Ok(()) };
    if (of.as_str(), own.as_str()) == (organization, tenant) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "that is a run of `{organization}/{tenant}`, and this key is of `{of}/{own}`; `buildit login` takes one of that \
         tenant"
    )))
}

impl FromStr for RunUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let none = || {
            Failure::usage(
                "that is no run's address: it ends in `/ORGANIZATION/TENANT/pipelines/NAME/runs/NUMBER`, or in \
                 `/api/v1/runs/ID`",
            )
        };
        let mut url = Url::parse(text).map_err(|_| none())?;
        let parts: Vec<String> = url.path_segments().map_or_else(Vec::new, |parts| {
            let decoded = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
            parts.filter(|part| !part.is_empty()).map(decoded).collect()
        });
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (below, run) = match &parts[..] {
            [below @ .., "api", "v1", "runs", id] => (below, Named::Id(id.parse().map_err(|_| none())?)),
            [below @ .., organization, tenant, "pipelines", pipeline, "runs", number] => {
                let [organization, tenant, pipeline] = [organization, tenant, pipeline].map(|&part| part.to_owned());
                let number = number.parse().map_err(|_| none())?;
                (below, Named::Page { organization, tenant, pipeline, number })
            }
            _ => return Err(none()),
        };
        // What a page shows of the run is no part of where the server is.
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&below.join("/"));
        Ok(Self { server: url.to_string(), run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_the_address_of_its_page_or_of_the_api() {
        let page = |pipeline: &str, number| Named::Page {
            organization: "acme".into(),
            tenant: "main".into(),
            pipeline: pipeline.into(),
            number,
        };
        let id = RunId::new();
        for (text, server, run) in [
            ("https://ci/acme/main/pipelines/shop/runs/7", "https://ci/", page("shop", 7)),
            ("https://ci/acme/main/pipelines/a%2Fb%20c/runs/7/?stage=x#log", "https://ci/", page("a/b c", 7)),
            ("http://host:1/tools/ci/acme/main/pipelines/shop/runs/1", "http://host:1/tools/ci", page("shop", 1)),
            (&format!("https://ci/api/v1/runs/{id}"), "https://ci/", Named::Id(id)),
            (&format!("https://ci/tools/api/v1/runs/{id}"), "https://ci/tools", Named::Id(id)),
        ] {
            assert_eq!(text.parse::<RunUrl>().ok(), Some(RunUrl { server: server.into(), run }), "{text}");
        }
        for text in [
            "shop",
            "https://ci/",
            "https://ci/acme/main/pipelines/shop",
            "https://ci/acme/main/pipelines/shop/runs/x",
            "https://ci/api/v1/runs/7",
        ] {
            assert!(text.parse::<RunUrl>().is_err(), "{text}");
        }
    }
}
