use super::*;

const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";

fn resource(text: &str) -> Resource {
    Resource::ours(text.to_owned()).unwrap()
}

fn condition(code: &str, on: &str) -> Resource {
    resource(&format!(
        r#"{{"resourceType":"Condition","id":"c","code":{{"coding":[{{"system":"{ICD}","code":"{code}"}}]}},"subject":{{"reference":"Patient/p"}},"onsetDateTime":"{on}"}}"#
    ))
}

fn born(date: &str) -> Surroundings {
    Surroundings {
        subject: Subject {
            born: Some(date.parse().unwrap()),
            flags: Vec::new(),
        },
        ..Surroundings::default()
    }
}

#[test]
fn rule_sen_1_a_coding_labels_its_record() {
    let labelled = label(&condition("F64.0", "2026-11-01"), &born("1990-01-01"));
    assert!(labelled.whole.labels.holds(Labels::GENDER_AFFIRMING));
    assert_eq!(
        labelled.whole.protected, labelled.whole.labels,
        "an adult's is protected"
    );
    assert!(
        label(&condition("J45.909", "2026-11-01"), &born("1990-01-01"))
            .whole
            .is_none()
    );
}

#[test]
fn rule_sen_2_for_a_minor_only_what_that_minor_could_consent_to_is_protected() {
    let minor = born("2011-07-24");
    let gender = label(&condition("F64.0", "2026-11-01"), &minor).whole;
    assert!(gender.labels.holds(Labels::GENDER_AFFIRMING) && gender.protected.is_none());
    let infection = label(&condition("A56.02", "2026-11-01"), &minor).whole;
    assert!(infection.protected.holds(Labels::STI));
    let younger = label(&condition("A56.02", "2026-11-01"), &born("2015-07-24")).whole;
    assert!(younger.labels.holds(Labels::STI) && younger.protected.is_none());
}

