//! L1: record → labels, whole and by element. Pure: what it needs of other records is handed in.
//!
//! A finding is a coding that the sensitivity table knows, a label that came in `meta.security`, a
//! code that nobody knows, or a neighbour's label that a reference hands on. Each finding carries
//! four sets: its labels, those that only count beside a current hit of the same class (`with_dx`),
//! and for both what is *protected*: for a minor, what that minor could consent to on the day.

mod asked;
pub mod hops;
mod incoming;
mod lines;
pub mod place;
pub mod service;
pub mod table;
mod written;

use crate::{
    calendar,
    fhir::{Key, Kinds, Node, Path, Resource},
    statute::{
        Labels,
        minors::{Care, MINORS},
    },
};
use jiff::civil::Date;
use place::Place;
use service::Serviced;
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};
use table::{Match, Row, TABLE};

/// What a record or element reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// What it reveals.
    pub labels: Labels,
    /// What it reveals only beside a current hit of the same class.
    pub conditional: Labels,
    /// Of `labels`, what a representative of a minor may not see.
    pub protected: Labels,
    /// Of `conditional`, the same.
    pub conditional_protected: Labels,
    /// A fact that decides `protected` was not recorded: a person must look.
    pub review: bool,
}

impl Marks {
    /// Nothing.
    pub const NONE: Marks = Marks {
        labels: Labels::NONE,
        conditional: Labels::NONE,
        protected: Labels::NONE,
        conditional_protected: Labels::NONE,
        review: false,
    };

    /// Labels that are protected whatever the age.
    pub fn always(labels: Labels) -> Marks {
        Marks {
            labels,
            protected: labels,
            ..Marks::NONE
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Marks) -> Marks {
        Marks {
            labels: self.labels.and(other.labels),
            conditional: self.conditional.and(other.conditional),
            protected: self.protected.and(other.protected),
            conditional_protected: self.conditional_protected.and(other.conditional_protected),
            review: self.review || other.review,
        }
    }

    /// Whether nothing is set.
    pub fn is_none(self) -> bool {
        self.labels.is_none() && self.conditional.is_none()
    }

    /// Its four sets, for the columns of a database.
    pub fn column_sets(self) -> [i64; 4] {
        [
            self.labels.column(),
            self.conditional.column(),
            self.protected.column(),
            self.conditional_protected.column(),
        ]
    }

    /// What counts once the patient's current hits are known.
    pub fn effective(self, hits: Labels) -> (Labels, Labels) {
        (
            self.labels.and(self.conditional.both(hits)),
            self.protected.and(self.conditional_protected.both(hits)),
        )
    }
}

/// An element that can be taken out, and what it reveals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of the element.
    pub path: Path,
    /// What it reveals.
    pub marks: Marks,
    /// The record that it points at, where it is a reference to a labelled record.
    pub target: Option<Key>,
}

/// What parts reveal, each kind of part once.
pub fn distinct(parts: &[Part]) -> Vec<Marks> {
    let mut distinct = Vec::new();
    for part in parts {
        if !distinct.contains(&part.marks) {
            distinct.push(part.marks);
        }
    }
    distinct
}

/// The labels of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labelled {
    /// Of the record as a whole: they hide it.
    pub whole: Marks,
    /// Of its elements: they hide these.
    pub parts: Vec<Part>,
    /// The classes that this record makes current for its patient.
    pub hits: Labels,
    /// When the service took place.
    pub serviced: Serviced,
    /// What it says of setting and consent (Encounters).
    pub care: Care,
}

impl Labelled {
    /// What its parts reveal, together.
    pub fn parts_union(&self) -> Marks {
        self.parts
            .iter()
            .fold(Marks::NONE, |all, part| all.and(part.marks))
    }
}

/// The member whose record it is, as far as labels depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The birth date, where known to the day (a partial date counts from its last day: younger).
    pub born: Option<Date>,
    /// Codes of the member's active Flags.
    pub flags: Vec<Box<str>>,
}

/// Another record, as far as labels depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbour {
    /// What the record as a whole reveals.
    pub whole: Marks,
    /// What its parts reveal, together.
    pub parts: Marks,
    /// When its service took place.
    pub day: Option<Date>,
    /// Setting and consent, of an Encounter.
    pub care: Care,
    /// What a facility's regime puts on what it authors or serves (`part2`, `lps`).
    pub regime: Labels,
}

