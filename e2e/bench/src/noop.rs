//! The baselines: webhooks behind the same server that parse nothing and allow everything. One answers at once; the
//! other when as many bytes as a record has are durable, which nobody who records before answering can beat on the same
//! disk.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{StatusCode, header};
use tokio::sync::oneshot;

use crate::appends::LEAF;

/// Room of the file that the durable one writes into, over and over.
const ROOM: usize = 64 << 20;

/// Answers every path. The request is read to its end, as any webhook must; of it only the uid is copied, which the API
/// server wants back.
pub fn router() -> Router {
    Router::new().fallback(any(async |body: Bytes| allow(&body)))
}

/// As [`router`], and each answer waits until the bytes of one record are durable. Those that wait share a sync.
///
/// # Errors
/// When the file cannot be made.
#[expect(clippy::disallowed_methods, reason = "the bench measures this very I/O")]
pub fn durable_router(dir: &Path) -> anyhow::Result<Router> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(dir.join("durable"))?;
    for at in (0..ROOM as u64).step_by(1 << 20) {
        file.write_all_at(&vec![0; 1 << 20], at)?;
    }
    file.sync_all()?;
    let (ask, asked) = mpsc::channel::<oneshot::Sender<()>>();
    // Ends when the router, which holds the sender, is dropped.
    std::thread::Builder::new().name("durable".into()).spawn(move || {
        let mut at = 0;
        while let Ok(first) = asked.recv() {
            let waiting: Vec<_> = std::iter::once(first).chain(asked.try_iter().take(255)).collect();
            let bytes = vec![b'x'; LEAF * waiting.len()];
            if at + bytes.len() > ROOM {
                at = 0;
            }
            // Who is not told answers 500, which the load generator does not take.
            if file.write_all_at(&bytes, at as u64).and_then(|()| file.sync_data()).is_err() {
                continue;
            }
            at += bytes.len();
            for one in waiting {
                let _ = one.send(());
            }
        }
    })?;
    Ok(Router::new().fallback(any(move |body: Bytes| {
        let (tell, told) = oneshot::channel();
        let sent = ask.send(tell);
        async move {
            match (sent, told.await) {
                (Ok(()), Ok(())) => allow(&body),
                _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    })))
}

fn allow(body: &[u8]) -> Response {
    let uid = uid(body).unwrap_or_default();
    let answer = [
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":""#.as_slice(),
        uid,
        br#"","allowed":true}}"#,
    ]
    .concat();
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The first `"uid":"…"` in the bytes: the API server writes that of the request before anything else that has one.
fn uid(body: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""uid":""#;
    let start = body.windows(KEY.len()).position(|w| w == KEY)? + KEY.len();
    let rest = body.get(start..)?;
    rest.get(..rest.iter().position(|b| *b == b'"')?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_uid_is_that_of_the_request() {
        let body =
            br#"{"kind":"AdmissionReview","request":{"uid":"u-1","object":{"metadata":{"uid":"u-2"}}}}"#;
        assert_eq!(super::uid(body), Some(b"u-1".as_slice()));
        assert_eq!(super::uid(b"{}"), None);
    }
}
