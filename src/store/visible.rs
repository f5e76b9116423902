//! The one `visible` relation: the first of the two enforcements. Compiled from the same lanes that
//! `decide` asks, over the stored columns of a record `r` and of an index entry `e`; every table
//! access of a query goes through it.

use super::sql::Sql;
use crate::{
    consent::{Clause, Condition},
    faces,
    fhir::{Interval, Key, Kind, Kinds},
    label::DIRECTORY,
    policy::{
        FaceKind, Lane, Lanes, Role,
        kinds::UNDATED,
        lanes::{Bar, On, Unless},
    },
    search::params::{self, Param},
    statute::{
        Labels,
        projections::{Household, Keep, PROJECTIONS, Seat},
    },
};
use std::fmt;

/// All that one requester may see, as groups of patients towards whom the same lanes lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// Patients by number, with their lanes.
    pub groups: Vec<(Vec<i64>, Lanes)>,
    /// Those among them (or among everyone else) whom the question names, with what holds of them.
    pub known: Vec<Group>,
    /// The lanes towards every patient not in a group; `None` where nobody else is reached.
    pub everyone_else: Option<Lanes>,
    /// The requester's role.
    pub role: Role,
    /// Types that the token's scopes cover.
    pub scopes: Kinds,
    /// The way to records that name no patient.
    pub nobody: Option<Lane>,
    /// Groups that the requester's grants name, by number.
    pub grant_groups: Vec<i64>,
    /// The numbers by which exemptions know the requester.
    pub author: Option<i64>,
    /// See `author`.
    pub organization: Option<i64>,
    /// `[policy] household`.
    pub household: Household,
}

/// Patients towards whom the same lanes lead, and of whom the same holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// By number.
    pub patients: Vec<i64>,
    /// Their lanes.
    pub lanes: Lanes,
    /// Classes with a current hit.
    pub hits: Labels,
    /// Labels put on everything of theirs until a pending change is done.
    pub tightening: Labels,
}

/// A patient in a query and what is known of them: the columns of `patient_state`, what was read before
/// or, for a record that names nobody, every hit.
struct State {
    /// The column that has the patient's number.
    patient: String,
    hits: Sql,
    tightening: Sql,
}

impl State {
    /// Of the patient in the rows `record_patient q` and `patient_state s`.
    fn read() -> State {
        State {
            patient: "q.patient".to_owned(),
            hits: Sql::text("s.hits"),
            tightening: Sql::text("s.tightening"),
        }
    }

    /// As it was read before, in the same snapshot. Bound, so that a query is one text for many patients.
    fn known(patient: String, group: &Group) -> State {
        let bound = |labels: Labels| {
            let mut sql = Sql::default();
            sql.bind(labels.column());
            sql
        };
        State {
            patient,
            hits: bound(group.hits),
            tightening: bound(group.tightening),
        }
    }

    fn nobody() -> State {
        State {
            patient: "q.patient".to_owned(),
            hits: Sql::text("-1"),
            tightening: Sql::text("0"),
        }
    }
}

/// The table `record` in a query: its alias and, where the query fixes it, the type. What follows from
/// the type is then settled before the engine is asked.
#[derive(Debug, Clone, Copy)]
pub struct Alias<'a> {
    /// The name in the query.
    pub name: &'a str,
    /// The one type that its rows can have.
    pub kind: Option<Kind>,
}

impl<'a> From<&'a str> for Alias<'a> {
    fn from(name: &'a str) -> Self {
        Alias { name, kind: None }
    }
}