/// All that labels depend on beside the record.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The member.
    pub subject: Subject,
    /// The stored records that this one refers to.
    pub targets: HashMap<Key, Neighbour>,
    /// The stored records that refer to this one; only for types that name no patient.
    pub referrers: Vec<Neighbour>,
    /// An active self-pay restriction names this record.
    pub self_paid: bool,
}

/// Types that name no patient and are never sensitive by themselves.
pub static DIRECTORY: LazyLock<Kinds> = LazyLock::new(|| {
    Kinds::of(&[
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "OrganizationAffiliation",
        "Location",
        "HealthcareService",
        "Endpoint",
        "InsurancePlan",
        "Medication",
        "MedicationKnowledge",
        "Substance",
        "ValueSet",
        "CodeSystem",
        "ConceptMap",
        "NamingSystem",
        "StructureDefinition",
        "StructureMap",
        "SearchParameter",
        "OperationDefinition",
        "CapabilityStatement",
        "CompartmentDefinition",
        "ImplementationGuide",
        "MessageDefinition",
        "GraphDefinition",
        "TerminologyCapabilities",
        "ActivityDefinition",
        "PlanDefinition",
        "Library",
        "Measure",
        "Questionnaire",
        "ExampleScenario",
    ])
});

/// Labels `resource`.
pub fn label(resource: &Resource, around: &Surroundings) -> Labelled {
    // A Medication stays readable by anyone (it names no patient), but who takes it reveals what it
    // is for: its labels travel to what refers to it.
    if DIRECTORY.has(resource.kind()) && resource.kind().name() != "Medication" {
        return Labelled::default();
    }
    let mut work = Work::new(resource, around);
    work.codings();
    work.incoming();
    work.neighbours();
    work.member();
    work.finish()
}

/// The regime of a facility: what it puts on all that it authors or serves (CONTRACT, facts).
pub fn regime(facility: &Resource) -> Labels {
    let values = facility
        .root()
        .get("extension")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .filter(|extension| {
            extension.text("url").is_some_and(|url| {
                url.strip_prefix(crate::fhir::EXTENSION) == Some("facility-regime")
            })
        })
        .filter_map(|extension| {
            let value = extension
                .members()
                .iter()
                .find(|m| m.name.starts_with("value"))?;
            value.node.str().or_else(|| value.node.text("code"))
        });
    values
        .filter_map(|code| match code {
            "part2" => Some(Labels::PART2),
            "lps" => Some(Labels::LPS),
            _ => None,
        })
        .collect()
}

struct Work<'r> {
    resource: &'r Resource,
    around: &'r Surroundings,
    serviced: Serviced,
    care: Care,
    whole: Marks,
    parts: Vec<Part>,
    /// Where in `parts` each path is.
    places: HashMap<Path, usize>,
    hits: Labels,
}

impl<'r> Work<'r> {
    fn new(resource: &'r Resource, around: &'r Surroundings) -> Self {
        let mut serviced = service::serviced(resource);
        let mut care = Care::default();
        if resource.kind().name() == "Encounter" {
            care = service::care(resource);
        } else {
            for key in hops::encounters(resource) {
                let Some(encounter) = around.targets.get(&key) else {
                    continue;
                };
                care.inpatient |= encounter.care.inpatient;
                care.minor_consented |= encounter.care.minor_consented;
                care.mature = care.mature.or(encounter.care.mature);
                serviced.day = serviced.day.or(encounter.day);
            }
        }
        Work {
            resource,
            around,
            serviced,
            care,
            whole: Marks::NONE,
            parts: Vec::new(),
            places: HashMap::new(),
            hits: Labels::NONE,
        }
    }

    fn put(&mut self, path: &Path, marks: Marks) {
        if marks.is_none() {
            return;
        }
        match place::of(self.resource, path) {
            Place::Whole => self.whole = self.whole.and(marks),
            Place::Part(path) => self.put_part(path, marks, None),
        }
    }

    fn put_part(&mut self, path: Path, marks: Marks, target: Option<Key>) {
        let known = self
            .places
            .get(&path)
            .and_then(|at| self.parts.get_mut(*at));
        match known {
            Some(part) => {
                part.marks = part.marks.and(marks);
                part.target = part
                    .target
                    .take()
                    .filter(|known| Some(known) == target.as_ref());
            }
            None => {
                self.places.insert(path.clone(), self.parts.len());
                self.parts.push(Part {
                    path,
                    marks,
                    target,
                });
            }
        }
    }

