//! The pages. Each is a template that is drawn from data, whole; what moves on it is `assets/app.js`.

mod account;
mod assets;
mod deliveries;
mod enter;
mod environments;
mod find;
mod forge;
mod home;
mod log;
mod notifications;
mod organization;
mod page;
mod pipelines;
mod queue;
mod registries;
mod repositories;
mod retention;
mod rows;
mod run;
mod secrets;
mod settings;
#[cfg(feature = "oidc")]
mod sign_in;
mod start;
mod triggers;
mod wizard;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub(crate) use page::part;

use crate::state::ServerState;

/// The pages and what they are made of.
pub(crate) fn router(state: &ServerState) -> Router<ServerState> {
    let router = Router::new();
    #[cfg(feature = "oidc")]
    let router = router.merge(sign_in::router());
    router
        .route("/", get(home::entry))
        .route("/assets/{*file}", get(assets::serve))
        .route("/setup", get(enter::setup_page).post(enter::setup))
        .route("/login", get(enter::login_page).post(enter::login))
        .route("/logout", post(enter::logout))
        .route("/invitations/{token}", get(enter::invitation_page).post(enter::accept))
        .route("/forgot", get(account::forgot_page).post(account::forgot))
        .route("/reset/{token}", get(account::reset_page).post(account::reset))
        .route("/verify/{token}", get(account::verify_page).post(account::verify))
        .route("/account", get(account::page).post(account::change))
        .route("/account/password", post(account::change_password))
        .route("/account/verify", post(account::send_verification))
        .route("/theme", post(home::theme))
        .route("/tenants", get(home::tenants).post(home::create_organization))
        .route("/{organization}/{tenant}", get(home::dashboard))
        .route("/{organization}/{tenant}/find", get(find::show))
        .route("/{organization}/{tenant}/pipelines", get(pipelines::list))
        .route("/{organization}/{tenant}/new", get(wizard::new_page).post(wizard::create))
        .route("/{organization}/{tenant}/new/repository", post(wizard::create_from))
        .route("/{organization}/{tenant}/validate", post(wizard::validate))
        .route("/{organization}/{tenant}/pipelines/{pipeline}", get(pipelines::runs))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/config", get(pipelines::config).post(pipelines::save))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/triggers", get(triggers::show).post(triggers::pause))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/settings", get(pipelines::settings))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/rename", post(pipelines::rename))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/badge", post(pipelines::badge))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/delete", post(pipelines::delete))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/run", get(start::form).post(start::start))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/runs/{number}", get(run::show))
        .route("/{organization}/{tenant}/pipelines/{pipeline}/runs/{number}/{action}", post(run::act))
        .route("/{organization}/{tenant}/queue", get(queue::show))
        .route("/{organization}/{tenant}/queue/intake", post(queue::turn))
        .route("/{organization}/{tenant}/queue/all", post(queue::turn_all))
        .route("/{organization}/{tenant}/queue/workers/{worker}", post(queue::turn_worker))
        .route("/{organization}/{tenant}/queue/runs/{run}/{action}", post(queue::act))
        .route("/{organization}/{tenant}/repositories", get(repositories::list).post(repositories::connect))
        .route("/{organization}/{tenant}/repositories/new", get(repositories::form))
        .route("/{organization}/{tenant}/repositories/{repository}", get(repositories::show).post(repositories::save))
        .route("/{organization}/{tenant}/repositories/{repository}/scan", post(repositories::scan))
        .route("/{organization}/{tenant}/repositories/{repository}/pipelines", post(repositories::create_pipeline))
        .route("/{organization}/{tenant}/repositories/{repository}/webhook", post(repositories::renew_webhook))
        .route("/{organization}/{tenant}/repositories/{repository}/webhook/{action}", post(forge::act))
        .route("/{organization}/{tenant}/repositories/{repository}/statuses", get(forge::statuses))
        .route("/{organization}/{tenant}/repositories/{repository}/statuses/{status}/retry", post(forge::retry))
        .route("/{organization}/{tenant}/repositories/{repository}/deliveries", get(deliveries::list))
        .route("/{organization}/{tenant}/repositories/{repository}/deliveries/{delivery}", get(deliveries::show))
        .route(
            "/{organization}/{tenant}/repositories/{repository}/deliveries/{delivery}/redeliver",
            post(deliveries::redeliver),
        )
        .route(
            "/{organization}/{tenant}/repositories/{repository}/deliveries/{delivery}/approve",
            post(deliveries::approve),
        )
        .route("/{organization}/{tenant}/repositories/{repository}/delete", post(repositories::delete))
        .route("/{organization}/{tenant}/environments", get(environments::list).post(environments::create))
        .route("/{organization}/{tenant}/environments/{environment}", get(environments::show))
        .route("/{organization}/{tenant}/environments/{environment}/variables", post(environments::set_variable))
        .route(
            "/{organization}/{tenant}/environments/{environment}/variables/{name}/delete",
            post(environments::delete_variable),
        )
        .route("/{organization}/{tenant}/environments/{environment}/secrets", post(environments::set_secret))
        .route(
            "/{organization}/{tenant}/environments/{environment}/secrets/{name}/delete",
            post(environments::delete_secret),
        )
        .route("/{organization}/{tenant}/environments/{environment}/protection", post(environments::protect))
        .route("/{organization}/{tenant}/environments/{environment}/delete", post(environments::delete))
        .route("/{organization}/{tenant}/settings", get(settings::keys))
        .route("/{organization}/{tenant}/settings/keys", post(settings::create_key))
        .route("/{organization}/{tenant}/settings/keys/{key}/delete", post(settings::delete_key))
        .route("/{organization}/{tenant}/settings/team", get(settings::team).post(settings::invite))
        .route("/{organization}/{tenant}/settings/team/{user}", post(settings::change_member))
        .route("/{organization}/{tenant}/settings/invitations/{invitation}/revoke", post(settings::revoke))
        .route("/{organization}/{tenant}/settings/secrets", get(secrets::of_tenant).post(secrets::set_of_tenant))
        .route("/{organization}/{tenant}/settings/secrets/{name}/delete", post(secrets::delete_of_tenant))
        .route(
            "/{organization}/{tenant}/pipelines/{pipeline}/secrets",
            get(secrets::of_pipeline).post(secrets::set_of_pipeline),
        )
        .route("/{organization}/{tenant}/pipelines/{pipeline}/secrets/{name}/delete", post(secrets::delete_of_pipeline))
        .route("/{organization}/{tenant}/settings/registries", get(registries::show).post(registries::set))
        .route("/{organization}/{tenant}/settings/registries/{host}/delete", post(registries::delete))
        .route("/{organization}/{tenant}/settings/notifications", get(notifications::list).post(notifications::create))
        .route(
            "/{organization}/{tenant}/settings/notifications/{channel}",
            get(notifications::show).post(notifications::change),
        )
        .route("/{organization}/{tenant}/settings/notifications/{channel}/test", post(notifications::test))
        .route("/{organization}/{tenant}/settings/notifications/{channel}/delete", post(notifications::delete))
        .route(
            "/{organization}/{tenant}/settings/notifications/{channel}/dispatches/{dispatch}/retry",
            post(notifications::retry),
        )
        .route(
            "/{organization}/{tenant}/pipelines/{pipeline}/notifications",
            get(notifications::rules).post(notifications::set_rule),
        )
        .route("/{organization}/{tenant}/settings/retention", get(retention::show).post(retention::set))
        .route("/{organization}/{tenant}/settings/organization", get(organization::show).post(organization::change))
        .route("/{organization}/{tenant}/settings/tenants", post(organization::create_tenant))
        .route("/{organization}/{tenant}/settings/tenant", post(organization::rename_tenant))
        .route("/{organization}/{tenant}/settings/tenant/delete", post(organization::delete_tenant))
        .route("/{organization}/{tenant}/settings/organization/delete", post(organization::delete))
        .route("/{organization}/{tenant}/settings/audit", get(settings::audit))
        .fallback(page::missing)
        .layer(from_fn_with_state(state.clone(), page::problems))
}
