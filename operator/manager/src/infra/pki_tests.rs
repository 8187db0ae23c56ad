use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const DNS: &str = "placet.placet-system.svc";

fn start() -> Timestamp {
    "2026-11-01T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn names() -> Vec<String> {
    vec![DNS.to_owned(), "placet.placet-system".to_owned()]
}

fn created() -> CaSet {
    let (set, changes) = step(None, start(), &Lifetimes::default()).unwrap();
    assert_eq!(changes, [Change::Created]);
    set
}

fn stepped(set: CaSet, seconds: i64) -> (CaSet, Vec<Change>) {
    step(Some(set), after(seconds), &Lifetimes::default()).unwrap()
}

fn leaf(set: &CaSet, seconds: i64) -> Leaf {
    Leaf::issue(set, &names(), after(seconds), &Lifetimes::default()).unwrap()
}

fn reload(set: &CaSet) -> Result<Option<CaSet>, PkiError> {
    let fields = set.to_fields();
    CaSet::from_fields(|name| fields.get(name).map(Vec::as_slice))
}

#[test]
fn a_leaf_is_accepted_for_its_names_and_its_time_only() {
    let set = created();
    let leaf = leaf(&set, 0);
    let check = |bundle: &str, name: &str, at| accepts(bundle.as_bytes(), leaf.certified(), name, after(at));
    assert_eq!(check(&set.bundle(), DNS, 0), Ok(()));
    assert_eq!(check(&set.bundle(), "placet.placet-system", 29 * DAY), Ok(()));
    assert_eq!(check(&set.bundle(), DNS, -200), Ok(()), "an API server whose clock is behind");
    assert!(check(&set.bundle(), "other.placet-system.svc", 0).unwrap_err().contains("not accepted"));
    assert!(check(&set.bundle(), DNS, 31 * DAY).unwrap_err().contains("not accepted"));
    assert!(check(&created().bundle(), DNS, 0).unwrap_err().contains("not accepted"), "another CA");
    assert_eq!(check("", DNS, 0), Err("the caBundle is empty".to_owned()));
    assert!(check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", DNS, 0).is_err());
}

#[test]
fn a_leaf_is_due_at_two_thirds_and_when_another_ca_signs() {
    let set = created();
    let leaf = leaf(&set, 0);
    assert!(!leaf.is_due(&set, after(19 * DAY)));
    assert!(leaf.is_due(&set, after(20 * DAY)));
    assert!(leaf.is_due(&created(), after(0)));
    assert_eq!(leaf.not_after(), after(30 * DAY));
}

#[test]
fn nothing_changes_while_nothing_is_due() {
    let set = created();
    let (same, changes) = stepped(set.clone(), 3 * 365 * DAY);
    assert_eq!((same, changes), (set, Vec::new()));
}

#[test]
fn renewal_overlaps_so_that_no_leaf_is_ever_untrusted() {
    let two_thirds = 5 * 365 * DAY * 2 / 3 + HOUR;
    let set = created();
    let old_leaf = leaf(&set, two_thirds - DAY);

    let (staged, changes) = stepped(set.clone(), two_thirds);
    assert_eq!(changes, [Change::Staged]);
    assert_eq!(staged.signing, set.signing, "the old one still signs");
    assert_eq!(staged.bundle().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(stepped(staged.clone(), two_thirds + HOUR / 2).1, []);

    let (promoted, changes) = stepped(staged.clone(), two_thirds + HOUR);
    assert_eq!(changes, [Change::Promoted]);
    let new_leaf = leaf(&promoted, two_thirds + HOUR);
    let now = after(two_thirds + HOUR);
    for bundle in [staged.bundle(), promoted.bundle()] {
        for leaf in [&old_leaf, &new_leaf] {
            assert_eq!(accepts(bundle.as_bytes(), leaf.certified(), DNS, now), Ok(()));
        }
    }
    assert_eq!(stepped(promoted.clone(), two_thirds + 29 * DAY).1, []);
    let (settled, changes) = stepped(promoted, two_thirds + 31 * DAY);
    assert_eq!(changes, [Change::Dropped]);
    assert_eq!(settled.bundle().matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn an_expired_ca_is_replaced_at_once_and_says_so() {
    let set = created();
    let (new, changes) = stepped(set.clone(), 5 * 365 * DAY + 1);
    assert_eq!(changes, [Change::Replaced { expired: after(5 * 365 * DAY) }]);
    assert!(changes[0].to_string().contains("expired at 2031-10-31T12:00:00Z"), "{}", changes[0]);
    assert_ne!(new.signing, set.signing);
    let leaf = Leaf::issue(&new, &names(), after(5 * 365 * DAY + 1), &Lifetimes::default()).unwrap();
    assert_eq!(accepts(new.bundle().as_bytes(), leaf.certified(), DNS, after(5 * 365 * DAY + 2)), Ok(()));
}

#[test]
fn an_operator_that_was_away_promotes_the_staged_ca_first() {
    let two_thirds = 5 * 365 * DAY * 2 / 3 + HOUR;
    let (staged, _) = stepped(created(), two_thirds);
    let next = staged.next.clone().unwrap();
    let (set, changes) = stepped(staged, 5 * 365 * DAY + DAY);
    assert_eq!(changes, [Change::Promoted, Change::Dropped]);
    assert_eq!(set.signing, next);
}

#[test]
fn a_leaf_ends_no_later_than_its_ca() {
    let set = created();
    let near_the_end = 5 * 365 * DAY - DAY;
    assert_eq!(leaf(&set, near_the_end).not_after(), set.signing.cert.not_after);
}

#[test]
fn a_set_survives_its_secret() {
    let two_thirds = 5 * 365 * DAY * 2 / 3 + HOUR;
    let (staged, _) = stepped(created(), two_thirds);
    let (promoted, _) = stepped(staged.clone(), two_thirds + HOUR);
    for set in [created(), staged, promoted] {
        assert_eq!(reload(&set).unwrap(), Some(set));
    }
    assert_eq!(CaSet::from_fields(|_| None).unwrap(), None);
}

#[test]
fn malformed_secrets_say_which_field_and_what_to_do() {
    let (set, other) = (created(), created());
    let mut cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("ca.key", Some(other.to_fields()["ca.key"].clone()), "found another key"),
        ("ca.key", None, "found nothing"),
        ("ca.key", Some(b"secret".to_vec()), "wanted a private key in PEM"),
        ("ca.key", Some(vec![0xff]), "bytes that are no text"),
        ("ca.crt", None, "found nothing"),
        ("ca.crt", Some(Vec::new()), "wanted one certificate"),
    ];
    let both = [set.to_fields()["ca.crt"].clone(), other.to_fields()["ca.crt"].clone()].concat();
    cases.push(("ca.crt", Some(both), "none or several"));
    let plain = pem("CERTIFICATE", &leaf(&set, 0).certified().cert[0]).into_bytes();
    cases.push(("old.crt", Some(plain), "a certificate that is not of a CA"));
    for (field, value, wanted) in cases {
        let mut fields = set.to_fields();
        fields.remove(field);
        if let Some(value) = value {
            fields.insert(field, value);
        }
        let error = CaSet::from_fields(|name| fields.get(name).map(Vec::as_slice)).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains(wanted), "{field}: {error}");
        assert!(error.contains("delete the Secret"), "{error}");
    }
}

#[test]
fn keys_do_not_show_in_debug() {
    let set = created();
    let shown = format!("{set:?} {:?}", leaf(&set, 0));
    assert!(!shown.contains("PRIVATE KEY") && !shown.contains("key_pem"), "{shown}");
}