impl fmt::Display for Alias<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Alias<'_> {
    /// Whether its type is one of the set.
    fn is_of(self, kinds: Kinds) -> Sql {
        match self.kind {
            Some(kind) => Sql::truth(kinds.has(kind)),
            None => Sql::kinds(&format!("{self}.kind"), kinds),
        }
    }
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
    /// Whether it is one of a contained resource: then its element lies under `contained`.
    pub is_inside: bool,
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
    pub fn sees<'a>(&self, r: impl Into<Alias<'a>>, e: Option<Entry<'_>>) -> Sql {
        self.seen(r.into(), e, &self.known)
    }

    fn seen(&self, r: Alias<'_>, e: Option<Entry<'_>>, known: &[Group]) -> Sql {
        let nobody = self.of_nobody(r, e);
        let unowned = Sql::text(&format!("{r}.subjects = 0"));
        let scoped = match r.kind {
            Some(kind) => Sql::truth(self.scopes.has(kind)),
            // The sign keeps the engine from starting a query here.
            None => Sql::kinds(&format!("+{r}.kind"), self.scopes),
        };
        Sql::all([
            Sql::text(&format!("{r}.deleted = 0")),
            scoped,
            Sql::any([self.owned(r, e, known), Sql::all([unowned, nobody])]),
        ])
    }

    /// As [`sees`](Self::sees) with an entry, of a record `r` that the query sees anyway: where no lane
    /// asks more of an entry than that no bar meets its labels, one without labels is seen.
    pub fn sees_also<'a>(&self, r: impl Into<Alias<'a>>, entry: Entry<'_>) -> Sql {
        let r = r.into();
        // Asked of the few entries that have labels: the shorter text serves.
        let whole = self.seen(r, Some(entry), &[]);
        let lanes = self.groups.iter().map(|(_, lanes)| lanes);
        let mut lanes = lanes
            .chain(&self.everyone_else)
            .flat_map(|lanes| &lanes.lanes)
            .chain(&self.nobody);
        let hidden = is_hidden_meta(entry.param);
        let more = lanes.any(|lane| {
            lane.face != FaceKind::Full
                || (!lane.restrictions.is_empty()
                    && (entry.is_reference
                        || self.goes(lane, r, entry, &State::nobody()).is_some()))
        });
        if hidden || more {
            return whole;
        }
        let e = entry.alias;
        let bare = format!("({e}.labels | {e}.conditional | {e}.protected | {e}.c_protected) = 0");
        Sql::any([Sql::text(&bare), whole])
    }

    fn of_nobody(&self, r: Alias<'_>, e: Option<Entry<'_>>) -> Sql {
        let plain = self.role == Role::App;
        let open = Sql::any([
            r.is_of(*DIRECTORY),
            Sql::numbers(&format!("{r}.rid"), &self.grant_groups),
        ]);
        let told = !(plain && e.is_some_and(|entry| is_hidden_meta(entry.param)));
        let seen = Sql::any([
            Sql::all([open, Sql::truth(told)]),
            Sql::any(
                self.nobody
                    .iter()
                    .map(|lane| self.lane(lane, r, e, &State::nobody())),
            ),
        ]);
        match e {
            // The directory shows no labels.
            Some(entry) if entry.param.code == params::SECURITY => {
                Sql::all([r.is_of(*DIRECTORY).not(), seen])
            }
            _ => seen,
        }
    }

    /// Whether all whose record it is permit. Most records are one patient's, whom they name in a column
    /// (`sole`): then no other table is asked of those whom the question names, who were looked up
    /// before it.
    fn owned(&self, r: Alias<'_>, e: Option<Entry<'_>>, known: &[Group]) -> Sql {
        let each = self.permits(r, e);
        if each.is_never() && known.is_empty() {
            return each;
        }
        let sole = format!("{r}.sole");
        let known = known.iter().map(|group| {
            let state = State::known(sole.clone(), group);
            let lanes = self.any_lane(&group.lanes, r, e, &state);
            Sql::all([among(&sole, &group.patients), lanes])
        });
        let known = Sql::any(known);
        let known = if known.is_never() {
            known
        } else {
            Sql::all([Sql::text(&format!("{sole} IS NOT NULL")), known])
        };
        let mut all = Sql::text(&format!(
            "({r}.subjects > 0 AND NOT EXISTS (SELECT 1 FROM record_patient q \
             JOIN patient_state s ON s.patient = q.patient WHERE q.rid = {r}.rid AND q.own = 1 AND NOT "
        ));
        all.add(each).push("))");
        Sql::any([known, all])
    }

    /// Whether the patient `q` permits.
    fn permits(&self, r: Alias<'_>, e: Option<Entry<'_>>) -> Sql {
        let of = &State::read();
        let mut named = Vec::new();
        let mut ways = Vec::new();
        for (patients, lanes) in &self.groups {
            named.extend_from_slice(patients);
            ways.push(Sql::all([
                among("q.patient", patients),
                self.any_lane(lanes, r, e, of),
            ]));
        }
        if let Some(lanes) = &self.everyone_else {
            ways.push(Sql::all([
                among("q.patient", &named).not(),
                self.any_lane(lanes, r, e, of),
            ]));
        }
        Sql::any(ways)
    }

    fn any_lane(&self, lanes: &Lanes, r: Alias<'_>, e: Option<Entry<'_>>, of: &State) -> Sql {
        Sql::any(lanes.lanes.iter().map(|lane| self.lane(lane, r, e, of)))
    }

    fn lane(&self, lane: &Lane, r: Alias<'_>, e: Option<Entry<'_>>, of: &State) -> Sql {
        let mut pieces = vec![r.is_of(lane.kinds)];
        pieces.extend(lane.bars.iter().map(|bar| self.bar(bar, r, of)));
        if let Some(clause) = &lane.within {
            pieces.push(self.clause(lane, clause, r, false, of));
        }
        if let Some(windows) = &lane.windows {
            pieces.push(in_windows(windows, r));
        }
        for clause in &lane.restrictions {
            pieces.push(self.clause(lane, clause, r, true, of).not());
        }
        if let FaceKind::Household(_) = lane.face {
            pieces.push(Sql::text(&format!("{r}.h_body IS NOT NULL")));
        } else if !lane.restrictions.is_empty() {
            // What can't be without a reference to what a restriction hides.
            let needed =
                format!("reference f ON f.target = t.rid AND f.needed = 1 AND f.rid = {r}.rid");
            pieces.push(self.restricted(lane, &needed, of).not());
        }
        if let Some(entry) = e {
            pieces.push(self.entry(lane, r, entry, of));
        }
        Sql::all(pieces)
    }

    fn bar(&self, bar: &Bar, r: Alias<'_>, of: &State) -> Sql {
        let stands = match bar.on {
            On::Labels(mask) => meets(effective(r, of), mask),
            On::Protected(mask) => meets(effective_protected(r, of), mask),
            On::Kinds(kinds) => r.is_of(kinds),
        };
        Sql::any([stands.not(), self.exempt(bar, r)])
    }

    fn exempt(&self, bar: &Bar, r: Alias<'_>) -> Sql {
        match (bar.unless, self.author, self.organization) {
            (Unless::Author, Some(author), _) => is(r, "author", author),
            (Unless::Organization, _, Some(organization)) => is(r, "organization", organization),
            _ => Sql::truth(false),
        }
    }

    /// Whether an index entry exists for the requester: its element is not taken out.
    fn entry(&self, lane: &Lane, r: Alias<'_>, entry: Entry<'_>, of: &State) -> Sql {
        let e = entry.alias;
        if !lane.may_know && is_hidden_meta(entry.param) {
            return Sql::truth(false);
        }
        let mut pieces = Vec::new();
        match lane.face {
            FaceKind::Full => pieces.push(self.stays(lane, r, e, of)),
            FaceKind::Household(seat) => {
                pieces.push(Sql::text(&format!("({e}.labels | {e}.conditional) = 0")));
                pieces.push(Sql::kinds(&format!("{r}.kind"), self.covering(seat, entry)));
            }
        }
        if entry.is_reference && !lane.restrictions.is_empty() {
            let target = format!("(SELECT {e}.target AS target) f ON f.target = t.rid");
            pieces.push(self.restricted(lane, &target, of).not());
        }
        pieces.extend(self.goes(lane, r, entry, of).map(Sql::not));
        Sql::all(pieces)
    }

    /// Whether an entry that is no reference goes with one that a restriction takes out: words and elements
    /// that speak of the record as a whole, and a contained resource that nothing else refers to. `None`
    /// where it can't.
    fn goes(&self, lane: &Lane, r: Alias<'_>, entry: Entry<'_>, of: &State) -> Option<Sql> {
        if lane.restrictions.is_empty() || lane.face != FaceKind::Full {
            return None;
        }
        let (e, param) = (entry.alias, entry.param);
        let any = format!("reference f ON f.target = t.rid AND f.rid = {r}.rid");
        let (when, joined) = if param.is_words() {
            (Sql::text(&format!("({e}.place & 1) = 1")), any)
        } else if entry.is_inside && param.code == params::ID {
            let joined = format!(
                "index_reference f ON f.target = t.rid AND f.rid = {r}.rid AND f.param = {} \
                 AND f.place = {e}.place",
                param.id.0 ^ params::INSIDE
            );
            (Sql::truth(true), joined)
        } else if entry.is_inside {
            return None;
        } else {
            (r.is_of(speaking(param)), any)
        };
        let goes = Sql::all([when, self.restricted(lane, &joined, of)]);
        (!goes.is_never()).then_some(goes)
    }

    /// Whether what the row `e` is about (an index entry, a part) is not taken out of the record `r`.
    fn stays(&self, lane: &Lane, r: Alias<'_>, e: &str, of: &State) -> Sql {
        let bars = lane.bars.iter().filter_map(|bar| {
            let stands = match bar.on {
                On::Labels(mask) => meets(has(e, "labels", "conditional", of), mask),
                On::Protected(mask) => meets(has(e, "protected", "c_protected", of), mask),
                On::Kinds(_) => return None,
            };
            Some(Sql::any([stands.not(), self.exempt(bar, r)]))
        });
        Sql::all(bars)
    }

    /// Whether a clause covers the record. A denial (`denies`) covers what has no date and reaches what
    /// any part says, and its exceptions need a date and reach what is shown; a permission the other way
    /// round.
    fn clause(&self, lane: &Lane, clause: &Clause, r: Alias<'_>, denies: bool, of: &State) -> Sql {
        let on = self.condition(lane, &clause.on, r, denies, of);
        let except = clause.except.iter();
        let except = except.map(|except| self.condition(lane, except, r, !denies, of));
        Sql::all([on, Sql::any(except).not()])
    }

    fn condition(
        &self,
        lane: &Lane,
        condition: &Condition,
        r: Alias<'_>,
        denies: bool,
        of: &State,
    ) -> Sql {
        let mut pieces = Vec::new();
        if let Some(labels) = condition.labels {
            pieces.push(self.says(lane, labels, r, denies, of));
        }
        if let Some(kinds) = condition.kinds {
            pieces.push(r.is_of(kinds));
        }
        if let Some(records) = &condition.records {
            pieces.push(Sql::any(records.iter().map(|key| is_record(r, key))));
        }
        if let Some(serviced) = condition.serviced {
            let mut sql = overlaps(r, serviced);
            if denies {
                sql = Sql::any([sql, Sql::text(&format!("{r}.served_from IS NULL"))]);
            }
            pieces.push(sql);
        }
        Sql::all(pieces)
    }

    /// Whether the record, or one of its parts, reveals any of `labels`: any part for a denial, one that
    /// is shown for a permission.
    fn says(&self, lane: &Lane, labels: Labels, r: Alias<'_>, denies: bool, of: &State) -> Sql {
        let whole = effective(r, of);
        if denies {
            let mut all = whole;
            all.push(" | ")
                .add(has(&r.to_string(), "p_labels", "p_conditional", of));
            return meets(all, labels);
        }
        let mut part = Sql::text(&format!(
            "EXISTS (SELECT 1 FROM part p WHERE p.rid = {r}.rid AND "
        ));
        let says = meets(has("p", "labels", "conditional", of), labels);
        part.add(Sql::all([says, self.stays(lane, r, "p", of)]))
            .push(")");
        Sql::any([meets(whole, labels), part])
    }

    /// Whether a record `t` of the patient `q`, joined by `joined`, is one that a restriction hides. Who
    /// the patient is stays known.
    fn restricted(&self, lane: &Lane, joined: &str, of: &State) -> Sql {
        let patient = Kind::named("Patient").map_or(-1, Kind::number);
        let mut sql = Sql::text(&format!(
            "EXISTS (SELECT 1 FROM record t JOIN {joined} \
             JOIN record_patient o ON o.rid = t.rid AND o.own = 1 AND o.patient = {} \
             WHERE t.deleted = 0 AND t.kind <> {patient} AND ",
            of.patient
        ));
        let any = lane
            .restrictions
            .iter()
            .map(|clause| self.clause(lane, clause, "t".into(), true, of));
        sql.add(Sql::any(any)).push(")");
        sql
    }

    /// The types whose household face keeps all that the entry's parameter reads.
    fn covering(&self, seat: Seat, entry: Entry<'_>) -> Kinds {
        let param = entry.param;
        let kinds = PROJECTIONS.kinds(seat, self.household);
        let covers = |kind: &Kind| {
            let list = PROJECTIONS.of(seat, self.household, *kind);
            if entry.is_inside {
                return list.is_none_or(|list| list.keep("contained") == Keep::All);
            }
            let elements: Vec<&str> = list
                .map(|list| list.elements().iter().map(String::as_str).collect())
                .unwrap_or_default();
            // Profiles stay on every face.
            param.code == params::PROFILE
                || params::param(*kind, param.code).is_some_and(|own| own.covered_by(&elements))
        };
        kinds.iter().filter(covers).collect()
    }
}

