use super::*;

const TO: &str = "/validate/own";

fn door() -> Arc<Door> {
    Door::new(&["/evidence/"]).unwrap()
}

fn knock(door: &Arc<Door>, path: &str) -> Knock {
    door.knock(&path.parse().unwrap())
}

fn admitted(door: &Arc<Door>, path: &str) -> Option<(Visit, Uri)> {
    match knock(door, path) {
        Knock::Admitted(visit, uri) => Some((visit, uri)),
        Knock::Stranger | Knock::Unguarded => None,
    }
}

/// Asks, is answered, and leaves no doubt.
fn lets_in(door: &Arc<Door>, path: &str) -> bool {
    admitted(door, path).is_some_and(|(visit, _)| {
        visit.answered(StatusCode::OK);
        true
    })
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_token_opens_and_it_goes_no_further() {
    let door = door();
    let path = door.path(TO);
    let (visit, inside) = admitted(&door, &format!("{path}?timeout=5s")).unwrap();
    visit.answered(StatusCode::OK);
    assert_eq!(inside, TO);
    let other = super::super::token::Token::random_hex().unwrap();
    let short = &path[..path.len() - TO.len() - 1];
    for wrong in [
        TO.to_owned(),
        "/".to_owned(),
        "//validate/own".to_owned(),
        format!("/{}{TO}", other.text()),
        format!("{short}{TO}"),
        format!("/{}{TO}", door.path("").trim_start_matches('/').to_uppercase()),
        door.path(""),
        "/evidence".to_owned(),
    ] {
        assert!(matches!(knock(&door, &wrong), Knock::Stranger), "{wrong}");
    }
    assert_eq!(door.refused.get(), 8);
    assert!(matches!(knock(&door, "/evidence/head"), Knock::Unguarded));
    assert_eq!(door.due(), None, "strangers change nothing");
    let debug = format!("{door:?}");
    assert!(!debug.contains(door.path("").trim_start_matches('/')), "{debug}");
}

#[tokio::test(start_paused = true)]
async fn the_token_before_stays_good_until_the_new_one_is_in_force_and_half_a_minute_more() {
    let door = door();
    let before = door.path(TO);
    door.doubt("test");
    pass(SPACING).await;
    assert!(door.change());
    let after = door.path(TO);
    assert_ne!(before, after);
    pass(Duration::from_secs(3600)).await;
    assert!(lets_in(&door, &before) && lets_in(&door, &after), "not in force yet");
    assert!(door.leads(&before, TO) && !door.is_current(&before, TO) && door.is_current(&after, TO));
    door.settled();
    door.settled();
    pass(OVERLAP.saturating_sub(Duration::from_secs(1))).await;
    assert!(lets_in(&door, &before));
    pass(Duration::from_secs(1)).await;
    assert!(!lets_in(&door, &before) && !door.leads(&before, TO));
    assert!(lets_in(&door, &after));
}

#[tokio::test(start_paused = true)]
async fn a_late_a_failed_and_a_missing_answer_change_the_token_and_a_good_one_does_not() {
    let door = door();
    let ask = |query: &str| admitted(&door, &format!("{}{query}", door.path(TO))).unwrap().0;
    let doubtful = || std::mem::take(&mut door.plan().soon);
    for (query, seconds, late) in [
        ("?timeout=5s", 4, false),
        ("?timeout=5s", 5, true),
        ("?timeout=1m5s", 64, false),
        ("?a=b&timeout=2s", 2, true),
        ("", 9, false),
        ("?timeout=soon", 10, true),
    ] {
        let visit = ask(query);
        pass(Duration::from_secs(seconds)).await;
        visit.answered(StatusCode::OK);
        assert_eq!(doubtful(), late, "{query} {seconds}");
    }
    for (status, doubt) in [(200, false), (400, false), (413, false), (500, true), (503, true)] {
        ask("").answered(StatusCode::from_u16(status).unwrap());
        assert_eq!(doubtful(), doubt, "{status}");
    }
    drop(ask(""));
    assert!(doubtful());
}

#[tokio::test(start_paused = true)]
async fn changes_are_a_minute_apart_and_fifteen_in_the_long_run() {
    let door = door();
    let (begun, mut at) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(7200) {
        door.doubt("test");
        if door.change() {
            at.push(begun.elapsed().as_secs());
        }
        pass(Duration::from_secs(1)).await;
    }
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{at:?}");
    assert_eq!(at[..5], [60, 120, 180, 240, 300], "{at:?}");
    // Five at once, then four an hour.
    assert!((11..=13).contains(&at.len()), "{at:?}");
    assert_eq!(door.changes.get(), at.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn having_been_unready_changes_the_token_once_api_servers_know_us_again() {
    let door = door();
    assert_eq!(door.due(), None);
    // The start is such a time.
    door.probed(false);
    pass(Duration::from_secs(100)).await;
    assert_eq!(door.due(), None, "it would be told, too");
    door.probed(true);
    assert_eq!(door.due(), Some(Instant::now() + SETTLE));
    door.probed(true);
    pass(SETTLE).await;
    assert!(door.change());
    assert_eq!(door.due(), None);
    // A late answer meanwhile does not stand for it.
    door.probed(false);
    pass(SPACING * 2).await;
    door.probed(true);
    door.doubt("test");
    assert!(door.change());
    assert!(door.due().is_some());
    pass(SPACING).await;
    assert!(door.change());
    assert_eq!(door.due(), None);
}
