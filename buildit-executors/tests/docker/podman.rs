//! The same on Podman, which answers the same protocol.