/// The types on which the parameter reads an element that goes when anything is taken out.
fn speaking(param: &Param) -> Kinds {
    let speaks = |kind: &Kind| {
        let own = params::param(*kind, param.code);
        let mut paths = own.iter().flat_map(|own| &own.paths);
        paths.any(|path| {
            let first = path.steps.first();
            first.is_some_and(|step| faces::speaks_of_all(*kind, step.name))
        })
    };
    Kind::all().filter(speaks).collect()
}

/// Elements of `meta` that only those see who may know labels (`faces::plain`).
fn is_hidden_meta(param: &Param) -> bool {
    [params::TAG, params::SOURCE, params::SECURITY].contains(&param.code)
}

/// Whether they are few enough to be bound.
pub(super) fn are_bound(numbers: &[i64]) -> bool {
    !numbers.is_empty() && numbers.len() <= 4
}

/// Numbers that differ from request to request: a few are bound, so that the text stays the same.
fn among(column: &str, numbers: &[i64]) -> Sql {
    if !are_bound(numbers) {
        return Sql::numbers(column, numbers);
    }
    let mut sql = Sql::text(&format!("{column} IN ("));
    for (at, number) in numbers.iter().enumerate() {
        sql.push(if at == 0 { "" } else { "," }).bind(*number);
    }
    sql.push(")");
    sql
}

