//! The tables in the program that decisions are made from. One that could not be read is empty, and
//! an empty one would decide by silence.

use super::Finding;
use crate::{
    fhir::{Kind, codes::CODES},
    label::table,
    profile::PROFILES,
    search::params,
    statute::{
        Purpose,
        minors::MINORS,
        necessary::NECESSARY,
        projections::{Household, PROJECTIONS, Seat},
        writers::WRITERS,
    },
};

/// Each table with its size.
pub(super) fn examine() -> Vec<Finding> {
    let patient = Kind::named("Patient");
    let projected = PROJECTIONS.kinds(Seat::Subscriber, Household::Claims);
    let searched: usize = Kind::all().map(|kind| params::of(kind).len()).sum();
    let written = Kind::all().filter(|kind| WRITERS.row(*kind).is_some());
    [
        ("sensitivity table", table::TABLE.len(), "codes"),
        ("minors' consent", MINORS.services.len(), "rows"),
        ("minors' status", MINORS.statuses.len(), "rows"),
        ("household projection", projected.iter().count(), "types"),
        (
            "minimum necessary",
            NECESSARY.kinds(Purpose::Coc).iter().count(),
            "types for case management",
        ),
        ("writers", written.count(), "types"),
        ("required value sets", CODES.len(), "sets"),
        ("profiles", PROFILES.len(), "known"),
        ("search parameters", searched, "of all types"),
        (
            "patient search",
            patient.map_or(0, |kind| params::of(kind).len()),
            "parameters",
        ),
    ]
    .into_iter()
    .map(|(name, rows, of)| Finding::of(name, sized(rows, of)))
    .collect()
}

fn sized(rows: usize, of: &str) -> Result<String, String> {
    match rows {
        0 => Err("empty: this build is broken; don't serve with it, and report it".into()),
        rows => Ok(format!("{rows} {of}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    #[test]
    fn no_table_is_empty_and_an_empty_one_would_be_told() {
        for finding in examine() {
            assert!(matches!(finding.state, State::Fine(_)), "{finding:?}");
        }
        assert!(sized(0, "rows").is_err());
    }
}
