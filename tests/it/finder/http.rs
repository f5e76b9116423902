//! What searches answer over HTTP.

use crate::harness::{PUBLIC, Server, Start, Who};
use serde_json::{Value, json};

fn made() -> Vec<Value> {
    let code = |system: &str, code: &str| json!({"coding": [{"system": system, "code": code}]});
    let condition = |id: &str, of: &str| {
        json!({"resourceType": "Condition", "id": id, "subject": {"reference": "Patient/it-p"},
            "encounter": {"reference": "Encounter/it-e"}, "code": code("http://example.org/animals", of),
            "clinicalStatus": code("http://terminology.hl7.org/CodeSystem/condition-clinical", "active")})
    };
    let person = |id: &str, gender: &str| {
        json!({"resourceType": "Patient", "id": id, "name": [{"family": "Implied"}], "gender": gender,
            "active": gender == "male"})
    };
    vec![
        person("it-him", "male"),
        person("it-her", "female"),
        json!({"resourceType": "Patient", "id": "it-p", "name": [{"family": "Walker"}], "birthDate": "1990-05-01",
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Fond of <b>gardening</b></div>"},
            "photo": [{"title": "x"}]}),
        json!({"resourceType": "Encounter", "id": "it-e", "status": "finished", "subject": {"reference": "Patient/it-p"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}),
        condition("it-cat", "cat"),
        condition("it-tom", "tom"),
        condition("it-dog", "dog"),
        json!({"resourceType": "CodeSystem", "id": "it-animals", "url": "http://example.org/animals", "status": "active",
            "content": "complete", "concept": [{"code": "cat", "concept": [{"code": "tom"}]}, {"code": "dog"}]}),
        json!({"resourceType": "ValueSet", "id": "it-cats", "url": "http://example.org/cats", "status": "active", "compose": {"include": [
            {"system": "http://example.org/animals", "filter": [{"property": "concept", "op": "is-a", "value": "cat"}]}]}}),
    ]
}

async fn start() -> (Server, String) {
    let server = Start::default().import(&made()).go().await;
    let token = server.token(&Who::ehr()).await;
    (server, token)
}

#[tokio::test]
async fn value_sets_and_code_systems_that_are_stored_widen_a_search() {
    let (server, token) = start().await;
    for (query, expected) in [
        ("code:in=http://example.org/cats", "it-cat it-tom"),
        ("code:in=ValueSet/it-cats", "it-cat it-tom"),
        ("code:not-in=http://example.org/cats", "it-dog"),
        ("code:below=http://example.org/animals|cat", "it-cat it-tom"),
        ("code:above=http://example.org/animals|tom", "it-cat it-tom"),
        ("code:above=http://example.org/animals|dog", "it-dog"),
    ] {
        let path = format!("Condition?patient=it-p&{query}&_sort=_id&_total=accurate");
        let reply = server.get(&path, &token).await;
        let ids: Vec<String> = reply
            .keys()
            .iter()
            .map(|key| key.trim_start_matches("Condition/").to_owned())
            .collect();
        assert_eq!(ids.join(" "), expected, "{query}");
        assert_eq!(reply.json()["total"], ids.len(), "{query}");
    }
    for query in [
        "code:in=http://example.org/none",
        "code:below=http://example.org/none|x",
    ] {
        let reply = server.get(&format!("Condition?{query}"), &token).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(!reply.text().contains("example.org"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_code_element_has_the_system_of_its_binding_and_r4_s_value_sets_are_known() {
    let (server, token) = start().await;
    let gender = "http://hl7.org/fhir/administrative-gender";
    let sets = "http://hl7.org/fhir/ValueSet";
    for (query, expected) in [
        ("gender=male".to_owned(), "it-him"),
        (format!("gender={gender}|male"), "it-him"),
        (format!("gender={gender}|"), "it-her it-him"),
        ("gender=http://example.org/other|male".to_owned(), ""),
        ("gender=|male".to_owned(), "it-him"),
        (format!("gender:not={gender}|male"), "it-her"),
        (
            format!("gender:in={sets}/administrative-gender"),
            "it-her it-him",
        ),
        (format!("gender:not-in={sets}/administrative-gender"), ""),
        (format!("gender:in={sets}/address-use"), ""),
        (format!("gender:below={gender}|male"), "it-him"),
        (format!("gender:above={gender}|male"), "it-him"),
        (
            "active=http://hl7.org/fhir/special-values|true".to_owned(),
            "it-him",
        ),
        ("active=http://example.org/other|true".to_owned(), ""),
    ] {
        let path = format!("Patient?name=implied&{query}&_sort=_id&_total=accurate");
        let reply = server.get(&path, &token).await;
        assert_eq!(reply.status, 200, "{query} {reply:?}");
        let ids: Vec<String> = reply
            .keys()
            .iter()
            .map(|key| key.trim_start_matches("Patient/").to_owned())
            .collect();
        assert_eq!(ids.join(" "), expected, "{query}");
        assert_eq!(reply.json()["total"], ids.len(), "{query}");
    }
    let text = server.get("Patient?gender:text=male", &token).await;
    assert_eq!(text.status, 400);
    // Of several types each has its own.
    let finished = "http://hl7.org/fhir/encounter-status|finished";
    let some = format!("?_type=Encounter,Observation&status={finished}&patient=it-p");
    assert_eq!(server.get(&some, &token).await.keys(), ["Encounter/it-e"]);
    let not = "?_type=Encounter,Observation&status=http://hl7.org/fhir/observation-status|finished&patient=it-p";
    assert!(server.get(not, &token).await.keys().is_empty());
    let chained = format!("Condition?encounter.status={finished}&code=dog");
    assert_eq!(
        server.get(&chained, &token).await.keys(),
        ["Condition/it-dog"]
    );
    // A value set by hierarchy, one of ours, and one that can't be told here.
    let class = "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode";
    let found = server
        .get(&format!("Encounter?patient=it-p&class:in={class}"), &token)
        .await;
    assert_eq!(found.keys(), ["Encounter/it-e"], "{found:?}");
    let ours = "Condition?code:in=https://confide.example/fhir/ValueSet/member-flag";
    let found = server.get(ours, &token).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let sct = server
        .get(&format!("Procedure?code:in={sets}/procedure-code"), &token)
        .await;
    assert_eq!(sct.status, 400);
}

#[tokio::test]
async fn summaries_and_elements_leave_out_and_say_so() {
    let (server, token) = start().await;
    let one = async |query: &str| {
        let reply = server
            .get(&format!("Patient?_id=it-p&{query}"), &token)
            .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["entry"][0]["resource"].clone()
    };
    let whole = one("_summary=false").await;
    assert!(whole["text"].is_object() && whole["photo"].is_array());
    let tagged = |record: &Value| record["meta"]["tag"].to_string().contains("SUBSETTED");
    assert!(!tagged(&whole));
    let summary = one("_summary=true").await;
    assert!(summary["text"].is_null() && summary["photo"].is_null() && tagged(&summary));
    assert_eq!(summary["name"], whole["name"]);
    let text = one("_summary=text").await;
    assert!(text["text"].is_object() && text["name"].is_null() && tagged(&text));
    let data = one("_summary=data").await;
    assert!(data["text"].is_null() && data["photo"].is_array() && tagged(&data));
    let some = one("_elements=birthDate").await;
    assert!(some["birthDate"].is_string() && some["name"].is_null() && tagged(&some));
    let none = server.get("Patient?_id=it-p&_count=0", &token).await.json();
    assert!(none["total"] == 1 && none["entry"].is_null());
}

#[tokio::test]
async fn compartments_and_the_system_are_searched_by_get_and_by_form() {
    let (server, token) = start().await;
    let inside = server.get("Patient/it-p/Condition?code=dog", &token).await;
    assert_eq!(inside.keys(), ["Condition/it-dog"]);
    let own = inside.json()["link"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(
        own,
        format!("{PUBLIC}/fhir/Patient/it-p/Condition?code=dog")
    );
    let all = server.get("Patient/it-p/*?_count=100", &token).await.keys();
    assert!(
        all.contains(&"Encounter/it-e".to_owned()) && all.len() == 5,
        "{all:?}"
    );
    assert_eq!(
        server.get("Patient/zz-none/Condition", &token).await.status,
        200
    );
    assert_eq!(
        server.get("Organization/x/Condition", &token).await.status,
        404
    );
    assert_eq!(server.get("Patient/it-p/Ghost", &token).await.status, 404);
    let some = "?_type=Encounter,Condition&patient=it-p&_sort=_id";
    let found = server.get(some, &token).await;
    assert_eq!(
        found.keys(),
        [
            "Condition/it-cat",
            "Condition/it-dog",
            "Encounter/it-e",
            "Condition/it-tom"
        ]
    );
    let found = server.get("?_text=gardening", &token).await;
    assert_eq!(found.keys(), ["Patient/it-p"]);
    let found = server.get("?_content=walker&_type=Patient", &token).await;
    assert!(found.keys().contains(&"Patient/it-p".to_owned()));
    let form = server
        .search("Patient/it-p/Condition", &token, "code=dog")
        .await;
    assert_eq!(form.keys(), ["Condition/it-dog"]);
    let form = server
        .search("Condition", &token, "patient=it-p&code=dog")
        .await;
    assert_eq!(form.keys(), ["Condition/it-dog"]);
}

#[tokio::test]
async fn chains_and_pages_of_several_keys_hold_over_http() {
    let (server, token) = start().await;
    let path =
        "Condition?subject:Patient.family=walker&encounter.class=AMB&_sort=-code,_id&_count=1";
    let pages = server.pages(path, &token).await;
    let keys: Vec<String> = pages.iter().flat_map(|page| page.keys()).collect();
    assert_eq!(
        keys,
        ["Condition/it-tom", "Condition/it-dog", "Condition/it-cat"]
    );
    let has = "Patient?_has:Condition:patient:code=http://example.org/animals|dog";
    assert_eq!(server.get(has, &token).await.keys(), ["Patient/it-p"]);
    let along = server
        .get(
            "Condition?_id=it-dog&_include=*&_include:iterate=Encounter:subject",
            &token,
        )
        .await;
    assert_eq!(along.keys().len(), 3);
    let list = server.get("Condition?_list=it-none", &token).await;
    assert_eq!((list.status, list.keys().len()), (200, 0));
}

#[tokio::test]
async fn a_cut_include_is_told_by_what_is_seen() {
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id, "gender": "other"});
    let one = |patient: &str, number: usize| {
        json!({"resourceType": "Observation", "id": format!("{patient}-{number}"), "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": format!("Patient/{patient}")}})
    };
    let mut records = vec![patient("it-few"), patient("it-many")];
    records.extend((0..1000).map(|number| one("it-few", number)));
    records.extend((0..1001).map(|number| one("it-many", number)));
    // One more that the facility may not see.
    let mut note = one("it-few", 1000);
    note["meta"] = json!({"security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]});
    records.push(note);
    let server = Start::default().import(&records).go().await;
    let token = server.token(&Who::ehr()).await;
    for (id, told) in [("it-few", false), ("it-many", true)] {
        for way in ["Observation:patient", "*"] {
            let path = format!("Patient?_id={id}&_revinclude={way}");
            let bundle = server.get(&path, &token).await.json();
            let entries = bundle["entry"].as_array().unwrap();
            assert_eq!(entries.len(), 1001 + usize::from(told), "{path}");
            let said = entries.last().unwrap();
            assert_eq!(said["search"]["mode"] == "outcome", told, "{path}");
            if told {
                assert_eq!(said["resource"]["issue"][0]["severity"], "warning");
                assert!(said["fullUrl"].is_null());
            }
        }
    }
}

#[tokio::test]
async fn places_are_found_by_their_distance() {
    let place = |id: &str, latitude: f64, longitude: f64| {
        json!({"resourceType": "Location", "id": id, "status": "active", "name": "Near",
            "position": {"latitude": latitude, "longitude": longitude}})
    };
    let records = [
        place("it-la", 34.0522, -118.2437),
        place("it-sf", 37.7749, -122.4194),
        place("it-fiji", -17.8, 179.95),
        place("it-samoa", -17.8, -179.95),
        json!({"resourceType": "Location", "id": "it-nowhere", "status": "active", "name": "Near"}),
    ];
    let server = Start::default().import(&records).go().await;
    let token = server.token(&Who::ehr()).await;
    for (query, expected) in [
        ("near=34|-118.2|20|km", "it-la"),
        ("near=34|-118.2|20", "it-la"),
        ("near=34|-118.2", "it-la"),
        ("near=34.0522|-118.2437|558|km", "it-la"),
        ("near=34.0522|-118.2437|560|km", "it-la it-sf"),
        ("near=34.0522|-118.2437|348|[mi_i]", "it-la it-sf"),
        ("near=-17.8|179.95|11|km", "it-fiji it-samoa"),
        ("near=-17.8|179.95|10|km", "it-fiji"),
        ("near=34|-118.2|20|km,37.8|-122.4|5|km", "it-la it-sf"),
        ("near=0|0|5|km", ""),
        ("near:missing=true", "it-nowhere"),
        ("near=0|0|30000|km", "it-fiji it-la it-samoa it-sf"),
    ] {
        let path = format!("Location?name=near&{query}&_sort=_id");
        let reply = server.get(&path, &token).await;
        assert_eq!(reply.status, 200, "{query} {reply:?}");
        let ids: Vec<String> = reply
            .keys()
            .iter()
            .map(|key| key.trim_start_matches("Location/").to_owned())
            .collect();
        assert_eq!(ids.join(" "), expected, "{query}");
    }
    for query in ["near=x", "near=91|0|1|km", "near=1|2|3|kg", "_sort=near"] {
        let reply = server.get(&format!("Location?{query}"), &token).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[tokio::test]
async fn references_lead_up_and_down_trees() {
    let place = |id: &str, of: &str| {
        json!({"resourceType": "Location", "id": id, "status": "active",
            "partOf": {"reference": format!("Location/{of}")}})
    };
    let at = |id: &str, place: &str| {
        json!({"resourceType": "Encounter", "id": id, "status": "finished",
            "subject": {"reference": "Patient/it-p"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "location": [{"location": {"reference": format!("Location/{place}")}}]})
    };
    let mut records = made();
    records.extend([
        json!({"resourceType": "Location", "id": "it-site", "status": "active"}),
        place("it-house", "it-site"),
        place("it-ward", "it-house"),
        // A ring is against the standard, and must end all the same.
        place("it-ring", "it-loop"),
        place("it-loop", "it-ring"),
        at("it-at-site", "it-site"),
        at("it-at-house", "it-house"),
        at("it-at-ward", "it-ward"),
        at("it-at-ring", "it-ring"),
    ]);
    let server = Start::default().import(&records).go().await;
    let token = server.token(&Who::ehr()).await;
    for (query, expected) in [
        (
            "location:below=it-site",
            "it-at-house it-at-site it-at-ward",
        ),
        ("location:below=Location/it-house", "it-at-house it-at-ward"),
        ("location:above=it-house", "it-at-house it-at-site"),
        (
            "location:above=Location/it-ward&location=it-ward",
            "it-at-ward",
        ),
        ("location:below=it-ring", "it-at-ring"),
        ("location:below=it-none", ""),
        ("location:below=it-ward,it-ring", "it-at-ring it-at-ward"),
        ("location:below=Organization/it-site", ""),
        ("location.partof:below=it-site", "it-at-house it-at-ward"),
    ] {
        let reply = server
            .get(&format!("Encounter?{query}&_sort=_id"), &token)
            .await;
        assert_eq!(reply.status, 200, "{query} {reply:?}");
        let ids: Vec<String> = reply
            .keys()
            .iter()
            .map(|key| key.trim_start_matches("Encounter/").to_owned())
            .collect();
        assert_eq!(ids.join(" "), expected, "{query}");
    }
    for query in [
        "Encounter?subject:below=it-p",
        "Encounter?location:below=http://example.org/Location/x",
        "Encounter?date:below=2026",
    ] {
        assert_eq!(server.get(query, &token).await.status, 400, "{query}");
    }
}