fn effective(r: Alias<'_>, of: &State) -> Sql {
    with_state(r, "labels", "conditional", of)
}

fn effective_protected(r: Alias<'_>, of: &State) -> Sql {
    with_state(r, "protected", "c_protected", of)
}

fn with_state(r: Alias<'_>, always: &str, conditional: &str, of: &State) -> Sql {
    let mut sql = has(&r.to_string(), always, conditional, of);
    sql.push(" | ").add(of.tightening.clone());
    sql
}

/// The labels of a row: always, and those that depend on the patient's hits.
fn has(row: &str, always: &str, conditional: &str, of: &State) -> Sql {
    let mut sql = Sql::text(&format!("{row}.{always} | ({row}.{conditional} & "));
    sql.add(of.hits.clone()).push(")");
    sql
}

fn meets(labels: Sql, mask: Labels) -> Sql {
    let mut sql = Sql::text("((");
    sql.add(labels)
        .push(&format!(") & {}) <> 0", mask.column()));
    sql
}

fn is(r: Alias<'_>, column: &str, number: i64) -> Sql {
    Sql::text(&format!("COALESCE({r}.{column} = {number}, 1=0)"))
}

fn is_record(r: Alias<'_>, key: &Key) -> Sql {
    let mut sql = Sql::text(&format!("({r}.kind = {} AND {r}.id = ", key.kind.number()));
    sql.bind(key.id.as_str()).push(")");
    sql
}

fn overlaps(r: Alias<'_>, window: Interval) -> Sql {
    if window.start > window.end {
        // A period that can't be read holds at no time, nor does it meet a service without bounds.
        return Sql::truth(false);
    }
    Sql::text(&format!(
        "(COALESCE({r}.served_from <= {}, 1=0) AND COALESCE({r}.served_to >= {}, 1=0))",
        window.end, window.start
    ))
}

fn in_windows(windows: &[Interval], r: Alias<'_>) -> Sql {
    let inside = windows.iter().map(|window| overlaps(r, *window));
    Sql::any([r.is_of(*UNDATED), Sql::any(inside)])
}
