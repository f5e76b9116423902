//! Patient/$everything: <https://hl7.org/fhir/R4/patient-operation-everything.html>

use crate::{
    fhir::{Id, Key, Kind},
    gate::{Journal, disclose, release},
    interaction::{
        Answer, Question, Refusal, Service, release_all,
        search::invalid,
        searchset::{Bundle, links, url},
    },
    label::DIRECTORY,
    scope::Actions,
    search::plan::CURSOR,
    store::Store,
};

/// What a request of `$everything` asks for.
struct Asked {
    count: u16,
    cursor: Option<String>,
    used: Vec<(String, String)>,
}

/// The page where `_count` is absent.
const COUNT: u16 = 200;

impl<S: Store, J: Journal> Service<S, J> {
    /// All records of a patient's own that the requester may see, in pages, and the directory records
    /// that they name. A patient who is hidden equals one who never was.
    pub async fn everything(
        &self,
        question: &Question,
        id: Id,
        pairs: &[(String, String)],
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let patient = Key {
            kind: Kind::named("Patient").ok_or(Refusal::NotFound)?,
            id,
        };
        if !case.scopes.allows(patient.kind, Actions::READ) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this read",
            ));
        }
        let found = self.store.read(case, self.settings, &patient).await?;
        let seen = found.is_some_and(|found| {
            release(found.sealed, case, self.settings, &found.standing).is_ok()
        });
        if !seen {
            disclose(&self.journal, case, &question.asked, 404, Vec::new()).await?;
            return Err(Refusal::NotFound);
        }
        let Asked {
            count,
            cursor,
            used,
        } = self.parameters(pairs)?;
        let path = format!("{patient}/$everything");
        let query = url("", &path, &used);
        let from = self.page_from(case, &query, cursor.as_deref())?;
        let page = self
            .store
            .everything(case, self.settings, &patient, count, from.as_ref())
            .await?;
        let next = page.next.as_ref();
        let next = next.map(|next| self.cursors.seal(case, &query, next));
        let links = links(&question.base, &path, &used, next);
        let own = release_all(page.matches, case, self.settings, &page.standing);
        let named: Vec<Key> = {
            let mut named: Vec<Key> = own
                .iter()
                .flat_map(|released| released.mentions(*DIRECTORY))
                .collect();
            named.sort();
            named.dedup();
            named
        };
        let others = self.store.named(case, self.settings, &named).await?;
        let others = release_all(others.matches, case, self.settings, &others.standing);
        let mut bundle = Bundle::searchset(&question.base, None, &links);
        let matches = own.len();
        let all = own.into_iter().chain(others).collect();
        bundle.add_all(&self.disclosed(question, all).await?, matches);
        Ok(Answer::of(200, bundle.finish()))
    }

    fn parameters(&self, pairs: &[(String, String)]) -> Result<Asked, Refusal> {
        let (mut count, mut cursor, mut used) = (COUNT, None, Vec::new());
        for (name, value) in pairs {
            match name.as_str() {
                "_count" => {
                    let asked: u16 = value
                        .parse()
                        .map_err(|_| invalid("_count is not a number"))?;
                    count = asked.clamp(1, self.count_max);
                    used.push((name.clone(), value.clone()));
                }
                CURSOR => cursor = Some(value.clone()),
                "_format" | "_pretty" => {}
                _ => {
                    return Err(invalid(
                        "$everything takes _count; other parameters are not supported",
                    ));
                }
            }
        }
        Ok(Asked {
            count,
            cursor,
            used,
        })
    }
}
