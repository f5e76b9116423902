//! A written store, and all that one requester gets out of it.

use super::{
    ask::NOW,
    made::{self, Made},
};
use crate::harness::{Room, now};
use confide::{
    fhir::{Key, Resource},
    gate::{Asked, Entry, Journal, JournalError, Sealed, disclose, release},
    policy::{Case, FaceKind, Settings, Standing},
    search::{contained, plan::Plan},
    statute::projections::Household,
    store::{Batch, Change, Expect, Page, Store, engine::Engine},
};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A record as one requester sees it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its body.
    pub resource: Resource,
    /// Its time.
    pub updated: i64,
    /// Whether less than the whole is shown.
    pub partial: bool,
    /// Whether it is the household face.
    pub household: bool,
    /// Whether labels may be known.
    pub may_know: bool,
}

/// All that one requester sees.
pub type View = BTreeMap<Key, Shown>;

/// What a search found, over all pages.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// In order.
    pub matches: Vec<Key>,
    /// Where contained resources are asked for alone: `Type/id` or `Type/id#id` of each match, in order.
    pub alone: Vec<String>,
    /// By include and reverse include, page by page.
    pub included: BTreeSet<Key>,
    /// What the first page says.
    pub total: Option<u64>,
    /// What SQL showed and the gate withheld.
    pub refused: Vec<Key>,
}

/// A written store.
pub struct Shelf {
    /// With which settings.
    pub settings: Settings,
    store: Engine,
    records: Vec<(Key, Value)>,
    _room: Room,
    _folder: tempfile::TempDir,
}

/// A journal that takes everything.
pub struct Accepts;

impl Journal for Accepts {
    async fn record(&self, _: Entry) -> Result<(), JournalError> {
        Ok(())
    }
}

/// Generated settings.
pub fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(clinical, by_organization)| Settings {
        household: if clinical {
            Household::Clinical
        } else {
            Household::Claims
        },
        by_organization,
    })
}

fn key(record: &Value) -> Key {
    let part = |name: &str| record[name].as_str().unwrap().to_owned();
    Key::parse(&format!("{}/{}", part("resourceType"), part("id"))).unwrap()
}

impl Shelf {
    /// Writes a generated store.
    pub fn of(made: &Made, settings: Settings) -> Shelf {
        let records = made::records(made);
        Shelf::write(
            records.into_iter().map(|r| (key(&r), r)).collect(),
            settings,
        )
    }

    /// Writes records in two batches, a week apart.
    pub fn write(records: Vec<(Key, Value)>, settings: Settings) -> Shelf {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new();
        let store = room.open(folder.path());
        let late = |key: &Key| key.id.as_str().bytes().last().unwrap_or_default() % 2 == 1;
        for (part, at) in [(false, NOW - 7 * 86_400_000_000), (true, NOW - 60_000_000)] {
            let changes = records.iter().filter(|(key, _)| late(key) == part);
            let changes = changes.map(|(key, record)| Change {
                key: key.clone(),
                resource: Some(Resource::ours(record.to_string()).unwrap()),
                expect: Expect::Any,
            });
            let batch = Batch {
                changes: changes.collect(),
                at,
                settings,
                sought: Vec::new(),
                fail_closed: true,
            };
            store.write_now(batch).unwrap();
        }
        Shelf {
            settings,
            store,
            records,
            _room: room,
            _folder: folder,
        }
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Each record read and released by itself.
    pub fn view(&self, case: &Case) -> View {
        let mut view = View::new();
        for (key, _) in &self.records {
            let found = now(self.store.read(case, self.settings, key))
                .unwrap()
                .unwrap();
            if let Some(shown) = self.open(found.sealed, case, &found.standing) {
                view.insert(key.clone(), shown);
            }
        }
        view
    }

    fn open(&self, sealed: Sealed, case: &Case, standing: &Standing) -> Option<Shown> {
        let released = release(sealed, case, self.settings, standing).ok()?;
        let why = released.why();
        let household = matches!(why.face, FaceKind::Household(_));
        let (partial, may_know) = (released.is_partial(), why.may_know);
        let asked = Asked {
            request: "r".into(),
            interaction: "read",
            target: "t".into(),
            from: None,
        };
        let disclosure = now(disclose(&Accepts, case, &asked, 200, vec![released])).unwrap();
        let entry = disclosure.entries().next()?;
        Some(Shown {
            resource: Resource::ours(entry.body.clone()).unwrap(),
            updated: entry.stamp.updated,
            partial,
            household,
            may_know,
        })
    }

    /// What SQL shows of all names.
    pub fn named(&self, case: &Case) -> Vec<Key> {
        let keys: Vec<Key> = self.records.iter().map(|(key, _)| key.clone()).collect();
        let page = now(self.store.named(case, self.settings, &keys)).unwrap();
        page.matches
            .iter()
            .map(|sealed| sealed.facts().key.clone())
            .collect()
    }

    /// What SQL shows of a patient, over all pages.
    pub fn everything(&self, case: &Case, patient: &str) -> Vec<Key> {
        let patient = Key::parse(&format!("Patient/{patient}")).unwrap();
        let mut keys = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .store
                .everything(case, self.settings, &patient, 4, from.as_ref());
            let page = now(page).unwrap();
            keys.extend(page.matches.iter().map(|sealed| sealed.facts().key.clone()));
            from = page.next;
            if from.is_none() {
                return keys;
            }
        }
    }

