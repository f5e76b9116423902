//! The one `visible` relation: the first of the two enforcements. Compiled from the same lanes that
//! `decide` asks, over the stored columns of a record `r` and of an index entry `e`; every table
//! access of a query goes through it.

use super::sql::Sql;
use crate::{
    consent::{Clause, Condition},
    fhir::{Interval, Key, Kinds},
    label::DIRECTORY,
    policy::{
        FaceKind, Lane, Lanes, Role,
        lanes::{Bar, On, UNDATED, Unless},
    },
    search::params::Param,
    statute::{
        Labels,
        projections::{Household, PROJECTIONS},
    },
};

/// All that one requester may see, as groups of patients towards whom the same lanes lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// Patients by number, with their lanes.
    pub groups: Vec<(Vec<i64>, Lanes)>,
    /// The lanes towards every patient not in a group; `None` where nobody else is reached.
    pub everyone_else: Option<Lanes>,
    /// The requester's role.
    pub role: Role,
    /// Types that the token's scopes cover.
    pub scopes: Kinds,
    /// Groups that the requester's grants name, by number.
    pub grant_groups: Vec<i64>,
    /// The numbers by which exemptions know the requester.
    pub author: Option<i64>,
    /// See `author`.
    pub organization: Option<i64>,
    /// `[policy] household`.
    pub household: Household,
}

/// An index entry in a query: its alias and its parameter.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The alias of the index table.
    pub alias: &'a str,
    /// The parameter.
    pub param: &'a Param,
    /// Whether it is a reference, whose target must not be one that a restriction hides.
    pub is_reference: bool,
}

impl Lens {
    /// Whether times are those of the household face.
    pub fn is_household(&self) -> bool {
        let mut lanes = self.groups.iter().flat_map(|(_, lanes)| &lanes.lanes);
        let rest = self.everyone_else.iter().flat_map(|lanes| &lanes.lanes);
        lanes.any(|lane| !lane.may_know) || rest.into_iter().any(|lane| !lane.may_know)
    }

    /// Whether the record `r` exists for the requester and, where one is given, whether the index
    /// entry `e` of it does.
    pub fn sees(&self, r: &str, e: Option<Entry<'_>>) -> Sql {
        let mut owned = Sql::text(&format!(
            "({r}.subjects > 0 AND NOT EXISTS (SELECT 1 FROM record_patient q \
             JOIN patient_state s ON s.patient = q.patient WHERE q.rid = {r}.rid AND q.own = 1 AND NOT "
        ));
        owned.add(self.permits(r, e)).push("))");
        let mut nobody = Sql::text(&format!("({r}.subjects = 0 AND "));
        nobody.add(self.of_nobody(r)).push(")");
        Sql::all([
            Sql::text(&format!("{r}.deleted = 0")),
            Sql::kinds(&format!("{r}.kind"), self.scopes),
            Sql::any([owned, nobody]),
        ])
    }

    fn of_nobody(&self, r: &str) -> Sql {
        let kind = format!("{r}.kind");
        let staff = matches!(
            self.role,
            Role::Provider | Role::Staff | Role::PrivacyOffice
        );
        Sql::any([
            Sql::kinds(&kind, *DIRECTORY),
            Sql::truth(staff),
            Sql::numbers(&format!("{r}.rid"), &self.grant_groups),
        ])
    }

    /// Whether the patient `q` permits.
    fn permits(&self, r: &str, e: Option<Entry<'_>>) -> Sql {
        let mut named = Vec::new();
        let mut ways = Vec::new();
        for (patients, lanes) in &self.groups {
            named.extend_from_slice(patients);
            ways.push(Sql::all([
                Sql::numbers("q.patient", patients),
                self.any_lane(lanes, r, e),
            ]));
        }
        if let Some(lanes) = &self.everyone_else {
            ways.push(Sql::all([
                Sql::numbers("q.patient", &named).not(),
                self.any_lane(lanes, r, e),
            ]));
        }
        Sql::any(ways)
    }

    fn any_lane(&self, lanes: &Lanes, r: &str, e: Option<Entry<'_>>) -> Sql {
        Sql::any(lanes.lanes.iter().map(|lane| self.lane(lane, r, e)))
    }

    fn lane(&self, lane: &Lane, r: &str, e: Option<Entry<'_>>) -> Sql {
        let mut pieces = vec![Sql::kinds(&format!("{r}.kind"), lane.kinds)];
        pieces.extend(lane.bars.iter().map(|bar| self.bar(bar, r)));
        if let Some(clause) = &lane.within {
            pieces.push(clause_sql(clause, r, false));
        }
        if let Some(windows) = &lane.windows {
            pieces.push(in_windows(windows, r));
        }
        for clause in &lane.restrictions {
            pieces.push(clause_sql(clause, r, true).not());
        }
        if let FaceKind::Household(_) = lane.face {
            pieces.push(Sql::text(&format!("{r}.h_body IS NOT NULL")));
        }
        if let Some(entry) = e {
            pieces.push(self.entry(lane, r, entry));
        }
        Sql::all(pieces)
    }