    fn codings(&mut self) {
        let current = is_current(self.resource);
        let clinical = !place::never_whole(self.resource);
        for coding in &self.resource.found().codings {
            if place::first_name(self.resource.root(), &coding.path) == Some("meta") {
                continue;
            }
            match TABLE.look_up(coding.system.as_deref(), &coding.code) {
                Match::Plain => {}
                Match::Unknown if clinical => {
                    self.put(&coding.path, Marks::always(Labels::UNCLASSIFIED))
                }
                Match::Unknown => {}
                Match::Rows(rows) => {
                    let days = self.days_at(&coding.path);
                    let marks = rows
                        .iter()
                        .fold(Marks::NONE, |all, row| all.and(self.of_row(row, days)));
                    if current {
                        self.hits = self.hits.and(marks.labels);
                    }
                    self.put(&coding.path, marks);
                }
            }
        }
        for code in asked::codes(self.resource) {
            if let Match::Rows(rows) = TABLE.look_up(Some(asked::LOINC), code) {
                let of = |row: &&Row| self.of_row(row, self.serviced.days());
                self.whole = rows.iter().map(of).fold(self.whole, Marks::and);
            }
        }
        if clinical {
            for path in &self.resource.found().texts {
                self.put(path, Marks::always(Labels::UNCLASSIFIED));
            }
        }
    }

    /// The first and the last day of the service at `path`: the line's own, or the record's.
    fn days_at(&self, path: &Path) -> Option<(Date, Date)> {
        let line = path
            .first(2)
            .node(self.resource.root())
            .and_then(service::of_line);
        line.and_then(Serviced::days).or(self.serviced.days())
    }

    fn of_row(&self, row: &Row, days: Option<(Date, Date)>) -> Marks {
        let (protects, review) = self.protects(&row.service, days);
        let protected = if protects { row.labels } else { Labels::NONE };
        if row.with_dx {
            Marks {
                conditional: row.labels,
                conditional_protected: protected,
                review: review && protects,
                ..Marks::NONE
            }
        } else {
            Marks {
                labels: row.labels,
                protected,
                review: review && protects,
                ..Marks::NONE
            }
        }
    }

    /// Whether `service` on these days is the member's own to consent to, and whether a fact is
    /// missing. Care that goes on past the birthday is the member's from then on, and it is one record.
    fn protects(&self, service: &str, days: Option<(Date, Date)>) -> (bool, bool) {
        let (Some(born), Some((first, last))) = (self.around.subject.born, days) else {
            return (true, false);
        };
        let on = |day: Date| {
            let age = calendar::age(born, day);
            if age >= 18 || self.treated_as_adult(age) || self.care.minor_consented {
                return (true, false);
            }
            let finding = MINORS.could_consent(service, born, day, self.care);
            (finding.could, finding.unsettled)
        };
        match (on(first), on(last)) {
            ((true, one), (true, other)) => (true, one && other),
            ((true, unsettled), _) | (_, (true, unsettled)) => (true, unsettled),
            ((false, one), (false, other)) => (false, one || other),
        }
    }

    fn treated_as_adult(&self, age: i16) -> bool {
        self.around
            .subject
            .flags
            .iter()
            .any(|flag| MINORS.status(flag, age))
    }

    /// Labels that came with the record are taken over.
    fn incoming(&mut self) {
        let mut labels: Labels = self
            .resource
            .security()
            .filter_map(|(system, code)| Labels::of_security(system, code))
            .collect();
        if labels.is_none() && self.resource.security().any(incoming::is_restricted) {
            // Someone restricted it and did not say why.
            labels = Labels::UNCLASSIFIED;
        }
        if labels.is_none() || place::never_whole(self.resource) {
            return;
        }
        let mut marks = Marks::always(labels);
        let special = Labels::PSYCHOTHERAPY_NOTE
            .and(Labels::NOTE_UNRELEASED)
            .and(Labels::PART2)
            .and(Labels::LPS)
            .and(Labels::SELF_PAID)
            .and(Labels::UNCLASSIFIED)
            .and(Labels::MINOR_CONSENTED);
        let by_service = labels.without(special);
        if !by_service.is_none() && !incoming::special_only(labels, special) {
            let (protects, review) =
                self.protects(incoming::service_of(by_service), self.serviced.days());
            marks.review = review && protects;
            if !protects {
                marks.protected = labels.both(special);
            }
        }
        let released = Resource::extension(self.resource.root(), "psychotherapy-note-released")
            .and_then(Node::bool)
            == Some(true);
        if released {
            marks.labels = marks.labels.without(Labels::NOTE_UNRELEASED);
            marks.protected = marks.protected.without(Labels::NOTE_UNRELEASED);
        }
        self.whole = self.whole.and(marks);
    }

