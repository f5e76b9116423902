//! `confide import`: resources, Bundles, ndjson, `.gz`, folders.
//!
//! A refused entry of a Bundle does not keep the others from it: the operator is told which, mends
//! it, and imports again, which changes only what is new.

pub mod load;
pub mod shift;
pub mod source;
#[cfg(test)]
mod tests;

pub use load::{Count, Options, Place, Remark, Report, Totals, load};
pub use source::Source;

use super::{Ended, Trouble, open, print};
use crate::{calendar::Clock, config::Config, fhir::json::Limits};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

/// The arguments of `confide import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Runs it: [`Ended::Refused`] where any resource was refused.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    let sources = source::list(&arguments.paths)?;
    let opened = open::open(config, Clock::System)?;
    let mut shown = Shown::new(sources.iter().map(Source::size).sum());
    let options = Options {
        limits: Limits {
            depth: config.limits.json_depth,
            ..Limits::default()
        },
        checks: open::checks(config),
        ..Options::default()
    };
    let loading = Box::pin(load(&opened, sources, options, &mut shown));
    let loaded = super::runtime()?.block_on(loading);
    shown.end();
    let totals = loaded?;
    print::line(table(&totals));
    Ok(match totals.refused {
        0 => Ended::Done,
        _ => Ended::Refused,
    })
}

/// A bar on standard error where that is a terminal, and a line for each remark. `demo` shows it too.
#[derive(Debug)]
pub struct Shown {
    bar: ProgressBar,
    records: u64,
}

impl Shown {
    /// For sources of so many bytes.
    pub fn new(bytes: u64) -> Shown {
        let bar = ProgressBar::new(bytes);
        let style = "{bar:40} {percent:>3} %  {msg}  {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Shown { bar, records: 0 }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Report for Shown {
    fn refused(&mut self, remark: &Remark) {
        self.bar
            .suspend(|| print::line(format_args!("refused  {remark}")));
    }

    fn in_review(&mut self, remark: &Remark) {
        self.bar
            .suspend(|| print::line(format_args!("review   {remark}")));
    }

    fn progress(&mut self, bytes: u64, records: u64) {
        self.records += records;
        self.bar.inc(bytes);
        if records > 0 {
            self.bar.set_message(format!("{} records", self.records));
        }
    }
}

/// One line a type, and one of totals.
pub fn table(totals: &Totals) -> String {
    let sum = totals.sum();
    let mut rows: Vec<(&str, Count)> = totals.kinds.iter().map(|(k, c)| (*k, *c)).collect();
    rows.push(("total", sum));
    let mut out = String::new();
    for (name, count) in rows {
        let all = count.all();
        let Count {
            new,
            changed,
            unchanged,
        } = count;
        out.push_str(&format!(
            "{name:26}{all:>9}  ({new} new, {changed} changed, {unchanged} unchanged)\n"
        ));
    }
    out.push_str(&format!("{:26}{:>9}", "refused", totals.refused));
    if totals.in_review > 0 {
        let text = "kept, but let nothing out beyond the member and treatment until reviewed";
        out.push_str(&format!(
            "\n{:26}{:>9}  ({text})",
            "Consents in review", totals.in_review
        ));
    }
    out
}
