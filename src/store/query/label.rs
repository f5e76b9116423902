//! `_security`: the labels that `meta.security` shows this requester (`gate::release`), asked of the
//! columns that they are made from. Who may not know labels finds none.

use super::filter::Level;
use crate::{
    faces::CONFIDENTIALITY,
    fhir::CODE_SYSTEM,
    search::{filter::TokenTest, params::Param},
    statute::Labels,
    store::{
        sql::Sql,
        visible::{Alias, Entry, Lens},
    },
};

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Whether a label that is shown passes one of the tests.
pub(super) fn labels(lens: &Lens, param: &Param, tests: &[TokenTest], at: Level) -> Sql {
    let shown = Shown { lens, param, at };
    Sql::any(tests.iter().map(|test| shown.passes(test)))
}

/// Whether any label is shown: then one is the level.
pub(super) fn any(lens: &Lens, param: &Param, at: Level) -> Sql {
    Shown { lens, param, at }.told()
}

struct Shown<'l> {
    lens: &'l Lens,
    param: &'l Param,
    at: Level,
}

impl Shown<'_> {
    fn passes(&self, test: &TokenTest) -> Sql {
        let ours = format!("{CODE_SYSTEM}sensitive-service");
        let system = |system: &str| match &test.system {
            None => true,
            Some(asked) => asked.as_deref() == Some(system),
        };
        let code = |code: &str| test.code.as_deref().is_none_or(|asked| asked == code);
        let levels = ["N", "R", "V"].into_iter();
        let levels: Vec<&str> = levels
            .filter(|level| system(CONFIDENTIALITY) && code(level))
            .collect();
        let bits = Labels::BITS.iter().filter(|bit| {
            let of = if bit.act_code { ACT_CODE } else { &ours };
            !bit.code.is_empty() && system(of) && code(bit.code)
        });
        let bits: Labels = bits.map(|bit| bit.labels).collect();
        let mut ways: Vec<Sql> = levels.into_iter().map(|level| self.level(level)).collect();
        if !bits.is_none() {
            ways.push(self.has(bits));
        }
        Sql::any(ways)
    }

    /// By high-water mark ([`crate::faces::security`]).
    fn level(&self, level: &str) -> Sql {
        let very = Labels::BITS.iter().filter(|bit| bit.very);
        let very: Labels = very.map(|bit| bit.labels).collect();
        match level {
            "N" => Sql::all([self.told(), self.has(Labels::ALL).not()]),
            "R" => Sql::all([self.has(Labels::ALL), self.has(very).not()]),
            _ => self.has(very),
        }
    }

    /// Whether the labels of the record are told.
    fn told(&self) -> Sql {
        let w = format!("{}w", self.at.e());
        let mut sql = Sql::text(&format!(
            "EXISTS (SELECT 1 FROM (SELECT 0 AS labels, 0 AS conditional, 0 AS protected, \
             0 AS c_protected) {w} WHERE "
        ));
        sql.add(self.seen(&w)).push(")");
        sql
    }

    /// Whether one of these is shown: of the record as a whole, or of a part that stays.
    fn has(&self, labels: Labels) -> Sql {
        let (r, p) = (self.at.r(), format!("{}p", self.at.e()));
        let mut part = Sql::text(&format!(
            "EXISTS (SELECT 1 FROM part {p} WHERE {p}.rid = {r}.rid AND "
        ));
        part.add(Sql::all([self.reveals(&p, labels), self.seen(&p)]))
            .push(")");
        let whole = Sql::all([self.reveals(&r, labels), self.told()]);
        Sql::any([whole, part])
    }

    /// Whether a row of marks reveals one of these: conditional ones with what any of its patients has,
    /// and of a record that names nobody all the same.
    fn reveals(&self, row: &str, labels: Labels) -> Sql {
        let (r, mask) = (self.at.r(), labels.column());
        Sql::text(&format!(
            "(({row}.labels & {mask}) <> 0 OR (({row}.conditional & {mask}) <> 0 AND ({r}.subjects = 0 OR \
             EXISTS (SELECT 1 FROM record_patient oq JOIN patient_state os ON os.patient = oq.patient \
             WHERE oq.rid = {r}.rid AND oq.own = 1 AND ({row}.conditional & os.hits & {mask}) <> 0))))"
        ))
    }

    fn seen(&self, alias: &str) -> Sql {
        let name = &self.at.r();
        let r = Alias {
            name,
            kind: self.at.kind(),
        };
        let entry = Entry {
            alias,
            param: self.param,
            is_inside: false,
            is_reference: false,
        };
        self.lens.sees(r, Some(entry))
    }
}
