//! In front of the interactions: by which address a request came, how a path may be spelled.

use crate::harness::{PUBLIC, Server, Start, Who};
use reqwest::Method;
use serde_json::{Value, json};

const SAID: [(&str, &str); 4] = [
    ("x-forwarded-host", "fhir.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-prefix", "/r4"),
    ("x-forwarded-for", "203.0.113.7"),
];
const THERE: &str = "https://fhir.example/r4/fhir";

/// Everything that a Bundle's links and entries begin with.
fn addresses(bundle: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for link in bundle["link"].as_array().unwrap() {
        all.push(link["url"].as_str().unwrap().to_owned());
    }
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        all.push(entry["fullUrl"].as_str().unwrap().to_owned());
    }
    all
}

const ASKED: [&str; 5] = [
    "Condition?patient=rivera-maya&_count=1",
    "Condition/_history?_count=1",
    "Patient/rivera-maya/_history",
    "Patient/rivera-maya/$everything?_count=2",
    "Patient/rivera-maya/Condition?_count=1",
];

#[tokio::test]
async fn links_are_made_for_the_address_that_a_trusted_proxy_names() {
    let server = Start::default()
        .with("trusted_proxies", "127.0.0.0/8")
        .go()
        .await;
    let token = server.token(&Who::ehr()).await;
    for asked in ASKED {
        let bundle = server.get_with(asked, &token, &SAID).await.json();
        let all = addresses(&bundle);
        assert!(all.len() > 1, "{asked}");
        assert!(
            all.iter().all(|url| url.starts_with(&format!("{THERE}/"))),
            "{all:?}"
        );
        let without = server.get(asked, &token).await.json();
        let base = format!("{PUBLIC}/fhir/");
        assert!(addresses(&without).iter().all(|url| url.starts_with(&base)));
    }
    // The next page can be asked for by either address: its cursor is bound to the query.
    let first = server.get_with(ASKED[0], &token, &SAID).await;
    let next = first.json()["link"][1]["url"].as_str().unwrap().to_owned();
    let next = next.strip_prefix(&format!("{THERE}/")).unwrap().to_owned();
    assert_eq!(server.get(&next, &token).await.status, 200);

    let patient = json!({"resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": format!("{THERE}/Patient/rivera-maya")}});
    let made = server
        .write(
            Method::POST,
            "Observation",
            &token,
            &SAID,
            patient.to_string(),
        )
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(
        made.header("location")
            .starts_with(&format!("{THERE}/Observation/"))
    );
    assert_eq!(made.json()["subject"]["reference"], "Patient/rivera-maya");

    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": format!("{THERE}/Condition?patient=rivera-maya&_count=1")}},
        {"request": {"method": "GET", "url": format!("{PUBLIC}/fhir/Patient/rivera-maya")}},
    ]});
    let done = server
        .write(Method::POST, "", &token, &SAID, bundle.to_string())
        .await;
    let done = done.json();
    assert_eq!(done["entry"][1]["response"]["status"], "200 OK");
    let inner = addresses(&done["entry"][0]["resource"]);
    assert!(inner.iter().all(|url| url.starts_with(THERE)), "{inner:?}");

    let stated = server.get_with("metadata", &token, &SAID).await.json();
    assert_eq!(stated["implementation"]["url"], THERE);
    // Whom tokens are for does not change with a header: nor does where they are made.
    let discovery = ".well-known/smart-configuration";
    let discovery = server.get_with(discovery, &token, &SAID).await.json();
    assert_eq!(discovery["token_endpoint"], format!("{PUBLIC}/auth/token"));
}

#[tokio::test]
async fn forwarded_headers_of_others_are_not_read() {
    for trusted in ["", "192.0.2.0/24"] {
        let server = Start::default().with("trusted_proxies", trusted).go().await;
        let token = server.token(&Who::ehr()).await;
        let mut said = SAID.to_vec();
        said.push(("forwarded", "for=203.0.113.7;host=evil.example;proto=https"));
        for asked in ASKED.iter().chain(&["metadata"]) {
            let with = server.get_with(asked, &token, &said).await;
            let text = String::from_utf8(with.body).unwrap();
            assert!(
                !text.contains("fhir.example") && !text.contains("evil.example"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn the_audit_trail_knows_the_address_as_far_as_it_is_told_by_one_who_is_trusted() {
    for (trusted, expected) in [("127.0.0.1", "203.0.113.7"), ("", "127.0.0.1")] {
        let server = Start::default().with("trusted_proxies", trusted).go().await;
        let token = server.token(&Who::ehr()).await;
        server.get_with("Patient/rivera-maya", &token, &SAID).await;
        server.get_with("Patient/rivera-maya", "bad", &SAID).await;
        let auditor = server.token(&Who::persona("maya", "auditor")).await;
        let found = server.get("AuditEvent?_count=50", &auditor).await.json();
        let agents = found["entry"].as_array().unwrap().iter();
        let agents = agents.map(|entry| &entry["resource"]["agent"]);
        let of = |who: &dyn Fn(&Value) -> bool| {
            let mut all = agents
                .clone()
                .filter_map(|all| all.as_array()?.iter().find(|a| who(a)));
            all.find_map(|agent| agent["network"]["address"].as_str().map(str::to_owned))
        };
        let client = |agent: &Value| agent["who"]["identifier"]["value"].is_string();
        let nobody = |agent: &Value| agent["who"]["display"] == "unknown";
        assert_eq!(of(&client).as_deref(), Some(expected));
        assert_eq!(of(&nobody).as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn an_escaped_path_is_the_path_and_no_other() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    for (escaped, plain) in [
        (
            "Patient/rivera-maya/%24everything?_count=2",
            "Patient/rivera-maya/$everything?_count=2",
        ),
        (
            "Patient/rivera-maya/%5Fhistory",
            "Patient/rivera-maya/_history",
        ),
        ("%50atient/rivera%2Dmaya", "Patient/rivera-maya"),
        (
            "Patient/rivera-maya/%2A?_count=2",
            "Patient/rivera-maya/*?_count=2",
        ),
    ] {
        let (there, here) = (
            server.get(escaped, &token).await,
            server.get(plain, &token).await,
        );
        assert_eq!((there.status, here.status), (200, 200), "{escaped}");
        let strip = |text: Vec<u8>| {
            let mut value: Value = serde_json::from_slice(&text).unwrap();
            value["link"] = Value::Null;
            value
        };
        assert_eq!(strip(there.body), strip(here.body), "{escaped}");
    }
    let patient = crate::harness::record("Patient/rivera-maya").to_string();
    let valid = server
        .write(Method::POST, "Patient/%24validate", &token, &[], patient)
        .await;
    assert_eq!(valid.status, 200, "{valid:?}");
    for path in [
        "Patient/rivera-maya%2F$everything",
        "Patient%2Frivera-maya",
        "Patient/rivera-maya/%2524everything",
        "Patient/rivera-maya%00",
    ] {
        assert_eq!(server.get(path, &token).await.status, 404, "{path}");
    }
}
