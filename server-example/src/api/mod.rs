//! The REST API, `/api/v1`, with its own description at `/api/openapi.json`.

#![expect(unused_qualifications, reason = "what utoipa makes of the parameters of a path")]

mod accounts;
mod artifacts;
mod badges;
mod channels;
mod compare;
mod deliveries;
mod environments;
mod hooks;
mod invitations;
mod keys;
mod live;
mod logs;
mod pipelines;
mod queue;
mod registries;
mod repositories;
mod retention;
mod runs;
mod schedules;
mod secrets;
mod statuses;
mod tags;
mod tests;
mod webhooks;
mod workers;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::state::ServerState;

pub(crate) use tags::{Body, Id, IdempotencyKey, IfMatch, Tagged};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "BuildIt",
        description = "Pipelines and their runs. Authenticate with `Authorization: Bearer KEY`; while the server has no \
            owner, requests from the machine itself need nothing."
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("key" = []))
)]
struct Description;

/// How an API key is given.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The routes, described.
fn described() -> OpenApiRouter<ServerState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(accounts::me))
        .routes(routes!(accounts::organizations, accounts::create_organization))
        .routes(routes!(accounts::members))
        .routes(routes!(accounts::set_member, accounts::remove_member))
        .routes(routes!(accounts::organization, accounts::change_organization, accounts::delete_organization))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::revoke))
        .routes(routes!(accounts::tenants, accounts::create_tenant))
        .routes(routes!(accounts::rename_tenant, accounts::delete_tenant))
        .routes(routes!(accounts::audit))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(pipelines::list, pipelines::create))
        .routes(routes!(pipelines::show, pipelines::update, pipelines::delete))
        .routes(routes!(pipelines::validate))
        .routes(routes!(repositories::list, repositories::create))
        .routes(routes!(repositories::show, repositories::update, repositories::delete))
        .routes(routes!(repositories::branches))
        .routes(routes!(repositories::scan))
        .routes(routes!(schedules::list, schedules::pause))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::redeliver))
        .routes(routes!(deliveries::approve))
        .routes(routes!(deliveries::renew, webhooks::make, webhooks::remove))
        .routes(routes!(webhooks::check))
        .routes(routes!(statuses::list))
        .routes(routes!(statuses::retry))
        .routes(routes!(hooks::deliver))
        .routes(routes!(hooks::receive))
        .routes(routes!(badges::show))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::show, channels::update, channels::delete))
        .routes(routes!(channels::test))
        .routes(routes!(channels::dispatches))
        .routes(routes!(channels::retry))
        .routes(routes!(channels::rules))
        .routes(routes!(channels::set_rule, channels::delete_rule))
        .routes(routes!(runs::list, runs::trigger))
        .routes(routes!(runs::list_all))
        .routes(routes!(runs::numbered))
        .routes(routes!(runs::show))
        .routes(routes!(runs::record))
        .routes(routes!(runs::logged))
        .routes(routes!(runs::stages))
        .routes(routes!(runs::explain))
        .routes(routes!(tests::list))
        .routes(routes!(compare::show))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::approve))
        .routes(routes!(runs::reject))
        .routes(routes!(runs::rerun))
        .routes(routes!(runs::rerun_from_failed))
        .routes(routes!(queue::list))
        .routes(routes!(queue::line, queue::set_line))
        .routes(routes!(queue::set_priority))
        .routes(routes!(queue::requeue))
        .routes(routes!(queue::whole, queue::set_whole))
        .routes(routes!(workers::list))
        .routes(routes!(workers::set))
        .routes(routes!(secrets::of_a_tenant))
        .routes(routes!(secrets::set_of_tenant, secrets::delete_of_tenant))
        .routes(routes!(secrets::of_a_pipeline))
        .routes(routes!(secrets::set_of_pipeline, secrets::delete_of_pipeline))
        .routes(routes!(registries::list))
        .routes(routes!(registries::set, registries::delete))
        .routes(routes!(environments::list))
        .routes(routes!(environments::show, environments::put, environments::delete))
        .routes(routes!(environments::secrets_of))
        .routes(routes!(environments::set_secret, environments::delete_secret))
        .routes(routes!(retention::show, retention::set))
        .routes(routes!(logs::show))
        .routes(routes!(logs::search))
        .routes(routes!(logs::raw))
        .routes(routes!(artifacts::show))
        .routes(routes!(artifacts::all))
        .routes(routes!(artifacts::source))
        .routes(routes!(live::events))
        .routes(routes!(live::socket))
}

/// The API, its description, and a page that shows it.
pub(crate) fn router(base: &str) -> Router<ServerState> {
    let (routes, mut api) = described().split_for_parts();
    // What is asked of the addresses in it goes below the path that all of it is mounted at.
    api.servers = (!base.is_empty()).then(|| vec![utoipa::openapi::Server::new(base)]);
    let config = utoipa_swagger_ui::Config::new([format!("{base}/api/openapi.json")]);
    let docs = Router::from(utoipa_swagger_ui::SwaggerUi::new("/api/docs").config(config));
    let docs = docs.layer(map_response_with_state(base.to_owned(), below));
    let routes = routes.route("/api/openapi.json", get(async move || Json(api)));
    let routes = routes.method_not_allowed_fallback(async || Problem::no_method());
    let missing = async || Problem::not_found();
    // Whoever sends there is a program, and is told as one.
    let routes = routes.route("/hooks/", any(missing)).route("/hooks/pipelines/", any(missing));
    let routes = routes.route("/badges/{organization}/{tenant}/", any(missing));
    routes.merge(docs).route("/api/{*path}", any(missing))
}

/// The page of the description sends browsers on to an address that knows nothing of the path above it.
async fn below(State(base): State<String>, mut response: Response) -> Response {
    let location = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
    if let Some(place) = location.filter(|place| place.starts_with('/') && !base.is_empty())
        && let Ok(place) = HeaderValue::try_from(format!("{base}{place}"))
    {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}