    fn bar(&self, bar: &Bar, r: &str) -> Sql {
        let stands = match bar.on {
            On::Labels(mask) => meets(&format!("({})", effective(r)), mask),
            On::Protected(mask) => meets(&format!("({})", effective_protected(r)), mask),
            On::Kinds(kinds) => Sql::kinds(&format!("{r}.kind"), kinds),
        };
        let exempt = match (bar.unless, self.author, self.organization) {
            (Unless::Author, Some(author), _) => is(r, "author", author),
            (Unless::Organization, _, Some(organization)) => is(r, "organization", organization),
            _ => Sql::truth(false),
        };
        Sql::any([stands.not(), exempt])
    }

    /// Whether an index entry exists for the requester: its element is not taken out.
    fn entry(&self, lane: &Lane, r: &str, entry: Entry<'_>) -> Sql {
        let e = entry.alias;
        let mut pieces = Vec::new();
        match lane.face {
            FaceKind::Full => {
                for bar in &lane.bars {
                    match bar.on {
                        On::Labels(mask) => {
                            let on = format!("({e}.labels | ({e}.conditional & s.hits))");
                            pieces.push(meets(&on, mask).not());
                        }
                        On::Protected(mask) => {
                            let on = format!("({e}.protected | ({e}.c_protected & s.hits))");
                            pieces.push(meets(&on, mask).not());
                        }
                        On::Kinds(_) => {}
                    }
                }
            }
            FaceKind::Household(seat) => {
                pieces.push(Sql::text(&format!("({e}.labels | {e}.conditional) = 0")));
                let kinds = PROJECTIONS.kinds(seat, self.household);
                let covered = kinds.iter().filter(|kind| {
                    PROJECTIONS
                        .of(seat, self.household, *kind)
                        .is_some_and(|list| {
                            let elements: Vec<&str> =
                                list.elements().iter().map(String::as_str).collect();
                            entry.param.base != *kind || entry.param.covered_by(&elements)
                        })
                });
                pieces.push(Sql::kinds(&format!("{r}.kind"), covered.collect()));
            }
        }
        if entry.is_reference && !lane.restrictions.is_empty() {
            let restricted = lane
                .restrictions
                .iter()
                .map(|clause| clause_sql(clause, "t", true));
            let mut hidden = Sql::text(&format!(
                "EXISTS (SELECT 1 FROM record t WHERE t.rid = {e}.target AND t.subjects > 0 AND "
            ));
            hidden.add(Sql::any(restricted)).push(")");
            pieces.push(hidden.not());
        }
        Sql::all(pieces)
    }
}

fn effective(r: &str) -> String {
    format!("{r}.labels | ({r}.conditional & s.hits) | s.tightening")
}

fn effective_protected(r: &str) -> String {
    format!("{r}.protected | ({r}.c_protected & s.hits) | s.tightening")
}

fn meets(column: &str, mask: Labels) -> Sql {
    Sql::text(&format!("({column} & {}) <> 0", mask.column()))
}

fn is(r: &str, column: &str, number: i64) -> Sql {
    Sql::text(&format!("COALESCE({r}.{column} = {number}, 1=0)"))
}

/// Whether a clause covers the record; for a denial (`undated`) what has no date is covered, and an
/// exception needs one; for a permission the other way round.
fn clause_sql(clause: &Clause, r: &str, undated: bool) -> Sql {
    let on = condition(&clause.on, r, undated);
    let except = clause
        .except
        .iter()
        .map(|except| condition(except, r, !undated));
    Sql::all([on, Sql::any(except).not()])
}

fn condition(condition: &Condition, r: &str, undated: bool) -> Sql {
    let mut pieces = Vec::new();
    if let Some(labels) = condition.labels {
        let all = format!(
            "({} | {r}.p_labels | ({r}.p_conditional & s.hits))",
            effective(r)
        );
        pieces.push(meets(&all, labels));
    }
    if let Some(kinds) = condition.kinds {
        pieces.push(Sql::kinds(&format!("{r}.kind"), kinds));
    }
    if let Some(records) = &condition.records {
        pieces.push(Sql::any(records.iter().map(|key| is_record(r, key))));
    }
    if let Some(serviced) = condition.serviced {
        let mut sql = overlaps(r, serviced);
        if undated {
            sql = Sql::any([sql, Sql::text(&format!("{r}.served_from IS NULL"))]);
        }
        pieces.push(sql);
    }
    Sql::all(pieces)
}

fn is_record(r: &str, key: &Key) -> Sql {
    let mut sql = Sql::text(&format!("({r}.kind = {} AND {r}.id = ", key.kind.number()));
    sql.bind(key.id.as_str()).push(")");
    sql
}

fn overlaps(r: &str, window: Interval) -> Sql {
    Sql::text(&format!(
        "(COALESCE({r}.served_from <= {}, 1=0) AND COALESCE({r}.served_to >= {}, 1=0))",
        window.end, window.start
    ))
}

fn in_windows(windows: &[Interval], r: &str) -> Sql {
    let inside = windows.iter().map(|window| overlaps(r, *window));
    Sql::any([Sql::kinds(&format!("{r}.kind"), *UNDATED), Sql::any(inside)])
}
