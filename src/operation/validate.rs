//! $validate: <https://hl7.org/fhir/R4/resource-operation-validate.html>
//!
//! What is checked is the caller's own resource, and with a `mode` also whether this caller might write
//! it; nothing stored is told. On an instance the stored record must be one that the caller may see:
//! else the answer is that of an id that never was.

use crate::{
    fhir::{
        Key, Kind, Resource,
        json::{self, Node},
        outcome::{Issue, IssueType, outcome},
    },
    gate::{Journal, disclose, release},
    interaction::{
        Answer, Question, Refusal, Service,
        search::invalid,
        write::{may_write, unreadable},
    },
    profile::{CheckLimits, Depth, PROFILES, Profiles, examine},
    scope::Actions,
    store::Store,
};
use bytes::Bytes;

/// What the resource is validated for (<https://hl7.org/fhir/R4/valueset-resource-validation-mode.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whether it could be created.
    Create,
    /// Whether it could be a new version.
    Update,
    /// Whether the record could be deleted; no resource is needed.
    Delete,
    /// Whether the stored record, as the caller sees it, keeps to the profile.
    Profile,
}

/// What a request of `$validate` asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The resource, as sent.
    pub resource: Option<Bytes>,
    /// What for.
    pub mode: Option<Mode>,
    /// Canonical URL of a profile.
    pub profile: Option<String>,
}

impl Asked {
    /// From the query and the body: Parameters, or the resource itself.
    pub fn read(
        pairs: &[(String, String)],
        body: &Bytes,
        kind: Kind,
        limits: json::Limits,
    ) -> Result<Asked, Refusal> {
        let mut asked = Asked::default();
        for (name, value) in pairs {
            if !["_format", "_pretty"].contains(&name.as_str()) {
                asked.set(name, value)?;
            }
        }
        if body.is_empty() {
            return Ok(asked);
        }
        let root = json::parse(body, limits).map_err(|error| unreadable(error.into()))?;
        let named = root.text("resourceType");
        if named != Some("Parameters") || kind.name() == "Parameters" && !wraps(&root) {
            asked.resource = Some(body.clone());
            return Ok(asked);
        }
        let parameters = root.get("parameter").map(Node::items).unwrap_or_default();
        for parameter in parameters {
            let name = parameter.text("name").unwrap_or_default();
            match (name, parameter.get("resource")) {
                ("resource", Some(node)) if asked.resource.is_none() => {
                    asked.resource = Some(Bytes::copy_from_slice(node.slice(body)));
                }
                _ => {
                    let value = parameter
                        .members()
                        .iter()
                        .find(|member| member.name.starts_with("value"))
                        .and_then(|member| member.node.str());
                    asked.set(name, value.unwrap_or_default())?;
                }
            }
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match (name, value) {
            ("mode", "create") => self.mode = Some(Mode::Create),
            ("mode", "update") => self.mode = Some(Mode::Update),
            ("mode", "delete") => self.mode = Some(Mode::Delete),
            ("mode", "profile") => self.mode = Some(Mode::Profile),
            ("mode", _) => return Err(invalid("mode is create, update, delete or profile")),
            ("profile", "") => return Err(invalid("profile is a canonical URL")),
            ("profile", url) => self.profile = Some(url.to_owned()),
            _ => {
                return Err(invalid(
                    "$validate takes one resource, one mode and one profile",
                ));
            }
        }
        Ok(())
    }

    /// What the token must allow.
    fn actions(&self) -> &'static [Actions] {
        match self.mode {
            Some(Mode::Create) => &[Actions::CREATE],
            Some(Mode::Update) => &[Actions::UPDATE],
            Some(Mode::Delete) => &[Actions::DELETE],
            Some(Mode::Profile) => &[Actions::READ],
            None => &[Actions::READ, Actions::CREATE, Actions::UPDATE],
        }
    }
}

/// Whether Parameters are those of `$validate` and not what is to be validated.
fn wraps(root: &Node) -> bool {
    let parameters = root.get("parameter").map(Node::items).unwrap_or_default();
    parameters.iter().any(|parameter| {
        parameter.text("name") == Some("resource") && parameter.get("resource").is_some()
    })
}