    /// What references hand on, and references to labelled records as parts of this one.
    fn neighbours(&mut self) {
        for reference in &self.resource.found().references {
            let Some(key) = reference.target.local() else {
                continue;
            };
            let Some(target) = self.around.targets.get(key) else {
                continue;
            };
            if !target.regime.is_none() && hops::serves(self.resource, &reference.path) {
                self.whole = self.whole.and(Marks::always(target.regime));
            }
            match hops::hop(self.resource, &reference.path) {
                hops::Hop::Whole => {
                    let (handed_on, is_note) = hops::handed_on(target.whole);
                    self.whole = self.whole.and(handed_on);
                    if is_note {
                        self.put_part(reference.path.clone(), target.whole, Some(key.clone()));
                    }
                }
                hops::Hop::WholeWithParts => {
                    self.whole = self.whole.and(target.whole).and(target.parts)
                }
                hops::Hop::Entry(path) => {
                    if !target.whole.is_none() {
                        self.put_part(path, target.whole, None);
                    }
                }
                hops::Hop::Reference => {
                    if !target.whole.is_none() {
                        self.put_part(reference.path.clone(), target.whole, Some(key.clone()));
                    }
                }
            }
        }
        for referrer in &self.around.referrers {
            self.whole = self.whole.and(referrer.whole);
        }
        for (path, marks) in lines::lines(self.resource, &self.parts) {
            self.put_part(path, marks, None);
        }
        self.whole = self.whole.and(lines::without(self.resource, &self.parts));
    }

    /// What follows from who the member is, and from how it was paid.
    fn member(&mut self) {
        if self.around.self_paid {
            self.whole = self.whole.and(Marks::always(Labels::SELF_PAID));
        }
        let age = match (self.around.subject.born, self.serviced.day) {
            (Some(born), Some(day)) => Some(calendar::age(born, day)),
            _ => None,
        };
        // What happened in an Encounter has it from there, line by line. Whatever else is labelled: the
        // rest of such care is the minor's own too.
        let kind = self.resource.kind().name();
        let consented = kind == "Encounter" && self.care.minor_consented;
        let own = consented || age.is_some_and(|age| self.treated_as_adult(age));
        if age.is_none_or(|age| age < 18) && own && !place::never_whole(self.resource) {
            self.whole = self.whole.and(Marks::always(Labels::MINOR_CONSENTED));
        }
    }

    fn finish(mut self) -> Labelled {
        let entries = place::deciding_entries(self.resource);
        let top = |part: &Part| part.path.first(2);
        let labelled = self
            .parts
            .iter()
            .filter(|part| !part.marks.labels.is_none());
        let labelled: HashSet<Path> = labelled.map(top).collect();
        if !entries.is_empty() && entries.iter().all(|entry| labelled.contains(entry)) {
            let entries: HashSet<Path> = entries.into_iter().collect();
            self.whole = self
                .parts
                .iter()
                .filter(|part| entries.contains(&top(part)))
                .fold(self.whole, |all, part| all.and(part.marks));
        }
        self.parts.sort_by(|a, b| a.path.cmp(&b.path));
        Labelled {
            whole: self.whole,
            parts: self.parts,
            hits: self.hits,
            serviced: self.serviced,
            care: self.care,
        }
    }
}

/// Whether a record speaks of now: not refuted, entered in error, resolved or stopped.
fn is_current(resource: &Resource) -> bool {
    let root = resource.root();
    let code = |name: &str| {
        root.get(name)
            .map(|node| node.get("coding").map(Node::items).unwrap_or_default())
            .unwrap_or_default()
            .first()
            .and_then(|coding| coding.text("code"))
    };
    let ended = [
        "entered-in-error",
        "refuted",
        "inactive",
        "resolved",
        "remission",
        "cancelled",
        "not-done",
    ];
    let says = [
        code("verificationStatus"),
        code("clinicalStatus"),
        root.text("status"),
    ];
    !says.iter().flatten().any(|word| ended.contains(word))
}

#[cfg(test)]
mod tests;