#[test]
fn rule_sen_2_care_that_goes_on_past_the_birthday_is_protected() {
    let stay = |start: &str, end: &str| {
        let text = format!(
            r#"{{"resourceType":"Procedure","code":{{"coding":[{{"system":"{ICD}","code":"A56.02"}}]}},"performedPeriod":{{"start":"{start}"{end}}}}}"#
        );
        label(&resource(&text), &born("2011-07-24")).whole
    };
    let until = |start, end: &str| stay(start, &format!(r#","end":"{end}""#)).protected;
    assert!(until("2023-07-01", "2023-07-23").is_none(), "eleven");
    assert!(until("2023-07-01", "2023-07-24").holds(Labels::STI));
    assert!(until("2023-07-24", "2023-07-30").holds(Labels::STI));
    assert!(stay("2023-07-01", "").protected.is_none(), "no end is told");
}

#[test]
fn rule_sen_2_missing_facts_protect() {
    let unknown_birth = label(&condition("F64.0", "2026-11-01"), &Surroundings::default()).whole;
    assert_eq!(unknown_birth.protected, unknown_birth.labels);
    let undated = resource(&format!(
        r#"{{"resourceType":"Condition","code":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}}"#
    ));
    assert!(
        !label(&undated, &born("2011-07-24"))
            .whole
            .protected
            .is_none()
    );
    let counselling = label(&condition("F32.9", "2026-11-01"), &born("2011-07-24")).whole;
    assert!(counselling.review && counselling.protected.holds(Labels::MENTAL_HEALTH));
}

#[test]
fn rule_sen_1_what_nobody_knows_is_unclassified() {
    let text_only = resource(r#"{"resourceType":"Condition","code":{"text":"said"}}"#);
    assert_eq!(
        label(&text_only, &born("1990-01-01")).whole.labels,
        Labels::UNCLASSIFIED
    );
    let local = resource(
        r#"{"resourceType":"Condition","code":{"coding":[{"system":"http://example.org/x","code":"1"}]}}"#,
    );
    assert_eq!(
        label(&local, &born("1990-01-01")).whole.protected,
        Labels::UNCLASSIFIED
    );
    let patient = resource(r#"{"resourceType":"Patient","maritalStatus":{"text":"said"}}"#);
    assert!(label(&patient, &Surroundings::default()).parts.is_empty());
}

#[test]
fn an_event_takes_over_its_encounter_and_a_mixed_bill_only_its_line() {
    let encounter = Neighbour {
        whole: Marks::always(Labels::MENTAL_HEALTH),
        ..Neighbour::default()
    };
    let mut around = born("1990-01-01");
    around
        .targets
        .insert(Key::parse("Encounter/e").unwrap(), encounter);
    let observation = resource(
        r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8302-2"}]},"encounter":{"reference":"Encounter/e"}}"#,
    );
    assert_eq!(
        label(&observation, &around).whole.labels,
        Labels::MENTAL_HEALTH
    );
    let bill = resource(
        r#"{"resourceType":"ExplanationOfBenefit","item":[{"sequence":1},{"sequence":2,"encounter":[{"reference":"Encounter/e"}]}]}"#,
    );
    let labelled = label(&bill, &around);
    assert!(labelled.whole.is_none());
    assert_eq!(labelled.parts[0].path.words(bill.root()), "item[1]");
    let wholly = resource(
        r#"{"resourceType":"ExplanationOfBenefit","item":[{"sequence":2,"encounter":[{"reference":"Encounter/e"}]}]}"#,
    );
    assert_eq!(label(&wholly, &around).whole.labels, Labels::MENTAL_HEALTH);
}

#[test]
fn a_line_reveals_the_diagnosis_that_it_points_at() {
    let bill = resource(&format!(
        r#"{{"resourceType":"Claim","diagnosis":[{{"sequence":7,"diagnosisCodeableConcept":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}}],"item":[{{"sequence":1}},{{"sequence":2,"diagnosisSequence":[7]}}]}}"#
    ));
    let paths: Vec<_> = label(&bill, &born("1990-01-01"))
        .parts
        .iter()
        .map(|part| part.path.words(bill.root()))
        .collect();
    assert_eq!(paths, ["diagnosis[0]", "item[1]"]);
}

#[test]
fn an_added_line_reveals_what_the_line_does_in_whose_place_it_stands() {
    let bill = resource(&format!(
        r#"{{"resourceType":"ExplanationOfBenefit","item":[{{"sequence":1,"productOrService":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}},{{"sequence":2}}],"addItem":[{{"itemSequence":[1]}},{{"itemSequence":[2]}}]}}"#
    ));
    let labelled = label(&bill, &born("1990-01-01"));
    let paths = labelled
        .parts
        .iter()
        .map(|part| part.path.words(bill.root()));
    assert_eq!(paths.collect::<Vec<_>>(), ["item[0]", "addItem[0]"]);
}

#[test]
fn a_bill_without_lines_is_for_its_diagnoses() {
    for kind in ["Claim", "ExplanationOfBenefit"] {
        let bill = resource(&format!(
            r#"{{"resourceType":"{kind}","diagnosis":[{{"sequence":1,"diagnosisCodeableConcept":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}}]}}"#
        ));
        let whole = label(&bill, &born("1990-01-01")).whole;
        assert!(whole.labels.holds(Labels::GENDER_AFFIRMING), "{kind}");
    }
}

#[test]
fn a_line_that_points_at_nothing_is_for_what_no_line_points_at() {
    let bill = |pointers: &str| {
        let text = format!(
            r#"{{"resourceType":"Claim","diagnosis":[{{"sequence":1,"diagnosisCodeableConcept":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}},{{"sequence":2,"diagnosisCodeableConcept":{{"coding":[{{"system":"{ICD}","code":"J45.909"}}]}}}}],"item":[{{"sequence":1}},{{"sequence":2{pointers}}}]}}"#
        );
        let bill = resource(&text);
        let labelled = label(&bill, &born("1990-01-01"));
        let paths = labelled
            .parts
            .iter()
            .map(|part| part.path.words(bill.root()));
        (labelled.whole.labels.is_none(), paths.collect::<Vec<_>>())
    };
    let (mixed, paths) = bill("");
    assert!(!mixed);
    assert_eq!(paths, ["diagnosis[0]", "item[0]", "item[1]"]);
    let (mixed, paths) = bill(r#","diagnosisSequence":[2]"#);
    assert!(mixed);
    assert_eq!(paths, ["diagnosis[0]", "item[0]"]);
}

#[test]
fn a_reference_to_a_labelled_record_is_a_part() {
    let mut around = born("1990-01-01");
    around.targets.insert(
        Key::parse("Condition/c").unwrap(),
        Neighbour {
            whole: Marks::always(Labels::STI),
            ..Neighbour::default()
        },
    );
    let request =
        resource(r#"{"resourceType":"Observation","derivedFrom":[{"reference":"Condition/c"}]}"#);
    let labelled = label(&request, &around);
    assert!(labelled.whole.is_none());
    assert_eq!(
        labelled.parts[0].path.words(request.root()),
        "derivedFrom[0]"
    );
    assert_eq!(labelled.parts[0].target, Key::parse("Condition/c"));
}

#[test]
fn incoming_labels_are_taken_over_and_a_note_waits_for_its_release() {
    let note = |released: &str| {
        resource(&format!(
            r#"{{"resourceType":"DocumentReference","meta":{{"security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSYTHPN"}}]}}{released}}}"#
        ))
    };
    let held = label(&note(""), &born("1990-01-01")).whole;
    assert!(
        held.labels
            .holds(Labels::PSYCHOTHERAPY_NOTE.and(Labels::NOTE_UNRELEASED))
    );
    let released = label(
        &note(r#","extension":[{"url":"https://confide.example/fhir/StructureDefinition/psychotherapy-note-released","valueBoolean":true}]"#),
        &born("1990-01-01"),
    )
    .whole;
    assert!(released.labels.holds(Labels::PSYCHOTHERAPY_NOTE));
    assert!(!released.labels.meets(Labels::NOTE_UNRELEASED));
}

#[test]
fn a_facility_hands_its_regime_to_what_it_serves() {
    let facility = resource(
        r#"{"resourceType":"Organization","extension":[{"url":"https://confide.example/fhir/StructureDefinition/facility-regime","valueCode":"part2"}]}"#,
    );
    assert_eq!(regime(&facility), Labels::PART2);
    let mut around = born("1990-01-01");
    around.targets.insert(
        Key::parse("Organization/o").unwrap(),
        Neighbour {
            regime: Labels::PART2,
            ..Neighbour::default()
        },
    );
    let encounter = resource(
        r#"{"resourceType":"Encounter","class":{"code":"AMB"},"serviceProvider":{"reference":"Organization/o"}}"#,
    );
    assert!(label(&encounter, &around).whole.labels.holds(Labels::PART2));
}

#[test]
fn care_that_a_minor_in_fact_consented_to_is_labelled_as_such() {
    let mut around = born("2011-07-24");
    around.subject.flags.push("self-sufficient-minor".into());
    let asthma = label(&condition("J45.909", "2026-11-01"), &around).whole;
    assert_eq!(asthma.protected, Labels::MINOR_CONSENTED);
    assert!(
        label(&condition("J45.909", "2024-11-01"), &around)
            .whole
            .is_none(),
        "13 then"
    );
}

#[test]
fn a_dual_use_drug_waits_for_a_hit() {
    let drug = resource(
        r#"{"resourceType":"MedicationRequest","status":"active","medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"4083"}]}}"#,
    );
    let marks = label(&drug, &born("1990-01-01")).whole;
    assert!(marks.labels.is_none());
    assert_eq!(marks.effective(Labels::NONE).0, Labels::NONE);
    assert_eq!(
        marks.effective(Labels::GENDER_AFFIRMING).0,
        Labels::GENDER_AFFIRMING
    );
    let active = label(&condition("F64.0", "2026-11-01"), &born("1990-01-01"));
    assert!(active.hits.holds(Labels::GENDER_AFFIRMING));
    let refuted = resource(&format!(
        r#"{{"resourceType":"Condition","verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"refuted"}}]}},"code":{{"coding":[{{"system":"{ICD}","code":"F64.0"}}]}}}}"#
    ));
    assert!(label(&refuted, &born("1990-01-01")).hits.is_none());
}

#[test]
fn what_is_there_for_a_hidden_problem_alone_is_hidden_whole() {
    let mut around = born("1990-01-01");
    let hidden = Neighbour {
        whole: Marks::always(Labels::SUBSTANCE_USE),
        ..Neighbour::default()
    };
    let plain = Neighbour::default();
    for (id, neighbour) in [("hidden", hidden), ("plain", plain)] {
        let key = Key::parse(&format!("Condition/{id}")).unwrap();
        around.targets.insert(key, neighbour);
    }
    let of = |kind: &str, list: &str, ids: &[&str]| {
        let entries = ids.iter().map(|id| {
            let reference = format!(r#"{{"reference":"Condition/{id}"}}"#);
            if kind == "EpisodeOfCare" {
                format!(r#"{{"condition":{reference}}}"#)
            } else {
                reference
            }
        });
        let entries: Vec<String> = entries.collect();
        let text = format!(
            r#"{{"resourceType":"{kind}","{list}":[{}]}}"#,
            entries.join(",")
        );
        label(&resource(&text), &around)
    };
    for (kind, list) in [
        ("CarePlan", "addresses"),
        ("CareTeam", "reasonReference"),
        ("EpisodeOfCare", "diagnosis"),
        ("Goal", "addresses"),
    ] {
        let alone = of(kind, list, &["hidden"]);
        assert!(alone.whole.labels.holds(Labels::SUBSTANCE_USE), "{kind}");
        let mixed = of(kind, list, &["hidden", "plain"]);
        assert!(mixed.whole.is_none() && mixed.parts.len() == 1, "{kind}");
    }
}

#[test]
fn rule_sen_1_a_screening_form_tells_what_it_screens_for() {
    let form = |questionnaire: &str, link: &str| {
        let text = format!(
            r#"{{"resourceType":"QuestionnaireResponse","questionnaire":"{questionnaire}","authored":"2026-11-01","item":[{{"linkId":"g","answer":[{{"valueString":"x","item":[{{"linkId":"{link}"}}]}}]}}]}}"#
        );
        label(&resource(&text), &born("2011-07-24")).whole.protected
    };
    assert!(form("http://loinc.org/q/44249-1|2.1", "1").holds(Labels::MENTAL_HEALTH));
    assert!(form("http://example.org/form", "/44250-9").holds(Labels::MENTAL_HEALTH));
    assert!(form("http://example.org/form", "/8302-2").is_none());
}

#[test]
fn an_order_for_what_a_note_says_is_no_note() {
    let mut around = born("1990-01-01");
    let note = Neighbour {
        whole: Marks::always(Labels::PSYCHOTHERAPY_NOTE.and(Labels::MENTAL_HEALTH)),
        ..Neighbour::default()
    };
    let key = Key::parse("DocumentReference/n").unwrap();
    around.targets.insert(key, note);
    let order = resource(
        r#"{"resourceType":"ServiceRequest","reasonReference":[{"reference":"DocumentReference/n"}]}"#,
    );
    let labelled = label(&order, &around);
    assert_eq!(labelled.whole.labels, Labels::MENTAL_HEALTH);
    assert!(
        labelled.parts[0]
            .marks
            .labels
            .holds(Labels::PSYCHOTHERAPY_NOTE)
    );
}
