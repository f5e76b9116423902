//! Conditions of writes: <https://hl7.org/fhir/R4/http.html#ccreate>. They match within what the
//! requester may see: a hidden record matches nothing.

use super::{Question, Refusal, Service, release_all, search::invalid};
use crate::{
    fhir::{Key, Kind},
    gate::Journal,
    scope::Actions,
    search::plan::{ParseOptions, Plan, Total},
    store::Store,
};

impl<S: Store, J: Journal> Service<S, J> {
    /// The records that a condition names; two where there are more.
    pub(crate) async fn matches(
        &self,
        question: &Question,
        kind: Kind,
        pairs: &[(String, String)],
    ) -> Result<Vec<Key>, Refusal> {
        let case = &question.case;
        let plan = self.condition(question, kind, pairs).await?;
        let page = self.store.search(case, self.settings, &plan, None).await?;
        let released = release_all(page.matches, case, self.settings, &page.standing);
        Ok(released.iter().map(|found| found.key().clone()).collect())
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
