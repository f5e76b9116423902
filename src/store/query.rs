//! Search plans as SQL, written once for both engines. Each piece that touches a table goes through
//! [`Lens::sees`].

mod compare;
mod filter;
mod inside;
mod label;
mod order;
mod pointing;

pub use order::{Order, counted_page, page};
pub use pointing::pointing_at;

use super::{
    sql::Sql,
    visible::{Alias, Entry, Lens},
};
use crate::{
    fhir::{Key, Kind, Kinds},
    search::{
        filter::{ReferenceTest, Test},
        params::{self, Param},
        plan::{Contained, ContainedType, Plan},
    },
};
use filter::Level;

/// What a plan matches, as `rid, kind, id` and the sort values `v0`, `v1`, …: records and, where it asks for
/// them, contained resources.
pub fn matching(lens: &Lens, plan: &Plan) -> Sql {
    let all = match plan.contained {
        Contained::False => return records(lens, plan),
        Contained::True => inside::matching(lens, plan),
        Contained::Both => {
            let mut both = records(lens, plan);
            both.push(" UNION ").add(inside::matching(lens, plan));
            both
        }
    };
    match plan.contained_type {
        ContainedType::Container => inside::once(all, plan),
        ContainedType::Contained => all,
    }
}

/// The records that a plan matches.
fn records(lens: &Lens, plan: &Plan) -> Sql {
    let r = Alias {
        name: "r",
        kind: plan.kind,
    };
    let mut sql = Sql::text("SELECT r.rid AS rid, r.kind AS kind, r.id AS id");
    let at = Level::of(plan.kind);
    sql.add(order::values(lens, r, &plan.sort, at));
    sql.push(" FROM record r WHERE ");
    let mut pieces = Vec::new();
    // The sign keeps the engine from starting from the type, where there is something rarer.
    let mut sign = "";
    if let Some(start) = filter::start(&plan.filters, plan.kinds, Level::of(None)) {
        let mut within = Sql::text("r.rid IN (");
        within.add(start).push(")");
        pieces.push(within);
        sign = "+";
    }
    if plan.kinds != Kinds::ALL {
        pieces.push(Sql::kinds(&format!("{sign}r.kind"), plan.kinds));
    }
    pieces.push(lens.sees(r, None));
    let filters = plan.filters.iter();
    pieces.extend(filters.map(|one| filter::filter(lens, one, at)));
    sql.add(Sql::all(pieces));
    sql
}

/// All records of a patient's own, and the patient.
pub fn everything(lens: &Lens, patient: i64) -> Sql {
    let mut sql = Sql::text(
        "SELECT r.rid AS rid, o.kind AS kind, o.id AS id FROM record_patient o \
         JOIN record r ON r.rid = o.rid WHERE o.patient = ",
    );
    sql.bind(patient).push(" AND o.own = 1 AND ");
    sql.add(lens.sees("r", None));
    sql
}

/// Records by name.
pub fn named(lens: &Lens, keys: &[Key]) -> Sql {
    let mut sql = Sql::text("SELECT r.rid AS rid, r.kind AS kind, r.id AS id FROM record r WHERE ");
    let any = Sql::any(keys.iter().map(|key| {
        let mut one = Sql::text(&format!("(r.kind = {} AND r.id = ", key.kind.number()));
        one.bind(key.id.as_str()).push(")");
        one
    }));
    sql.add(Sql::all([any, lens.sees("r", None)]));
    sql
}

/// The record of that type and number.
pub fn one(lens: &Lens, kind: Kind, rid: i64) -> Sql {
    let r = Alias {
        name: "r",
        kind: Some(kind),
    };
    let mut sql =
        Sql::text("SELECT r.rid AS rid, r.kind AS kind, r.id AS id FROM record r WHERE r.rid = ");
    sql.bind(rid).push(" AND ").add(lens.sees(r, None));
    sql
}

/// How many records `inner` has.
pub fn count(inner: Sql) -> Sql {
    let mut sql = Sql::text("SELECT count(*) FROM (");
    sql.add(inner).push(") m");
    sql
}

/// A hop of an include: a reference of one type, to any type or one.
#[derive(Debug, Clone, Copy)]
pub struct Hop {
    /// The reference, which names its type.
    pub param: &'static Param,
    /// Only to records of this type.
    pub target: Option<Kind>,
}

