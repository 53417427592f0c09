//! A store with one fault, and which clauses reject it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::account::{ApiKey, TokenHash};
use crate::id::{ApiKeyId, TenantId};
use crate::memory::MemoryStore;
use crate::testing::store::TenantStores;

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    FoundsAgain,
    FoundsLate,
    ForgetsPasswords,
    CaseMatters,
    OverwritesUsers,
    LinksAgain,
    MakesUsersFirst,
    ListsLinksBackwards,
    LocksOut,
    UnlinksLate,
    OwnersAreMembers,
    StrangersAreMembers,
    RenamesOver,
    DeletesOrganizationsWithTenants,
    ListsOrganizationsBackwards,
    TakesAnyText,
    ForgetsInviters,
    EndlessMembers,
    AnyoneLeaves,
    LeavesLate,
    OneTenantOfAName,
    KeepsTenants,
    SortsWithoutCase,
    DeletesBusyTenants,
    AcceptsTwice,
    AcceptsLate,
    NeverEndsInvitations,
    LowersRoles,
    EndlessInvitations,
    ForgetsScopes,
    TakesHashesTwice,
    EndlessKeys,
    DeletesAnyKey,
    NotesLastCall,
    KeepsKeysOfTheGone,
    EndlessSessions,
    OneSession,
    AnyPurpose,
    TakesLate,
    KeepsTokens,
    KeepsSignIns,
    TakesSignInsLate,
    SweepsEverything,
    ForgetsDetails,
    OldestFirst,
    OneLog,
}

/// Each fault with the clauses that reject it, among others.
pub(super) const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::FoundsAgain, &["the_first_user_founds_once"]),
    (Fault::FoundsLate, &["one_of_two_founders_at_once_wins"]),
    (Fault::ForgetsPasswords, &["a_user_is_kept_as_it_was_made"]),
    (Fault::CaseMatters, &["an_address_has_one_user_in_either_case"]),
    (Fault::OverwritesUsers, &["a_user_is_changed_by_who_knows_it"]),
    (Fault::LinksAgain, &["an_account_elsewhere_lets_one_user_in"]),
    (Fault::MakesUsersFirst, &["a_user_is_made_with_a_link_or_not_at_all"]),
    (Fault::ListsLinksBackwards, &["links_of_a_user_are_listed_and_removed_by_whose_they_are"]),
    (Fault::LocksOut, &["the_last_way_in_stays"]),
    (Fault::UnlinksLate, &["of_two_links_that_are_removed_at_once_one_stays"]),
    (Fault::OwnersAreMembers, &["an_organization_is_kept_and_owned"]),
    (Fault::StrangersAreMembers, &["a_member_is_one_in_each_tenant_of_the_organization"]),
    (Fault::RenamesOver, &["an_organization_changes_but_for_the_name_of_another"]),
    (
        Fault::DeletesOrganizationsWithTenants,
        &[
            "an_organization_without_tenants_is_deleted",
            "of_a_tenant_that_is_made_and_its_organization_that_is_deleted_one_stays",
        ],
    ),
    (Fault::ListsOrganizationsBackwards, &["organizations_of_a_user_are_listed_by_name"]),
    (Fault::TakesAnyText, &["texts_that_no_store_keeps_are_refused"]),
    (Fault::ForgetsInviters, &["a_member_has_a_role_that_changes"]),
    (Fault::EndlessMembers, &["members_are_listed_in_pages"]),
    (Fault::AnyoneLeaves, &["an_organization_keeps_an_owner"]),
    (Fault::LeavesLate, &["of_two_owners_who_leave_at_once_one_stays"]),
    (Fault::OneTenantOfAName, &["a_tenant_has_a_name_in_its_organization"]),
    (Fault::KeepsTenants, &["a_tenant_is_renamed_and_deleted"]),
    (Fault::SortsWithoutCase, &["tenants_are_listed_by_name_in_pages"]),
    (Fault::DeletesBusyTenants, &["a_tenant_with_runs_is_not_deleted", "a_tenant_with_a_repository_is_not_deleted"]),
    (Fault::AcceptsTwice, &["an_invitation_is_accepted_once"]),
    (Fault::AcceptsLate, &["of_two_who_accept_at_once_one_does"]),
    (Fault::NeverEndsInvitations, &["an_invitation_ends_or_is_revoked"]),
    (Fault::LowersRoles, &["a_member_who_accepts_keeps_the_higher_role"]),
    (Fault::EndlessInvitations, &["invitations_are_listed_in_pages"]),
    (Fault::ForgetsScopes, &["a_key_is_found_by_its_hash_alone"]),
    (Fault::TakesHashesTwice, &["a_key_needs_a_tenant_and_a_hash_of_its_own"]),
    (Fault::EndlessKeys, &["keys_of_a_tenant_are_listed_in_pages"]),
    (Fault::DeletesAnyKey, &["a_key_is_deleted_by_its_tenant_alone"]),
    (Fault::NotesLastCall, &["the_latest_use_of_a_key_is_noted"]),
    (Fault::KeepsKeysOfTheGone, &["keys_go_with_the_member_that_they_speak_for", "keys_go_with_their_tenant"]),
    (Fault::EndlessSessions, &["a_session_is_kept_until_it_ends"]),
    (Fault::OneSession, &["sessions_of_a_user_end_together"]),
    (Fault::AnyPurpose, &["a_token_is_taken_once_for_its_purpose"]),
    (Fault::TakesLate, &["of_two_who_take_a_token_at_once_one_gets_it"]),
    (Fault::KeepsTokens, &["tokens_of_a_user_are_forgotten_by_purpose"]),
    (Fault::KeepsSignIns, &["what_was_begun_is_taken_once"]),
    (Fault::TakesSignInsLate, &["of_two_who_take_what_was_begun_at_once_one_gets_it"]),
    (Fault::SweepsEverything, &["what_has_ended_is_swept"]),
    (Fault::ForgetsDetails, &["an_entry_is_kept_as_it_was_written"]),
    (Fault::OldestFirst, &["entries_are_listed_newest_first_in_pages"]),
    (Fault::OneLog, &["entries_are_listed_by_whose_they_are"]),
];

/// A memory store with a fault.
#[derive(Debug)]
pub(super) struct BrokenAccounts {
    pub(super) inner: MemoryStore,
    pub(super) fault: Fault,
    /// All keys that ever were.
    pub(super) keys: Mutex<HashMap<TokenHash, ApiKey>>,
    pub(super) used: Mutex<HashMap<ApiKeyId, Timestamp>>,
    /// The first tenant of each name.
    pub(super) names: Mutex<HashMap<String, TenantId>>,
}

impl BrokenAccounts {
    pub(super) fn new(fault: Fault) -> Self {
        let (keys, used, names) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner: MemoryStore::new(), fault, keys, used, names }
    }

    /// It, and where its tenants' runs are.
    pub(super) fn stores(self) -> TenantStores {
        let (runs, repositories) = (Arc::new(self.inner.clone()), Arc::new(self.inner.clone()));
        TenantStores { tenants: Arc::new(self), runs, repositories }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}
