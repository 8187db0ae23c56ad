//! Image references as the container runtimes read them.

use placet_api::scalar::is_digest;

/// An image reference, taken apart. Nothing is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The text before tag and digest, as written.
    pub repository: &'a str,
    /// Tag, if one is written.
    pub tag: Option<&'a str>,
    /// Digest, if one is written, whatever its form.
    pub digest: Option<&'a str>,
    registry: &'a str,
    path: &'a str,
}

/// The registry that is meant when none is written.
const DEFAULT_REGISTRY: &str = "docker.io";

impl<'a> Reference<'a> {
    /// Takes a reference apart. Any text gives a reference; one that is no image name equals no other.
    pub fn parse(text: &'a str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let after_slash = name.rfind('/').map_or(0, |i| i + 1);
        let (repository, tag) = match name[after_slash..].find(':') {
            Some(i) => (&name[..after_slash + i], Some(&name[after_slash + i + 1..])),
            None => (name, None),
        };
        let (registry, path) = match repository.split_once('/') {
            Some((host, rest)) if is_host(host) => (host, rest),
            _ => (DEFAULT_REGISTRY, repository),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let path = match path.strip_prefix("library/") {
            Some(rest) if registry == DEFAULT_REGISTRY && !rest.contains('/') => rest,
            _ => path,
        };
        Self { repository, tag, digest, registry, path }
    }

    /// The digest, if the image is pinned by one of the form `sha256:` and 64 lower-case hexadecimal digits.
    pub fn pinned(&self) -> Option<&'a str> {
        self.digest.filter(|d| is_digest(d))
    }

    /// The same repository and tag, with this digest.
    #[must_use]
    pub fn with_digest(self, digest: &'a str) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// Whether both name the same repository: `nginx`, `library/nginx` and `docker.io/library/nginx` do.
    pub fn same_repository(&self, other: &Reference<'_>) -> bool {
        self.path == other.path && !self.path.is_empty() && self.registry.eq_ignore_ascii_case(other.registry)
    }
}

/// The rule of the distribution project: the first component is a host if it has a dot, a port or an upper-case letter,
/// or is `localhost`.
fn is_host(component: &str) -> bool {
    component == "localhost" || component.contains(|c: char| c == '.' || c == ':' || c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let full = format!("registry.example:5000/team/model:v1@{digest}");
        let r = Reference::parse(&full);
        assert_eq!((r.repository, r.tag), ("registry.example:5000/team/model", Some("v1")));
        assert_eq!(r.pinned(), Some(digest.as_str()));
        let r = Reference::parse("localhost:5000/model");
        assert_eq!((r.repository, r.tag, r.digest), ("localhost:5000/model", None, None));
        assert_eq!(Reference::parse("model:v1@sha512:00").pinned(), None);
        assert_eq!(Reference::parse(&format!("model@{}", digest.to_uppercase())).pinned(), None);
        assert_eq!(Reference::parse("@").pinned(), None);
    }

    #[test]
    fn repositories_are_compared_as_runtimes_resolve_them() {
        let same = |a, b| Reference::parse(a).same_repository(&Reference::parse(b));
        assert!(same("nginx", "docker.io/library/nginx:1.27"));
        assert!(same("index.docker.io/nginx", "library/nginx"));
        assert!(same("team/model", "docker.io/team/model"));
        assert!(same("Registry.example/model", "registry.example/model"));
        assert!(!same("registry.example/nginx", "nginx"));
        assert!(!same("registry.example/library/nginx", "registry.example/nginx"));
        assert!(!same("library/a/b", "a/b"));
        assert!(!same("team/model", "team/model2"));
        assert!(!same("", ""));
    }
}
