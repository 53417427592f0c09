//! What has to be known of an image, and of the user that a container of it runs as.

use bollard::models::ImageInspect;
use buildit::pipeline::ImageSpec;

use super::fetched::Names;

/// What has to be known of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageFacts {
    /// What the engine calls it, whatever names it has.
    pub(super) id: String,
    pub(super) names: Names,
    /// The user that it names; empty for root.
    pub(super) user: String,
    /// The home folder that its environment names.
    pub(super) home: Option<String>,
    /// Its entry point and its command: what a service runs.
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
}

impl ImageFacts {
    /// What a container is made of: this very image, whatever its name names by then.
    pub(super) fn image(&self, image: &ImageSpec) -> String {
        if self.id.is_empty() { image.reference.clone() } else { self.id.clone() }
    }
}

impl From<ImageInspect> for ImageFacts {
    fn from(image: ImageInspect) -> Self {
        let config = image.config.unwrap_or_default();
        let env = config.env.unwrap_or_default();
        Self {
            id: image.id.unwrap_or_default(),
            names: Names::of(image.repo_tags.unwrap_or_default(), image.repo_digests.unwrap_or_default()),
            user: config.user.unwrap_or_default(),
            home: env.iter().find_map(|variable| variable.strip_prefix("HOME=").map(str::to_owned)),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
        }
    }
}

/// A user of a container, as `USER` and `user=` name it: `1000`, `1000:1000`, `node`, `node:staff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserName<'a> {
    user: &'a str,
    group: Option<&'a str>,
}

/// Who owns the files of a job, and where its home folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) home: Option<String>,
}

impl Owner {
    pub(super) const ROOT: Self = Self { uid: 0, gid: 0, home: None };
}

impl<'a> UserName<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        match text.split_once(':') {
            Some((user, group)) => Self { user, group: Some(group) },
            None => Self { user: text, group: None },
        }
    }

    /// Whether it is root, by whichever name.
    pub(super) fn is_root(&self) -> bool {
        matches!(self.user, "" | "0" | "root")
    }

    /// Who it is, if it can be told without the image: its home folder cannot.
    pub(super) fn by_number(&self) -> Option<Owner> {
        if self.is_root() && self.group.is_none() {
            return Some(Owner::ROOT);
        }
        // Without a group it has that of its entry in the image.
        Some(Owner { uid: self.user.parse().ok()?, gid: self.group?.parse().ok()?, home: None })
    }

    /// Whether the image's list of groups is needed to tell who it is.
    pub(super) fn has_named_group(&self) -> bool {
        self.group.is_some_and(|group| group.parse::<u64>().is_err())
    }

    /// Who it is, by the image's `/etc/passwd` and `/etc/group`. A number needs no entry in them; `None` for a name
    /// without one.
    pub(super) fn look_up(&self, passwd: &str, group: &str) -> Option<Owner> {
        let name = if self.user.is_empty() { "0" } else { self.user };
        let found = lines(passwd).find(|fields| fields.first() == Some(&name) || fields.get(2) == Some(&name));
        let number = |at: usize| found.as_ref().and_then(|fields| fields.get(at)).and_then(|text| text.parse().ok());
        let root = (name == "root").then_some(0);
        let uid = name.parse().ok().or_else(|| number(2)).or(root)?;
        let gid = match self.group {
            None => number(3).unwrap_or(0),
            Some(name) => name.parse().ok().or_else(|| {
                let fields = lines(group).find(|fields| fields.first() == Some(&name))?;
                fields.get(2)?.parse().ok()
            })?,
        };
        let home = found.and_then(|fields| fields.get(5).map(|home| (*home).to_owned()));
        // Where nobody says better, a container engine sets the root.
        let home = home.filter(|home| home.starts_with('/')).unwrap_or_else(|| "/".to_owned());
        Some(Owner { uid, gid, home: Some(home) })
    }
}

fn lines(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/bash\nodd:x:7:7\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:node\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        let look = |text| UserName::parse(text).look_up(PASSWD, GROUP).map(|owner| (owner.uid, owner.gid));
        assert_eq!(look("node"), Some((1000, 1001)));
        assert_eq!(look("1000"), Some((1000, 1001)));
        assert_eq!(look("node:staff"), Some((1000, 50)));
        assert_eq!(look("4711"), Some((4711, 0)));
        assert_eq!(look("4711:4712"), Some((4711, 4712)));
        assert_eq!(look("nobody"), None);
        assert_eq!(look("node:wheel"), None);
        let home = |text| UserName::parse(text).look_up(PASSWD, GROUP).and_then(|owner| owner.home);
        assert_eq!(home("node").as_deref(), Some("/home/node"));
        assert_eq!(home("odd").as_deref(), Some("/"));
        assert_eq!(home("").as_deref(), Some("/root"));
        assert_eq!(UserName::parse("root").look_up("", "").map(|owner| owner.uid), Some(0));
        assert_eq!(UserName::parse("5:6").by_number().map(|owner| (owner.uid, owner.gid)), Some((5, 6)));
        assert_eq!(UserName::parse("5").by_number(), None);
        assert!(UserName::parse("0:5").is_root() && UserName::parse("").is_root() && !UserName::parse("5").is_root());
    }
}