impl Hop {
    fn is(&self) -> Sql {
        Sql::text(&format!(
            "e.param = {} AND e.kind = {}",
            self.param.id.0,
            self.param.base.number()
        ))
    }

    /// Whether the entry `e` of the record `r`, and the record, are seen.
    fn seen(&self, lens: &Lens) -> Sql {
        let entry = Entry {
            alias: "e",
            param: self.param,
            is_reference: true,
            is_inside: false,
        };
        lens.sees("r", Some(entry))
    }

    fn to(&self, column: &str) -> Sql {
        self.target.map_or_else(
            || Sql::truth(true),
            |kind| Sql::text(&format!("{column} = {}", kind.number())),
        )
    }
}

/// The records that `from` (by number) include, as `rid`; at most `limit`, the first by type and id: a
/// number tells when a record was first pointed at, perhaps by a hidden one.
pub fn included(lens: &Lens, hop: Hop, from: &[i64], limit: usize) -> Sql {
    let mut sql = Sql::text(
        "SELECT DISTINCT t.rid, t.kind, t.id FROM index_reference e JOIN record r ON r.rid = e.rid \
         JOIN record t ON t.rid = e.target WHERE ",
    );
    sql.add(Sql::all([
        Sql::numbers("e.rid", from),
        hop.is(),
        hop.to("t.kind"),
        hop.seen(lens),
        lens.sees("t", None),
    ]));
    sql.push(&format!(" ORDER BY t.kind, t.id LIMIT {limit}"));
    sql
}

/// The records that include one of `from` (by number), as `rid`; at most `limit`.
pub fn including(lens: &Lens, hop: Hop, from: &[i64], limit: usize) -> Sql {
    let mut sql = Sql::text(
        "SELECT DISTINCT r.rid, r.kind, r.id FROM index_reference e JOIN record r ON r.rid = e.rid WHERE ",
    );
    sql.add(Sql::all([
        Sql::numbers("e.target", from),
        hop.is(),
        hop.to("e.target_kind"),
        hop.seen(lens),
    ]));
    sql.push(&format!(" ORDER BY r.kind, r.id LIMIT {limit}"));
    sql
}

/// By which references of which types any record points at one of `from`, seen or not: what a star is
/// worked out from, each reference of which is then asked through [`including`]. A number holds the
/// type above the parameter ([`way`]).
pub fn pointing(from: &[i64]) -> Sql {
    let mut sql =
        Sql::text("SELECT DISTINCT e.kind * 4294967296 + e.param FROM index_reference e WHERE ");
    sql.add(Sql::numbers("e.target", from));
    sql
}

/// The hop that a number of [`pointing`] stands for.
pub fn way(number: i64, target: Option<Kind>) -> Option<Hop> {
    let kind = Kind::numbered(number >> 32)?;
    let mut params = params::of(kind).iter();
    let param = params.find(|param| i64::from(param.id.0) == number & 0xffff_ffff)?;
    Some(Hop { param, target })
}

/// The patients (keys) that a plan names by `patient`, `subject` or `_id`: enough to know towards
/// whom a requester who reaches everyone stands in a special way. `None` where it names none, or
/// leads to records of others: what is contained may be about someone else than its container.
pub fn patients_of(plan: &Plan) -> Option<Vec<Key>> {
    let patient = Kind::named("Patient")?;
    if plan.leads_on() || plan.contained != Contained::False {
        return None;
    }
    let mut named: Option<Vec<Key>> = None;
    for filter in &plan.filters {
        let keys: Vec<Key> = match &filter.test {
            Test::Reference(tests)
                if ["patient", "subject", "beneficiary"].contains(&filter.param.code) =>
            {
                tests
                    .iter()
                    .filter_map(|test| match test {
                        ReferenceTest::Local { id, .. } => Some(Key {
                            kind: patient,
                            id: id.clone(),
                        }),
                        ReferenceTest::Elsewhere(_) => None,
                    })
                    .collect()
            }
            Test::Id(ids) if plan.kind == Some(patient) => ids
                .iter()
                .map(|id| Key {
                    kind: patient,
                    id: id.clone(),
                })
                .collect(),
            _ => continue,
        };
        named = Some(keys);
    }
    named
}
