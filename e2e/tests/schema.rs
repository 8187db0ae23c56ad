//! What the definitions refuse by themselves, on a real API server and with no operator there: each file of `tests/bad`
//! for the one reason that it names, and the twins in `tests/bad/good` pass.
//!
//! A file's first lines say what is wrong (`# Refused:` the field, `# Because:` the reason). Its last document is the
//! one that is tried, by a dry run of the server; those before it are stored first.
#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::collections::BTreeSet;

use futures::StreamExt as _;
use placet_e2e::placet::repository;
use placet_e2e::{Cluster, SOON, eventually, record_skip, shared_cluster};

const NAMESPACE: &str = "schema";

/// A file: its name, its text, and what its first lines say.
struct File {
    name: String,
    text: String,
}

impl File {
    fn says(&self, prefix: &str) -> Option<&str> {
        self.text.lines().take_while(|line| line.starts_with('#')).find_map(|line| line.strip_prefix(prefix))
    }
}

async fn files(below: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(repository().join("e2e/tests").join(below)).await.unwrap();
    while let Some(entry) = entries.next_entry().await.unwrap() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            found.push(File { name, text: tokio::fs::read_to_string(entry.path()).await.unwrap() });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Stores all documents but the last, tries the last by a dry run of the server, and gives what was said.
async fn tried(cluster: &Cluster, file: &File) -> Result<placet_e2e::Output, String> {
    let documents: Vec<&str> = file.text.split("\n---\n").collect();
    let (last, before) = documents.split_last().unwrap();
    for document in before {
        let apply = ["apply", "-n", NAMESPACE, "-f", "-"];
        let stored = cluster.kubectl_with_input("root-admin", apply, document).await.unwrap();
        stored
            .ok()
            .map_err(|error| format!("{}: what is to be there first is refused: {error}", file.name))?;
    }
    let dry_run = ["apply", "-n", NAMESPACE, "--dry-run=server", "-f", "-"];
    Ok(cluster.kubectl_with_input("root-admin", dry_run, last).await.unwrap())
}

/// What is wrong with the answer to a bad file.
async fn wrongly_taken(cluster: &Cluster, file: &File) -> Option<String> {
    let (Some(refused), Some(because)) = (file.says("# Refused: "), file.says("# Because: ")) else {
        return Some(format!("{}: wanted the lines `# Refused:` and `# Because:`", file.name));
    };
    let said = match tried(cluster, file).await {
        Ok(said) => said,
        Err(error) => return Some(error),
    };
    // Several causes come as a list. What is said of the whole beside a field (`<nil>`: that other rules could not be
    // asked) is no cause of its own.
    let fields = said.stderr.lines().filter_map(|line| line.strip_prefix("* ")?.split_once(": "));
    let causes: BTreeSet<&str> = fields.map(|(field, _)| field).filter(|field| *field != "<nil>").collect();
    let named = said.stderr.lines().any(|line| line.contains(refused) && line.contains(because));
    let right = said.code != 0 && named && causes.len() <= 1;
    (!right).then(|| {
        let Some(said) = Some(said.stderr.trim()).filter(|said| !said.is_empty()) else {
            return format!("{}: it is taken", file.name);
        };
        format!("{}: wanted one cause, {refused}: {because}; found\n{said}", file.name)
    })
}

async fn wrongly_refused(cluster: &Cluster, file: &File) -> Option<String> {
    if file.says("# Accepted: ").is_none() {
        return Some(format!("{}: wanted the line `# Accepted:`", file.name));
    }
    match tried(cluster, file).await {
        Ok(said) if said.code == 0 => None,
        Ok(said) => Some(format!("{}: wanted to be taken, found\n{}", file.name, said.stderr.trim())),
        Err(error) => Some(error),
    }
}

/// A cluster with the definitions and nothing else of ours; None where an operator would add its own words.
async fn definitions() -> Option<&'static Cluster> {
    let cluster = shared_cluster().await.unwrap();
    let webhooks = "validatingwebhookconfigurations/placet-validating";
    if cluster.kubectl("admin", ["get", webhooks]).await.unwrap().code == 0 {
        record_skip(
            "definitions without the operator",
            "Placet is installed on the cluster of E2E_KUBECONFIG",
        );
        return None;
    }
    cluster.install_definitions().await.unwrap();
    cluster.namespace(NAMESPACE, &[]).await.unwrap();
    eventually("the kinds to be served", SOON, async || {
        let all = ["get", "ais,ia,mr,tr,dset,apv,ra,rp,approle,trustedsigners", "-n", NAMESPACE];
        cluster.kubectl("admin", all).await.and_then(placet_e2e::Output::ok).map_err(|e| e.to_string())
    })
    .await
    .unwrap();
    Some(cluster)
}

#[tokio::test]
async fn the_definitions_alone_refuse_what_a_schema_can_say() {
    let Some(cluster) = definitions().await else { return };
    let (bad, good) = (files("bad").await, files("bad/good").await);
    assert!(bad.len() > 100 && good.len() > 8, "{} bad and {} good files", bad.len(), good.len());
    let complaints: Vec<String> = futures::stream::iter(&good)
        .map(|file| wrongly_refused(cluster, file))
        .buffer_unordered(4)
        .filter_map(async |complaint| complaint)
        .collect()
        .await;
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    let complaints: Vec<String> = futures::stream::iter(&bad)
        .map(|file| wrongly_taken(cluster, file))
        .buffer_unordered(4)
        .filter_map(async |complaint| complaint)
        .collect()
        .await;
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), bad.len(), complaints.join("\n\n"));
}
