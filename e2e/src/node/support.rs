//! What the node cannot do, found before anything runs.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Probe, Volume};

/// Which binary runs for which image: the longest matching prefix of the reference decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images(pub(crate) Vec<(String, PathBuf)>);

impl Images {
    /// The binary for an image. A prefix ends where a tag, a digest or a further path part begins, so that
    /// `placet.dev/placet` is not `placet.dev/placet-operator`.
    pub(crate) fn binary(&self, image: &str) -> Option<&Path> {
        self.0
            .iter()
            .filter(|(prefix, _)| {
                image
                    .strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@', '/']))
            })
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, binary)| binary.as_path())
    }
}

/// All that this pod asks for and that would be silently different here.
pub(crate) fn unsupported(pod: &Pod, images: &Images) -> Vec<String> {
    let mut found = Vec::new();
    let Some(spec) = &pod.spec else { return vec!["a pod without a spec".into()] };
    pod_level(spec, &mut found);
    for volume in spec.volumes.iter().flatten() {
        if let Some(reason) = volume_reason(volume) {
            found.push(format!("volume {}: {reason}", volume.name));
        }
    }
    for (init, container) in spec
        .init_containers
        .iter()
        .flatten()
        .map(|container| (true, container))
        .chain(spec.containers.iter().map(|container| (false, container)))
    {
        let mut reasons = Vec::new();
        container_level(init, container, images, &mut reasons);
        found.extend(reasons.into_iter().map(|reason| format!("container {}: {reason}", container.name)));
    }
    found
}

fn pod_level(spec: &PodSpec, found: &mut Vec<String>) {
    let refused = [
        (spec.host_network == Some(true), "hostNetwork"),
        (spec.host_pid == Some(true), "hostPID"),
        (spec.host_ipc == Some(true), "hostIPC"),
        (spec.share_process_namespace == Some(true), "shareProcessNamespace"),
        (spec.active_deadline_seconds.is_some(), "activeDeadlineSeconds"),
        (spec.readiness_gates.as_ref().is_some_and(|gates| !gates.is_empty()), "readinessGates"),
        (spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()), "ephemeralContainers"),
        (spec.host_aliases.as_ref().is_some_and(|list| !list.is_empty()), "hostAliases"),
        (spec.dns_config.is_some(), "dnsConfig"),
        (spec.resource_claims.as_ref().is_some_and(|list| !list.is_empty()), "resourceClaims"),
    ];
    found.extend(refused.iter().filter(|(there, _)| *there).map(|(_, what)| (*what).to_owned()));
}

fn volume_reason(volume: &Volume) -> Option<String> {
    if let Some(projected) = &volume.projected {
        let bundle = projected.sources.iter().flatten().any(|source| source.cluster_trust_bundle.is_some());
        return bundle.then(|| "clusterTrustBundle".to_owned());
    }
    let known = volume.secret.is_some()
        || volume.config_map.is_some()
        || volume.empty_dir.is_some()
        || volume.downward_api.is_some()
        || volume.persistent_volume_claim.is_some();
    (!known).then(|| {
        "only secret, configMap, emptyDir, projected, downwardAPI and persistentVolumeClaim".to_owned()
    })
}

fn container_level(init: bool, container: &Container, images: &Images, found: &mut Vec<String>) {
    let image = container.image.as_deref().unwrap_or_default();
    if images.binary(image).is_none() {
        let known: Vec<&str> = images.0.iter().map(|(prefix, _)| prefix.as_str()).collect();
        found.push(format!("image {image}: this node has only {}", known.join(", ")));
    }
    if init && container.restart_policy.is_some() {
        found.push("restartPolicy of an init container (a sidecar)".into());
    }
    if container.lifecycle.is_some() {
        found.push("lifecycle hooks".into());
    }
    if container.volume_devices.as_ref().is_some_and(|list| !list.is_empty()) {
        found.push("volumeDevices".into());
    }
    if container.stdin == Some(true) || container.tty == Some(true) {
        found.push("stdin and tty".into());
    }
    if container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port != 0)) {
        found.push("hostPort".into());
    }
    if container.volume_mounts.iter().flatten().any(|mount| mount.sub_path_expr.is_some()) {
        found.push("subPathExpr".into());
    }
    for variable in container.env.iter().flatten() {
        if variable.value_from.as_ref().is_some_and(|from| from.resource_field_ref.is_some()) {
            found.push(format!("variable {}: resourceFieldRef", variable.name));
        }
    }
    for (name, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        if let Some(reason) = probe.as_ref().and_then(probe_reason) {
            found.push(format!("{name}: {reason}"));
        }
    }
}

fn probe_reason(probe: &Probe) -> Option<&'static str> {
    if probe.exec.is_some() {
        return Some("exec");
    }
    if probe.grpc.is_some() {
        return Some("grpc");
    }
    let host = probe.http_get.as_ref().and_then(|get| get.host.as_ref());
    let host = host.or_else(|| probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_ref()));
    host.is_some().then_some("a host of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        Images(vec![
            ("placet.dev/placet".into(), "/t/placet".into()),
            ("placet.dev/placet-operator".into(), "/t/placet-operator".into()),
        ])
    }

    #[test]
    fn an_image_is_known_by_its_whole_name() {
        let images = images();
        assert_eq!(images.binary("placet.dev/placet:1"), Some(Path::new("/t/placet")));
        assert_eq!(
            images.binary("placet.dev/placet-operator@sha256:0"),
            Some(Path::new("/t/placet-operator"))
        );
        assert_eq!(images.binary("placet.dev/placet-operators"), None);
    }

    #[test]
    fn what_cannot_be_done_is_named_all_at_once() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {},
            "spec": {
                "hostNetwork": true,
                "volumes": [{"name": "h", "hostPath": {"path": "/"}}, {"name": "e", "emptyDir": {}}],
                "containers": [{
                    "name": "c", "image": "nginx",
                    "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
                    "livenessProbe": {"exec": {"command": ["true"]}},
                }],
            },
        }))
        .unwrap();
        let found = unsupported(&pod, &images()).join("; ");
        for word in ["hostNetwork", "volume h", "nginx", "lifecycle", "livenessProbe: exec"] {
            assert!(found.contains(word), "{word} in {found}");
        }
        assert!(!found.contains("volume e"), "{found}");
    }

    #[test]
    fn a_plain_pod_of_ours_is_taken() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {},
            "spec": {"containers": [{"name": "c", "image": "placet.dev/placet-operator:0.1.0",
                                     "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}}}]},
        }))
        .unwrap();
        assert_eq!(unsupported(&pod, &images()), Vec::<String>::new());
    }
}
