//! Loading, as commands and the demo do it.

use super::{source::tests::zipped, *};
use crate::{
    cli::open::{Opened, open, tests::config},
    store::audit::{Search, verify},
};
use std::{fs, path::Path};

const CLOCK: Clock = Clock::At(1_772_323_200_000_000);

#[derive(Default)]
struct Told {
    refused: Vec<String>,
    review: Vec<String>,
    records: u64,
    bytes: u64,
}

impl Report for Told {
    fn refused(&mut self, remark: &Remark) {
        self.refused.push(remark.to_string());
    }

    fn in_review(&mut self, remark: &Remark) {
        self.review.push(remark.to_string());
    }

    fn progress(&mut self, bytes: u64, records: u64) {
        self.bytes += bytes;
        self.records += records;
    }
}

async fn loaded(opened: &Opened, sources: &[Source]) -> (Totals, Told) {
    let mut told = Told::default();
    let totals = load(opened, sources.to_vec(), Options::default(), &mut told).await;
    (totals.unwrap(), told)
}

fn sum(totals: &Totals) -> [u64; 4] {
    let Count {
        new,
        changed,
        unchanged,
    } = totals.sum();
    [new, changed, unchanged, totals.refused]
}

const PATIENTS: &str = r#"{"resourceType":"Patient","id":"a"}
{"resourceType":"Patient","id":"b","birthDate":"2011-07-24"}
"#;

#[tokio::test]
async fn a_second_time_changes_nothing() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
        {"fullUrl":"urn:uuid:x","resource":{"resourceType":"Observation","status":"final","code":{"text":"t"},"subject":{"reference":"urn:uuid:y"}},"request":{"method":"POST","url":"Observation"}},
        {"fullUrl":"urn:uuid:y","resource":{"resourceType":"Patient","id":"c"},"request":{"method":"POST","url":"Patient"}}]}"#;
    let sources = [
        Source::bytes("p.ndjson", PATIENTS),
        Source::bytes("b.json.gz", zipped(bundle)),
    ];
    let (totals, told) = loaded(&opened, &sources).await;
    assert_eq!(sum(&totals), [4, 0, 0, 0], "{:?}", told.refused);
    assert_eq!(totals.kinds["Patient"].new, 3);
    let size: u64 = sources.iter().map(Source::size).sum();
    assert_eq!((told.records, told.bytes), (4, size));
    let (totals, _) = loaded(&opened, &sources).await;
    assert_eq!(sum(&totals), [0, 0, 4, 0]);
    let other = Source::bytes(
        "p.json",
        r#"{"resourceType":"Patient","id":"a","active":true}"#,
    );
    let (totals, _) = loaded(&opened, &[other]).await;
    assert_eq!(sum(&totals), [0, 1, 0, 0]);
}

#[tokio::test]
async fn every_refused_record_is_told_by_file_line_and_reason() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let lines = r#"{"resourceType":"Patient","id":"a"}
{"resourceType":"Patient","id":"zq/zq"}
{"resourceType":"Patient"

{"resourceType":"Patient","id":"b","gender":7}
{"resourceType":"Patient","id":"c","colour":"zqblue"}
{"resourceType":"Ghost"}
{"resourceType":"Patient"}
{"resourceType":"AuditEvent","id":"3-17"}
{"resourceType":"Observation","id":"o","status":"final","code":{"text":"t"},"subject":{"reference":"urn:uuid:zq"}}
{"resourceType":"Bundle","type":"document"}
{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"d"}},{"resource":{"resourceType":"Patient","id":"e","active":"zq"}}]}"#;
    let (totals, told) = loaded(&opened, &[Source::bytes("l.ndjson", lines)]).await;
    assert_eq!(sum(&totals), [2, 0, 0, 10], "{:?}", told.refused);
    let begins = [
        "l.ndjson:2: id is not",
        "l.ndjson:3: not valid JSON",
        "l.ndjson:5 Patient/b: Patient.gender",
        "l.ndjson:6 Patient/c: Patient",
        "l.ndjson:7: resourceType",
        "l.ndjson:8: Patient.id: there is no id",
        "l.ndjson:9 AuditEvent/3-17: AuditEvent.id",
        "l.ndjson:10 Observation/o: Observation.subject.reference",
        "l.ndjson:11: Bundle.type",
        "l.ndjson:12 entry 1 Patient/e: Patient.active",
    ];
    for (line, begin) in told.refused.iter().zip(begins) {
        assert!(line.starts_with(begin), "{line}");
        assert!(!line.contains("zq"), "{line}");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_keeps_what_came_before() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    // Bytes that don't compress, so that something comes before the break.
    let mut bytes = zipped(PATIENTS);
    bytes.truncate(bytes.len() - 4);
    let sources = [
        Source::bytes("a.ndjson.gz", bytes),
        Source::file(Path::new("/nowhere/b.json").into()),
    ];
    let (totals, told) = loaded(&opened, &sources).await;
    assert_eq!(totals.refused, 2);
    assert!(
        told.refused[0].starts_with("a.ndjson.gz:"),
        "{:?}",
        told.refused
    );
    assert!(told.refused[1].starts_with("/nowhere/b.json: can't be read"));
    assert_eq!(totals.sum().new, 2);
}

