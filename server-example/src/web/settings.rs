//! Settings: keys, the team, and who did what.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::{ApiKey, AuditRecord, Invitation, Membership, Role, User};
use buildit::id::{ApiKeyId, InvitationId, UserId};
use buildit::store::AuditFilter;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw};
use crate::app::keys as api_keys;
use crate::app::members::{self, Invite, address, change_role, invite as invite_by, invited, take_out};
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// The roles, as a form lists them.
const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];

fn frame(place: &Place, title: &str) -> Frame {
    place.frame(
        "settings",
        title,
        vec![Crumb::to("Settings", format!("{}/settings", place.root())), Crumb::here(title)],
    )
}

fn role(word: &str) -> Result<Role, Problem> {
    word.parse().map_err(|_| Problem::invalid("a role is viewer, member, admin or owner"))
}

#[derive(Template)]
#[template(path = "settings_keys.html")]
struct KeysPage {
    frame: Frame,
    keys: List<ApiKey>,
    /// The key that was just made, which is shown this once.
    made: Option<String>,
    problem: Option<String>,
    may_make: bool,
}

impl KeysPage {
    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    async fn new(state: &ServerState, place: &Place, page: &Page) -> Result<Self, Problem> {
        let may_make = place.may(Role::Admin);
        let keys = match may_make {
            true => state.credentials().keys(place.access.tenant.id, page.after()?, page.limit() + 1).await?,
            false => Vec::new(),
        };
        let keys = List::cut(keys, page.limit(), |key| key.id.to_string());
        Ok(Self { frame: frame(place, "API keys"), keys, made: None, problem: None, may_make })
    }
}

