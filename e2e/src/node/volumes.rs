//! The volumes of one pod: written to its directory, kept current while it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod,
    Secret, ServiceAccount, ServiceAccountTokenProjection, Volume,
};
use kube::Api;
use kube::api::PostParams;
use tokio::time::{Duration, Instant};

use super::addresses::{PodAddress, node_address};
use super::agent::Changed;
use super::atomic_dir::{self, VolumeFile, VolumeFiles};
use super::environment;
use super::paths::Mounts;
use crate::error::{Error, Result};
use crate::files;

/// Where a service account's token is mounted; the path by which in-cluster clients find it.
pub(crate) const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The volumes of one pod.
pub(crate) struct PodVolumes {
    client: kube::Client,
    pod: Pod,
    dir: PathBuf,
    /// Where each volume lies, once it is there.
    places: BTreeMap<String, PathBuf>,
    published: BTreeMap<String, VolumeFiles>,
    tokens: BTreeMap<(String, String), Token>,
    version: u64,
}

struct Token {
    text: String,
    renew_at: Instant,
}

impl PodVolumes {
    /// Nothing is written yet. `dir` is the pod's directory.
    pub(crate) fn new(client: kube::Client, pod: Pod, dir: PathBuf) -> Self {
        Self {
            client,
            pod,
            dir,
            places: BTreeMap::new(),
            published: BTreeMap::new(),
            tokens: BTreeMap::new(),
            version: 0,
        }
    }

    fn volumes(&self) -> Vec<Volume> {
        self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).cloned().collect()
    }

    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether a change of this Secret or `ConfigMap` concerns a volume of the pod.
    pub(crate) fn concerned(&self, changed: &Changed) -> bool {
        let (secret, name, namespace) = match changed {
            Changed::Secret { namespace, name } => (true, name, namespace),
            Changed::ConfigMap { namespace, name } => (false, name, namespace),
        };
        namespace == self.namespace()
            && self.volumes().iter().any(|volume| {
                let direct = if secret {
                    volume.secret.as_ref().and_then(|source| source.secret_name.as_ref()) == Some(name)
                } else {
                    volume.config_map.as_ref().is_some_and(|source| &source.name == name)
                };
                let projected =
                    volume.projected.iter().flat_map(|p| p.sources.iter().flatten()).any(|source| {
                        if secret {
                            source.secret.as_ref().is_some_and(|source| &source.name == name)
                        } else {
                            source.config_map.as_ref().is_some_and(|source| &source.name == name)
                        }
                    });
                direct || projected
            })
    }

    /// Brings every volume to what the API server has now. Unchanged ones are not touched.
    pub(crate) async fn sync(&mut self, address: &PodAddress) -> Result<()> {
        for volume in self.volumes() {
            self.sync_one(&volume, address).await.map_err(|error| {
                Error::unmet(
                    format!("volume {} of the pod", volume.name),
                    error.to_string(),
                    "it is tried again",
                )
            })?;
        }
        Ok(())
    }

    async fn sync_one(&mut self, volume: &Volume, address: &PodAddress) -> Result<()> {
        let place = self.dir.join("volumes").join(&volume.name);
        if let Some(claim) = &volume.persistent_volume_claim {
            if !self.places.contains_key(&volume.name) {
                let real = claim_dir(&self.client, self.namespace(), &claim.claim_name).await?;
                self.places.insert(volume.name.clone(), real);
            }
            return Ok(());
        }
        if volume.empty_dir.is_some() {
            files::make_dir(&place)?;
            self.places.insert(volume.name.clone(), place);
            return Ok(());
        }
        let content = self.content(volume, address).await?;
        if self.published.get(&volume.name) != Some(&content) {
            self.version += 1;
            let version = format!("..{}", self.version);
            atomic_dir::publish(&place, &content, &version)
                .await
                .map_err(Error::io(format!("writing volume {}", volume.name)))?;
            self.published.insert(volume.name.clone(), content);
        }
        self.places.insert(volume.name.clone(), place);
        Ok(())
    }

    async fn content(&mut self, volume: &Volume, address: &PodAddress) -> Result<VolumeFiles> {
        let mut out = VolumeFiles::new();
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let data = self.secret(name, source.optional).await?;
            pick(data, source.items.as_deref(), source.default_mode, source.optional, &mut out)?;
        }
        if let Some(source) = &volume.config_map {
            let data = self.config_map(&source.name, source.optional).await?;
            pick(data, source.items.as_deref(), source.default_mode, source.optional, &mut out)?;
        }
        if let Some(source) = &volume.downward_api {
            self.fields(source.items.as_deref().unwrap_or_default(), source.default_mode, address, &mut out)?;
        }
        if let Some(projected) = &volume.projected {
            let mode = projected.default_mode;
            for source in projected.sources.iter().flatten() {
                if let Some(source) = &source.secret {
                    let data = self.secret(&source.name, source.optional).await?;
                    pick(data, source.items.as_deref(), mode, source.optional, &mut out)?;
                }
                if let Some(source) = &source.config_map {
                    let data = self.config_map(&source.name, source.optional).await?;
                    pick(data, source.items.as_deref(), mode, source.optional, &mut out)?;
                }
                if let Some(source) = &source.downward_api {
                    self.fields(source.items.as_deref().unwrap_or_default(), mode, address, &mut out)?;
                }
                if let Some(source) = &source.service_account_token {
                    let text = self.token(&volume.name, source).await?;
                    out.insert(source.path.clone(), VolumeFile { bytes: text.into_bytes(), mode: 0o600 });
                }
            }
        }
        Ok(out)
    }

    fn fields(
        &self,
        items: &[DownwardAPIVolumeFile],
        mode: Option<i32>,
        address: &PodAddress,
        out: &mut VolumeFiles,
    ) -> Result<()> {
        for item in items {
            let path =
                item.field_ref.as_ref().map(|reference| reference.field_path.as_str()).unwrap_or_default();
            let host = node_address(address.shown().octets()[2]);
            let text = environment::field(&self.pod, path, address.shown(), host)
                .ok_or_else(|| Error::unmet("a known field path", format!("{path:?}"), "use another one"))?;
            let mode = file_mode(item.mode.or(mode));
            out.insert(item.path.clone(), VolumeFile { bytes: text.into_bytes(), mode });
        }
        Ok(())
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, Vec<u8>>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.namespace());
        let found = api.get_opt(name).await.map_err(Error::api(format!("reading Secret {name}")))?;
        match found {
            Some(secret) => {
                Ok(secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
            }
            None if optional == Some(true) => Ok(BTreeMap::new()),
            None => Err(Error::unmet(format!("Secret {name}"), "none", "create it")),
        }
    }

    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, Vec<u8>>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace());
        let found = api.get_opt(name).await.map_err(Error::api(format!("reading ConfigMap {name}")))?;
        match found {
            Some(map) => {
                let texts =
                    map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
                let bytes =
                    map.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
                Ok(texts.chain(bytes).collect())
            }
            None if optional == Some(true) => Ok(BTreeMap::new()),
            None => Err(Error::unmet(format!("ConfigMap {name}"), "none", "create it")),
        }
    }

    /// The pod's own token for an audience, asked for anew when four fifths of its life are over, as kubelets do.
    async fn token(&mut self, volume: &str, source: &ServiceAccountTokenProjection) -> Result<String> {
        let id = (volume.to_owned(), source.path.clone());
        let now = Instant::now();
        if let Some(token) = self.tokens.get(&id).filter(|token| token.renew_at > now) {
            return Ok(token.text.clone());
        }
        let account =
            self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let seconds = source.expiration_seconds.unwrap_or(3600);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: source.audience.clone().into_iter().collect(),
                expiration_seconds: Some(seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: self.pod.metadata.name.clone(),
                    uid: self.pod.metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), self.namespace());
        let answer = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .map_err(Error::api(format!("asking for a token of service account {account}")))?;
        let text = answer.status.map(|status| status.token).unwrap_or_default();
        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(600));
        self.tokens.insert(id, Token { text: text.clone(), renew_at: now + life * 4 / 5 });
        Ok(text)
    }

    /// The mounts of a container, once all volumes are there.
    pub(crate) fn mounts(&self, container: &Container) -> Result<Mounts> {
        let mut mounts = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let place = self.places.get(&mount.name).ok_or_else(|| {
                Error::unmet(
                    format!("a volume {} for {}", mount.name, mount.mount_path),
                    "none",
                    "add it to the pod",
                )
            })?;
            let real = match &mount.sub_path {
                Some(sub) => place.join(sub),
                None => place.clone(),
            };
            if mount.sub_path.is_some() && !real.exists() {
                files::make_dir(&real)?;
            }
            mounts.push((mount.mount_path.clone(), real));
        }
        Ok(Mounts::new(mounts))
    }
}

