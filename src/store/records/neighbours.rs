//! What labels depend on beside the record: read from the rows of the records around it.

use super::{keys, relabel};
use crate::{
    fhir::{Key, Resource},
    label::{Marks, Neighbour, Subject, Surroundings},
    policy::Facts,
    statute::{Labels, minors::Care},
    store::{
        StoreError,
        session::{Columns, Memo, Session},
        sql::values,
        subjects,
    },
};
use jiff::civil::Date;
use std::collections::HashMap;

/// Neighbours and members, remembered through a batch: every record of a bundle points at the same few.
#[derive(Debug, Default)]
pub struct Memory {
    known: HashMap<Key, Option<Neighbour>>,
    organizations: HashMap<Key, Option<i64>>,
    members: HashMap<i64, Member>,
    /// Whether any Consent names a record that is paid by the member.
    names: Option<bool>,
}

/// A patient's day of birth and flags.
type Member = (Option<Date>, Vec<Box<str>>);

impl Memory {
    /// Drops what a change of this record's labels makes stale.
    pub fn forget(&mut self, key: &Key) {
        self.known.remove(key);
        self.organizations.remove(key);
    }

    /// Remembers what was just written of a record, as a look would find it.
    pub fn stored(&mut self, facts: &Facts, columns: &relabel::Columns) {
        let neighbour = Neighbour {
            whole: facts.whole,
            parts: Marks {
                review: false,
                ..facts.parts_union()
            },
            day: columns.day.as_deref().and_then(|day| day.parse().ok()),
            care: care(columns.care),
            regime: columns.regime,
        };
        self.known.insert(facts.key.clone(), Some(neighbour));
        self.organizations
            .insert(facts.key.clone(), columns.organization);
    }

    /// Drops what a change of any record's labels may make stale.
    pub fn forget_all(&mut self) {
        self.known.clear();
        self.organizations.clear();
    }

    /// Drops what a new version of this record may make stale.
    pub fn changes(&mut self, key: &Key) {
        self.forget(key);
        if ["Patient", "Flag"].contains(&key.kind.name()) {
            self.members.clear();
        }
        if crate::consent::is_consent(key.kind) {
            self.names = None;
        }
    }

    fn look_up(&mut self, read: &dyn Session, key: &Key) -> Result<Option<Neighbour>, StoreError> {
        if let Some(known) = self.known.get(key) {
            return Ok(known.clone());
        }
        let found = by_key(read, key)?;
        self.known.insert(key.clone(), found.clone());
        Ok(found)
    }
}

const COLUMNS: &str = "labels, conditional, protected, c_protected, review, \
    p_labels, p_conditional, p_protected, p_c_protected, day, care, regime";

fn neighbour(row: &dyn Columns) -> Result<Neighbour, StoreError> {
    let label = |at: usize| -> Result<Labels, StoreError> { Ok(Labels::from_column(row.get(at)?)) };
    Ok(Neighbour {
        whole: Marks {
            labels: label(0)?,
            conditional: label(1)?,
            protected: label(2)?,
            conditional_protected: label(3)?,
            review: row.get(4)?,
        },
        parts: Marks {
            labels: label(5)?,
            conditional: label(6)?,
            protected: label(7)?,
            conditional_protected: label(8)?,
            review: false,
        },
        day: row.get::<Option<&str>>(9)?.and_then(|day| day.parse().ok()),
        care: care(row.get(10)?),
        regime: label(11)?,
    })
}

fn by_key(read: &dyn Session, key: &Key) -> Result<Option<Neighbour>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE kind = ?1 AND id = ?2 AND deleted = 0");
    read.first(
        &sql,
        &values![key.kind.number(), key.id.as_str()],
        neighbour,
    )
}

/// The stored number for [`Care`].
pub fn care_column(care: Care) -> i64 {
    i64::from(care.inpatient)
        | i64::from(care.minor_consented) << 1
        | i64::from(care.mature.is_some()) << 2
        | i64::from(care.mature == Some(true)) << 3
}

fn care(column: i64) -> Care {
    Care {
        inpatient: column & 1 != 0,
        minor_consented: column & 2 != 0,
        mature: (column & 4 != 0).then_some(column & 8 != 0),
    }
}

