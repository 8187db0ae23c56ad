//! The baseline: a webhook behind the same server that parses nothing and allows everything.

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::any;
use http::header;

/// Answers every path. The request is read to its end, as any webhook must; of it only the uid is copied, which the API
/// server wants back.
pub fn router() -> Router {
    Router::new().fallback(any(async |body: Bytes| {
        let uid = uid(&body).unwrap_or_default();
        let answer = [
            br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":""#.as_slice(),
            uid,
            br#"","allowed":true}}"#,
        ]
        .concat();
        ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
    }))
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