#[tokio::test]
async fn a_consent_that_can_not_be_honoured_is_kept_for_review() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let consent = r#"{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"patient":{"reference":"Patient/a"},"policyRule":{"text":"zqword"}}"#;
    let (totals, told) = loaded(&opened, &[Source::bytes("c.json", consent)]).await;
    assert_eq!(
        (sum(&totals), totals.in_review),
        ([1, 0, 0, 0], 1),
        "{:?}",
        told.refused
    );
    assert!(
        told.review[0].starts_with("c.json Consent/c: "),
        "{:?}",
        told.review
    );
    assert!(!told.review[0].contains("zq"));
    assert!(table(&totals).contains("Consents in review"));
}

#[tokio::test]
async fn each_file_leaves_its_entry_and_the_load_one_more() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let sources = [
        Source::bytes("a.ndjson", PATIENTS),
        Source::bytes("b.json", "nonsense"),
    ];
    loaded(&opened, &sources).await;
    let page = opened.audit.search(Search::default()).await.unwrap();
    let mut targets: Vec<_> = page
        .entries
        .iter()
        .map(|found| {
            (
                &*found.recorded.interaction,
                found.recorded.target.to_string(),
            )
        })
        .collect();
    targets.sort();
    let done = "done: 2 new, 0 changed, 0 unchanged, 1 refused";
    let expected = ["a.ndjson", "b.json", done].map(|target| ("import", target.to_owned()));
    assert_eq!(targets, expected);
    drop(opened);
    let file = crate::store::audit::file(&config.data_dir);
    assert_eq!(verify(&file).unwrap().entries, 3);
}

#[tokio::test]
async fn more_than_a_batch_is_written_in_several() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let lines: String = (0..1201)
        .map(|number| format!("{{\"resourceType\":\"Patient\",\"id\":\"p{number}\"}}\n"))
        .collect();
    let (totals, _) = loaded(&opened, &[Source::bytes("p.ndjson", lines)]).await;
    assert_eq!(sum(&totals), [1201, 0, 0, 0]);
    assert_eq!(opened.store.totals().unwrap(), [("Patient", 1201)]);
}

#[tokio::test]
async fn the_demo_can_move_its_dates() {
    let (_folder, config) = config();
    let opened = open(&config, CLOCK).unwrap();
    let options = Options {
        shift_days: 1,
        ..Options::default()
    };
    let source = || [Source::bytes("p.ndjson", PATIENTS)];
    let totals = load(&opened, source(), options, &mut ()).await.unwrap();
    assert_eq!(totals.sum().new, 2);
    let moved = PATIENTS.replace("07-24", "07-25");
    let (totals, _) = loaded(&opened, &[Source::bytes("m.ndjson", moved)]).await;
    assert_eq!(sum(&totals), [0, 0, 2, 0]);
}

#[test]
fn the_command_ends_as_the_contract_says() {
    let (folder, config) = config();
    let file = folder.path().join("p.ndjson");
    fs::write(&file, PATIENTS).unwrap();
    let run = |path: &Path| {
        let arguments = Arguments {
            paths: vec![path.to_owned()],
        };
        super::run(&config, &arguments)
    };
    assert_eq!(run(&file).unwrap(), Ended::Done);
    fs::write(&file, "{}").unwrap();
    assert_eq!(run(&file).unwrap(), Ended::Refused);
    assert_eq!(run(&folder.path().join("ghost")).unwrap_err().code(), 2);
}