/// All that labels of `resource` depend on. `patients` are whose record it is, by number.
pub fn around(
    read: &dyn Session,
    memory: &mut Memory,
    rid: i64,
    resource: &Resource,
    patients: &[i64],
    derived: bool,
) -> Result<Surroundings, StoreError> {
    let mut around = Surroundings {
        subject: subject(read, memory, patients)?,
        ..Surroundings::default()
    };
    for reference in &resource.found().references {
        let Some(key) = reference.target.local() else {
            continue;
        };
        if key.kind.name() == "Patient" || around.targets.contains_key(key) {
            continue;
        }
        if let Some(neighbour) = memory.look_up(read, key)? {
            around.targets.insert(key.clone(), neighbour);
        }
    }
    if derived && !subjects::takes_from_targets(resource.kind()) {
        let sql = format!(
            "SELECT {} FROM reference f JOIN record n ON n.rid = f.rid WHERE f.target = ?1 AND n.deleted = 0 AND n.kind <> {}",
            COLUMNS
                .split(", ")
                .map(|column| format!("n.{}", column.trim()))
                .collect::<Vec<_>>()
                .join(", "),
            keys::number("Consent")
        );
        around.referrers = read.all(&sql, &values![rid], neighbour)?;
    }
    let names = match memory.names {
        Some(names) => names,
        None => read.exists("SELECT 1 FROM directive_names LIMIT 1", &[])?,
    };
    memory.names = Some(names);
    let unnamed = |memo: &Memo| memo.born.contains(&rid) && !memo.named.contains(&rid);
    if !names || read.memo().is_some_and(|memo| unnamed(&memo.borrow())) {
        return Ok(around);
    }
    let sql = "SELECT 1 FROM directive_names n JOIN directive d ON d.rid = n.rid \
               WHERE n.named = ?1 AND d.category = 'self-pay-restriction' \
               AND EXISTS (SELECT 1 FROM record_patient q WHERE q.rid = ?1 AND q.own = 1 AND q.patient = d.patient) LIMIT 1";
    around.self_paid = read.exists(sql, &values![rid])?;
    Ok(around)
}

/// The member: the youngest of several, with the flags of all.
fn subject(
    read: &dyn Session,
    memory: &mut Memory,
    patients: &[i64],
) -> Result<Subject, StoreError> {
    let mut subject = Subject::default();
    for (at, patient) in patients.iter().enumerate() {
        let member = match memory.members.get(patient) {
            Some(member) => member.clone(),
            None => member(read, *patient)?,
        };
        memory.members.insert(*patient, member.clone());
        let (born, flags) = member;
        subject.born = match (at, subject.born, born) {
            (0, _, born) => born,
            (_, Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
        subject.flags.extend(flags);
    }
    Ok(subject)
}

fn member(read: &dyn Session, patient: i64) -> Result<Member, StoreError> {
    let sql = "SELECT born FROM patient_state WHERE patient = ?1";
    let born: Option<Option<String>> = read.first(sql, &values![patient], |row| row.get(0))?;
    let born = born.flatten().and_then(|born| born.parse().ok());
    let sql = "SELECT code FROM flag WHERE patient = ?1 ORDER BY rid";
    let flags = read.all(sql, &values![patient], |row| Ok(row.get::<&str>(0)?.into()))?;
    Ok((born, flags))
}

/// The organization of a record, or of the Encounter that it happened in.
pub fn organization(
    read: &dyn Session,
    memory: &mut Memory,
    resource: &Resource,
) -> Result<Option<i64>, StoreError> {
    const OWN: &[&str] = &[
        "serviceProvider",
        "custodian",
        "managingOrganization",
        "organization",
        "provider",
        "performer",
        "performer.actor",
        "author",
        "sender",
    ];
    let direct = OWN
        .iter()
        .flat_map(|path| resource.keys(path))
        .find(|key| key.kind.name() == "Organization");
    if let Some(key) = direct {
        return Ok(Some(keys::locate(read, &key)?));
    }
    for key in crate::label::hops::encounters(resource) {
        if let Some(known) = memory.organizations.get(&key) {
            if known.is_some() {
                return Ok(*known);
            }
            continue;
        }
        let sql = "SELECT organization FROM record WHERE kind = ?1 AND id = ?2 AND deleted = 0";
        let values = values![key.kind.number(), key.id.as_str()];
        let found: Option<Option<i64>> = read.first(sql, &values, |row| row.get(0))?;
        let found = found.flatten();
        memory.organizations.insert(key.clone(), found);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Who made a record: the originator of a note.
pub fn author(read: &dyn Session, resource: &Resource) -> Result<Option<i64>, StoreError> {
    const PATHS: &[&str] = &[
        "author",
        "assessor",
        "recorder",
        "asserter",
        "performer",
        "performer.actor",
        "requester",
        "sender",
    ];
    let author = PATHS
        .iter()
        .flat_map(|path| resource.keys(path))
        .find(|key| {
            [
                "Practitioner",
                "PractitionerRole",
                "RelatedPerson",
                "Patient",
            ]
            .contains(&key.kind.name())
        });
    author.map(|key| keys::locate(read, &key)).transpose()
}

/// The author of a record that can name none (a Binary, a Media): that of all that refer to it, where
/// they have one and the same.
pub fn referrers_author(read: &dyn Session, rid: i64) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT MIN(n.author), COUNT(DISTINCT n.author) = 1 AND COUNT(*) = COUNT(n.author) \
               FROM reference f JOIN record n ON n.rid = f.rid WHERE f.target = ?1 AND n.deleted = 0 AND n.kind <> ?2";
    let consent = keys::number("Consent");
    let (author, agreed): (Option<i64>, bool) = read.one(sql, &values![rid, consent], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(author.filter(|_| agreed))
}
