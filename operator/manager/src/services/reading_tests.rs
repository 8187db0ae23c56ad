use http_body_util::BodyExt as _;
use placet_evidence::{
    Config, Head, LogKey, MemoryHeads, NewRecord, Object, Payload, Source, Subject, VerifierKey, Withdrawal,
    verify,
};
use tower::ServiceExt as _;

use super::*;

const LOG: [u8; 32] = [3; 32];
const NAMES: [u8; 32] = [4; 32];

struct Bench {
    volume: tempfile::TempDir,
    log: Arc<Log>,
    router: Router,
    object: Digest,
}

/// A log of a few records with an object and an opening, published.
fn bench() -> Bench {
    let volume = tempfile::tempdir().unwrap();
    let now = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut config = Config::new(volume.path(), "placet.dev/c", "c");
    config.reserve_bytes = 0;
    let key = LogKey::from_seed(&[1; 32]);
    let log = Log::open(&config, &key, Arc::new(MemoryHeads::default()), now).unwrap();
    let object = Object::new(vec![b'x'; 600_000]);
    let digest = object.digest();
    let body = Withdrawal { digest, stored: Some(digest) };
    let record =
        NewRecord::new(now, Subject::new("ModelRelease", Some("credit"), "v1"), Payload::Withdrawal(body))
            .with_object(object)
            .with_actor("alice");
    log.append(record).wait().unwrap();
    log.publish_now().unwrap();
    let log = Arc::new(log);
    let token =
        |bytes: [u8; 32], name: &str| Token { token: token::Token::new(&bytes), secret: name.to_owned() };
    let readers = Readers { log: token(LOG, "placet-read-log"), names: token(NAMES, "placet-read-names") };
    let router = evidence_router(volume.path().to_owned(), Arc::clone(&log), readers);
    Bench { volume, log, router, object: digest }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn error(&self) -> String {
        serde_json::from_slice::<serde_json::Value>(&self.body).unwrap()["error"].as_str().unwrap().to_owned()
    }
}