    /// Those of `keys` that are this patient's own.
    pub fn owned(&self, keys: &BTreeSet<Key>, patient: &str) -> BTreeSet<Key> {
        let auditor = super::ask::cases().swap_remove(0);
        let patient = Key::parse(&format!("Patient/{patient}")).unwrap();
        let own = |key: &&Key| {
            let found = now(self.store.read(&auditor, self.settings, key)).unwrap();
            found.is_some_and(|found| found.sealed.facts().patients.contains(&patient))
        };
        keys.iter().filter(own).cloned().collect()
    }

    /// Searches to the last page.
    pub fn search(&self, case: &Case, plan: &Plan) -> Found {
        let mut found = Found {
            matches: Vec::new(),
            alone: Vec::new(),
            included: BTreeSet::new(),
            total: None,
            refused: Vec::new(),
        };
        let mut from = None;
        loop {
            let page = self.store.search(case, self.settings, plan, from.as_ref());
            let Page {
                matches,
                picks,
                included,
                standing,
                total,
                next,
                cut,
            } = now(page).unwrap();
            assert!(!cut, "a page that is not whole");
            found.total = found.total.or(total);
            let mut shown_here = BTreeMap::new();
            for (sealed, is_match) in matches
                .into_iter()
                .map(|sealed| (sealed, true))
                .chain(included.into_iter().map(|sealed| (sealed, false)))
            {
                let key = sealed.facts().key.clone();
                let Some(shown) = self.open(sealed, case, &standing) else {
                    found.refused.push(key);
                    continue;
                };
                shown_here.insert(key.clone(), shown);
                if is_match {
                    found.matches.push(key);
                } else {
                    found.included.insert(key);
                }
            }
            for pick in picks.unwrap_or_default() {
                let shown = &shown_here[&pick.key];
                let Some(id) = pick.inside else {
                    found.alone.push(pick.key.to_string());
                    continue;
                };
                let inside = contained(&shown.resource, None);
                if !inside.iter().any(|one| one.id == id) {
                    found.refused.push(pick.key.clone());
                }
                found.alone.push(format!("{}#{id}", pick.key));
            }
            from = next;
            if from.is_none() {
                let matches: BTreeSet<&Key> = found.matches.iter().collect();
                found.included.retain(|key| !matches.contains(key));
                return found;
            }
        }
    }

    /// A second store in which what `view` does not show was never written. What relations and
    /// directives follow from stays as it is.
    pub fn without_hidden(&self, view: &View) -> Shelf {
        const RULES: [&str; 10] = [
            "Organization",
            "Practitioner",
            "Patient",
            "Coverage",
            "RelatedPerson",
            "Person",
            "Group",
            "Task",
            "Consent",
            "Flag",
        ];
        let records = self.records.iter().filter_map(|(key, record)| {
            if RULES.contains(&key.kind.name()) {
                return Some((key.clone(), record.clone()));
            }
            let shown = view.get(key)?;
            let mut body: Value = serde_json::from_slice(shown.resource.text()).unwrap();
            let members = body.as_object_mut().unwrap();
            match (shown.may_know, record.get("meta")) {
                (true, Some(meta)) => members.insert("meta".into(), meta.clone()),
                _ => members.remove("meta"),
            };
            Some((key.clone(), body))
        });
        Shelf::write(records.collect(), self.settings)
    }
}
