//! Values of columns.

use buildit::account::{Role, TokenHash};
use buildit::id::{
    ApiKeyId, ChannelId, DeliveryId, Digest, InvitationId, NotificationId, OrganizationId, PipelineId, RepositoryId,
    RunId, StatusId, TenantId, UserId, WorkerId,
};
use buildit::store::{CommitState, DeliveryState, DispatchStatus, Forge, Intake, QueueStatus};
use jiff::Timestamp;
use uuid::Uuid;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Text,
    Bytes,
    Uuid,
    Time,
}

/// A value, as it is bound or read. What a database has no kind for comes back as another: its reader knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null(Kind),
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid(Uuid),
    Time(Timestamp),
}

/// A type of ours that is a column's value.
pub(crate) trait Column: Sized {
    /// What it is there.
    const KIND: Kind;

    /// As the column's.
    fn into_value(self) -> Value;

    /// From the column's; `None` when that is something else.
    fn from_value(value: Value) -> Option<Self>;
}

impl<T: Column> Column for Option<T> {
    const KIND: Kind = T::KIND;

    fn into_value(self) -> Value {
        self.map_or(Value::Null(T::KIND), T::into_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null(_) => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl Column for bool {
    const KIND: Kind = Kind::Bool;

    fn into_value(self) -> Value {
        Value::Bool(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            Value::Int(number) => Some(number != 0),
            _ => None,
        }
    }
}

impl Column for i64 {
    const KIND: Kind = Kind::Int;

    fn into_value(self) -> Value {
        Value::Int(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Int(number) = value { Some(number) } else { None }
    }
}

impl Column for String {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::Text(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}

impl Column for Vec<u8> {
    const KIND: Kind = Kind::Bytes;

    fn into_value(self) -> Value {
        Value::Bytes(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        if let Value::Bytes(bytes) = value { Some(bytes) } else { None }
    }
}

impl Column for Uuid {
    const KIND: Kind = Kind::Uuid;

    fn into_value(self) -> Value {
        Value::Uuid(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Uuid(uuid) => Some(uuid),
            Value::Text(text) => Uuid::try_parse(&text).ok(),
            _ => None,
        }
    }
}

impl Column for Timestamp {
    const KIND: Kind = Kind::Time;

    fn into_value(self) -> Value {
        Value::Time(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Time(time) => Some(time),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl Column for TokenHash {
    const KIND: Kind = Kind::Bytes;

    fn into_value(self) -> Value {
        Value::Bytes(self.0.to_vec())
    }

    fn from_value(value: Value) -> Option<Self> {
        <[u8; 32]>::try_from(Vec::from_value(value)?).ok().map(Self)
    }
}

impl Column for Digest {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::Text(self.to_hex())
    }

    fn from_value(value: Value) -> Option<Self> {
        String::from_value(value)?.parse().ok()
    }
}

impl Column for WorkerId {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }

    fn from_value(value: Value) -> Option<Self> {
        String::from_value(value).map(Self::from)
    }
}

/// Whether it is paused.
impl Column for Intake {
    const KIND: Kind = Kind::Bool;

    fn into_value(self) -> Value {
        Value::Bool(self.is_paused())
    }

    fn from_value(value: Value) -> Option<Self> {
        bool::from_value(value).map(Self::paused)
    }
}

impl Column for QueueStatus {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }

    fn from_value(value: Value) -> Option<Self> {
        Self::of_word(&String::from_value(value)?)
    }
}

impl Column for DispatchStatus {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::Text(self.as_str().to_owned())
    }

    fn from_value(value: Value) -> Option<Self> {
        Self::of_word(&String::from_value(value)?)
    }
}

macro_rules! word_columns {
    ($($word:ty),+) => {$(
        impl Column for $word {
            const KIND: Kind = Kind::Text;

            fn into_value(self) -> Value {
                Value::Text(self.as_str().to_owned())
            }

            fn from_value(value: Value) -> Option<Self> {
                String::from_value(value)?.parse().ok()
            }
        }
    )+};
}
word_columns!(Role, Forge, DeliveryState, CommitState);

macro_rules! uuid_columns {
    ($($id:ty),+) => {$(
        impl Column for $id {
            const KIND: Kind = Kind::Uuid;

            fn into_value(self) -> Value {
                Value::Uuid(self.as_uuid())
            }

            fn from_value(value: Value) -> Option<Self> {
                Uuid::from_value(value).map(Self::from)
            }
        }
    )+};
}
uuid_columns!(
    OrganizationId,
    UserId,
    TenantId,
    ApiKeyId,
    InvitationId,
    PipelineId,
    RepositoryId,
    RunId,
    StatusId,
    ChannelId,
    DeliveryId,
    NotificationId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_keeps_as_something_else_is_read_back() {
        let id = UserId::new();
        assert_eq!(Column::from_value(Value::Text(id.to_string())), Some(id));
        assert_eq!(Column::from_value(Value::Uuid(id.as_uuid())), Some(Some(id)));
        assert_eq!(Column::from_value(Value::Int(1)), Some(true));
        let time = Timestamp::UNIX_EPOCH;
        assert_eq!(Column::from_value(Value::Text(format!("{time:.9}"))), Some(time));
        assert_eq!(Option::<i64>::from_value(Value::Null(Kind::Text)), Some(None));
    }

    #[test]
    fn what_is_something_else_is_not_read() {
        assert_eq!(UserId::from_value(Value::Text("ada".into())), None);
        assert_eq!(TokenHash::from_value(Value::Bytes(vec![1])), None);
        assert_eq!(Role::from_value(Value::Text("root".into())), None);
        assert_eq!(i64::from_value(Value::Null(Kind::Int)), None);
    }
}
