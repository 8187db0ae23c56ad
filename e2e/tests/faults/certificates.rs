//! The webhooks' certificates: expired while the operator was away, and expiring while it serves.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use placet_e2e::placet::{INSTALLED_IN, Lending, in_seconds};
use placet_e2e::{Cluster, SOON, eventually};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::alone;
use super::common::{holds, refused};

const YEAR: i64 = 365 * 86_400;

/// How long the certificate still is good for that ends while the operator serves: longer than a start takes.
const STILL_GOOD: i64 = 25;

/// Puts a CA into the operator's Secret that began and ends so many seconds from now.
async fn plant(cluster: &Cluster, begins: i64, ends: i64) -> CertificateDer<'static> {
    let at = |seconds: i64| {
        let moment: Timestamp = in_seconds(seconds).parse().unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment.as_second()).unwrap())
    };
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "a CA whose time is over");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (at(begins), at(ends));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let patch = json!({ "data": {
        "ca.crt": STANDARD.encode(certificate.pem()), "ca.key": STANDARD.encode(key.serialize_pem()),
        "next.crt": null, "next.key": null, "old.crt": null,
    } });
    let args = ["patch", "-n", INSTALLED_IN, "secret/placet-ca", "--type=merge", "-p", &patch.to_string()];
    cluster.kubectl("root-admin", args).await.unwrap().ok().unwrap();
    certificate.der().clone()
}

/// Whether the API server is told to trust a CA.
async fn is_trusted(cluster: &Cluster, ca: &CertificateDer<'static>) -> bool {
    let bundle = "{.webhooks[0].clientConfig.caBundle}";
    let found = cluster.field("", "validatingwebhookconfiguration/placet-validating", bundle).await.unwrap();
    let pem = STANDARD.decode(found).unwrap();
    let trusted: Vec<_> = CertificateDer::pem_slice_iter(&pem).map(Result::unwrap).collect();
    assert!(!trusted.is_empty());
    trusted.contains(ca)
}

/// The operator's own complete refusal: it was reached, over a certificate that the API server trusts.
async fn is_answered(lending: &Lending<'_>) {
    let output = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await.unwrap();
    holds(refused(&output), &["is not cleared", "riskAcceptance"]);
}

/// The same, once the API server has heard of a new start.
async fn gets_answered(lending: &Lending<'_>) {
    eventually("an answer after the start", SOON, async || {
        let output = lending.apply("dana", &lending.manifest("deployment-v2").unwrap()).await;
        let told = output.map_err(|error| error.to_string())?.stderr;
        if told.contains("is not cleared") { Ok(()) } else { Err(told) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_certificate_that_ends_is_replaced_and_no_request_is_dropped() {
    let Some((cluster, _guard)) = alone().await else { return };
    let lending = Lending::open(cluster, "renewed", Some("deny")).await.unwrap();
    lending.all_documents().await.unwrap();
    lending.cleared("False").await.unwrap();

    // It expired while the operator was away.
    cluster.placet_away().await.unwrap();
    let expired = plant(cluster, -6 * YEAR, -3600).await;
    cluster.placet_back().await.unwrap();
    assert!(!is_trusted(cluster, &expired).await);
    gets_answered(&lending).await;
    holds(&cluster.pod_logs(INSTALLED_IN, "placet-0").await.unwrap(), &["the CA expired at"]);

    // It expires while the operator serves: the next is trusted before, and takes over.
    cluster.placet_away().await.unwrap();
    let ending = plant(cluster, -5 * YEAR, STILL_GOOD).await;
    cluster.placet_back().await.unwrap();
    gets_answered(&lending).await;
    assert!(is_trusted(cluster, &ending).await, "the start took too long for this scenario");
    let mut answers = 0;
    eventually("the end of that certificate", SOON * 2, async || {
        is_answered(&lending).await;
        answers += 1;
        if is_trusted(cluster, &ending).await { Err("it is still trusted".to_owned()) } else { Ok(()) }
    })
    .await
    .unwrap();
    for _ in 0..5 {
        is_answered(&lending).await;
    }
    assert!(answers > 5, "{answers} answers while it ended");
}