impl<S: Store, J: Journal> Service<S, J> {
    /// An OperationOutcome with every problem and remark; 200 also where there are errors, for the
    /// question was answered.
    pub async fn validate(
        &self,
        question: &Question,
        kind: Kind,
        instance: Option<&Key>,
        asked: &Asked,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let allowed = |action: &Actions| case.scopes.allows(kind, *action);
        if !asked.actions().iter().any(allowed)
            || (instance.is_some() && !case.scopes.allows(kind, Actions::READ))
        {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this validation",
            ));
        }
        let known = self.profiles(question, asked).await?;
        let profile = match &asked.profile {
            None => None,
            Some(url) => Some(known.find(url).ok_or_else(unknown)?),
        };
        let stored = match instance {
            None => {
                disclose(&self.journal, case, &question.asked, 200, Vec::new()).await?;
                None
            }
            Some(key) => Some(self.seen(question, key, asked.mode).await?),
        };
        let limits = CheckLimits {
            depth: Depth::Strict,
            remarks: true,
            ..self.checks
        };
        let mut issues = Vec::new();
        match (asked.mode, &asked.resource, instance) {
            (Some(Mode::Delete), ..) => {}
            (Some(Mode::Create), _, Some(_)) => {
                return Err(invalid("a record that exists is not created"));
            }
            (Some(Mode::Profile), None, Some(_)) => {
                if profile.is_none() {
                    return Err(invalid("mode profile needs a profile"));
                }
                let body = stored.unwrap_or_default();
                let resource = Resource::parse(body, self.limits).map_err(unreadable)?;
                issues = examine(&resource, &known, profile, limits);
            }
            (Some(Mode::Profile), ..) => {
                return Err(invalid("mode profile takes an id and no resource"));
            }
            (_, None, _) => return Err(invalid("resource is required")),
            (mode, Some(text), _) => match Resource::parse(text.clone(), self.limits) {
                Err(error) => issues.push(Issue::new(IssueType::Structure, error.to_string())),
                Ok(resource) => {
                    issues = identity(&resource, kind, instance, mode);
                    issues.extend(examine(&resource, &known, profile, limits));
                    self.writable(question, &resource, mode, &mut issues);
                }
            },
        }
        if let Some(mode) = asked.mode
            && mode != Mode::Profile
            && let Err(refusal) = may_write(case, kind)
        {
            tell(refusal, &mut issues);
        }
        if issues.is_empty() {
            let text = "No problem was found";
            issues.push(Issue::new(IssueType::Informational, text));
        }
        Ok(Answer::of(200, outcome(&issues)))
    }

    /// The shipped profiles, and those stored here that the caller may read and that are asked for or
    /// claimed, with what they derive from.
    async fn profiles(&self, question: &Question, asked: &Asked) -> Result<Profiles, Refusal> {
        let mut wanted: Vec<String> = asked.profile.iter().cloned().collect();
        let resource = asked.resource.as_ref();
        if let Some(Ok(resource)) = resource.map(|text| json::parse(text, self.limits)) {
            let claims = resource.at(&["meta", "profile"]).map(Node::items);
            let claims = claims.unwrap_or_default().iter().filter_map(Node::str);
            wanted.extend(claims.map(str::to_owned));
        }
        let mut seen: Vec<String> = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        while let Some(url) = wanted.pop() {
            let plain = url.split('|').next().unwrap_or_default().to_owned();
            if seen.len() >= STORED || seen.contains(&plain) || PROFILES.find(&url).is_some() {
                continue;
            }
            seen.push(plain);
            let Some(kind) = Kind::named("StructureDefinition") else {
                continue;
            };
            let Some(released) = self.named_definition(&question.case, kind, &url).await? else {
                continue;
            };
            for disclosure in self.disclosed(question, vec![released]).await? {
                for record in disclosure.entries() {
                    let base = json::parse(record.body, self.limits).ok();
                    let base = base.as_ref().and_then(|root| root.text("baseDefinition"));
                    wanted.extend(base.map(str::to_owned));
                    texts.push(String::from_utf8_lossy(record.body).into_owned());
                }
            }
        }
        Ok(Profiles::beside_shipped(texts.iter().map(String::as_str)).0)
    }

    /// The record of the URL as the caller sees it. One that is hidden and one that never was are 404,
    /// by the same path.
    async fn seen(
        &self,
        question: &Question,
        key: &Key,
        mode: Option<Mode>,
    ) -> Result<Bytes, Refusal> {
        let case = &question.case;
        let found = self.store.read(case, self.settings, key).await?;
        let released = found
            .and_then(|found| release(found.sealed, case, self.settings, &found.standing).ok());
        let status = if released.is_some() { 200 } else { 404 };
        let seen = released.is_some();
        // Only mode profile tells something of the content.
        let batch = released.filter(|_| mode == Some(Mode::Profile));
        let batch = batch.into_iter().collect();
        let disclosure = disclose(&self.journal, case, &question.asked, status, batch).await?;
        let body = disclosure
            .entries()
            .next()
            .map(|record| record.body.clone());
        if seen {
            Ok(body.unwrap_or_default())
        } else {
            Err(Refusal::NotFound)
        }
    }

    /// Whether this caller might write it: by role and content, never by what is stored.
    fn writable(
        &self,
        question: &Question,
        resource: &Resource,
        mode: Option<Mode>,
        issues: &mut Vec<Issue>,
    ) {
        let action = match mode {
            Some(Mode::Create) => Actions::CREATE,
            Some(Mode::Update) => Actions::UPDATE,
            _ => return,
        };
        if issues.iter().any(Issue::is_error) {
            return;
        }
        let checked = self
            .localized(question, resource.clone(), resource.kind().name())
            .and_then(|resource| self.check(&question.case, &resource, action));
        if let Err(refusal) = checked {
            tell(refusal, issues);
        }
    }
}

