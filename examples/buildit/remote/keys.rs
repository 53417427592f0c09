//! The keys for servers, kept for this user alone.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::exit::Failure;

/// The folder with the keys: `$XDG_CONFIG_HOME/buildit`, or `~/.config/buildit`.
#[derive(Debug)]
pub(crate) struct Keys(PathBuf);

/// What is kept.
#[derive(Default, Deserialize, Serialize)]
struct Kept {
    /// The server that was logged in to last.
    current: Option<String>,
    /// The key of each.
    keys: BTreeMap<String, String>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl Keys {
    /// Those of this user.
    pub(crate) fn open() -> Result<Self, Failure> {
        let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let config = config.ok_or_else(|| Failure::usage("neither XDG_CONFIG_HOME nor HOME names a folder"))?;
        Ok(Self(config.join("buildit")))
    }

    /// The server that was logged in to last.
    pub(crate) fn current(&self) -> Result<Option<String>, Failure> {
        Ok(self.read().map_err(|error| self.unusable(&error))?.current.take())
    }

    /// The key of a server.
    pub(crate) fn of(&self, server: &Url) -> Result<Option<SecretString>, Failure> {
        let mut kept = self.read().map_err(|error| self.unusable(&error))?;
        Ok(kept.keys.remove(server.as_str()).map(SecretString::from))
    }

    /// Keeps the key of a server, which is the current one from here on.
    pub(crate) fn keep(&self, server: &Url, key: &SecretString) -> Result<(), Failure> {
        self.change(|kept| {
            kept.current = Some(server.to_string());
            kept.keys.insert(server.to_string(), key.expose_secret().to_owned());
        })
    }

    /// Forgets the key of a server, or tells that there is none.
    pub(crate) fn forget(&self, server: &Url) -> Result<bool, Failure> {
        let mut was_there = false;
        self.change(|kept| {
            was_there = kept.keys.remove(server.as_str()).is_some();
            kept.current.take_if(|current| current == server.as_str());
        })?;
        Ok(was_there)
    }

    fn read(&self) -> io::Result<Kept> {
        match std::fs::read(self.0.join("servers.json")).map(Zeroizing::new) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error),
        }
    }

    /// One change after another, each wholly or not at all.
    fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), Failure> {
        self.try_change(change).map_err(|error| self.unusable(&error))
    }

    fn try_change(&self, change: impl FnOnce(&mut Kept)) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)?;
        let lock = File::create(self.0.join("servers.lock"))?;
        lock.lock()?;
        let mut kept = self.read()?;
        change(&mut kept);
        // A temporary file is for its owner alone from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        let text = Zeroizing::new(serde_json::to_vec(&kept).map_err(io::Error::other)?);
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(self.0.join("servers.json"))?;
        Ok(())
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        Failure::Backend(anyhow::anyhow!("the keys in {} cannot be used: {error}", self.0.display()))
    }
}

/// Where a server is, as somebody writes it.
pub(crate) fn address(text: &str) -> Result<Url, Failure> {
    let refused = |why: &str| Failure::usage(format!("`{text}` is no server's URL: {why}"));
    // Nothing that is wrong is said again: there may be a password in it.
    let mut url =
        Url::parse(text).map_err(|_| Failure::usage("a server's URL is `https://HOST` or `http://HOST:PORT`"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("a server's URL has no user and no password: `buildit login` takes a key"));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refused("it begins with `https://` or `http://`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it has no `?` and no `#`"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_kept_under_one_name() {
        for text in ["http://host:1/ci", "http://host:1/ci/", "HTTP://HOST:1/ci//"] {
            assert_eq!(address(text).unwrap().as_str(), "http://host:1/ci");
        }
        for text in ["host", "ftp://host", "https://me:secret@host", "https://host/?a=b", ""] {
            let Err(Failure::Refused(error)) = address(text) else { panic!("{text}") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn keys_are_kept_for_each_server_and_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys(folder.path().join("buildit"));
        let [one, two] = ["https://one", "https://two"].map(|text| address(text).unwrap());
        keys.keep(&one, &"1".into()).unwrap();
        keys.keep(&two, &"2".into()).unwrap();
        assert_eq!(keys.of(&one).unwrap().unwrap().expose_secret(), "1");
        assert_eq!(keys.current().unwrap().unwrap(), two.as_str());
        assert!(keys.forget(&two).unwrap() && !keys.forget(&two).unwrap());
        assert_eq!(keys.current().unwrap(), None);
        assert!(keys.of(&two).unwrap().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(keys.0.clone()), mode(keys.0.join("servers.json"))), (0o700, 0o600));
        }
    }
}
