//! The log's volume: full, mounted read-only, not there. What is governed is refused, everything else goes on, and so
//! does Placet once the volume is as it should be: nobody has to start anything.

use std::path::{Path, PathBuf};

use placet_e2e::placet::{INSTALLED_IN, Lending, RELEASE};
use placet_e2e::{Cluster, Did, Mount, Output, PodSignal, SOON, eventually};

use super::alone;
use super::common::{holds, refused};
use super::evidence::{answered, copy, line, log_dir, whole};

/// The size of the small volume: room for the write-ahead log, and a fifth of it is more than the reserve of 64 MiB that
/// stays free.
const VOLUME: u64 = 400 << 20;

/// What is left of it when it is nearly full: less than a fifth, and more than the reserve.
const NEARLY: u64 = 72 << 20;

/// What is left of it when it is full: below the reserve.
const LEFT: u64 = 24 << 20;

/// A file that takes the room of a volume until it is dropped.
struct Filler(PathBuf);

impl Filler {
    #[expect(clippy::disallowed_methods, reason = "a test makes a volume")]
    fn leaving(dir: &Path, left: u64) -> Self {
        let space = rustix::fs::statvfs(dir).unwrap();
        let size = (space.f_bavail * space.f_frsize).checked_sub(left).unwrap();
        let this = Self(dir.join("filler"));
        let file = std::fs::File::create(&this.0).unwrap();
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
        this
    }
}

