//! Conditions of writes: <https://hl7.org/fhir/R4/http.html#ccreate>. They match within what the
//! requester may see: a hidden record matches nothing.

use super::{Question, Refusal, Service, release_all, search::invalid};
use crate::{
    fhir::{Key, Kind},
    gate::Journal,
    scope::Actions,
    search::plan::{Contained, ParseOptions, Plan, Total},
    store::{Sought, Store},
};

/// How often a write is tried whose condition finds something else when it is written: the next look-up
/// finds what came between.
pub(crate) const TRIES: u32 = 8;

impl<S: Store, J: Journal> Service<S, J> {
    /// The records that a condition names; two where there are more.
    pub(crate) async fn matches(
        &self,
        question: &Question,
        kind: Kind,
        pairs: &[(String, String)],
    ) -> Result<Vec<Key>, Refusal> {
        Ok(self.sought(question, kind, pairs).await?.0)
    }

    /// The same, and what the write that rests on it takes along: it is made only where the condition
    /// finds the same in its transaction ([`Refusal::Moved`] where not).
    pub(crate) async fn sought(
        &self,
        question: &Question,
        kind: Kind,
        pairs: &[(String, String)],
    ) -> Result<(Vec<Key>, Sought), Refusal> {
        let case = &question.case;
        let plan = self.condition(question, kind, pairs).await?;
        let page = self.store.search(case, self.settings, &plan, None).await?;
        let keys = page.matches.iter().map(|at| at.facts().key.clone());
        let sought = Sought {
            case: case.clone(),
            plan,
            found: keys.collect(),
        };
        let released = release_all(page.matches, case, self.settings, &page.standing);
        let found = released.iter().map(|found| found.key().clone());
        Ok((found.collect(), sought))
    }

    /// A condition as a plan: what shapes an answer does not count, and at least one filter must.
    pub(crate) async fn condition(
        &self,
        question: &Question,
        kind: Kind,
        pairs: &[(String, String)],
    ) -> Result<Plan, Refusal> {
        if !question.case.scopes.allows(kind, Actions::SEARCH) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover the search of a condition",
            ));
        }
        let options = ParseOptions {
            base: Some(&self.base),
            ..ParseOptions::default()
        };
        let mut plan = Plan::parse(Some(kind), pairs, options).map_err(Refusal::Invalid)?;
        if plan.filters.is_empty() {
            return Err(invalid("a condition needs a search parameter that narrows"));
        }
        // A record has labels only once it is written.
        if plan.asks_labels() {
            return Err(invalid("a condition can't ask for labels"));
        }
        // What a write rests on is a record.
        if plan.contained != Contained::False {
            return Err(invalid("a condition can't ask for contained resources"));
        }
        self.define(&question.case, &mut plan).await?;
        plan.include.clear();
        plan.revinclude.clear();
        plan.sort.clear();
        plan.elements.clear();
        plan.total = Total::None;
        plan.summary = None;
        plan.cursor = None;
        plan.count = 2;
        Ok(plan)
    }
}
