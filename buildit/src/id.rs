//! Identifiers: one newtype each, so that a stage can never be passed where an executor is meant.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: a UUID of version 7, so ids sort by the time they were made.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would be a different one each time")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as a UUID.
            #[must_use]
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

uuid_id! {
    /// One execution of a pipeline.
    RunId
}
uuid_id! {
    /// A workspace of an organization: what owns pipelines, runs and secrets.
    TenantId
}
uuid_id! {
    /// What owns tenants, and has users as its members.
    OrganizationId
}
uuid_id! {
    /// A person who can sign in.
    UserId
}
uuid_id! {
    /// A key for programs. It is no secret: the key itself is known by its hash alone.
    ApiKeyId
}
uuid_id! {
    /// An invitation to become a member of an organization.
    InvitationId
}
uuid_id! {
    /// A pipeline that a store keeps.
    PipelineId
}
uuid_id! {
    /// A way to tell people.
    ChannelId
}
uuid_id! {
    /// Something that a channel is told.
    NotificationId
}
uuid_id! {
    /// A repository that a tenant has connected.
    RepositoryId
}
uuid_id! {
    /// A webhook that a forge has delivered.
    DeliveryId
}
uuid_id! {
    /// What a forge is to say of a commit.
    StatusId
}

impl TenantId {
    /// Nobody: what is of no tenant, for who has none. It is the nil id.
    pub const NONE: Self = Self(Uuid::nil());

    /// Whether it is nobody.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_nil()
    }

    /// What this tenant's pipeline of a name is called among those of all tenants: what it keeps is kept under that. A
    /// pipeline of nobody has its own name.
    #[must_use]
    pub fn scope(&self, pipeline: &str) -> String {
        const OF_TENANT: &str = "tenant:";
        if self.is_none() && !pipeline.starts_with(OF_TENANT) {
            pipeline.to_owned()
        } else {
            format!("{OF_TENANT}{self}/{pipeline}")
        }
    }

    /// [`NONE`](Self::NONE), where serde wants a function.
    pub(crate) fn none() -> Self {
        Self::NONE
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_id! {
    /// The name of a stage within its pipeline. A cell of a matrix is `test[db=postgres,arch=amd64]`.
    /// Cloning is a reference count: events and jobs share one text.
    StageName
}

#[cfg(feature = "engine")]
impl StageName {
    /// How many share the text. To ask fetches from memory what a clone of the name will write to.
    pub(crate) fn shares(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

name_id! {
    /// The name under which an executor is registered with an engine: `local`, `docker`, ….
    ExecutorName
}
name_id! {
    /// Who drives a run: an engine process. It is stored with a lease, for people to read.
    WorkerId
}

/// One attempt of one stage of one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The run that the job belongs to.
    pub run: RunId,
    /// The stage that it is an attempt of.
    pub stage: StageName,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

impl JobId {
    /// The name of the job at its backend: a folder, a container, a Kubernetes Job.
    ///
    /// It follows from the id alone, so that a restarted engine finds the job that an earlier one made. It is at
    /// most 63 characters of `[a-z0-9-]` (a DNS label, the narrowest of the backends), begins with a letter and is
    /// the same for no two jobs: run and attempt stand in it in full, the stage by a digest.
    #[must_use]
    pub fn backend_name(&self) -> String {
        let stage = blake3::hash(self.stage.as_bytes()).to_hex();
        format!("bi-{}-{}-{}", self.run.as_uuid().simple(), &stage[..12], self.attempt)
    }

    /// What the backend names of all jobs of a run begin with.
    #[must_use]
    pub fn backend_prefix(run: RunId) -> String {
        format!("bi-{}-", run.as_uuid().simple())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.run, self.stage, self.attempt)
    }
}

/// A BLAKE3 digest: the address of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The raw 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lowercase hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Digest {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self::from)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", &self.to_hex()[..12])
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Proof of holding the lease on a run. Each new holder gets a larger one, and a store refuses a write that carries
/// a smaller one than it has seen (guarantee G11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backend_names_are_dns_labels_and_differ() {
        let run = RunId::new();
        let job = |stage: &str, attempt| JobId { run, stage: stage.into(), attempt }.backend_name();
        let name = job("test[db=sqlite,arch=ä/ü]", u32::MAX);
        assert!(name.len() <= 63, "{name} has {} characters", name.len());
        assert!(name.starts_with(&JobId::backend_prefix(run)));
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        assert_ne!(job("a", 1), job("a", 2));
        assert_ne!(job("a", 1), job("b", 1));
    }
}
