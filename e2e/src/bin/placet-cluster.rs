//! Starts and stops a real Kubernetes control plane on this machine, for looking around, demo and tests.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use placet_e2e::{Cluster, Component, Config, Did, Options, PEOPLE, Toolchain};
use tracing_subscriber::EnvFilter;

#[path = "placet-cluster/selftest.rs"]
mod selftest;

/// A real Kubernetes control plane on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Do,
}

#[derive(Subcommand)]
enum Do {
    /// Build what is missing, start a cluster, print how to use and how to stop it.
    Up {
        #[command(flatten)]
        place: Place,
        /// Give the terminal back; stop it with `down`.
        #[arg(long)]
        detach: bool,
        /// Leave the directory when the cluster stops; `up` with the same directory goes on from there.
        #[arg(long)]
        keep: bool,
        /// Nodes to simulate.
        #[arg(long, default_value_t = 2)]
        nodes: usize,
        /// Run BINARY for images that start with PREFIX, on the node that is ours. Our own binaries beside this one are
        /// known already.
        #[arg(long = "image", value_name = "PREFIX=BINARY")]
        images: Vec<String>,
    },
    /// Stop a detached cluster.
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Show what runs.
    Status {
        #[command(flatten)]
        place: Place,
    },
    /// Kill a component (SIGKILL) and leave it dead.
    Kill {
        /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok.
        component: Component,
        #[command(flatten)]
        place: Place,
    },
    /// Start a component that is dead.
    Start {
        /// As for `kill`.
        component: Component,
        #[command(flatten)]
        place: Place,
    },
    /// Build the control plane's binaries and print where they are.
    Build,
    /// The supervisor of one cluster.
    #[command(hide = true)]
    Serve { dir: PathBuf },
    /// Remove a directory when standard input ends.
    #[command(hide = true)]
    Reap { dir: PathBuf },
    /// Become another program that ends with its parent.
    #[command(hide = true)]
    ExecGuarded {
        parent: i32,
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// A small server that tests run as a pod.
    #[command(hide = true)]
    SelftestServer(selftest::Server),
}

#[derive(clap::Args)]
struct Place {
    /// The cluster's directory.
    #[arg(long, default_value = "target/cluster")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Do::ExecGuarded { parent, program, arguments } = &arguments.command {
        // Returns only when the program could not be started.
        eprintln!("{}", placet_e2e::exec_guarded(*parent, program, arguments));
        return ExitCode::from(127);
    }
    let filter = EnvFilter::try_from_env("PLACET_CLUSTER_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("placet-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(command: Do) -> Result<()> {
    match command {
        Do::Up { place, detach, keep, nodes, images } => up(place.dir, detach, keep, nodes, &images).await,
        Do::Down { place } => {
            Cluster::join(&place.dir)?.shut_down().await?;
            println!("stopped");
            Ok(())
        }
        Do::Status { place } => {
            let cluster = Cluster::join(&place.dir)?;
            for line in cluster.status().await? {
                println!("{line}");
            }
            Ok(())
        }
        Do::Kill { component, place } => done(Cluster::join(&place.dir)?.kill(component).await?),
        Do::Start { component, place } => done(Cluster::join(&place.dir)?.start_component(component).await?),
        Do::Build => {
            println!("{}", Toolchain::ensure().await?.dir().display());
            Ok(())
        }
        Do::Serve { dir } => {
            let path = dir.join("config.json");
            let text = tokio::fs::read_to_string(&path)
                .await
                .with_context(|| format!("reading {}", path.display()))?;
            let config: Config =
                serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
            Ok(placet_e2e::serve(config).await?)
        }
        Do::Reap { dir } => Ok(placet_e2e::reap(&dir)?),
        Do::SelftestServer(server) => server.run().await,
        Do::ExecGuarded { .. } => bail!("exec-guarded is served before"),
    }
}

fn done(did: Did) -> Result<()> {
    match did {
        Did::Done => Ok(()),
        Did::Skipped => bail!("not possible on this cluster"),
    }
}

async fn up(dir: PathBuf, detach: bool, keep: bool, nodes: usize, images: &[String]) -> Result<()> {
    let mut all = placet_e2e::own_images();
    for image in images {
        let (prefix, binary) =
            image.split_once('=').with_context(|| format!("--image {image}: no `=` in it"))?;
        let binary = std::path::absolute(binary)?;
        if !binary.is_file() {
            bail!("--image {image}: there is no file {}", binary.display());
        }
        all.insert(0, (prefix.to_owned(), binary));
    }
    let options =
        Options { nodes, images: all, dir: Some(dir.clone()), keep, progress: true, own_mounts: false };
    let cluster =
        if detach { Cluster::start_detached(options).await? } else { Cluster::start(options).await? };
    let admin = cluster.kubeconfig("root-admin")?;
    println!();
    println!("  export KUBECONFIG={}", admin.display());
    println!("  {} get nodes", cluster.tools().binary("kubectl").display());
    println!();
    println!("Other people's kubeconfigs lie beside it:");
    for person in PEOPLE {
        println!("  {:<12} {}{}", person.name, person.title, groups(person.groups));
    }
    println!();
    if detach {
        println!("It runs until: placet-cluster down --dir {}", dir.display());
        return Ok(());
    }
    println!("It runs until Ctrl-C.");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    eprintln!("stopping");
    Ok(cluster.shut_down().await?)
}

fn groups(groups: &[&str]) -> String {
    if groups.is_empty() { String::new() } else { format!(" ({})", groups.join(", ")) }
}
