//! Reading the log over TLS: `/evidence/…`, for auditors and the command line.
//!
//! Who may read is decided by RBAC alone: whoever can read the Secret `<release>-read-log` sends its value in the
//! header `X-Placet-Reader`; the openings, which hold names and comments of people, need the value of
//! `<release>-read-names` in `X-Placet-Names` as well. Both are the base64 text that `kubectl get secret` shows.
//!
//! Files are given as they lie in the log's directory, under the same names (C2SP tlog-tiles), so that a reader's source
//! is this address with a path behind it:
//!
//! | path | what |
//! |---|---|
//! | `/evidence/checkpoint` | the signed checkpoint |
//! | `/evidence/tile/<level>/<index>[.p/<width>]`, `/evidence/tile/entries/…` | tiles and records |
//! | `/evidence/objects/<aa>/<hex>` | what records cite |
//! | `/evidence/openings/<index>` | values of people of 256 records |
//! | `/evidence/key` | the log's public key; pin one that came another way |
//! | `/evidence/head` | size and root of what is durable, published or not, as JSON |
//!
//! A path is parsed into what it names and written anew before a file is opened: none leads outside.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, StatusCode, header};
use placet_evidence::source::{object_path, openings_path};
use placet_evidence::tile::{TilePath, parse_index_path};
use placet_evidence::{Digest, Log, untrusted};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::infra::secrets::SecretKey;
use crate::infra::token;

/// The header that carries the token for the log.
pub const READER_HEADER: &str = "x-placet-reader";
/// The header that carries the token for names.
pub const NAMES_HEADER: &str = "x-placet-names";

/// The largest file that is given, in bytes: a full bundle has 256 entries of at most 65,537 bytes each, 16 MiB;
/// openings of 256 records and single objects stay below that by the limits of the log.
const MAX_FILE: u64 = 32 << 20;
/// Bytes read and sent at a time: what a slow reader costs in memory.
const CHUNK: u64 = 256 << 10;

/// A token and the Secret that holds it.
#[derive(Debug, Clone)]
pub struct Token {
    token: token::Token,
    secret: String,
}

impl Token {
    /// The token in `key`, the value of the Secret `secret` in the operator's namespace.
    pub fn new(key: &SecretKey, secret: &str) -> Self {
        Self { token: token::Token::new(key.bytes()), secret: secret.to_owned() }
    }

    /// Whether the header holds this token.
    fn allows(&self, headers: &HeaderMap, name: &str) -> bool {
        let sent = headers.get(name).and_then(|value| BASE64.decode(value.as_bytes()).ok());
        sent.is_some_and(|sent| self.token.matches(&sent))
    }

    /// The answer to somebody who did not send it.
    fn wanted(&self, header: &str, what: &str) -> Response {
        let message = format!(
            "reading {what} needs the header {header} with the value of Secret {0}: kubectl get secret {0} --namespace \
             <the operator's namespace> -o jsonpath='{{.data.key}}'; whether you may read it is decided by RBAC; the \
             command `placet evidence` does this by itself",
            self.secret
        );
        refuse(StatusCode::UNAUTHORIZED, &message)
    }
}

/// The tokens of those who may read.
#[derive(Debug, Clone)]
pub struct Readers {
    /// For the log.
    pub log: Token,
    /// For names and other openings.
    pub names: Token,
}

#[derive(Debug)]
struct Evidence {
    dir: PathBuf,
    log: Arc<Log>,
    readers: Readers,
}

/// The routes below `/evidence/`, for the log that lies in `dir`.
pub fn evidence_router(dir: PathBuf, log: Arc<Log>, readers: Readers) -> Router {
    let evidence = Arc::new(Evidence { dir, log, readers });
    Router::new()
        .route("/evidence/checkpoint", get(checkpoint))
        .route("/evidence/key", get(key))
        .route("/evidence/head", get(head))
        .route("/evidence/tile/{*path}", get(tile))
        .route("/evidence/objects/{prefix}/{hex}", get(object))
        .route("/evidence/openings/{*index}", get(openings))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&evidence), guard))
        .with_state(evidence)
}

async fn guard(State(evidence): State<Arc<Evidence>>, request: Request, next: Next) -> Response {
    let log = &evidence.readers.log;
    if log.allows(request.headers(), READER_HEADER) {
        next.run(request).await
    } else {
        log.wanted("X-Placet-Reader", "the evidence log")
    }
}