impl Bench {
    async fn ask(&self, path: &str, tokens: &[(&str, &str)]) -> Answer {
        let mut request = http::Request::get(path);
        for (name, value) in tokens {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// With both tokens.
    async fn read(&self, path: &str) -> Answer {
        let (log, names) = (BASE64.encode(LOG), BASE64.encode(NAMES));
        self.ask(path, &[(READER_HEADER, &log), (NAMES_HEADER, &names)]).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test compares with the file")]
    fn on_disk(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.volume.path().join(path)).unwrap()
    }
}

#[tokio::test]
async fn files_are_given_as_they_lie() {
    let bench = bench();
    let object = object_path(&bench.object);
    for path in ["checkpoint", "tile/0/000.p/2", "tile/entries/000.p/2", "openings/000", object.as_str()] {
        let answer = bench.read(&format!("/evidence/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, bench.on_disk(path), "{path}");
        assert_eq!(answer.headers[header::CONTENT_LENGTH], answer.body.len().to_string());
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    }
    assert_eq!(bench.read(&format!("/evidence/{object}")).await.body.len(), 600_000, "more than one chunk");
    let key = bench.read("/evidence/key").await.body;
    assert_eq!(&VerifierKey::parse(std::str::from_utf8(&key).unwrap()).unwrap(), bench.log.verifier());
    let head: Head = serde_json::from_slice(&bench.read("/evidence/head").await.body).unwrap();
    assert_eq!(head, bench.log.head());
}

/// What was read, as a source for verification.
struct Copy(std::collections::BTreeMap<String, Vec<u8>>);

impl Source for Copy {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).cloned())
    }
}

#[tokio::test]
async fn what_is_read_here_verifies() {
    let bench = bench();
    let mut copy = Copy(std::collections::BTreeMap::new());
    let paths = ["checkpoint", "tile/0/000.p/2", "tile/entries/000.p/2", "openings/000"];
    for path in paths.map(str::to_owned).into_iter().chain([object_path(&bench.object)]) {
        let body = bench.read(&format!("/evidence/{path}")).await.body;
        copy.0.insert(path, body);
    }
    let report = verify::verify(
        &copy,
        &verify::Options { key: Some(bench.log.verifier().clone()), ..Default::default() },
    );
    assert!(report.is_ok(), "{report:?}");
}

#[tokio::test]
async fn nobody_reads_without_the_token_and_is_told_which_secret_holds_it() {
    let bench = bench();
    let (log, names) = (BASE64.encode(LOG), BASE64.encode(NAMES));
    let short = BASE64.encode(&LOG[..31]);
    let paths = ["checkpoint", "key", "head", "tile/0/000.p/2", "objects/aa/00", "openings/000"];
    for path in paths {
        for tokens in [
            &[][..],
            &[(READER_HEADER, names.as_str())],
            &[(READER_HEADER, &short)],
            &[(READER_HEADER, "")],
            &[(READER_HEADER, "not base64")],
            &[(NAMES_HEADER, &names)],
        ] {
            let answer = bench.ask(&format!("/evidence/{path}"), tokens).await;
            assert_eq!(answer.status, 401, "{path} {tokens:?}");
            assert!(answer.error().contains("kubectl get secret placet-read-log --namespace"), "{path}");
        }
    }
    for tokens in [&[(READER_HEADER, log.as_str())][..], &[(READER_HEADER, &log), (NAMES_HEADER, &log)]] {
        let answer = bench.ask("/evidence/openings/000", tokens).await;
        assert_eq!(answer.status, 401, "the log's token does not open names");
        assert!(answer.error().contains("placet-read-names"), "{}", answer.error());
        assert!(!answer.body.windows(5).any(|part| part == b"alice"));
    }
    assert_eq!(bench.ask("/evidence/checkpoint", &[(READER_HEADER, &log)]).await.status, 200);
}

#[tokio::test]
async fn an_empty_token_opens_nothing() {
    let token = Token { token: token::Token::new(&[]), secret: "placet-read-log".to_owned() };
    let mut headers = HeaderMap::new();
    assert!(!token.allows(&headers, READER_HEADER));
    headers.insert(READER_HEADER, http::HeaderValue::from_static(""));
    assert!(!token.allows(&headers, READER_HEADER));
}

#[tokio::test]
async fn no_path_leads_elsewhere() {
    let bench = bench();
    let hex = bench.object.hex();
    for (path, status) in [
        ("tile/../checkpoint".to_owned(), 400),
        ("tile/%2e%2e/wal/0".to_owned(), 400),
        ("tile/0/..%2f..%2fcheckpoint".to_owned(), 400),
        ("tile/0/000.p/256".to_owned(), 400),
        ("tile/0/0".to_owned(), 400),
        ("tile/entries/000%00".to_owned(), 400),
        ("objects/../checkpoint".to_owned(), 400),
        (format!("objects/zz/{hex}"), 400),
        (format!("objects/%2e%2e/{hex}"), 400),
        (format!("objects/{}/{}", &hex[..2].to_uppercase(), hex.to_uppercase()), 400),
        ("openings/../checkpoint".to_owned(), 400),
        ("openings/0".to_owned(), 400),
        ("openings/x000/000".to_owned(), 400),
        ("openings/007".to_owned(), 404),
        ("tile/0/000".to_owned(), 404),
        (format!("objects/00/{}", "0".repeat(64)), 404),
        ("wal/0".to_owned(), 404),
        ("lock".to_owned(), 404),
        ("old/1/checkpoint".to_owned(), 404),
    ] {
        let answer = bench.read(&format!("/evidence/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.starts_with(b"placet.dev/c\n"), "{path}");
    }
    assert!(bench.read("/evidence/tile/0/000").await.error().contains("read the checkpoint again"));
}

#[expect(clippy::disallowed_methods, reason = "a test makes the files that it is about")]
#[tokio::test]
async fn what_is_no_file_of_a_log_is_refused() {
    let bench = bench();
    let at = |path: &str| bench.volume.path().join(path);
    std::fs::create_dir(at("tile/0/001")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    File::create(outside.path().join("003")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("003"), at("tile/0/003")).unwrap();
    std::os::unix::fs::symlink(outside.path(), at("tile/1")).unwrap();
    // A pipe without a writer: opening it would wait for ever.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("tile/0/004"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for (path, found) in [
        ("tile/0/001", "found a directory"),
        ("tile/0/003", "found a symbolic link"),
        ("tile/1/003", "tile/1: wanted a directory, found a symbolic link"),
        ("tile/0/004", "found a named pipe"),
    ] {
        let answer = bench.read(&format!("/evidence/{path}")).await;
        assert_eq!(answer.status, 500, "{path}");
        assert!(answer.error().contains(found), "{path}: {}", answer.error());
    }
    let large = File::create(bench.volume.path().join("tile/0/002")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();
    let answer = bench.read("/evidence/tile/0/002").await;
    assert_eq!(answer.status, 500);
    assert!(answer.error().contains("of at most"), "{}", answer.error());
}

#[test]
fn tokens_do_not_show() {
    let token = Token { token: token::Token::new(&LOG), secret: "placet-read-log".to_owned() };
    assert_eq!(format!("{token:?}"), "Token { token: Token(32 bytes), secret: \"placet-read-log\" }");
}