fn file_mode(mode: Option<i32>) -> u32 {
    mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644)
}

/// Takes the named keys, or all.
fn pick(
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: Option<bool>,
    out: &mut VolumeFiles,
) -> Result<()> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        out.extend(data.into_iter().map(|(key, bytes)| (key, VolumeFile { bytes, mode: file_mode(mode) })));
        return Ok(());
    };
    for item in items {
        match data.remove(&item.key) {
            Some(bytes) => {
                out.insert(item.path.clone(), VolumeFile { bytes, mode: file_mode(item.mode.or(mode)) });
            }
            None if optional == Some(true) => {}
            None => return Err(Error::unmet(format!("the key {}", item.key), "no such key", "add it")),
        }
    }
    Ok(())
}

/// The directory on this machine that a claim is bound to.
pub(crate) async fn claim_dir(client: &kube::Client, namespace: &str, name: &str) -> Result<PathBuf> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let claim = claims.get(name).await.map_err(Error::api(format!("reading claim {namespace}/{name}")))?;
    let volume = claim.spec.and_then(|spec| spec.volume_name).ok_or_else(|| {
        Error::unmet(
            format!("claim {namespace}/{name} bound to a volume"),
            "it is not bound",
            "wait for a pod",
        )
    })?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let found = volumes.get(&volume).await.map_err(Error::api(format!("reading volume {volume}")))?;
    let path = found.spec.and_then(|spec| spec.local).map(|local| PathBuf::from(local.path));
    path.ok_or_else(|| {
        Error::unmet(format!("a local path of volume {volume}"), "another kind", "use the class placet-local")
    })
}