async fn checkpoint(State(evidence): State<Arc<Evidence>>) -> Response {
    file(&evidence, "checkpoint".to_owned(), Kind::Text).await
}

async fn key(State(evidence): State<Arc<Evidence>>) -> Response {
    (typed(Kind::Text), format!("{}\n", evidence.log.verifier())).into_response()
}

async fn head(State(evidence): State<Arc<Evidence>>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(evidence.log.head())).into_response()
}

async fn tile(State(evidence): State<Arc<Evidence>>, Path(path): Path<String>) -> Response {
    match format!("tile/{path}").parse::<TilePath>() {
        Ok(tile) => file(&evidence, tile.to_string(), Kind::Fixed).await,
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn object(
    State(evidence): State<Arc<Evidence>>,
    Path((prefix, hex)): Path<(String, String)>,
) -> Response {
    match format!("sha256:{hex}").parse::<Digest>() {
        Ok(digest) if hex.starts_with(&prefix) && prefix.len() == 2 => {
            file(&evidence, object_path(&digest), Kind::Fixed).await
        }
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "wanted objects/<aa>/<hex>, 64 lower-case hex digits behind a directory with the first two of them",
        ),
    }
}

async fn openings(
    State(evidence): State<Arc<Evidence>>,
    Path(index): Path<String>,
    headers: HeaderMap,
) -> Response {
    let names = &evidence.readers.names;
    if !names.allows(&headers, NAMES_HEADER) {
        return names.wanted("X-Placet-Names", "names and comments of people");
    }
    match parse_index_path(&index) {
        Some(bundle) => file(&evidence, openings_path(bundle), Kind::Personal).await,
        None => refuse(
            StatusCode::BAD_REQUEST,
            "wanted openings/<index of the bundle in groups of three digits>, for example 067 or x001/x234/067",
        ),
    }
}

/// What a file is to caches and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text that changes.
    Text,
    /// Bytes that never change under their name.
    Fixed,
    /// Values of people, which may be erased.
    Personal,
}

/// Nothing is stored by caches on the way: the next one to ask may not be allowed to read.
fn typed(kind: Kind) -> [(header::HeaderName, &'static str); 2] {
    let content = if kind == Kind::Text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    [(header::CONTENT_TYPE, content), (header::CACHE_CONTROL, "no-store")]
}

fn refuse(code: StatusCode, message: &str) -> Response {
    (code, axum::Json(json!({"error": message}))).into_response()
}

/// A file of the log, sent in chunks. `path` was written by us from what was parsed.
async fn file(evidence: &Evidence, path: String, kind: Kind) -> Response {
    let (root, below) = (evidence.dir.clone(), path.clone());
    let opened = spawn_blocking(move || {
        // Whoever can write to the volume must not have us read to others what lies elsewhere.
        let (mut file, length) = untrusted::open(&root, &below, MAX_FILE)?;
        let first = chunk(&mut file, length)?;
        Ok((file, length, first))
    })
    .await;
    let (rest, length, first) = match opened.map_err(io::Error::other).and_then(|result| result) {
        Ok(opened) => opened,
        Err(error) => return unread(&path, &error),
    };
    let left = length - first.len() as u64;
    let chunks =
        futures::stream::try_unfold((rest, left, Some(first)), |(mut file, left, ready)| async move {
            if let Some(ready) = ready {
                return Ok(Some((ready, (file, left, None))));
            }
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let read = spawn_blocking(move || chunk(&mut file, left).map(|bytes| (bytes, file)));
            let (bytes, file) = read.await.map_err(io::Error::other)??;
            let left = left - bytes.len() as u64;
            Ok(Some((bytes, (file, left, None))))
        });
    (typed(kind), [(header::CONTENT_LENGTH, length.to_string())], Body::from_stream(chunks)).into_response()
}

/// The next bytes of a file of which `left` are still to come. A file that is shorter than it was is an error, which
/// breaks the connection off: the reader must not take a part for the whole.
fn chunk(file: &mut File, left: u64) -> io::Result<Bytes> {
    let wanted = left.min(CHUNK);
    let mut bytes = Vec::new();
    file.by_ref().take(wanted).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == wanted { Ok(bytes.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn unread(path: &str, error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            let message = format!(
                "{path} is not there; a partial tile goes when its log grows: read the checkpoint again, then the \
                 tiles of its size"
            );
            refuse(StatusCode::NOT_FOUND, &message)
        }
        _ => {
            tracing::warn!(path, %error, "a file of the log could not be read for a reader");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("{path}: {error}"))
        }
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
