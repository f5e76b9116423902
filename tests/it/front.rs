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

#[tokio::test]
async fn put_with_if_none_match_creates_only() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let weight = |id: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final",
            "identifier": [{"system": "urn:x", "value": id}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "subject": {"reference": "Patient/rivera-maya"}})
    };
    let put = async |path: &str, token: &str, headers: &[(&str, &str)], body: &Value| {
        let body = body.to_string();
        server.write(Method::PUT, path, token, headers, body).await
    };
    let any = [("if-none-match", "*")];
    let at = "Observation/only-once";
    let made = put(at, &ehr, &any, &weight("only-once")).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let tag = made.header("etag").to_owned();
    let again = put(at, &ehr, &any, &weight("only-once")).await;
    assert_eq!(again.status, 412, "{}", again.whole());
    let same = put(at, &ehr, &[("if-none-match", &tag)], &weight("only-once")).await;
    assert_eq!(same.status, 412);
    let other = put(
        at,
        &ehr,
        &[("if-none-match", "W/\"zq\"")],
        &weight("only-once"),
    )
    .await;
    assert_eq!(other.status, 200);
    for wrong in [
        vec![("if-none-match", "zq")],
        vec![("if-none-match", "*"), ("if-match", "W/\"1\"")],
    ] {
        assert_eq!(
            put(at, &ehr, &wrong, &weight("only-once")).await.status,
            400
        );
    }
    // On a condition: one that is there is not replaced.
    let mut unnamed = weight("only-once");
    unnamed.as_object_mut().unwrap().remove("id");
    let found = put(
        "Observation?identifier=urn:x|only-once",
        &ehr,
        &any,
        &unnamed,
    )
    .await;
    assert_eq!(found.status, 412, "{}", found.whole());
    unnamed["identifier"][0]["value"] = "by-condition".into();
    let none = put(
        "Observation?identifier=urn:x|by-condition",
        &ehr,
        &any,
        &unnamed,
    )
    .await;
    assert_eq!(none.status, 201, "{}", none.whole());
    // What was deleted may be made again.
    let bare = || server.write(Method::DELETE, at, &ehr, &[], "");
    assert!(bare().await.status < 300);
    assert_eq!(put(at, &ehr, &any, &weight("only-once")).await.status, 201);
    // In Bundles.
    for kind in ["batch", "transaction"] {
        let entry = |id: &str| {
            json!({"resource": weight(id), "request": {
                "method": "PUT", "url": format!("Observation/{id}"), "ifNoneMatch": "*"}})
        };
        let bundle =
            |entries: Vec<Value>| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
        let fresh = format!("in-{kind}");
        let done = server
            .post("", &ehr, &bundle(vec![entry(&fresh)]))
            .await
            .json();
        assert_eq!(
            done["entry"][0]["response"]["status"], "201 Created",
            "{done}"
        );
        let new = format!("new-{kind}");
        let both = server
            .post("", &ehr, &bundle(vec![entry(&new), entry(&fresh)]))
            .await;
        let there = server.get(&format!("Observation/{new}"), &ehr).await.status;
        match kind {
            "batch" => {
                let told = both.json();
                assert_eq!(
                    told["entry"][1]["response"]["status"],
                    "412 Precondition Failed"
                );
                assert_eq!(there, 200);
            }
            _ => assert_eq!((both.status, there), (412, 404)),
        }
        let mut wrong = entry(&fresh);
        wrong["request"]["ifNoneMatch"] = "zq".into();
        let told = server.post("", &ehr, &bundle(vec![wrong])).await.whole();
        assert!(told.contains("ifNoneMatch"), "{told}");
    }
}

#[tokio::test]
async fn if_none_match_tells_no_more_of_what_is_hidden_than_a_put_without_it() {
    let server = Server::start().await;
    let hidden = crate::harness::record("DocumentReference/maya-therapy-note");
    for who in [Who::ehr(), Who::staff()] {
        let token = server.token(&who).await;
        if server
            .get("DocumentReference/maya-therapy-note", &token)
            .await
            .status
            == 200
        {
            continue;
        }
        let path = "DocumentReference/maya-therapy-note";
        let put = async |headers: &[(&str, &str)]| {
            let body = hidden.to_string();
            server.write(Method::PUT, path, &token, headers, body).await
        };
        let (plain, only) = (put(&[]).await, put(&[("if-none-match", "*")]).await);
        assert_eq!(
            (plain.status, plain.body),
            (only.status, only.body),
            "{who:?}"
        );
        assert_ne!(only.status, 412);
        let tagged = put(&[("if-none-match", "W/\"1\"")]).await;
        assert_eq!(tagged.status, only.status);
    }
}

#[tokio::test]
async fn a_patch_is_refused_by_what_is_wrong_with_it() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let weight = json!({"resourceType": "Observation", "id": "patched", "status": "final",
        "category": [{"text": "a"}, {"text": "b"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/rivera-maya"}});
    assert_eq!(server.put(&ehr, &weight).await.status, 201);
    let patch = async |kind: &str, body: String| {
        let bearer = format!("Bearer {ehr}");
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let path = "/fhir/Observation/patched";
        server
            .send(Method::PATCH, path, &headers, body.into())
            .await
    };
    let json = |operations: Value| ("application/json-patch+json", operations.to_string());
    let fhirpath = |parts: Value| {
        let operation = json!([{"name": "operation", "part": parts}]);
        let body = json!({"resourceType": "Parameters", "parameter": operation});
        ("application/fhir+json", body.to_string())
    };
    let delete = |path: &str| {
        fhirpath(
            json!([{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]),
        )
    };
    let many = "Observation.category";
    for ((kind, body), status) in [
        (("application/json-patch+json", "[".to_owned()), 400),
        (
            json(json!([{"op": "add", "path": "status", "value": 1}])),
            400,
        ),
        (json(json!([{"op": "add", "path": "/status"}])), 400),
        (json(json!([{"op": "remove", "path": "/component/0"}])), 422),
        (
            json(json!([{"op": "test", "path": "/status", "value": "amended"}])),
            422,
        ),
        (delete("Observation.("), 400),
        (
            fhirpath(json!([{"name": "type", "valueCode": "delete"}])),
            400,
        ),
        (delete(many), 422),
        (delete("Observation"), 422),
        (delete("1 + 1"), 422),
        (("application/merge-patch+json", "{}".to_owned()), 415),
        (("application/xml", "<x/>".to_owned()), 415),
    ] {
        let told = patch(kind, body.clone()).await;
        assert_eq!(told.status, status, "{kind} {body}: {}", told.whole());
        assert_eq!(told.json()["resourceType"], "OperationOutcome");
    }
}

#[tokio::test]
async fn a_bundle_counts_for_the_rate_by_its_entries() {
    let server = Start::default()
        .with("limits.requests_per_second", "2")
        .go()
        .await;
    let (ehr, auditor) = (
        server.token(&Who::ehr()).await,
        server.token(&Who::persona("maya", "auditor")).await,
    );
    let entry = json!({"request": {"method": "GET", "url": "Patient/rivera-maya"}});
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": vec![entry; 1000]});
    assert_eq!(server.post("", &ehr, &bundle).await.status, 200);
    let next = server.get("Patient/rivera-maya", &ehr).await;
    assert_eq!(next.status, 429);
    let wait: u64 = next.header("retry-after").parse().unwrap();
    assert!((300..=500).contains(&wait), "{wait}");
    assert_ne!(
        server.get("AuditEvent?_count=1", &auditor).await.status,
        429
    );
}
