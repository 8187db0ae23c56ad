//! Regions as systems and obligations write them: the EU, countries by their code of ISO 3166-1 alpha-2, and what else
//! policies name. What is none of these is not known, which is not the same as nowhere.

/// Member states of the European Union.
#[rustfmt::skip]
const EU: [&str; 27] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
    "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Codes of ISO 3166-1 alpha-2.
#[rustfmt::skip]
const COUNTRIES: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA",
    "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV",
    "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU",
    "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES",
    "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM",
    "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE",
    "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM",
    "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY",
    "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT",
    "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU",
    "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA",
    "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM",
    "SN", "SO", "SR", "SS", "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL",
    "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE",
    "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// A region as it is compared: without blanks around it, in capitals, and with one name for what has two.
fn plain(region: &str) -> String {
    let upper = region.trim().to_ascii_uppercase();
    match upper.as_str() {
        "EUROPEAN UNION" => "EU".to_owned(),
        "EL" => "GR".to_owned(),
        "UK" => "GB".to_owned(),
        _ => upper,
    }
}

/// Whether it is known which region this is.
pub(crate) fn is_known(region: &str) -> bool {
    let plain = plain(region);
    plain == "EU" || COUNTRIES.binary_search(&plain.as_str()).is_ok()
}

/// Whether what is in the one may be in the other: the same, or the EU and one of its member states.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (plain(one), plain(other));
    let part = |whole: &str, part: &str| whole == "EU" && EU.contains(&part);
    one == other || part(&one, &other) || part(&other, &one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_the_member_states_among_them() {
        assert!(COUNTRIES.is_sorted());
        assert!(EU.iter().all(|state| is_known(state)));
    }

    #[test]
    fn a_member_state_is_in_the_eu_and_a_name_is_no_code() {
        for (one, other) in
            [("EU", " eu "), ("EU", "DE"), ("el", "European Union"), ("UK", "GB"), ("Mars", "mars")]
        {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("EU", "UK"), ("EU", "NO"), ("DE", "FR"), ("EU", "Germany"), ("EU", "EUR")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
        for (region, known) in [
            ("EU", true),
            ("uk", true),
            ("JP", true),
            ("Germany", false),
            ("Europe", false),
            ("", false),
            ("XX", false),
        ] {
            assert_eq!(is_known(region), known, "{region}");
        }
    }
}
