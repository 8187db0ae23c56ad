use super::*;

/// Clocks that a test moves.
#[derive(Debug)]
struct Manual {
    wall: Mutex<Timestamp>,
    monotonic: Mutex<Duration>,
}

impl Manual {
    fn clock() -> (Arc<Self>, Clock) {
        let source = Arc::new(Self {
            wall: Mutex::new("2026-11-01T12:00:00Z".parse().unwrap()),
            monotonic: Mutex::new(Duration::from_secs(1000)),
        });
        let clock = Clock::new(Arc::clone(&source) as Arc<dyn TimeSource>);
        (source, clock)
    }

    /// Time passes on both clocks.
    fn pass(&self, seconds: u32) {
        self.set(i64::from(seconds));
        *self.monotonic.lock().unwrap() += Duration::from_secs(seconds.into());
    }

    /// Somebody sets the wall clock.
    fn set(&self, seconds: i64) {
        let mut wall = self.wall.lock().unwrap();
        *wall = wall.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// An answer whose `Date` is ahead of the wall clock by `seconds`.
    fn answer(&self, clock: &Clock, seconds: i64) {
        let reading = (self.wall(), self.monotonic());
        clock.record_date(
            reading.0.checked_add(SignedDuration::from_secs(seconds)).unwrap(),
            reading,
            reading,
        );
    }
}

impl TimeSource for Manual {
    fn wall(&self) -> Timestamp {
        *self.wall.lock().unwrap()
    }
    fn monotonic(&self) -> Duration {
        *self.monotonic.lock().unwrap()
    }
}

fn why(clock: &Clock) -> Option<Distrust> {
    match clock.trust() {
        Trust::Trusted => None,
        Trust::Untrusted { why } => Some(why),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn nothing_is_trusted_before_the_first_comparison() {
    let (source, clock) = Manual::clock();
    assert_eq!(why(&clock), Some(Distrust::NotCompared));
    assert_eq!(clock.skew(), None);
    source.answer(&clock, 0);
    assert_eq!(why(&clock), None);
    assert_eq!(clock.now(), at("2026-11-01T12:00:00Z"));
}

#[test]
fn thirty_seconds_are_allowed_and_more_is_not_until_it_agrees_again() {
    let (source, clock) = Manual::clock();
    source.answer(&clock, 29);
    assert_eq!(why(&clock), None);
    source.answer(&clock, 31);
    assert_eq!(why(&clock), Some(Distrust::Differs { seconds: 31 }));
    source.answer(&clock, -32);
    assert!(matches!(why(&clock), Some(Distrust::Differs { seconds: -31 })), "{:?}", why(&clock));
    source.answer(&clock, -3);
    assert_eq!(why(&clock), None);
    assert_eq!(clock.skew(), Some(SignedDuration::from_millis(-2500)));
}

#[test]
fn the_cut_half_second_and_the_round_trip_are_not_skew() {
    let (source, clock) = Manual::clock();
    let (wall, monotonic) = (source.wall(), source.monotonic());
    // Eight seconds there and back: what that leaves open counts against it, so that 27 s may be 31.
    let came = (wall + SignedDuration::from_secs(8), monotonic + Duration::from_secs(8));
    clock.record_date(wall + SignedDuration::from_secs(4 + 27), (wall, monotonic), came);
    assert!(matches!(why(&clock), Some(Distrust::Differs { seconds: 27 })), "{:?}", why(&clock));
    clock.record_date(wall + SignedDuration::from_secs(4 + 25), (wall, monotonic), came);
    assert_eq!(why(&clock).map(|why| why.to_string()), None);
    // Eleven seconds: no comparison at all.
    let came = (wall + SignedDuration::from_secs(11), monotonic + Duration::from_secs(11));
    clock.record_date(wall + SignedDuration::from_secs(500), (wall, monotonic), came);
    assert_eq!(why(&clock).map(|why| why.to_string()), None);
}

#[test]
fn an_answer_that_was_overtaken_is_ignored() {
    let (source, clock) = Manual::clock();
    let old = (source.wall(), source.monotonic());
    source.pass(5);
    source.answer(&clock, 0);
    clock.record_date(old.0 + SignedDuration::from_secs(100), old, old);
    assert_eq!(why(&clock), None);
}

#[test]
fn a_clock_set_ahead_is_noticed_at_once_and_leaves_no_mark() {
    let (source, clock) = Manual::clock();
    source.answer(&clock, 0);
    source.pass(10);
    assert_eq!(clock.now(), at("2026-11-01T12:00:10Z"));
    source.set(3600);
    assert_eq!(why(&clock), Some(Distrust::Jumped { seconds: 3600 }));
    source.pass(5);
    // Carried on by the monotonic clock, an hour of records in the future is not made.
    assert_eq!(clock.now(), at("2026-11-01T12:00:15Z"));
    source.answer(&clock, -3600);
    assert!(matches!(why(&clock), Some(Distrust::Differs { .. })));
    source.pass(5);
    assert_eq!(clock.now(), at("2026-11-01T12:00:20Z"));
    source.set(-3600);
    source.answer(&clock, 0);
    assert_eq!(clock.read(), (at("2026-11-01T12:00:20Z"), Trust::Trusted));
}

#[test]
fn a_clock_set_back_never_takes_now_back() {
    let (source, clock) = Manual::clock();
    source.answer(&clock, 0);
    source.pass(100);
    let before = clock.now();
    source.set(-7200);
    assert_eq!(why(&clock), Some(Distrust::Jumped { seconds: -7200 }));
    assert_eq!(clock.now(), before);
    // The API server went back too (one wrong source for both): it agrees, and the floor says that it cannot be.
    source.answer(&clock, 0);
    assert_eq!(why(&clock), Some(Distrust::BehindFloor { seconds: 7200 }));
    assert_eq!(clock.now(), before);
}

#[test]
fn the_log_holds_time_up() {
    let (source, clock) = Manual::clock();
    let newest = at("2026-11-01T12:00:20Z");
    clock.observe_floor(newest);
    clock.observe_floor(at("2020-01-01T00:00:00Z"));
    assert_eq!(clock.now(), newest, "also before the first comparison");
    source.answer(&clock, 0);
    assert_eq!(clock.read(), (newest, Trust::Trusted));
    source.pass(30);
    assert_eq!(clock.now(), at("2026-11-01T12:00:30Z"));
    clock.observe_floor(at("2026-11-01T13:00:30Z"));
    assert_eq!(why(&clock), Some(Distrust::BehindFloor { seconds: 3600 }));
}

#[test]
fn a_wrong_clock_at_start_does_not_hold_time_up_later() {
    let (source, clock) = Manual::clock();
    source.set(86_400);
    assert_eq!(clock.now(), at("2026-11-02T12:00:00Z"), "nothing else is known yet");
    source.answer(&clock, -86_400);
    assert_eq!(clock.now(), at("2026-11-01T12:00:00.5Z"), "the API server's date");
    source.set(-86_400);
    source.pass(1);
    source.answer(&clock, 0);
    assert_eq!(clock.read(), (at("2026-11-01T12:00:01Z"), Trust::Trusted));
}

#[tokio::test]
async fn the_layer_reads_the_date_of_answers() {
    let (_, clock) = Manual::clock();
    let service = tower::service_fn(|_: Request<Body>| async {
        let answer = Response::builder().header(header::DATE, "Sun, 01 Nov 2026 12:01:00 GMT");
        Ok::<_, tower::BoxError>(answer.body(Body::from(b"{}".to_vec())).unwrap())
    });
    let client = Client::new(clock.date_layer().layer(service), "default");
    let _: serde_json::Value =
        client.request(Request::get("/version").body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(clock.skew(), Some(SignedDuration::from_millis(60_500)));
    assert_eq!(why(&clock), Some(Distrust::Differs { seconds: 60 }));
}

#[test]
fn dates_that_are_none_are_ignored() {
    for text in ["", "yesterday", "2026-11-01T12:00:00Z"] {
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, text.parse().unwrap());
        assert_eq!(date_of(&headers), None, "{text:?}");
    }
}

#[tokio::test]
async fn the_test_clock_needs_leave_and_follows_its_file() {
    let path = std::env::temp_dir().join(format!("placet-test-clock-{}", std::process::id()));
    let refused = TestClock::choose(Some(path.clone()), false).unwrap_err().to_string();
    assert!(refused.contains("--allow-test-clock"), "{refused}");
    assert!(TestClock::choose(None, false).unwrap().1.is_none());

    let (clock, test) = TestClock::choose(Some(path.clone()), true).unwrap();
    let test = test.unwrap();
    let ahead = |clock: &Clock| clock.inner.source.wall().duration_since(SystemTime::new().wall()).as_hours();
    test.read().await;
    assert_eq!(ahead(&clock), 0, "no file yet");
    tokio::fs::write(&path, "-7260\n").await.unwrap();
    test.read().await;
    assert_eq!(ahead(&clock), -2);
    tokio::fs::write(&path, "soon").await.unwrap();
    test.read().await;
    assert_eq!(ahead(&clock), -2, "not a number: unchanged");
    tokio::fs::remove_file(&path).await.unwrap();
    test.read().await;
    assert_eq!(ahead(&clock), 0);
}

#[test]
fn time_that_passed_without_the_monotonic_clock_is_counted_once_it_is_confirmed() {
    let (source, clock) = Manual::clock();
    source.answer(&clock, 0);
    source.pass(600);
    source.answer(&clock, 0);
    source.set(20);
    source.answer(&clock, 0);
    assert_eq!(clock.restarts(), 0, "within what is allowed");
    // Suspended for ten minutes.
    source.set(600);
    assert_eq!((why(&clock), clock.restarts()), (Some(Distrust::Jumped { seconds: 600 }), 0));
    source.answer(&clock, 0);
    assert_eq!((why(&clock), clock.restarts()), (None, 1));
    source.answer(&clock, 0);
    assert_eq!(clock.restarts(), 1);
    // Somebody sets the clock, and back: the API server never said so.
    source.set(3600);
    source.answer(&clock, -3600);
    source.set(-3600);
    source.answer(&clock, 0);
    assert_eq!((why(&clock), clock.restarts()), (None, 1));
}