impl Drop for Filler {
    #[expect(clippy::disallowed_methods, reason = "a test removes what it made")]
    fn drop(&mut self) {
        // Also when the scenario fails: the next one needs the volume.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Somebody starts a pod of the release, which is cleared.
async fn start(lending: &Lending<'_>, name: &str) -> Output {
    lending.apply("dana", &lending.pod(name, RELEASE).to_string()).await.unwrap()
}

/// The same until it is admitted, which takes nobody but the operator.
async fn starts(lending: &Lending<'_>, name: &str) {
    eventually(&format!("the pod {name} to be admitted"), SOON, async || {
        start(lending, name).await.ok().map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
}

/// What the pod of the operator says about itself, until it holds the text.
async fn says(cluster: &Cluster, args: &[&str], wanted: &str) -> String {
    eventually(&format!("{wanted:?} of the operator's pod"), SOON * 2, async || {
        let found = cluster.kubectl("admin", [&["-n", INSTALLED_IN][..], args].concat()).await;
        let found = found.and_then(Output::ok).map_err(|error| error.to_string())?;
        if found.contains(wanted) { Ok(found) } else { Err(found) }
    })
    .await
    .unwrap()
}

/// Why the operator ended the last time.
const LAST_END: [&str; 4] =
    ["get", "pod/placet-0", "-o", "jsonpath={.status.containerStatuses[0].lastState.terminated.message}"];

/// Whatever was answered in these namespaces is in the log. The operator is away.
async fn nothing_is_lost(cluster: &Cluster, namespaces: &[&str]) {
    let tail = whole(cluster).await;
    for ns in namespaces {
        let answered = answered(cluster, ns).await;
        assert!(!answered.is_empty(), "no answer in {ns} names a record");
        for (index, name) in answered {
            let line = line(&tail, index);
            assert!(line.contains(&format!("{ns}/")), "record {index} about {name}: {line:?}");
        }
    }
}

#[tokio::test]
async fn a_full_volume_stops_only_what_is_governed_until_there_is_room() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "full", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    let watching = Lending::open(cluster, "full-warn", Some("warn")).await.unwrap();
    let dir = log_dir(cluster).await;
    let aside = dir.with_file_name("aside");
    cluster.placet_away().await.unwrap();
    tokio::fs::rename(&dir, &aside).await.unwrap();
    tokio::fs::create_dir(&dir).await.unwrap();
    let Some(mount) = Mount::small(cluster, &dir, VOLUME).await.unwrap() else {
        tokio::fs::remove_dir(&dir).await.unwrap();
        tokio::fs::rename(&aside, &dir).await.unwrap();
        cluster.placet_back().await.unwrap();
        return;
    };
    let inside = mount.inside();
    copy(&aside, &inside).await;
    cluster.placet_back().await.unwrap();
    starts(&lending, "before").await;

    // It is nearly full: told while everything goes on, and taken back when there is room.
    let space = "{.status.conditions[?(@.type=='EvidenceSpace')].reason}";
    cluster.becomes("", "releasepolicy/high-risk", space, "Room").await.unwrap();
    let filler = Filler::leaving(&inside, NEARLY);
    cluster.becomes("", "releasepolicy/high-risk", space, "VolumeNearlyFull").await.unwrap();
    let told = "{.status.conditions[?(@.type=='EvidenceSpace')].message}";
    let told = cluster.field("", "releasepolicy/high-risk", told).await.unwrap();
    holds(&told, &["more than 80 % full", "enlarge it"]);
    starts(&lending, "nearly").await;
    drop(filler);
    cluster.becomes("", "releasepolicy/high-risk", space, "Room").await.unwrap();

    // It fills up while the operator runs.
    let filler = Filler::leaving(&inside, LEFT);
    let mut tried = 0;
    let refusal = eventually("a refusal of a cleared pod", SOON, async || {
        tried += 1;
        let output = start(&lending, &format!("tried-{tried}")).await;
        if output.code == 0 { Err("it was admitted".to_owned()) } else { Ok(output) }
    })
    .await
    .unwrap();
    // By the operator itself, or once it is no longer ready by the API server for it.
    let told = refused(&refusal);
    assert!(
        told.contains("the evidence log's volume is full") || told.contains("failed calling webhook"),
        "{told}"
    );
    says(
        cluster,
        &["get", "events", "--field-selector=reason=Unhealthy", "-o", "jsonpath={.items[*].message}"],
        "its volume is full",
    )
    .await;
    let ready = "{.status.conditions[?(@.type=='Ready')].status}";
    cluster.becomes(INSTALLED_IN, "pod/placet-0", ready, "False").await.unwrap();
    let writable = "{.status.conditions[?(@.type=='EvidenceWritable')].reason}";
    cluster.becomes("", "releasepolicy/high-risk", writable, "VolumeFull").await.unwrap();
    // Where it is only watched, everything goes on.
    watching.apply("dana", &watching.manifest("deployment-v2").unwrap()).await.unwrap().ok().unwrap();
    watching.running(1).await.unwrap();
    // Room again: it goes on as it is.
    drop(filler);
    cluster.placet_ready().await.unwrap();
    starts(&lending, "between").await;
    cluster.becomes("", "releasepolicy/high-risk", writable, "Writable").await.unwrap();
    let restarts = "{.status.containerStatuses[0].restartCount}";
    assert_eq!(cluster.field(INSTALLED_IN, "pod/placet-0", restarts).await.unwrap(), "0");

    // It is full when the operator starts.
    let filler = Filler::leaving(&inside, LEFT);
    assert_eq!(cluster.signal_pod(INSTALLED_IN, "placet-0", None, PodSignal::Kill).await.unwrap(), Did::Done);
    says(cluster, &LAST_END, "the evidence log's volume is full; make it larger").await;
    let refusal = start(&lending, "refused").await;
    holds(refused(&refusal), &["failed calling webhook"]);
    drop(filler);
    cluster.placet_ready().await.unwrap();
    starts(&lending, "after").await;

    cluster.placet_away().await.unwrap();
    // Back to the volume that it had.
    tokio::fs::remove_dir_all(&aside).await.unwrap();
    copy(&inside, &aside).await;
    mount.end().await.unwrap();
    tokio::fs::remove_dir(&dir).await.unwrap();
    tokio::fs::rename(&aside, &dir).await.unwrap();
    nothing_is_lost(cluster, &["full"]).await;
    cluster.placet_back().await.unwrap();
}

#[tokio::test]
async fn a_volume_that_is_read_only_or_missing_is_told_and_waited_for() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "unmounted", Some("deny")).await.unwrap();
    lending.clear().await.unwrap();
    let dir = log_dir(cluster).await;
    let scale = ["scale", "-n", INSTALLED_IN, "statefulset/placet", "--replicas=1"];

    // Mounted read-only.
    cluster.placet_away().await.unwrap();
    if let Some(mount) = Mount::read_only(cluster, &dir).await.unwrap() {
        cluster.kubectl("root-admin", scale).await.unwrap().ok().unwrap();
        let told = says(cluster, &LAST_END, "Read-only file system").await;
        holds(&told, &["the evidence log's volume"]);
        holds(refused(&start(&lending, "refused").await), &["failed calling webhook"]);
        mount.end().await.unwrap();
    }
    cluster.placet_back().await.unwrap();
    starts(&lending, "writable").await;

    // Gone while the operator runs: what it answers for is still written, then it ends, and does not begin anew.
    let elsewhere = dir.with_file_name("elsewhere");
    tokio::fs::rename(&dir, &elsewhere).await.unwrap();
    let mut tried = 0;
    eventually("a refusal without the log's directory", SOON, async || {
        tried += 1;
        let output = start(&lending, &format!("tried-{tried}")).await;
        if output.code == 0 { Err("it was admitted".to_owned()) } else { Ok(output) }
    })
    .await
    .unwrap();
    let told = says(cluster, &LAST_END, "the volume holds no log").await;
    holds(&told, &["mount the right volume", "placet evidence begin --because"]);
    assert!(!dir.exists(), "a new log was begun in {}", dir.display());
    // There again: it goes on by itself.
    tokio::fs::rename(&elsewhere, &dir).await.unwrap();
    cluster.placet_ready().await.unwrap();
    starts(&lending, "found").await;
    cluster.placet_away().await.unwrap();
    nothing_is_lost(cluster, &["unmounted"]).await;
    cluster.placet_back().await.unwrap();
}
