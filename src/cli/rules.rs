//! `confide rules`: the rule catalogue, with each rule's source and where it is enforced.

use super::{Ended, Trouble, print};
use serde::Deserialize;

/// The catalogue as shipped; `--json` prints it byte for byte.
const CATALOGUE: &str = include_str!("../../profiles/rules.json");

/// The flags of `confide rules`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The whole catalogue, as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Deserialize)]
struct Catalogue {
    note: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    notice_text: String,
    basis: String,
    #[serde(default)]
    enforced_at: Vec<String>,
    #[serde(default)]
    enforced_note: Option<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<Ended, Trouble> {
    if arguments.json {
        print::line(CATALOGUE.trim_end());
        return Ok(Ended::Done);
    }
    let catalogue: Catalogue = serde_json::from_str(CATALOGUE)
        .map_err(|error| Trouble::Failed(format!("the bundled rules can't be read: {error}")))?;
    print::line(table(&catalogue));
    Ok(Ended::Done)
}

/// Three lines a rule: what it says, its source, where it is enforced.
fn table(catalogue: &Catalogue) -> String {
    let width = catalogue.rules.iter().map(|rule| rule.id.len()).max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    let mut row = |id: &str, text: &str| {
        out.push_str(format!("{id:width$}  {text}").trim_end());
        out.push('\n');
    };
    for rule in &catalogue.rules {
        row(&rule.id, &rule.notice_text);
        row("", &format!("source    {}", rule.basis));
        let at = match (&*rule.enforced_at, &rule.enforced_note) {
            ([], Some(note)) => note.clone(),
            ([], None) => "not yet".into(),
            (at, _) => at.join(", "),
        };
        row("", &format!("enforced  {at}"));
    }
    let held = catalogue
        .rules
        .iter()
        .filter(|rule| !rule.enforced_at.is_empty());
    let (held, all) = (held.count(), catalogue.rules.len());
    out.push_str(&format!(
        "{held} of {all} rules enforced. {}",
        catalogue.note
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_shown_with_its_source() {
        let catalogue: Catalogue = serde_json::from_str(CATALOGUE).unwrap();
        let shown = table(&catalogue);
        for rule in &catalogue.rules {
            assert!(shown.contains(&format!("{} ", rule.id)), "{}", rule.id);
            assert!(!rule.basis.is_empty(), "{} has no source", rule.id);
        }
        assert_eq!(
            shown.lines().count(),
            catalogue.rules.len() * 3 + 1,
            "three lines a rule and one of totals"
        );
    }

    #[test]
    fn a_rule_that_nothing_enforces_says_why() {
        let catalogue: Catalogue = serde_json::from_str(CATALOGUE).unwrap();
        for rule in &catalogue.rules {
            let said = !rule.enforced_at.is_empty() || rule.enforced_note.is_some();
            assert!(said, "{}", rule.id);
        }
    }
}