pub(crate) async fn keys(
    State(state): State<ServerState>,
    place: Place,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    draw(&KeysPage::new(&state, &place, &page).await?)
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewKey {
    name: String,
    role: String,
    #[serde(default)]
    days: String,
}

pub(crate) async fn create_key(
    State(state): State<ServerState>,
    place: Place,
    Form(new): Form<NewKey>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let end = match new.days.trim() {
        "" => Ok(None),
        days => days.parse::<u16>().map(|days| Some(Timestamp::now() + (i64::from(days) * 24).hours())),
    };
    let made = async {
        let end = end.map_err(|_| Problem::invalid("an age is a number of days"))?;
        api_keys::make(&state, &access, &new.name, role(&new.role)?, end).await
    };
    match made.await {
        Ok((_, token)) => {
            let page = KeysPage::new(&state, &place, &Page::default()).await?;
            draw(&KeysPage { made: Some(token.expose().to_owned()), ..page })
        }
        Err(problem) => {
            let said = problem.said();
            let page = KeysPage { problem: Some(said), ..KeysPage::new(&state, &place, &Page::default()).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedKey {
    key: ApiKeyId,
}

pub(crate) async fn delete_key(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedKey>,
) -> Result<Redirect, Problem> {
    let access = place.grant(Role::Admin)?;
    api_keys::end(&state, &access, named.key).await?;
    Ok(Redirect::to(&format!("{}/settings", place.root())))
}

/// Which page of the members, and of the invitations.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TeamLook {
    cursor: Option<String>,
    invited: Option<String>,
}

#[derive(Template)]
#[template(path = "settings_team.html")]
struct TeamPage {
    frame: Frame,
    members: List<(User, Membership)>,
    invitations: List<Invitation>,
    /// The link of the invitation that was just made, to be passed on where no mail was sent.
    link: Option<String>,
    /// To whom an invitation was just sent.
    sent: Option<String>,
    problem: Option<String>,
    role: Role,
    own: Option<UserId>,
}

impl TeamPage {
    async fn new(state: &ServerState, place: &Place, look: TeamLook) -> Result<Self, Problem> {
        let organization = place.organization.id;
        let of_members = Page::at(look.cursor);
        let limit = Page::default().limit();
        let invitations = match place.may(Role::Admin) {
            true => invited(state, &place.access.actor, organization, &Page::at(look.invited)).await?,
            false => List { items: Vec::new(), next: None },
        };
        let members = state.identity().members(organization, of_members.after()?, limit + 1).await?;
        Ok(Self {
            frame: frame(place, "Team"),
            members: List::cut(members, limit, |(user, _)| user.id.to_string()),
            invitations,
            link: None,
            sent: None,
            problem: None,
            role: place.access.role,
            own: place.access.actor.user(),
        })
    }

    fn may(&self) -> bool {
        self.role >= Role::Admin
    }

    /// Whether this reader may change that member.
    fn may_change(&self, member: &Membership) -> bool {
        self.may() && member.role <= self.role
    }

    fn is_own(&self, user: &User) -> bool {
        self.own == Some(user.id)
    }

    fn refuse(self, problem: &Problem) -> Result<Response, Problem> {
        let said = Some(problem.said());
        Ok((problem.status(), draw(&Self { problem: said, ..self })?).into_response())
    }
}

pub(crate) async fn team(
    State(state): State<ServerState>,
    place: Place,
    Query(look): Query<TeamLook>,
) -> Result<Response, Problem> {
    draw(&TeamPage::new(&state, &place, look).await?)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Invited {
    email: String,
    role: String,
}

pub(crate) async fn invite(
    State(state): State<ServerState>,
    place: Place,
    Form(invited): Form<Invited>,
) -> Result<Response, Problem> {
    place.grant(Role::Admin)?;
    let made = async {
        let (role, email) = (role(&invited.role)?, address(&invited.email)?);
        invite_by(&state, &place.access.actor, &place.organization, email, role).await
    };
    match made.await {
        Ok(Invite::Sent(invitation)) => draw(&TeamPage {
            sent: Some(invitation.email),
            ..TeamPage::new(&state, &place, TeamLook::default()).await?
        }),
        Ok(Invite::ToPassOn(_, link)) => {
            draw(&TeamPage { link: Some(link), ..TeamPage::new(&state, &place, TeamLook::default()).await? })
        }
        Err(problem) => TeamPage::new(&state, &place, TeamLook::default()).await?.refuse(&problem),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedUser {
    user: UserId,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChangedMember {
    role: String,
}

/// Gives a member another role; `remove` for none.
pub(crate) async fn change_member(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedUser>,
    Form(changed): Form<ChangedMember>,
) -> Result<Response, Problem> {
    let (actor, organization) = (&place.access.actor, place.organization.id);
    let done = match changed.role.as_str() {
        "remove" => take_out(&state, actor, organization, named.user).await,
        word => match role(word) {
            Ok(role) => change_role(&state, actor, organization, named.user, role).await,
            Err(problem) => Err(problem),
        },
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/settings/team", place.root())).into_response()),
        Err(problem) => TeamPage::new(&state, &place, TeamLook::default()).await?.refuse(&problem),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedInvitation {
    invitation: InvitationId,
}

pub(crate) async fn revoke(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedInvitation>,
) -> Result<Redirect, Problem> {
    members::revoke(&state, &place.access.actor, place.organization.id, named.invitation).await?;
    Ok(Redirect::to(&format!("{}/settings/team", place.root())))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Before {
    cursor: Option<u64>,
}

#[derive(Template)]
#[template(path = "settings_audit.html")]
struct AuditPage {
    frame: Frame,
    records: Vec<AuditRecord>,
    next: Option<String>,
}

impl AuditPage {
    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }
}

pub(crate) async fn audit(
    State(state): State<ServerState>,
    place: Place,
    Query(before): Query<Before>,
) -> Result<Response, Problem> {
    place.grant(Role::Admin)?;
    let limit = Page::default().limit();
    let filter = AuditFilter::of_organization(place.organization.id);
    let found = state.store().audit_log(filter, before.cursor, limit + 1).await?;
    let list = List::cut(found, limit, |record| record.place.to_string());
    let next = list.next.map(|next| format!("{}/settings/audit?cursor={next}", place.root()));
    draw(&AuditPage { frame: frame(&place, "Audit log"), records: list.items, next })
}
