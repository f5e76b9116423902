//! Searches that lead over other records, count, sort and look by what may be hidden.

/// Paths about a member, below the FHIR base.
pub fn far(member: &str) -> Vec<String> {
    let id = member.trim_start_matches("Patient/");
    let has = [
        "Condition:patient:code:missing=false",
        "Observation:patient:code=75626-2,10351-5",
        "Encounter:patient:reason-code:missing=false",
        "Encounter:patient:_has:Condition:encounter:code:text=a,d,g,h,m,p,s",
        "ExplanationOfBenefit:patient:care-team=dr-novak,dr-lee",
        "MedicationRequest:patient:status=active",
        "Claim:patient:_lastUpdated=ge2020",
        "Communication:subject:_content=visit,care",
        "Flag:patient:code:missing=false",
        "List:patient:item.code:missing=false",
    ];
    let mut all: Vec<String> = has
        .iter()
        .map(|has| format!("Patient?_id={id}&_has:{has}&_total=accurate"))
        .collect();
    for query in [
        "Observation?PATIENT&encounter.reason-code:missing=false&_sort=-date,code&_count=40",
        "Observation?PATIENT&encounter.participant.family=novak,lee&_total=accurate&_count=0",
        "Observation?PATIENT&encounter:missing=true&_summary=count",
        "Observation?PATIENT&value-quantity=gt0&_sort=-value-quantity,code&_count=30",
        "Observation?PATIENT&code-value-quantity=8302-2$gt1&_summary=count",
        "Observation?PATIENT&performer.family=novak&_summary=count",
        "Condition?PATIENT&encounter.class=AMB&_sort=code,-onset-date,_id&_count=15",
        "Condition?PATIENT&encounter.diagnosis.code:missing=false&_summary=count",
        "Condition?PATIENT&code:not=195662009&_sort=-code&_count=25",
        "Condition?PATIENT&code:text=a,c,d,h,o,s&_total=accurate",
        "Condition?PATIENT&evidence-detail:missing=true&_summary=count",
        "Condition?PATIENT&_has:Encounter:diagnosis:status=finished&_total=accurate",
        "Condition?PATIENT&_include=*&_revinclude:iterate=Observation:encounter&_count=20",
        "Encounter?PATIENT&_include:iterate=*&_count=10",
        "Encounter?PATIENT&_has:Observation:encounter:status=final&_total=accurate&_sort=-date&_count=5",
        "Encounter?PATIENT&_has:DocumentReference:encounter:status=current&_summary=count",
        "Encounter?PATIENT&reason-code:missing=true&_summary=count",
        "Encounter?PATIENT&_text=visit&_summary=count",
        "Encounter?PATIENT&_content=counsel,depress,psych,visit&_total=accurate&_count=10",
        "Encounter?PATIENT&participant.name=novak&_sort=-participant,date",
        "ExplanationOfBenefit?PATIENT&claim.encounter.reason-code:missing=false&_summary=count",
        "ExplanationOfBenefit?PATIENT&care-team.family=novak&_summary=count",
        "ExplanationOfBenefit?PATIENT&_sort=-care-team,created&_count=12",
        "ExplanationOfBenefit?PATIENT&_include=*&_count=10",
        "ExplanationOfBenefit?PATIENT&_content=therapy,novak,visit&_total=accurate",
        "ExplanationOfBenefit?PATIENT&_elements=status,item&_count=10",
        "ExplanationOfBenefit?PATIENT&_summary=true&_count=10",
        "ExplanationOfBenefit?PATIENT&_summary=data&_count=10",
        "ExplanationOfBenefit?PATIENT&_summary=text&_count=10",
        "Claim?PATIENT&encounter.participant=dr-novak&_summary=count",
        "DocumentReference?PATIENT&related:missing=false&_include=DocumentReference:*",
        "DocumentReference?PATIENT&author.family=novak&_summary=count",
        "List?PATIENT&item:Condition.code:missing=false&_total=accurate",
        "MedicationRequest?PATIENT&encounter.reason-code:missing=false&_sort=-authoredon,code",
        "Communication?PATIENT&encounter:missing=false&_sort=-sent",
        "Procedure?PATIENT&encounter.diagnosis.code:text=a,d,s&_summary=count",
        "Practitioner?_has:Observation:performer:patient=ID&_total=accurate",
        "Practitioner?_has:Encounter:participant:patient=ID&_sort=family&_total=accurate",
        "Organization?_has:Encounter:service-provider:patient=ID&_total=accurate",
    ] {
        let patient = match query.split('?').next() {
            Some("Communication") => format!("subject={member}"),
            _ => format!("patient={member}"),
        };
        all.push(query.replace("PATIENT", &patient).replace("ID", id));
    }
    for tail in [
        "Condition?_total=accurate&_sort=code",
        "ServiceRequest?_contained=both&_total=accurate&_count=20",
        "Observation?_sort=-date&_count=25&_total=accurate",
        "ExplanationOfBenefit?_summary=count",
        "Practitioner",
        "*?_summary=count",
        "*?_count=30&_total=accurate",
        "Ghost",
    ] {
        all.push(format!("{member}/{tail}"));
        all.push(format!("Patient/zz-never-was/{tail}"));
    }
    all.extend([
        format!("?_type=Condition,Encounter&patient={member}&_total=accurate&_count=25"),
        format!("?_type=Patient&_id={id}"),
        "?_type=Condition,Observation&_summary=count".to_owned(),
        "?_type=Ghost".to_owned(),
        "?_lastUpdated=ge2020&_summary=count&_has:Provenance:target:_id=none".to_owned(),
        "Coverage?_contained=true&_containedType=contained&_total=accurate&_count=30".to_owned(),
        "Coverage?_contained=both&_sort=-_id&_total=accurate&_count=30".to_owned(),
        "ServiceRequest?_contained=true&performer:missing=false&_summary=count".to_owned(),
        "Medication?_contained=both&_total=accurate".to_owned(),
        format!("ServiceRequest?_contained=true&patient={member}&_total=accurate&_count=10"),
        format!("ExplanationOfBenefit?patient={member}&coverage.type:text=a,m,s&_summary=count"),
        "Condition?code:in=http://example.org/none".to_owned(),
        "Condition?code:below=http://snomed.info/sct|404684003".to_owned(),
    ]);
    all
}
