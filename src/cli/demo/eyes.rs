//! What one persona sees, asked over real HTTP.

use super::fixtures::{Persona, Record, View};
use crate::{
    fhir::json::{self, Limits},
    operation::evaluate,
};
use std::collections::BTreeMap;

/// The categories of the table, in order.
pub const CATEGORIES: &[(&str, &str)] = &[
    ("mental-health", "mental"),
    ("reproductive", "reprod."),
    ("sti", "STI"),
    ("substance-use", "subst."),
    ("gender-affirming", "gender"),
    ("intimate-partner-violence", "violence"),
    ("special", "special"),
    ("ordinary", "ordinary"),
];

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Records read, by category, of how many.
    pub by_category: BTreeMap<String, (usize, usize)>,
    /// Everything that came back, for the search of forbidden words.
    bodies: Vec<String>,
    /// The records that could be read.
    pub read: Vec<String>,
    /// The first record that could not be read: a visit where one is.
    pub hidden: Option<String>,
}

/// An HTTP client towards the demo's server.
#[derive(Debug, Clone)]
pub struct Eyes {
    client: reqwest::Client,
    base: String,
}

impl Eyes {
    /// Towards the FHIR base.
    pub fn new(base: String) -> Eyes {
        Eyes {
            client: reqwest::Client::new(),
            base,
        }
    }

    async fn get(&self, token: &str, path: &str) -> Result<(u16, String), reqwest::Error> {
        let request = self
            .client
            .get(format!("{}/{path}", self.base))
            .bearer_auth(token);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Waits until the server answers.
    pub async fn open(&self) -> Result<(), reqwest::Error> {
        self.get("", "metadata").await.map(|_| ())
    }

    /// Reads every record of the member, asks for everything at once, and searches.
    pub async fn look(
        &self,
        token: &str,
        persona: &Persona,
        records: &[Record],
    ) -> Result<Seen, reqwest::Error> {
        let mut seen = Seen::default();
        for record in records {
            let (status, body) = self.get(token, &record.key).await?;
            let count = seen.by_category.entry(record.category.clone()).or_default();
            count.1 += 1;
            if status == 200 {
                count.0 += 1;
                seen.read.push(record.key.clone());
            } else if seen.hidden.is_none()
                && record.key.starts_with("Encounter/")
                && record.category != "ordinary"
            {
                seen.hidden = Some(record.key.clone());
            }
            seen.bodies.push(body);
        }
        if seen.hidden.is_none() {
            let hidden = records
                .iter()
                .find(|record| !seen.read.contains(&record.key));
            seen.hidden = hidden.map(|record| record.key.clone());
        }
        let member = &persona.member;
        let mut path = format!("{member}/$everything?_count=1000");
        for kind in [
            "Condition",
            "ExplanationOfBenefit",
            "Communication",
            "Encounter",
        ] {
            path.push('\n');
            path.push_str(&format!("{kind}?patient={member}&_count=1000"));
        }
        for path in path.lines() {
            let (_, body) = self.get(token, path).await?;
            seen.bodies.push(body);
        }
        Ok(seen)
    }

    /// Why `persona` does not see `record`, as the auditor learns it.
    pub async fn why(
        &self,
        auditor: &str,
        persona: &Persona,
        record: &str,
    ) -> Result<String, reqwest::Error> {
        let mut query = format!(
            "Consent/$evaluate?client={}&purpose={}&record={record}",
            persona.client, persona.purpose
        );
        if let Some(user) = &persona.user {
            query.push_str(&format!("&user={user}"));
        }
        if let Some(patient) = &persona.patient {
            query.push_str(&format!("&patient={patient}"));
        }
        let (_, body) = self.get(auditor, &query).await?;
        let parsed = json::parse(body.as_bytes(), Limits::default()).ok();
        let reason = parsed
            .as_ref()
            .and_then(|node| evaluate::value(node, "reason"));
        Ok(reason.unwrap_or("?").to_owned())
    }
}

impl Seen {
    /// What is not as it must be: seen though hidden, hidden though it must be seen, forbidden words.
    pub fn against(&self, view: &View) -> Vec<String> {
        let mut wrong = Vec::new();
        for key in &view.must_not_see {
            if self.read.contains(key) {
                wrong.push(format!("sees {key}, and must not"));
            }
        }
        for key in &view.sees {
            if !self.read.contains(key) {
                wrong.push(format!("must see {key}, and does not"));
            }
        }
        for word in &view.forbidden_markers {
            if self.bodies.iter().any(|body| body.contains(word.as_str())) {
                wrong.push(format!("was sent the forbidden word {word}"));
            }
        }
        wrong
    }
}
