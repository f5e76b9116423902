//! Seeded random searches, made from what the records say and what is near it.

use super::{
    oracle::{Ask, Unit, World, kind_of},
    walk::{self, Row, Said, facts, rows},
};
use serde_json::Value;

/// A generator that gives the same for the same seed (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A search: its type, what it asks, its order, its page.
#[derive(Debug)]
pub struct Search {
    pub kind: &'static str,
    pub asks: Vec<(&'static str, Ask)>,
    pub sort: Vec<(&'static str, bool)>,
    pub count: usize,
    /// `_contained`, and whether they are asked for alone.
    pub contained: Option<(&'static str, bool)>,
}

impl Search {
    /// Whether records are found, whether what they contain is, and whether that stands alone.
    pub fn reach(&self) -> (bool, bool, bool) {
        match self.contained {
            None => (true, false, false),
            Some((which, alone)) => (which == "both", true, alone),
        }
    }
}

const PREFIXES: [&str; 9] = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"];

pub struct Maker<'w> {
    pub world: &'w World,
    pub chance: Chance,
    kinds: Vec<&'static str>,
    /// The types of what records contain.
    inside: Vec<&'static str>,
    /// Whether what is made now looks for contained resources.
    is_inside: bool,
}

impl<'w> Maker<'w> {
    pub fn new(world: &'w World, seed: u64) -> Maker<'w> {
        let mut kinds: Vec<_> = world.values().map(|(_, record)| kind_of(record)).collect();
        kinds.dedup();
        kinds.sort_unstable();
        kinds.dedup();
        let inside = world.values().flat_map(|(_, record)| walk::inside(record));
        let mut inside: Vec<_> = inside.map(kind_of).collect();
        inside.sort_unstable();
        inside.dedup();
        Maker {
            world,
            chance: Chance(seed),
            kinds,
            inside,
            is_inside: false,
        }
    }

    /// A record of a type with itself, or one that is contained with what contains it.
    fn of_kind(&mut self, kind: &str, depth: usize) -> Option<(&'w Value, &'w Value)> {
        let records = self.world.values().map(|(_, record)| record);
        let inside = if depth == 0 {
            self.is_inside
        } else {
            self.inside.contains(&kind) && self.chance.one_in(3)
        };
        let all: Vec<(&Value, &Value)> = if inside {
            records
                .flat_map(|record| walk::inside(record).map(move |one| (one, record)))
                .filter(|(one, _)| kind_of(one) == kind)
                .collect()
        } else {
            let of = records.filter(|record| kind_of(record) == kind);
            of.map(|record| (record, record)).collect()
        };
        (!all.is_empty()).then(|| *self.chance.pick(&all))
    }

    pub fn search(&mut self) -> Search {
        loop {
            self.is_inside = !self.inside.is_empty() && self.chance.one_in(5);
            let kinds = if self.is_inside {
                self.inside.clone()
            } else {
                self.kinds.clone()
            };
            let kind = *self.chance.pick(&kinds);
            let contained = self.is_inside.then(|| {
                let which = *self.chance.pick(&["true", "both"]);
                (which, self.chance.one_in(2))
            });
            let many = 1 + self.chance.below(3);
            let asks: Vec<_> = (0..many).filter_map(|_| self.ask(kind, 0)).collect();
            if asks.is_empty() {
                continue;
            }
            let keys = self.chance.below(4);
            let sort = (0..keys).map(|_| self.key(kind)).collect();
            let count = 1 + self.chance.below(40);
            return Search {
                kind,
                asks,
                sort,
                count,
                contained,
            };
        }
    }

    fn key(&mut self, kind: &str) -> (&'static str, bool) {
        let falling = self.chance.one_in(2);
        let codes: Vec<&'static str> = rows(kind)
            .filter(|row| row.kind != "composite")
            .map(|row| row.code)
            .chain(["_id", "_lastUpdated"])
            .collect();
        (*self.chance.pick(&codes), falling)
    }

    /// A question to records of a type: about one of them, mostly.
    pub fn ask(&mut self, kind: &'static str, depth: usize) -> Option<(&'static str, Ask)> {
        match self.chance.below(24) {
            0 => {
                let (record, _) = self.of_kind(kind, depth)?;
                let id = record["id"].as_str()?.to_owned();
                return Some(("_id", Ask::Id(vec![id, "never".into()])));
            }
            1 => {
                let prefix = *self.chance.pick(&["ge", "lt", ""]);
                let day = *self
                    .chance
                    .pick(&["2026-11-17", "2026-11-24", "2026-11-20", "2026"]);
                return Some(("_lastUpdated", Ask::Updated(prefix, day.into())));
            }
            2..=5 if depth < 3 => return self.has(kind, depth),
            _ => {}
        }
        let (record, around) = self.of_kind(kind, depth)?;
        let own: Vec<&'static Row> = rows(kind).collect();
        for _ in 0..20 {
            let row = *self.chance.pick(&own);
            if row.kind == "composite" {
                if let Some(ask) = self.composite(record, row) {
                    return Some((row.code, ask));
                }
                continue;
            }
            if self.chance.one_in(12) {
                return Some((row.code, Ask::Missing(self.chance.one_in(2))));
            }
            let said: Vec<Said> = facts(record, row)
                .into_iter()
                .map(|(_, said)| said)
                .collect();
            if said.is_empty() {
                continue;
            }
            let said = self.chance.pick(&said).clone();
            let chains = row.kind == "reference" && depth < 3 && self.chance.one_in(2);
            if let (true, Some(ask)) = (chains, self.chain(row, &said, around, depth)) {
                return Some((row.code, ask));
            }
            if let Some(ask) = self.about(&said) {
                return Some((row.code, ask));
            }
        }
        None
    }

    fn chain(&mut self, row: &Row, said: &Said, around: &Value, depth: usize) -> Option<Ask> {
        let Said::Reference(target) = said else {
            return None;
        };
        let kind = match target.strip_prefix('#') {
            Some(id) => kind_of(walk::inside(around).find(|one| one["id"] == id)?),
            None => kind_of(&self.world.get(target)?.1),
        };
        if !row.targets.contains(&kind) {
            return None;
        }
        let (code, ask) = self.ask(kind, depth + 1)?;
        // Without its type a chain leads to all types that have the parameter: here only one may.
        let alone = row.targets.len() == 1;
        Some(Ask::Chain(
            kind,
            !(alone && self.chance.one_in(2)),
            code,
            Box::new(ask),
        ))
    }

    fn has(&mut self, kind: &'static str, depth: usize) -> Option<(&'static str, Ask)> {
        let kinds = self.kinds.clone();
        let ways: Vec<&'static Row> = walk::all()
            .filter(|row| row.kind == "reference" && kinds.contains(&row.base))
            .filter(|row| row.targets.contains(&kind))
            .collect();
        if ways.is_empty() {
            return None;
        }
        let way = *self.chance.pick(&ways);
        let (code, ask) = self.ask(way.base, depth + 1)?;
        Some(("_has", Ask::Has(way.base, way.code, code, Box::new(ask))))
    }

    fn composite(&mut self, record: &Value, row: &'static Row) -> Option<Ask> {
        let mut parts = Vec::new();
        for code in &row.paths {
            let all = facts(record, walk::row(row.base, code.trim_start_matches('^')));
            let said: Vec<Said> = all.into_iter().map(|(_, said)| said).collect();
            if said.is_empty() {
                return None;
            }
            let said = self.chance.pick(&said).clone();
            let ask = match self.about(&said)? {
                Ask::Token(any) => Ask::Token(any.into_iter().take(1).collect()),
                Ask::Date(any) => Ask::Date(any.into_iter().take(1).collect()),
                Ask::Text("", any) => Ask::Text("", any.into_iter().take(1).collect()),
                // Parts take no modifier.
                Ask::Number(prefix, text) => Ask::Number(prefix, text),
                Ask::Quantity(prefix, text, unit) => Ask::Quantity(prefix, text, unit),
                _ => return None,
            };
            parts.push((*code, ask));
        }
        Some(Ask::Composite(parts))
    }

    /// A question that what is said answers, mostly.
    fn about(&mut self, said: &Said) -> Option<Ask> {
        let chance = &mut self.chance;
        Some(match said {
            Said::Token(system, Some(code), words) => {
                if let (Some(words), true) = (words, chance.one_in(6)) {
                    return self.beginning(words).map(Ask::Words);
                }
                let one = match (system, chance.below(4)) {
                    (Some(system), 0) => (Some(Some(system.clone())), None),
                    (system, 1) => (Some(system.clone()), Some(code.clone())),
                    (None, 2) => (Some(None), Some(code.clone())),
                    _ => (None, Some(code.clone())),
                };
                let mut any = vec![one];
                if chance.one_in(3) {
                    any.push((None, Some("never".into())));
                }
                let ask = Ask::Token(any);
                if chance.one_in(6) {
                    Ask::Not(Box::new(ask))
                } else {
                    ask
                }
            }
            Said::Token(_, None, Some(words)) => return self.beginning(words).map(Ask::Words),
            Said::Token(..) => return None,
            Said::Typed(kind, value) => Ask::OfType(kind.clone(), value.clone()),
            Said::Date(from, until) => {
                let at = if chance.one_in(2) { *from } else { *until };
                let text = time(at.clamp(0, 4_000_000_000_000_000));
                let width = *chance.pick(&[4, 7, 10, 16, 19]);
                let text = if width > 10 {
                    format!("{}Z", &text[..width])
                } else {
                    text[..width].to_owned()
                };
                let mut any = vec![(*chance.pick(&PREFIXES), text)];
                if chance.one_in(5) {
                    any.push(("", "1999".into()));
                }
                Ask::Date(any)
            }
            Said::Text(text) => {
                let how = *chance.pick(&["", "", ":exact", ":contains"]);
                let asked = match how {
                    ":exact" => text.clone(),
                    ":contains" => {
                        let skip = chance.below(text.chars().count());
                        text.chars().skip(skip).take(6).collect()
                    }
                    _ => self.beginning(text)?,
                };
                if how != ":exact" && super::walk::fold(&asked).is_empty() {
                    return None;
                }
                Ask::Text(how, vec![asked])
            }
            // What is inside a record can't be named from outside.
            Said::Reference(target) if target.starts_with('#') => return None,
            Said::Reference(target) => {
                let id = target.split_once('/').map(|(_, id)| id.to_owned());
                match id {
                    Some(id) if chance.one_in(3) && self.world.contains_key(target) => {
                        Ask::Reference(vec![id])
                    }
                    _ => Ask::Reference(vec![target.clone(), "Patient/never".into()]),
                }
            }
            Said::Logical(system, Some(value)) => Ask::Logical(system.clone(), value.clone()),
            Said::Logical(..) => return None,
            Said::Uri(uri) => match chance.below(3) {
                0 => Ask::Uri("", uri.clone()),
                1 => Ask::Uri(":below", uri.chars().take(9).collect()),
                _ => Ask::Uri(":above", format!("{uri}/more")),
            },
            Said::Number(low, _) => {
                let prefix = *chance.pick(&PREFIXES);
                Ask::Number(prefix, self.digits(*low))
            }
            Said::Quantity(low, high, system, code, unit) => {
                let number = if *low == f64::MIN { *high } else { *low };
                let text = self.digits(number);
                let prefix = *self.chance.pick(&PREFIXES);
                let ucum = system.as_deref() == Some("http://unitsofmeasure.org");
                let asked = match (code, unit, self.chance.below(3)) {
                    (_, Some(unit), 0) => Unit::Said(unit.clone()),
                    (Some(code), _, 1) if ucum => {
                        let other = match code.as_str() {
                            "cm" => "m",
                            "kg" => "g",
                            "mg/dL" => "g/L",
                            "mm[Hg]" => "kPa",
                            "10*3/uL" => "10*6/uL",
                            "Cel" => "[degF]",
                            same => same,
                        };
                        Unit::Ucum(other.to_owned())
                    }
                    (Some(code), _, 2) if ucum => Unit::Ucum(code.clone()),
                    _ => Unit::Any,
                };
                Ask::Quantity(prefix, text, asked)
            }
        })
    }

    /// A number near another, to some digits.
    fn digits(&mut self, number: f64) -> String {
        let near = match self.chance.below(3) {
            0 => number * 1.1,
            1 => number * 0.01,
            _ => number,
        };
        let places = self.chance.below(4);
        format!("{near:.places$}")
    }

    fn beginning(&mut self, text: &str) -> Option<String> {
        let many = 1 + self.chance.below(8);
        let begin: String = text.chars().take(many).collect();
        let begin = if self.chance.one_in(2) {
            begin.to_uppercase()
        } else {
            begin
        };
        (!super::walk::fold(&begin).is_empty()).then_some(begin)
    }
}

fn time(at: i128) -> String {
    let at = i64::try_from(at).unwrap();
    jiff::Timestamp::from_microsecond(at)
        .unwrap()
        .strftime("%Y-%m-%dT%H:%M:%S")
        .to_string()
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if ",$|\\".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// The question as name and value of a query.
pub fn query(code: &str, ask: &Ask) -> (String, String) {
    let (tail, value) = match ask {
        Ask::Id(ids) => (String::new(), ids.join(",")),
        Ask::Updated(prefix, text) => (String::new(), format!("{prefix}{text}")),
        Ask::Missing(missing) => (":missing".into(), missing.to_string()),
        Ask::Not(ask) => {
            let (_, value) = query(code, ask);
            (":not".into(), value)
        }
        Ask::Token(any) => {
            let any = any.iter().map(|(system, code)| {
                let code = escape(code.as_deref().unwrap_or_default());
                match system {
                    None => code,
                    Some(system) => {
                        format!("{}|{code}", escape(system.as_deref().unwrap_or_default()))
                    }
                }
            });
            (String::new(), any.collect::<Vec<_>>().join(","))
        }
        Ask::Words(text) => (":text".into(), escape(text)),
        Ask::OfType(kind, value) => {
            let (system, code) = kind.rsplit_once('|').unwrap();
            let value = format!("{}|{}|{}", escape(system), escape(code), escape(value));
            (":of-type".into(), value)
        }
        Ask::Date(any) => {
            let any: Vec<String> = any.iter().map(|(p, text)| format!("{p}{text}")).collect();
            (String::new(), any.join(","))
        }
        Ask::Text(how, any) => {
            let any: Vec<String> = any.iter().map(|text| escape(text)).collect();
            ((*how).to_owned(), any.join(","))
        }
        Ask::Reference(any) => {
            let any: Vec<String> = any.iter().map(|text| escape(text)).collect();
            (String::new(), any.join(","))
        }
        Ask::Logical(system, value) => {
            let value = escape(value);
            let value = match system {
                Some(system) => format!("{}|{value}", escape(system)),
                None => value,
            };
            (":identifier".into(), value)
        }
        Ask::Uri(how, uri) => ((*how).to_owned(), escape(uri)),
        Ask::Number(prefix, text) => (String::new(), format!("{prefix}{text}")),
        Ask::Quantity(prefix, text, unit) => {
            let unit = match unit {
                Unit::Any => String::new(),
                Unit::Said(unit) => format!("||{}", escape(unit)),
                Unit::Ucum(code) => format!("|http://unitsofmeasure.org|{}", escape(code)),
            };
            (String::new(), format!("{prefix}{text}{unit}"))
        }
        Ask::Composite(parts) => {
            let parts: Vec<String> = parts.iter().map(|(_, ask)| query("", ask).1).collect();
            (String::new(), parts.join("$"))
        }
        Ask::Chain(kind, named, inner, ask) => {
            let (name, value) = query(inner, ask);
            let kind = if *named {
                format!(":{kind}")
            } else {
                String::new()
            };
            (format!("{kind}.{name}"), value)
        }
        Ask::Has(kind, by, inner, ask) => {
            let (name, value) = query(inner, ask);
            (format!(":{kind}:{by}:{name}"), value)
        }
    };
    (format!("{code}{tail}"), value)
}
