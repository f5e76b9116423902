//! The sensitivity table: which codes reveal which service (`profiles/sensitivity.csv`).

use super::written::{forms, normal};
use crate::statute::Labels;
use std::{collections::HashMap, sync::LazyLock};

/// The table, read once.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::read(
        include_str!("../../profiles/sensitivity.csv"),
        include_str!("../../profiles/system-aliases.csv"),
        include_str!("../../profiles/neutral-systems.csv"),
    )
    .unwrap_or_default()
});

/// Code → classes, by exact code, prefix and range; and which systems are known at all.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    systems: HashMap<String, System>,
    aliases: HashMap<String, String>,
    neutral: Vec<String>,
    neutral_prefixes: Vec<String>,
}

/// A row that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line in the table, counted from 1 with the heading.
    pub line: usize,
    /// The classes that the code reveals.
    pub labels: Labels,
    /// The class of service, for the minors' table.
    pub service: String,
    /// Labels only beside a current hit of the same class.
    pub with_dx: bool,
}

#[derive(Debug, Default)]
struct System {
    exact: HashMap<String, Vec<usize>>,
    prefix: HashMap<String, Vec<usize>>,
    ranges: Vec<(String, String, usize)>,
    longest_prefix: usize,
}

impl System {
    /// The numbers of the rows that apply to a code.
    fn find(&self, code: &str) -> Vec<usize> {
        let mut found = self.exact.get(code).cloned().unwrap_or_default();
        for end in 1..=self.longest_prefix.min(code.len()) {
            if let Some(numbers) = code.get(..end).and_then(|prefix| self.prefix.get(prefix)) {
                found.extend(numbers);
            }
        }
        let within =
            |first: &str, last: &str| code.len() == first.len() && first <= code && code <= last;
        let ranges = self.ranges.iter();
        found.extend(
            ranges
                .filter(|(first, last, _)| within(first, last))
                .map(|(_, _, number)| *number),
        );
        found
    }
}

/// What the table says of a code.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'t> {
    /// These rows apply.
    Rows(Vec<&'t Row>),
    /// The system is known, or neutral, and nothing applies.
    Plain,
    /// Nobody knows the system.
    Unknown,
}

