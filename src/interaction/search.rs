//! search: <https://hl7.org/fhir/R4/search.html>

use super::{
    Answer, Question, Refusal, Service, pick, release_all,
    searchset::{Bundle, links, url},
};
use crate::{
    faces::Trim,
    fhir::{
        Key, Kind, Kinds, canonical,
        outcome::{Issue, IssueType},
    },
    gate::{Disclosure, Journal, Released, disclose},
    policy::Case,
    profile::shipped::own,
    scope::Actions,
    search::{
        kin::{KIN, Kin},
        plan::{ParseOptions, Plan, Summary},
        shipped::shipped,
        terms::{Definition, Library, Need, Unclear},
    },
    store::{Position, Store},
};

/// Most definitions that one search is worked out from.
const DEFINITIONS: usize = 50;

/// How unknown parameters are handled (`Prefer: handling`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Refused: ignoring a filter would return more than was asked for.
    Strict,
    /// Ignored, and left out of the self link.
    Lenient,
}

/// Where is searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Within {
    /// One type.
    Kind(Kind),
    /// Several types, or all.
    System,
    /// What is in the compartment of a record, of one type or of all.
    Compartment(Key, Option<Kind>),
}

impl Within {
    /// Its path below the base.
    pub fn path(&self) -> String {
        match self {
            Within::Kind(kind) => kind.name().to_owned(),
            Within::System => String::new(),
            Within::Compartment(key, kind) => {
                format!("{key}/{}", kind.map_or("*", Kind::name))
            }
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Within::Kind(kind) => Some(*kind),
            Within::System => None,
            Within::Compartment(_, kind) => *kind,
        }
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// The records that match, as one page.
    pub async fn search(
        &self,
        question: &Question,
        within: &Within,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let mut plan = self.plan(case, within, pairs, handling)?;
        self.define(case, &mut plan).await?;
        let path = within.path();
        let query = url("", &path, &plan.used);
        let from = self.page_from(case, &query, plan.cursor.as_deref())?;
        let page = self
            .store
            .search(case, self.settings, &plan, from.as_ref())
            .await?;
        let next = page.next.as_ref();
        let next = next.map(|next| self.cursors.seal(case, &query, next));
        let links = links(&question.base, &path, &plan.used, next);
        let (of_matches, of_others) = trims(&plan);
        let matches = release_all(page.matches, case, self.settings, &page.standing);
        let matches = match page.picks {
            Some(picks) => pick(matches, &picks),
            None => matches,
        };
        let matches = trimmed(matches, of_matches.as_ref());
        let included = release_all(page.included, case, self.settings, &page.standing);
        let included = trimmed(included, of_others.as_ref());
        let mut bundle = Bundle::searchset(&question.base, page.total, &links);
        let matched = matches.len();
        let all = matches.into_iter().chain(included).collect();
        bundle.add_all(&self.disclosed(question, all).await?, matched);
        if page.cut {
            let text = "the includes lead to more than is here: one brings at most 1000 records, and \
                        those that iterate stop at 5000; ask for fewer matches (_count) or fewer includes";
            bundle.say(Issue::new(IssueType::TooCostly, text).as_warning());
        }
        Ok(Answer::of(200, bundle.finish()))
    }

    /// Where the page of a search begins.
    pub(crate) fn page_from(
        &self,
        case: &Case,
        query: &str,
        cursor: Option<&str>,
    ) -> Result<Option<Position>, Refusal> {
        let from = cursor.map(|cursor| {
            let from = self.cursors.open_cursor(case, query, cursor);
            from.ok_or_else(|| invalid("the page's cursor has expired or is not of this search"))
        });
        from.transpose()
    }

    /// Discloses in bounded batches; also nothing is an entry.
    pub(crate) async fn disclosed(
        &self,
        question: &Question,
        mut released: Vec<Released>,
    ) -> Result<Vec<Disclosure>, Refusal> {
        let mut disclosures = Vec::new();
        loop {
            let rest = released.split_off(released.len().min(crate::gate::disclose::BATCH));
            let batch = std::mem::replace(&mut released, rest);
            disclosures
                .push(disclose(&self.journal, &question.case, &question.asked, 200, batch).await?);
            if released.is_empty() {
                return Ok(disclosures);
            }
        }
    }

    pub(super) fn plan(
        &self,
        case: &Case,
        within: &Within,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Plan, Refusal> {
        const UNCOVERED: Refusal =
            Refusal::Forbidden("the token's scope does not cover this search");
        let covered = case.scopes.kinds(Actions::SEARCH);
        let kind = within.kind();
        if kind.is_some_and(|kind| !covered.has(kind)) || covered.is_empty() {
            return Err(UNCOVERED);
        }
        let options = ParseOptions {
            lenient: handling == Handling::Lenient,
            count_max: self.count_max,
            base: Some(&self.base),
            ..ParseOptions::default()
        };
        let mut plan = Plan::parse(kind, pairs, options).map_err(Refusal::Invalid)?;
        if plan.kinds == Kinds::ALL {
            plan.kinds = covered;
        } else if !plan.kinds.without(covered).is_empty() {
            return Err(UNCOVERED);
        }
        if let Within::Compartment(key, _) = within {
            // A type that has no compartment is no route: a ghost.
            if !plan.within(key.kind, &key.id) {
                return Err(Refusal::NotFound);
            }
        }
        Ok(plan)
    }

    /// Puts codes in the place of the value sets and code systems that a search names: those stored
    /// here that the requester may read.
    pub(crate) async fn define(&self, case: &Case, plan: &mut Plan) -> Result<(), Refusal> {
        let mut library = Library::default();
        loop {
            let need = match plan.define(&library) {
                Ok(()) => return Ok(()),
                Err(Unclear::Because(text)) => {
                    let issue = Issue::new(IssueType::NotSupported, text);
                    return Err(Refusal::Invalid(vec![issue]));
                }
                Err(Unclear::Needs(need)) => need,
            };
            if library.len() >= DEFINITIONS {
                let text = "the value set is made of too many others";
                let issue = Issue::new(IssueType::TooLong, text);
                return Err(Refusal::Invalid(vec![issue]));
            }
            let found = self.definition(case, &need).await?;
            library.put(need, found);
        }
    }

    async fn definition(&self, case: &Case, need: &Need) -> Result<Option<Definition>, Refusal> {
        let (kind, name) = match need {
            Need::ValueSet(name) => ("ValueSet", name),
            Need::CodeSystem(name) => ("CodeSystem", name),
            Need::Kin(kin) => return self.kin(case, kin).await,
        };
        let Some(kind) = Kind::named(kind) else {
            return Ok(None);
        };
        let found = self.named_definition(case, kind, name).await?;
        let stored = found.as_ref().and_then(Released::definition);
        let (url, version) = canonical(name);
        // What comes with the program, where it is not stored: ours, and R4's own.
        let ours = || {
            let own = own(kind.name(), url)
                .filter(|own| version.is_none_or(|version| own.text("version") == Some(version)));
            own.as_ref().and_then(Definition::of_ours)
        };
        Ok(stored.or_else(ours).or_else(|| shipped(need)))
    }

    /// The definition of a canonical name (`url` or `url|version`) that is stored here and that the
    /// requester may read.
    pub(crate) async fn named_definition(
        &self,
        case: &Case,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Released>, Refusal> {
        let (url, version) = canonical(name);
        let escape = |text: &str| {
            let mut out = String::new();
            for char in text.chars() {
                if ",$|\\".contains(char) {
                    out.push('\\');
                }
                out.push(char);
            }
            out
        };
        let mut pairs = match name.strip_prefix(&format!("{}/", kind.name())) {
            Some(id) => vec![("_id".to_owned(), escape(id))],
            None => vec![("url".to_owned(), escape(url))],
        };
        pairs.extend(version.map(|version| ("version".to_owned(), escape(version))));
        // Of several versions the newest, as it was written here.
        pairs.push(("_sort".to_owned(), "-_lastUpdated".to_owned()));
        pairs.push(("_count".to_owned(), "1".to_owned()));
        let options = ParseOptions::default();
        let plan = Plan::parse(Some(kind), &pairs, options).map_err(Refusal::Invalid)?;
        let page = self.store.search(case, self.settings, &plan, None).await?;
        let found = release_all(page.matches, case, self.settings, &page.standing);
        Ok(found.into_iter().next())
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// A record of a tree with those above or below it that the requester may see; `None` where they are
    /// too many.
    async fn kin(&self, case: &Case, kin: &Kin) -> Result<Option<Definition>, Refusal> {
        let mut all = vec![kin.id.clone()];
        let mut next = all.clone();
        while !next.is_empty() {
            let mut found = Vec::new();
            for some in next.chunks(KIN) {
                let mut pairs = vec![kin.next(some)];
                pairs.push(("_count".to_owned(), KIN.to_string()));
                let options = ParseOptions::default();
                let plan =
                    Plan::parse(Some(kin.kind), &pairs, options).map_err(Refusal::Invalid)?;
                let page = self.store.search(case, self.settings, &plan, None).await?;
                if page.next.is_some() {
                    return Ok(None);
                }
                let shown = page.matches.iter();
                found.extend(shown.map(|sealed| sealed.facts().key.id.clone()));
            }
            found.retain(|id| !all.contains(id));
            found.dedup();
            all.extend_from_slice(&found);
            if all.len() > KIN {
                return Ok(None);
            }
            next = found;
        }
        Ok(Some(Definition::Kin(all)))
    }
}

/// What is left out of the matches, and of what comes along.
fn trims(plan: &Plan) -> (Option<Trim>, Option<Trim>) {
    let summary = match plan.summary {
        Some(Summary::True) => Some(Trim::Summary),
        Some(Summary::Text) => Some(Trim::Text),
        Some(Summary::Data) => Some(Trim::Data),
        Some(Summary::Count | Summary::False) | None => None,
    };
    let elements = (!plan.elements.is_empty()).then(|| Trim::Elements(plan.elements.clone()));
    (elements.or_else(|| summary.clone()), summary)
}

fn trimmed(released: Vec<Released>, trim: Option<&Trim>) -> Vec<Released> {
    match trim {
        None => released,
        Some(trim) => {
            let released = released.into_iter();
            released.map(|one| one.trimmed(trim)).collect()
        }
    }
}

pub(crate) use super::refusal::invalid;
