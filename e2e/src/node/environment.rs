//! The environment, the command line and the working directory of a container's process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::Api;

use super::addresses::PodAddress;
use super::paths::Mounts;
use crate::error::{Error, Result};

/// What a variable's value can be taken from.
pub(crate) struct Sources<'a> {
    pub(crate) client: &'a kube::Client,
    pub(crate) pod: &'a Pod,
    pub(crate) address: &'a PodAddress,
    pub(crate) node_address: Ipv4Addr,
}

/// The variables that the pod asks for, in order; a later one of the same name wins.
pub(crate) async fn variables(sources: &Sources<'_>, container: &Container) -> Result<Vec<(String, String)>> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.clone().unwrap_or_default();
        if let Some(reference) = &from.config_map_ref {
            let data = config_map(sources, &reference.name, reference.optional).await?.unwrap_or_default();
            values.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)));
        }
        if let Some(reference) = &from.secret_ref {
            let data = secret(sources, &reference.name, reference.optional).await?.unwrap_or_default();
            let texts =
                data.into_iter().filter_map(|(key, bytes)| Some((key, String::from_utf8(bytes).ok()?)));
            values.extend(texts.map(|(key, value)| (format!("{prefix}{key}"), value)));
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &values)),
            Some(from) => {
                if let Some(reference) = &from.config_map_key_ref {
                    let optional = reference.optional;
                    let data = config_map(sources, &reference.name, optional).await?.unwrap_or_default();
                    key(
                        data.get(&reference.key).cloned(),
                        "ConfigMap",
                        &reference.name,
                        &reference.key,
                        optional,
                    )?
                } else if let Some(reference) = &from.secret_key_ref {
                    let optional = reference.optional;
                    let data = secret(sources, &reference.name, optional).await?.unwrap_or_default();
                    let text =
                        data.get(&reference.key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                    key(text, "Secret", &reference.name, &reference.key, optional)?
                } else if let Some(reference) = &from.field_ref {
                    let shown = sources.address.shown();
                    Some(field(sources.pod, &reference.field_path, shown, sources.node_address).ok_or_else(
                        || {
                            Error::unmet(
                                "a known field path",
                                reference.field_path.clone(),
                                "use another one",
                            )
                        },
                    )?)
                } else {
                    None
                }
            }
        };
        if let Some(value) = value {
            values.insert(variable.name.clone(), value);
        }
    }
    Ok(values.into_iter().collect())
}

async fn config_map(
    sources: &Sources<'_>,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<String, String>>> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(sources.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(Error::api(format!("reading ConfigMap {name}")))?;
    match found {
        Some(found) => Ok(Some(found.data.unwrap_or_default())),
        None if optional == Some(true) => Ok(None),
        None => Err(absent("ConfigMap", name)),
    }
}

async fn secret(
    sources: &Sources<'_>,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<String, Vec<u8>>>> {
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(sources.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(Error::api(format!("reading Secret {name}")))?;
    match found {
        Some(found) => {
            Ok(Some(found.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect()))
        }
        None if optional == Some(true) => Ok(None),
        None => Err(absent("Secret", name)),
    }
}

fn absent(kind: &str, name: &str) -> Error {
    Error::unmet(format!("{kind} {name}"), "none of that name in the pod's namespace", "create it")
}

fn key(
    value: Option<String>,
    kind: &str,
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>> {
    match value {
        None if optional != Some(true) => {
            Err(Error::unmet(format!("key {key} in {kind} {name}"), "no such key", "add it"))
        }
        value => Ok(value),
    }
}

/// The downward API's fields.
pub(crate) fn field(pod: &Pod, path: &str, address: Ipv4Addr, node_address: Ipv4Addr) -> Option<String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let named = |path: &str, what: &str| {
        path.strip_prefix(what)?.strip_prefix("['")?.strip_suffix("']").map(ToOwned::to_owned)
    };
    if let Some(label) = named(path, "metadata.labels") {
        return Some(
            metadata.labels.as_ref().and_then(|labels| labels.get(&label)).cloned().unwrap_or_default(),
        );
    }
    if let Some(name) = named(path, "metadata.annotations") {
        return Some(
            metadata.annotations.as_ref().and_then(|all| all.get(&name)).cloned().unwrap_or_default(),
        );
    }
    let lines = |map: Option<&BTreeMap<String, String>>| {
        map.into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => Some(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Some(lines(metadata.annotations.as_ref())),
        "spec.nodeName" => spec?.node_name.clone(),
        "spec.serviceAccountName" => spec?.service_account_name.clone(),
        "status.podIP" | "status.podIPs" => Some(address.to_string()),
        "status.hostIP" | "status.hostIPs" => Some(node_address.to_string()),
        _ => None,
    }
}

/// Replaces `$(NAME)` by the variable's value; `$$(NAME)` is the text `$(NAME)`; an unknown name stays as it is.
pub(crate) fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match values.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    let _ = write!(out, "$({name})");
                }
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The program and its arguments: the image's binary, or one that lies beside it when the container names a command.
pub(crate) fn command_line(
    container: &Container,
    entrypoint: &Path,
    variables: &[(String, String)],
    mounts: &Mounts,
) -> Result<(PathBuf, Vec<String>)> {
    let values: BTreeMap<String, String> = variables.iter().cloned().collect();
    let texts = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| mounts.rewrite(&expand(text, &values))).collect()
    };
    let mut command = texts(&container.command).into_iter();
    let arguments = texts(&container.args);
    let Some(program) = command.next() else { return Ok((entrypoint.to_path_buf(), arguments)) };
    let name = Path::new(&program).file_name().unwrap_or_default();
    let path = entrypoint.with_file_name(name);
    if !path.is_file() {
        return Err(Error::unmet(
            format!("the command {program} of container {}", container.name),
            format!("no {} beside the image's binary {}", name.to_string_lossy(), entrypoint.display()),
            "the image holds only our own binaries: use one of them or leave `command` out",
        ));
    }
    Ok((path, command.chain(arguments).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_as_kubernetes_does() {
        let values = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, wanted) in [
            ("$(A)", "1"),
            ("x$(A)y$(B)", "x1y$(A)"),
            ("$$(A)", "$(A)"),
            ("$(C)", "$(C)"),
            ("$", "$"),
            ("$(A", "$(A"),
            ("a$b", "a$b"),
        ] {
            assert_eq!(expand(text, &values), wanted, "{text}");
        }
    }

    #[test]
    fn fields_of_the_downward_api() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p-0", "namespace": "n", "uid": "u", "labels": {"a": "b"}},
            "spec": {"nodeName": "placet-node", "serviceAccountName": "s", "containers": []},
        }))
        .unwrap();
        let (ip, host) = (Ipv4Addr::new(10, 244, 3, 7), Ipv4Addr::new(10, 244, 3, 1));
        let get = |path: &str| field(&pod, path, ip, host);
        assert_eq!(get("metadata.name").as_deref(), Some("p-0"));
        assert_eq!(get("status.podIP").as_deref(), Some("10.244.3.7"));
        assert_eq!(get("metadata.labels['a']").as_deref(), Some("b"));
        assert_eq!(get("metadata.labels").as_deref(), Some("a=\"b\""));
        assert_eq!(get("spec.hostname"), None);
    }
}