/// Why the table can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not CSV of the expected columns.
    #[error("the sensitivity table is not readable: {0}")]
    Csv(#[from] csv::Error),
    /// A row names something that isn't there.
    #[error("line {line} of the sensitivity table: {problem}")]
    Row {
        /// The line.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(serde::Deserialize)]
struct Record {
    system: String,
    #[serde(rename = "match")]
    kind: String,
    code: String,
    context: String,
    labels: String,
    service: String,
}

impl Table {
    /// Reads the table and the lists of aliases and neutral systems.
    pub fn read(rows: &str, aliases: &str, neutral: &str) -> Result<Table, TableError> {
        let mut table = Table::default();
        for record in csv::Reader::from_reader(aliases.as_bytes()).records() {
            let record = record?;
            if let (Some(alias), Some(system)) = (record.get(0), record.get(1)) {
                table.aliases.insert(alias.to_owned(), system.to_owned());
            }
        }
        for record in csv::Reader::from_reader(neutral.as_bytes()).records() {
            match record?
                .get(0)
                .map(|system| (system, system.strip_suffix('*')))
            {
                Some((_, Some(prefix))) => table.neutral_prefixes.push(prefix.to_owned()),
                Some((system, None)) => table.neutral.push(system.to_owned()),
                None => {}
            }
        }
        table.neutral.sort();
        for (at, record) in csv::Reader::from_reader(rows.as_bytes())
            .deserialize()
            .enumerate()
        {
            table.add(at + 2, &record?)?;
        }
        Ok(table)
    }

    fn add(&mut self, line: usize, record: &Record) -> Result<(), TableError> {
        let problem = |problem: String| TableError::Row { line, problem };
        let labels = Labels::list(&record.labels)
            .map_err(|name| problem(format!("no label is called {name:?}")))?;
        let system = self.systems.entry(record.system.clone()).or_default();
        // `policy` rows are off until an operator turns them on; their system is known all the same.
        if record.context == "policy" {
            return Ok(());
        }
        let number = self.rows.len();
        self.rows.push(Row {
            line,
            labels,
            service: record.service.clone(),
            with_dx: record.context == "with_dx",
        });
        let code = normal(&record.system, &record.code);
        match record.kind.as_str() {
            "exact" => system.exact.entry(code).or_default().push(number),
            "prefix" => {
                system.longest_prefix = system.longest_prefix.max(code.len());
                system.prefix.entry(code).or_default().push(number);
            }
            "range" => {
                let (first, last) = code
                    .split_once('-')
                    .ok_or_else(|| problem("a range is FIRST-LAST".to_owned()))?;
                system
                    .ranges
                    .push((first.to_owned(), last.to_owned(), number));
            }
            other => return Err(problem(format!("no match is called {other:?}"))),
        }
        Ok(())
    }

    /// What the table says of `code` in `system`.
    pub fn look_up(&self, system: Option<&str>, code: &str) -> Match<'_> {
        let Some(system) = system else {
            return Match::Unknown;
        };
        let name = self.aliases.get(system).map_or(system, String::as_str);
        let Some(known) = self.systems.get(name) else {
            return if self.is_neutral(name) {
                Match::Plain
            } else {
                Match::Unknown
            };
        };
        let forms = forms(name, code);
        if forms.is_empty() {
            return Match::Unknown;
        }
        let mut numbers: Vec<usize> = forms.iter().flat_map(|code| known.find(code)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let rows = numbers.iter().filter_map(|number| self.rows.get(*number));
        let rows: Vec<&Row> = rows.collect();
        if rows.is_empty() {
            Match::Plain
        } else {
            Match::Rows(rows)
        }
    }

    fn is_neutral(&self, system: &str) -> bool {
        self.neutral
            .binary_search_by(|known| known.as_str().cmp(system))
            .is_ok()
            || self
                .neutral_prefixes
                .iter()
                .any(|prefix| system.starts_with(prefix))
    }

    /// How many rows apply.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row could be read: then nothing may be served.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";

    fn labels(system: &str, code: &str) -> Labels {
        match TABLE.look_up(Some(system), code) {
            Match::Rows(rows) => rows.iter().map(|row| row.labels).collect(),
            _ => Labels::NONE,
        }
    }

    #[test]
    fn rule_sen_1_exact_prefix_and_range_match() {
        assert!(!TABLE.is_empty());
        assert!(labels(ICD, "F64.0").holds(Labels::GENDER_AFFIRMING));
        assert_eq!(labels(ICD, "F64.0"), labels(ICD, "F640"));
        assert!(labels(ICD, "f32.9").holds(Labels::MENTAL_HEALTH));
        assert!(
            labels("https://www.nubc.org/CodeSystem/RevenueCodes", "0901")
                .holds(Labels::MENTAL_HEALTH)
        );
        assert!(labels("http://www.nubc.org/RevenueCodes", "0901").holds(Labels::MENTAL_HEALTH));
        assert_eq!(labels(ICD, "J45.909"), Labels::NONE);
    }

    #[test]
    fn rule_sen_1_unknown_is_not_plain() {
        assert_eq!(TABLE.look_up(Some(ICD), "J45.909"), Match::Plain);
        assert_eq!(
            TABLE.look_up(Some("http://unitsofmeasure.org"), "mg"),
            Match::Plain
        );
        assert_eq!(
            TABLE.look_up(Some("http://example.org/local"), "x"),
            Match::Unknown
        );
        assert_eq!(TABLE.look_up(None, "x"), Match::Unknown);
    }

    #[test]
    fn rule_sen_1_a_code_is_found_however_it_is_written() {
        const CPT: &str = "http://www.ama-assn.org/go/cpt";
        const NDC: &str = "http://hl7.org/fhir/sid/ndc";
        const NUBC: &str = "https://www.nubc.org/CodeSystem/RevenueCodes";
        const SNOMED: &str = "http://snomed.info/sct";
        for code in ["59840", "59840-52", "59840 52", "59840-52-59"] {
            assert!(labels(CPT, code).holds(Labels::ABORTION), "{code}");
        }
        for code in [
            "43393-0001-01",
            "43393-001-01",
            "43393-0001-1",
            "43393000101",
            "4339300101",
            "43393-0001",
        ] {
            assert!(labels(NDC, code).holds(Labels::ABORTION), "{code}");
        }
        assert_eq!(labels(NUBC, "901"), labels(NUBC, "0901"));
        assert!(labels(NUBC, "901").holds(Labels::MENTAL_HEALTH));
        for code in [
            "93461009",
            "93461009 |Gender dysphoria|",
            "243796009:246090004=93461009",
        ] {
            assert!(
                labels(SNOMED, code).holds(Labels::GENDER_AFFIRMING),
                "{code}"
            );
        }
        assert_eq!(
            TABLE.look_up(Some(SNOMED), "dysphoria"),
            Match::Unknown,
            "no concept at all"
        );
        assert_eq!(TABLE.look_up(Some(SNOMED), "195967001"), Match::Plain);
        assert_eq!(TABLE.look_up(Some(CPT), "99213-25"), Match::Plain);
        assert_eq!(TABLE.look_up(Some(NDC), "00093718056"), Match::Plain);
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let head = "category,subcategory,system,match,code,display,source,confidence,context,labels,service\n";
        let read = |row: &str| {
            Table::read(&format!("{head}{row}"), "a,b\n", "system,why\n")
                .unwrap_err()
                .to_string()
        };
        assert!(read("c,s,u,exact,1,d,s,high,,ghost,none\n").contains("line 2"));
        assert!(read("c,s,u,range,1,d,s,high,,mh,none\n").contains("FIRST-LAST"));
        assert!(read("c,s,u,near,1,d,s,high,,mh,none\n").contains("near"));
    }
}
