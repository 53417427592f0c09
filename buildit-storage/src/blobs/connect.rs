//! Object stores by their URLs.

use std::path::Path;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use std::sync::Arc;

use buildit::artifact::BlobError;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use object_store::ClientConfigKey;

use super::ObjectBlobs;

/// The kinds of URLs that this build knows.
const KINDS: &[&str] = &[
    "file:///FOLDER",
    #[cfg(feature = "s3")]
    "s3://BUCKET/PREFIX",
    #[cfg(feature = "gcs")]
    "gs://BUCKET/PREFIX",
    #[cfg(feature = "azure")]
    "az://CONTAINER/PREFIX",
];

/// A blob may take as long as it likes, as long as something comes.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
const TIMES: [(ClientConfigKey, &str); 2] = [(ClientConfigKey::Timeout, "1day"), (ClientConfigKey::ReadTimeout, "30s")];

impl ObjectBlobs {
    /// Keeps blobs at this URL:
    ///
    /// | URL | feature | credentials and the rest, from the environment |
    /// |---|---|---|
    /// | `file:///FOLDER` | | |
    /// | `s3://BUCKET/PREFIX` | `s3` | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, … |
    /// | `gs://BUCKET/PREFIX` | `gcs` | `GOOGLE_SERVICE_ACCOUNT`, `GOOGLE_APPLICATION_CREDENTIALS`, … |
    /// | `az://CONTAINER/PREFIX` | `azure` | `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, … |
    ///
    /// An upload that is broken off may leave parts in a bucket, which nobody sees but the bill: give the bucket a
    /// rule that ends incomplete multipart uploads after a day.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// buildit_storage::ObjectBlobs::connect(&format!("file://{}", folder.path().display()))?;
    /// let error = buildit_storage::ObjectBlobs::connect("ftp://host/folder").unwrap_err();
    /// assert!(std::error::Error::source(&error).unwrap().to_string().contains("file:///FOLDER"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BlobError`] when the URL is of no known kind, or what the environment says is not enough. Whether the server
    /// is there shows with the first call.
    pub fn connect(url: &str) -> Result<Self, BlobError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        match scheme {
            "file" => Self::open(Path::new(rest)),
            #[cfg(feature = "s3")]
            "s3" => {
                use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
                tls();
                let builder = AmazonS3Builder::from_env().with_url(bucket_of(url));
                let builder = TIMES
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(AmazonS3ConfigKey::Client(key), value));
                Ok(Self::below(rest, builder.build().map_err(super::store::backend)?))
            }
            #[cfg(feature = "gcs")]
            "gs" => {
                use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
                tls();
                let builder = GoogleCloudStorageBuilder::from_env().with_url(bucket_of(url));
                let builder = TIMES
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(GoogleConfigKey::Client(key), value));
                Ok(Self::below(rest, builder.build().map_err(super::store::backend)?))
            }
            #[cfg(feature = "azure")]
            "az" => {
                use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
                tls();
                let builder = MicrosoftAzureBuilder::from_env().with_url(bucket_of(url));
                let builder = TIMES
                    .into_iter()
                    .fold(builder, |builder, (key, value)| builder.with_config(AzureConfigKey::Client(key), value));
                Ok(Self::below(rest, builder.build().map_err(super::store::backend)?))
            }
            _ => {
                let known = KINDS.join(", ");
                Err(BlobError::backend("object_store", format!("no blobs can be kept there; there is {known}")))
            }
        }
    }

    /// What is below the prefix of `BUCKET/PREFIX`.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    fn below(place: &str, bucket: impl object_store::ObjectStore) -> Self {
        let prefix = place.split_once('/').map_or("", |(_, prefix)| prefix);
        Self::new(Arc::new(object_store::prefix::PrefixStore::new(bucket, prefix)))
    }
}

/// The URL up to its bucket.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn bucket_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

/// The one TLS of the house, unless the program has chosen another before.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
