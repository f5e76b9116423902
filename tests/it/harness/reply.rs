//! What comes back.

use super::PUBLIC;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::BTreeMap;

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by name; several of one name are joined.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Headers by name.
pub fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.as_str().to_owned())
            .and_modify(|before| *before = format!("{before}\n{value}"))
            .or_insert_with(|| value.into_owned());
    }
    all
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The records of a Bundle, in order, or of a read.
    pub fn keys(&self) -> Vec<String> {
        let body = self.json();
        let key = |r: &Value| format!("{}/{}", text(&r["resourceType"]), text(&r["id"]));
        match body["entry"].as_array() {
            Some(entries) => entries.iter().map(|e| key(&e["resource"])).collect(),
            None => vec![key(&body)]
                .into_iter()
                .filter(|k| k != "Bundle/")
                .collect(),
        }
    }

    /// The next page, below the FHIR base.
    pub fn next(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let links = body["link"].as_array()?;
        let next = links.iter().find(|link| link["relation"] == "next")?;
        let base = format!("{PUBLIC}/fhir/");
        Some(
            next["url"]
                .as_str()?
                .strip_prefix(&base)
                .unwrap()
                .to_owned(),
        )
    }

    /// Everything that came, but the request's id and the date.
    pub fn whole(&self) -> String {
        let mut all = format!("{}\n", self.status);
        for (name, value) in &self.headers {
            if !["date", "x-request-id"].contains(&name.as_str()) {
                all.push_str(&format!("{name}: {value}\n"));
            }
        }
        all.push_str(&String::from_utf8_lossy(&self.body));
        all
    }

    /// The first issue's text.
    pub fn says(&self) -> String {
        text(&self.json()["issue"][0]["diagnostics"]).to_owned()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
