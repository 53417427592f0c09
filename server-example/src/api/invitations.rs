//! `/api/v1/organizations/{organization}/invitations`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use buildit::account::{Invitation as Kept, Role};
use buildit::id::{InvitationId, OrganizationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Body, Id};
use crate::access::{Actor, role_in};
use crate::app::members::{self, Invite, address};
use crate::app::organizations;
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// An invitation that nobody has accepted yet. What accepts it is shown to nobody again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitation {
    id: Uuid,
    email: String,
    /// What they will be: `viewer`, `member`, `admin` or `owner`.
    role: &'static str,
    invited_by: Option<Uuid>,
    created_at: Timestamp,
    /// Until when it can be accepted.
    expires_at: Timestamp,
}

impl From<Kept> for Invitation {
    fn from(of: Kept) -> Self {
        Self {
            id: of.id.as_uuid(),
            email: of.email,
            role: of.role.as_str(),
            invited_by: of.invited_by.map(|user| user.as_uuid()),
            created_at: of.created_at,
            expires_at: of.expires_at,
        }
    }
}

/// Somebody to be invited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    email: String,
    /// `viewer`, `member`, `admin` or `owner`; not above one's own.
    role: String,
}

/// An invitation that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invited {
    #[serde(flatten)]
    invitation: Invitation,
    /// The link that accepts it, shown this once and to be passed on; null when it was sent by mail.
    link: Option<String>,
}

/// The invitations to an organization that nobody has accepted yet.
#[utoipa::path(get, path = "/api/v1/organizations/{organization}/invitations", tag = "accounts",
    params(("organization" = Uuid, Path), Page),
    responses((status = OK, body = List<Invitation>), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(organization): Id<OrganizationId>,
    Asked(page): Asked<Page>,
) -> Result<Json<List<Invitation>>, Problem> {
    Ok(Json(members::invited(&state, &actor, organization, &page).await?.map(Invitation::from)))
}

/// Invites somebody, by mail where the server sends any.
#[utoipa::path(post, path = "/api/v1/organizations/{organization}/invitations", tag = "accounts", request_body = NewInvitation,
    params(("organization" = Uuid, Path)),
    responses((status = CREATED, body = Invited), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ServerState>,
    actor: Actor,
    Id(organization): Id<OrganizationId>,
    Body(new): Body<NewInvitation>,
) -> Result<(StatusCode, Json<Invited>), Problem> {
    role_in(&state, &actor, organization, Role::Admin).await?;
    let role: Role = new.role.parse().map_err(|_| Problem::invalid("`role` is viewer, member, admin or owner"))?;
    let (organization, _) = organizations::find(&state, &actor, organization).await?;
    let made = members::invite(&state, &actor, &organization, address(&new.email)?, role).await?;
    let (invitation, link) = match made {
        Invite::Sent(invitation) => (invitation, None),
        Invite::ToPassOn(invitation, link) => (invitation, Some(link)),
    };
    Ok((StatusCode::CREATED, Json(Invited { invitation: invitation.into(), link })))
}

/// Takes an invitation back: its link lets nobody in any more.
#[utoipa::path(delete, path = "/api/v1/organizations/{organization}/invitations/{invitation}", tag = "accounts",
    params(("organization" = Uuid, Path), ("invitation" = Uuid, Path)),
    responses((status = NO_CONTENT), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(state): State<ServerState>,
    actor: Actor,
    Id((organization, invitation)): Id<(OrganizationId, InvitationId)>,
) -> Result<StatusCode, Problem> {
    members::revoke(&state, &actor, organization, invitation).await?;
    Ok(StatusCode::NO_CONTENT)
}
