//! [`KeptResult`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::TakenResult;
use crate::id::{Digest, JobId};
use crate::job::{Artifact, JobProducts};

/// What a stage made, to be taken again where it would be made of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptResult {
    /// The key of what it is made of.
    pub key: Digest,
    /// The attempt that made it.
    pub job: JobId,
    /// When it was kept.
    pub kept_at: Timestamp,
    /// What the attempt left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Box<JobProducts>>,
    /// Its log.
    #[serde(default)]
    pub log: KeptLog,
}

/// The log of a kept result, [encoded](super::encode_log).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptLog {
    /// There was none.
    #[default]
    Empty,
    /// A short one, which lies with the result.
    Here(#[serde(serialize_with = "to_text", deserialize_with = "from_text")] Bytes),
    /// A long one, by its address.
    Blob(Digest),
}

impl KeptLog {
    /// How long a log may be to lie with its result, in bytes: reading a blob costs more than that.
    pub const LONGEST_HERE: usize = 16 * 1024;
}

impl KeptResult {
    /// The blobs that it refers to: a hit needs all of them.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        let products = self.products.iter();
        let artifacts = products.flat_map(|products| products.artifacts.iter().chain(&products.reports));
        let log = match &self.log {
            KeptLog::Blob(digest) => Some(*digest),
            KeptLog::Empty | KeptLog::Here(_) => None,
        };
        artifacts.map(|artifact: &Artifact| artifact.digest).chain(log)
    }

    /// The same as a run takes it.
    #[must_use]
    pub fn into_taken(self) -> TakenResult {
        let JobId { run, stage, attempt } = self.job;
        TakenResult { key: Some(self.key), run, stage, attempt, products: self.products }
    }
}

fn to_text<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(serde::de::Error::custom)
}
