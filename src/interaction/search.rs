//! search: <https://hl7.org/fhir/R4/search.html>

use super::{
    Answer, Question, Refusal, Service, release_all,
    searchset::{Bundle, Mode, url},
};
use crate::{
    fhir::{
        Kind,
        outcome::{Issue, IssueType},
    },
    gate::{Disclosure, Journal, Released, disclose},
    scope::Actions,
    search::{
        params::ParamType,
        plan::{CURSOR, ParseOptions, Plan, Summary},
    },
    store::Store,
};

/// How unknown parameters are handled (`Prefer: handling`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Refused: ignoring a filter would return more than was asked for.
    Strict,
    /// Ignored, and left out of the self link.
    Lenient,
}

impl<S: Store, J: Journal> Service<S, J> {
    /// The records of a type that match, as one page.
    pub async fn search(
        &self,
        question: &Question,
        kind: Kind,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        if !case.scopes.allows(kind, Actions::SEARCH) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this search",
            ));
        }
        let plan = self.plan(kind, pairs, handling)?;
        let query = url("", kind.name(), &plan.used);
        let from = match &plan.cursor {
            None => None,
            Some(cursor) => match self.cursors.open_cursor(case, &query, cursor) {
                Some(from) => Some(from),
                None => {
                    return Err(invalid(
                        "the page's cursor has expired or is not of this search",
                    ));
                }
            },
        };
        let page = self
            .store
            .search(case, self.settings, &plan, from.as_ref())
            .await?;
        let mut links = vec![("self", url(&self.base, kind.name(), &plan.used))];
        if let Some(next) = &page.next {
            let mut pairs = plan.used.clone();
            pairs.push((CURSOR.to_owned(), self.cursors.seal(case, &query, next)));
            links.push(("next", url(&self.base, kind.name(), &pairs)));
        }
        let matches = release_all(page.matches, case, self.settings, &page.standing);
        let included = release_all(page.included, case, self.settings, &page.standing);
        let mut bundle = Bundle::searchset(&self.base, page.total, &links);
        for disclosure in self.disclosed(question, matches).await? {
            bundle.add(&disclosure, Mode::Match);
        }
        if !included.is_empty() {
            for disclosure in self.disclosed(question, included).await? {
                bundle.add(&disclosure, Mode::Include);
            }
        }
        Ok(Answer::of(200, bundle.finish()))
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

    fn plan(
        &self,
        kind: Kind,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Plan, Refusal> {
        let options = ParseOptions {
            lenient: handling == Handling::Lenient,
            count_max: self.count_max,
            base: Some(&self.base),
            ..ParseOptions::default()
        };
        let plan = Plan::parse(Some(kind), pairs, options).map_err(Refusal::Invalid)?;
        let unsupported =
            |text: &str| Refusal::Invalid(vec![Issue::new(IssueType::NotSupported, text)]);
        if plan.sort.len() > 1 {
            return Err(unsupported(
                "_sort by more than one parameter is not supported",
            ));
        }
        if plan
            .sort
            .iter()
            .any(|key| key.param.kind == ParamType::Reference)
        {
            return Err(unsupported("_sort by a reference is not supported"));
        }
        if !plan.elements.is_empty() {
            return Err(unsupported("_elements is not supported"));
        }
        if !matches!(plan.summary, None | Some(Summary::Count | Summary::False)) {
            return Err(unsupported("_summary is supported as count and false"));
        }
        Ok(plan)
    }
}

pub(crate) use super::refusal::invalid;
