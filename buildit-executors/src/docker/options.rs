//! What an embedding program decides about containers.

/// What the containers of this executor may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    pub(super) network: Network,
    pub(super) privileged: Privileged,
    pub(super) name: String,
    pub(super) mounts: Vec<(String, String)>,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            network: Network::Default,
            privileged: Privileged::Refused,
            name: "docker".to_owned(),
            mounts: Vec::new(),
        }
    }
}

impl DockerOptions {
    /// The defaults: the engine's own network, and no privileged containers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The network of stages without services. One with services is on a private network with them.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Whether stages may ask for privileged containers.
    #[must_use]
    pub fn with_privileged(mut self, privileged: Privileged) -> Self {
        self.privileged = privileged;
        self
    }

    /// The name under which pipelines choose the executor; `docker` by default. An engine that has two container
    /// engines needs two names.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// A folder of the container engine's host, or a volume by its name, that every job sees at a path. What jobs do
    /// there is beyond isolation and clean-up, so a pipeline cannot ask for it: the embedding program can.
    #[must_use]
    pub fn with_mount(mut self, source: impl Into<String>, target: impl Into<String>) -> Self {
        self.mounts.push((source.into(), target.into()));
        self
    }
}

/// The network of stages without services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Network {
    /// The container engine's default.
    #[default]
    Default,
    /// No network at all, which is also quicker to set up.
    None,
    /// The host's own network, without any isolation from it; the quickest.
    Host,
    /// One that exists, by its name.
    Named(String),
}

impl Network {
    /// The word that the container engine knows it by; none for its default.
    pub(super) fn mode(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::None => Some("none"),
            Self::Host => Some("host"),
            Self::Named(name) => Some(name),
        }
    }
}

/// Whether stages may ask for containers that have all rights over the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privileged {
    /// No: whoever may change a pipeline would own the host.
    #[default]
    Refused,
    /// Yes.
    Permitted,
}
