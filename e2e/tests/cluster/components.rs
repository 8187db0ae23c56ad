//! Components that die, and what is left of a cluster whose owner does.

use std::path::Path;
use std::time::Duration;

use placet_e2e::{Cluster, Component, Did, Options, SOON, eventually};
use serde_json::{Value, json};

use super::left::{nothing_left, processes_of};
use super::{get, on_our_node, pod, server};

#[tokio::test]
async fn components_die_and_come_back() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster
        .apply(
            "root-admin",
            &[json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kept" } })],
        )
        .await
        .unwrap();
    assert_eq!(cluster.kill(Component::ApiServer).await.unwrap(), Did::Done);
    assert!(get(&cluster, &["get", "configmap/kept"]).await.is_err());
    assert_eq!(cluster.start_component(Component::ApiServer).await.unwrap(), Did::Done);
    get(&cluster, &["get", "configmap/kept"]).await.unwrap();

    get(&cluster, &["create", "deployment", "soon", "--image=registry.example/x"]).await.unwrap();
    get(&cluster, &["rollout", "status", "deployment/soon", "--timeout=60s"]).await.unwrap();
    get(&cluster, &["delete", "deployment/soon"]).await.unwrap();

    assert_eq!(cluster.kill(Component::Etcd).await.unwrap(), Did::Done);
    assert_eq!(cluster.start_component(Component::Etcd).await.unwrap(), Did::Done);
    eventually("the API server after etcd came back", SOON, async || {
        get(&cluster, &["get", "configmap/kept"]).await
    })
    .await
    .unwrap();

    assert_eq!(cluster.kill(Component::ControllerManager).await.unwrap(), Did::Done);
    get(&cluster, &["create", "deployment", "later", "--image=registry.example/x"]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(get(&cluster, &["get", "pods", "-l", "app=later", "-o", "name"]).await.unwrap(), "");
    assert_eq!(cluster.start_component(Component::ControllerManager).await.unwrap(), Did::Done);
    get(&cluster, &["rollout", "status", "deployment/later", "--timeout=180s"]).await.unwrap();

    // Without a scheduler pods have no node, and without the simulator none of them starts.
    for (component, label, placed) in
        [(Component::Scheduler, "placed", false), (Component::Kwok, "started", true)]
    {
        assert_eq!(cluster.kill(component).await.unwrap(), Did::Done);
        get(&cluster, &["create", "deployment", label, "--image=registry.example/x"]).await.unwrap();
        let selector = format!("app={label}");
        let shown = "jsonpath={.items[*].status.phase} {.items[*].spec.nodeName}";
        let pod = ["get", "pods", "-l", &selector, "-o", shown];
        eventually("a pod that waits", SOON, async || {
            let found = get(&cluster, &pod).await?;
            let found = found.split_once(' ').map(|(phase, node)| (phase.to_owned(), !node.is_empty()));
            let wanted = ("Pending".to_owned(), placed);
            if found == Some(wanted) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
        .unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(get(&cluster, &pod).await.unwrap().starts_with("Pending"));
        assert_eq!(cluster.start_component(component).await.unwrap(), Did::Done);
        let status = format!("deployment/{label}");
        get(&cluster, &["rollout", "status", &status, "--timeout=180s"]).await.unwrap();
    }
    let dir = cluster.dir().to_path_buf();
    cluster.shut_down().await.unwrap();
    assert!(!dir.exists());
    assert_eq!(processes_of(&dir), Vec::<String>::new());
}

/// The process id of a component.
async fn pid_of(cluster: &Cluster, component: Component) -> Result<i32, String> {
    let lines = cluster.status().await.map_err(|error| error.to_string())?;
    let line = lines.into_iter().find(|line| line.starts_with(component.name())).unwrap();
    let pid = line.split_once("process ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
    pid.ok_or(line)
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_cluster_mends_itself() {
    // Its binaries come from a directory that goes away, as when they are built anew.
    let built = std::env::temp_dir().join(format!("placet-built-{}", std::process::id()));
    tokio::fs::create_dir_all(&built).await.unwrap();
    let binary = built.join("placet-cluster");
    tokio::fs::copy(env!("CARGO_BIN_EXE_placet-cluster"), &binary).await.unwrap();
    let images = vec![("placet.dev/placet-cluster".to_owned(), binary)];
    let cluster = Cluster::start(Options { images, ..Options::default() }).await.unwrap();
    tokio::fs::remove_dir_all(&built).await.unwrap();
    let spec = on_our_node(&json!([server(&[])]), &json!({}));
    cluster.apply("root-admin", &[pod("default", "server", &spec)]).await.unwrap();
    let ready = "{.status.conditions[?(@.type=='Ready')].status}";
    cluster.becomes("default", "pod/server", ready, "True").await.unwrap();

    // What the controller manager writes of a node whose lease it did not see renewed while the API server was away.
    for (object, status) in [("node/placet-node", "Unknown"), ("pod/server", "False")] {
        let conditions = json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
        let args = ["patch", object, "--subresource=status", "-p", &conditions.to_string()];
        get(&cluster, &args).await.unwrap();
        cluster.becomes("default", object, ready, "True").await.unwrap();
    }
    get(&cluster, &["delete", "node/placet-node", "--wait=false"]).await.unwrap();
    eventually("our node to be registered again", SOON, async || {
        cluster.field("", "node/placet-node", ready).await.and_then(|found| match found.as_str() {
            "True" => Ok(()),
            _ => Err(found),
        })
    })
    .await
    .unwrap();

    // A component that ends by itself is started again, each time, and works.
    let mut before = pid_of(&cluster, Component::ControllerManager).await.unwrap();
    for _ in 0..2 {
        kill(before);
        before = eventually("another controller manager", SOON, async || {
            let pid = pid_of(&cluster, Component::ControllerManager).await?;
            if pid == before { Err("the same one".to_owned()) } else { Ok(pid) }
        })
        .await
        .unwrap();
    }
    get(&cluster, &["create", "deployment", "works", "--image=registry.example/x"]).await.unwrap();
    get(&cluster, &["rollout", "status", "deployment/works", "--timeout=180s"]).await.unwrap();

    // One that waits for its turn when the API server comes back runs once that has.
    assert_eq!(cluster.kill(Component::ApiServer).await.unwrap(), Did::Done);
    kill(before);
    assert_eq!(cluster.start_component(Component::ApiServer).await.unwrap(), Did::Done);
    pid_of(&cluster, Component::ControllerManager).await.unwrap();
    cluster.shut_down().await.unwrap();
}

/// Says to this test that it is the process that is killed, and where to write what it started.
const VICTIM: &str = "PLACET_E2E_VICTIM";

#[tokio::test]
async fn nothing_stays_of_a_test_that_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "this test runs itself in another process and kills that")]
    let victim = std::env::var(VICTIM).ok();
    if let Some(file) = victim {
        let options = Options { nodes: 1, own_mounts: true, ..Options::default() };
        let cluster = Cluster::start(options).await.unwrap();
        // A volume of a scenario is mounted below it.
        let volume = cluster.dir().join("volumes/mounted");
        tokio::fs::create_dir_all(&volume).await.unwrap();
        let _mounted = placet_e2e::Mount::small(&cluster, &volume, 1 << 20).await.unwrap();
        tokio::fs::write(file, cluster.dir().to_str().unwrap()).await.unwrap();
        let kubeconfig = cluster.kubeconfig("admin").unwrap();
        let named = format!("--kubeconfig={}", kubeconfig.display());
        // It never ends by itself.
        cluster.kubectl("admin", ["get", "events", "-A", "--watch", &named]).await.unwrap();
        unreachable!("the watch ended before the process");
    }
    let file = std::env::temp_dir().join(format!("placet-victim-{}", std::process::id()));
    let mut running = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "components::nothing_stays_of_a_test_that_is_killed"])
        .env(VICTIM, &file)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let dir = eventually("the other process's cluster", Duration::from_secs(120), async || {
        let dir = tokio::fs::read_to_string(&file).await.map_err(|error| error.to_string())?;
        let left = processes_of(Path::new(&dir));
        let asks = left.iter().any(|line| line.contains("--watch"));
        if asks { Ok(std::path::PathBuf::from(dir)) } else { Err(left.join("\n")) }
    })
    .await
    .unwrap();
    tokio::fs::remove_file(&file).await.unwrap();
    let mounts = tokio::fs::read_to_string("/proc/self/mountinfo").await.unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()), "a mount is seen outside of the cluster:\n{mounts}");
    running.kill().await.unwrap();
    nothing_left(&dir, Duration::from_secs(10)).await;
    eventually("the directory to go", Duration::from_secs(10), async || {
        if dir.exists() { Err("it is there".into()) } else { Ok(()) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nothing_stays_when_the_owner_or_the_supervisor_is_killed() {
    let dir = std::env::temp_dir().join(format!("placet-e2e-killed-{}", std::process::id()));
    let up = || placet_cluster(&["up", "--nodes=1", "--dir"], &dir).kill_on_drop(true).spawn().unwrap();
    let ready = async || {
        eventually("a running cluster", Duration::from_secs(90), async || {
            if dir.join("cluster.json").exists() { Ok(()) } else { Err("none".into()) }
        })
        .await
        .unwrap();
        let cluster = Cluster::join(&dir).unwrap();
        let spec = on_our_node(&json!([server(&[])]), &json!({}));
        cluster.apply("root-admin", &[pod("default", "server", &spec)]).await.unwrap();
        cluster
            .becomes("default", "pod/server", "{.status.conditions[?(@.type=='Ready')].status}", "True")
            .await
            .unwrap();
        assert!(processes_of(&dir).len() >= 7, "{:?}", processes_of(&dir));
    };

    // The owner: kill -9 of the process that holds the pipe.
    let mut owner = up();
    ready().await;
    owner.kill().await.unwrap();
    nothing_left(&dir, Duration::from_secs(10)).await;
    eventually("the directory to go", Duration::from_secs(10), async || {
        if dir.exists() { Err("it is there".into()) } else { Ok(()) }
    })
    .await
    .unwrap();

    // The supervisor: the kernel ends its children, and the next cluster removes the directory.
    let mut owner = up();
    ready().await;
    let state: Value =
        serde_json::from_slice(&tokio::fs::read(dir.join("cluster.json")).await.unwrap()).unwrap();
    let supervisor = i32::try_from(state["supervisor"].as_i64().unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(supervisor).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    owner.kill().await.unwrap();
    nothing_left(&dir, Duration::from_secs(5)).await;
    assert!(dir.exists());
    up_says_how_to_use_it_and_how_to_stop().await;
    assert!(!dir.exists());
}

/// `placet-cluster` with a cluster's directory as its last argument.
fn placet_cluster(args: &[&str], dir: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_placet-cluster"));
    command.args(args).arg(dir).stdout(std::process::Stdio::null());
    command
}

/// Types what `placet-cluster up` says.
async fn up_says_how_to_use_it_and_how_to_stop() {
    let dir = std::env::temp_dir().join(format!("placet-e2e-up-{}", std::process::id()));
    let up = ["up", "--detach", "--nodes=1", "--dir"];
    let told = placet_cluster(&up, &dir).stdout(std::process::Stdio::piped()).output().await.unwrap();
    let said = String::from_utf8(told.stdout).unwrap();
    let typed = async |commands: &str| {
        let binary = Path::new(env!("CARGO_BIN_EXE_placet-cluster"));
        let shell = tokio::process::Command::new("sh")
            .args(["-euc", &format!("PATH=\"{}:$PATH\"\n{commands}", binary.parent().unwrap().display())])
            .output();
        let ended = shell.await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        if ended.status.success() { Ok(out.into_owned()) } else { Err(format!("{out}{err}")) }
    };
    let use_it: Vec<&str> = said.lines().skip(1).map_while(|line| line.strip_prefix("  ")).collect();
    let nodes = typed(&use_it.join("\n")).await;
    let dana = use_it[0].replace("root-admin", "dana");
    let secrets =
        typed(&format!("{dana}\n{} get secrets -A", use_it[1].trim_end_matches(" get nodes"))).await;
    let stop = said.lines().find_map(|line| line.strip_prefix("It runs until: ")).unwrap_or("false");
    let stopped = typed(stop).await;
    if stopped.is_err() {
        Cluster::join(&dir).unwrap().shut_down().await.unwrap();
    }
    assert_eq!(stopped.as_deref(), Ok("stopped\n"), "{said}");
    nothing_left(&dir, Duration::from_secs(10)).await;
    let nodes = nodes.unwrap_or_else(|error| panic!("{error}\nafter:\n{said}"));
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 2, "{nodes}");
    // Other people's lie beside it.
    assert!(
        said.contains("dana ") && secrets.is_err_and(|why| why.contains("User \"dana\" cannot list")),
        "{said}"
    );
    let again = placet_cluster(&["down", "--dir"], &dir).output().await.unwrap();
    assert_eq!(again.status.code(), Some(1), "a cluster that is gone is not stopped again");
}
