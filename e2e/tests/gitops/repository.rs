//! A repository as Flux sees one: archives of a directory, served over HTTP on the loopback address.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use placet_e2e::Cluster;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Archives = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A manifest of the sample, moved into another namespace.
pub fn moved(text: &str, ns: &str) -> String {
    text.replace("namespace: support", &format!("namespace: {ns}"))
}

/// The files of the sample's repository in a directory of a scenario, and a server of its archives.
pub struct Repository {
    dir: PathBuf,
    archives: Archives,
    address: String,
    commits: usize,
    revision: String,
    _server: JoinSet<()>,
}

impl Repository {
    /// A copy of the sample's files, in which nobody has signed anything yet.
    pub async fn new(cluster: &Cluster, ns: &str) -> Self {
        let dir = cluster.dir().join("git").join(ns);
        let sample = placet_e2e::placet::repository().join("e2e/samples/gitops/repository");
        for part in ["governance", "workload"] {
            let (from, to) = (sample.join(part), dir.join(part));
            tokio::fs::create_dir_all(&to).await.unwrap();
            let mut files = tokio::fs::read_dir(&from).await.unwrap();
            while let Some(file) = files.next_entry().await.unwrap() {
                let text = tokio::fs::read_to_string(file.path()).await.unwrap();
                tokio::fs::write(to.join(file.file_name()), moved(&text, ns)).await.unwrap();
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let archives = Archives::default();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&archives)));
        Self { dir, archives, address, commits: 0, revision: String::new(), _server: server }
    }

    /// A file's path.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Writes a file.
    pub async fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        tokio::fs::create_dir_all(path.parent().unwrap()).await.unwrap();
        tokio::fs::write(path, text).await.unwrap();
    }

    /// The newest revision.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Packs what is there now. What source-controller says of it.
    pub async fn publish(&mut self, cluster: &Cluster) -> Value {
        self.commits += 1;
        let name = format!("{}.tar.gz", self.commits);
        let archive = self.dir.with_extension(&name);
        let (to, from) = (archive.display().to_string(), self.dir.display().to_string());
        cluster.run("tar", "dana", ["czf", &to, "-C", &from, "."], None).await.unwrap().ok().unwrap();
        let sum = cluster.run("sha256sum", "dana", [&to], None).await.unwrap().ok().unwrap();
        let digest = sum.split_whitespace().next().unwrap();
        let bytes = read(&archive).await;
        self.revision = format!("main@sha1:{}", &digest[..40]);
        let artifact = json!({
            "path": name, "url": format!("http://{}/{name}", self.address), "revision": self.revision,
            "digest": format!("sha256:{digest}"), "size": bytes.len(),
            "lastUpdateTime": placet_e2e::placet::in_seconds(0),
        });
        self.archives.lock().unwrap().insert(format!("/{name}"), bytes);
        artifact
    }
}

async fn read(path: &Path) -> Vec<u8> {
    tokio::fs::read(path).await.unwrap()
}

async fn serve(listener: TcpListener, archives: Archives) {
    let mut answers = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        answers.spawn(answer(stream, Arc::clone(&archives)));
        while answers.try_join_next().is_some() {}
    }
}

/// Answers one GET and closes the connection.
async fn answer(mut stream: TcpStream, archives: Archives) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut more = [0; 1024];
        match stream.read(&mut more).await {
            Ok(count) if count > 0 && request.len() < 16_384 => request.extend_from_slice(&more[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let found = archives.lock().unwrap().get(path).cloned();
    let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever does not read the answer asks again.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}