/// Type and id are those of the URL.
fn identity(
    resource: &Resource,
    kind: Kind,
    instance: Option<&Key>,
    mode: Option<Mode>,
) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut say = |text, at: &str| issues.push(Issue::at(IssueType::Invalid, text, at));
    if resource.kind() != kind {
        say("resourceType is not the type of the URL", "resourceType");
    }
    let place = format!("{}.id", resource.kind().name());
    match (instance, resource.id()) {
        (Some(key), id) if id != Some(&key.id) => say("the id is not the id of the URL", &place),
        (None, None) if mode == Some(Mode::Update) => say("an update needs an id", &place),
        _ => {}
    }
    issues
}

/// A refusal of a write, as what it would have said.
fn tell(refusal: Refusal, issues: &mut Vec<Issue>) {
    match refusal {
        Refusal::Invalid(more) | Refusal::Unprocessable(more) => issues.extend(more),
        Refusal::Forbidden(text) => issues.push(Issue::new(IssueType::Forbidden, text)),
        _ => {}
    }
}

/// Most stored profiles that one question looks up.
const STORED: usize = 16;

fn unknown() -> Refusal {
    Refusal::Invalid(vec![Issue::new(
        IssueType::NotSupported,
        "The profile is not known here",
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)], body: &str, kind: &str) -> Result<Asked, Refusal> {
        let pairs: Vec<(String, String)> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Asked::read(
            &pairs,
            &body,
            Kind::named(kind).unwrap(),
            json::Limits::default(),
        )
    }

    #[test]
    fn the_resource_comes_in_parameters_or_alone() {
        let patient = r#"{"resourceType":"Patient","id":"a"}"#;
        let expected = Asked {
            resource: Some(Bytes::from_static(patient.as_bytes())),
            mode: Some(Mode::Create),
            profile: Some("http://x.example/p".into()),
        };
        let body = format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"resource","resource":{patient}}},
            {{"name":"mode","valueCode":"create"}},{{"name":"profile","valueUri":"http://x.example/p"}}]}}"#
        );
        assert_eq!(read(&[], &body, "Patient").unwrap(), expected);
        let query = [("mode", "create"), ("profile", "http://x.example/p")];
        assert_eq!(read(&query, patient, "Patient").unwrap(), expected);
        let own = r#"{"resourceType":"Parameters","parameter":[{"name":"x","valueCode":"y"}]}"#;
        let alone = read(&[], own, "Parameters").unwrap();
        assert_eq!(alone.resource, Some(Bytes::from_static(own.as_bytes())));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in [("mode", "guess"), ("profile", ""), ("depth", "1")] {
            assert!(read(&[query], "", "Patient").is_err(), "{query:?}");
        }
        let twice = r#"{"resourceType":"Parameters","parameter":[
            {"name":"resource","resource":{"resourceType":"Patient"}},
            {"name":"resource","resource":{"resourceType":"Patient"}}]}"#;
        assert!(read(&[], twice, "Patient").is_err());
        assert!(read(&[], "{", "Patient").is_err());
    }
}
