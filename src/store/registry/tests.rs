//! Two registries over one file stand for two processes.

use super::*;
use crate::{
    authn::{TokenError, fixture},
    fhir::Key,
    policy::Role,
};
use tempfile::TempDir;

fn open(dir: &TempDir) -> SqliteRegistry {
    let path = dir.path().join("confide.db");
    SqliteRegistry::noticing(&path, fixture::clock(), 0).unwrap()
}

#[tokio::test]
async fn clients_are_kept_and_an_id_is_used_once() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir);
    let plan = fixture::client("plan", "plan", &["COC"]);
    registry.add_client(plan.clone()).await.unwrap();
    let taken = registry.add_client(plan.clone()).await;
    assert!(matches!(taken, Err(RegistryError::Taken(_))));
    assert!(registry.client("ghost").await.unwrap().is_none());
    let found = registry.client("plan").await.unwrap().unwrap();
    assert_eq!(found.json(), plan.json());
    assert_eq!(found.keys, plan.keys);
    let again = registry.client("plan").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&found, &again), "from memory");
    assert_eq!(open(&dir).clients().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_another_process_disables_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(&dir), open(&dir));
    here.add_client(fixture::client("plan", "plan", &["COC"]))
        .await
        .unwrap();
    let tokens = fixture::tokens();
    let plan = here.client("plan").await.unwrap().unwrap();
    let grant = crate::authn::Grant {
        scopes: crate::scope::ScopeSet::parse("system/*.rs"),
        user: None,
        patient: None,
        purpose: None,
        reason: None,
        ttl: 300,
    };
    let issued = tokens.issue(&plan, grant).unwrap();
    tokens.verify(&issued.token, &here).await.unwrap();
    assert!(!there.disable_client("ghost").await.unwrap());
    tokens.verify(&issued.token, &here).await.unwrap();
    assert!(there.disable_client("plan").await.unwrap());
    let refused = tokens.verify(&issued.token, &here).await;
    assert!(matches!(refused, Err(TokenError::Client)));
    assert!(here.client("plan").await.unwrap().unwrap().disabled);
}

#[tokio::test]
async fn an_assertion_is_spent_once_for_all_processes() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(&dir), open(&dir));
    assert!(here.spend_jti("a", "j", 100, 0).await.unwrap());
    assert!(!here.spend_jti("a", "j", 100, 0).await.unwrap());
    assert!(!there.spend_jti("a", "j", 100, 100).await.unwrap());
    assert!(there.spend_jti("b", "j", 100, 0).await.unwrap());
    // Forgotten after its end, when its time would refuse it anyway.
    assert!(there.spend_jti("a", "j", 200, 101).await.unwrap());
}

#[tokio::test]
async fn logins_open_with_their_password_only() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir);
    let ann = User {
        name: "ann".into(),
        role: Role::Auditor,
        fhir_user: Key::parse("Practitioner/ann"),
        disabled: false,
    };
    registry
        .add_user(ann.clone(), Secret::new("correct horse"))
        .await
        .unwrap();
    let taken = registry.add_user(ann.clone(), Secret::new("x")).await;
    assert!(matches!(taken, Err(RegistryError::Taken(_))));
    let verify =
        |name: &'static str, word: &'static str| registry.verify_user(name, Secret::new(word));
    assert_eq!(
        verify("ann", "correct horse").await.unwrap(),
        Some(ann.clone())
    );
    assert_eq!(verify("ann", "wrong").await.unwrap(), None);
    assert_eq!(verify("bob", "correct horse").await.unwrap(), None);
    assert_eq!(registry.users().await.unwrap(), [ann]);
    assert!(registry.disable_user("ann").await.unwrap());
    assert_eq!(verify("ann", "correct horse").await.unwrap(), None);
    let file = std::fs::read(dir.path().join("confide.db")).unwrap();
    let shown = String::from_utf8_lossy(&file);
    assert!(!shown.contains("correct horse"));
}

#[tokio::test]
async fn what_is_stored_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir);
    registry.disable_client("none").await.unwrap();
    let generation = registry.known().unwrap();
    drop(registry);
    assert_eq!(open(&dir).known().unwrap(), generation);
}

/// Prints what the look at the file costs: `cargo test --lib measure -- --nocapture`.
#[tokio::test]
async fn measure_of_the_generation() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(&dir);
    let start = std::time::Instant::now();
    for _ in 0..20_000 {
        std::hint::black_box(registry.known().unwrap());
    }
    println!(
        "generation with a look at the file: {:?}",
        start.elapsed() / 20_000
    );
    let path = dir.path().join("confide.db");
    let registry = SqliteRegistry::open(&path, Clock::System).unwrap();
    let start = std::time::Instant::now();
    for _ in 0..20_000 {
        std::hint::black_box(registry.known().unwrap());
    }
    println!("generation as served: {:?}", start.elapsed() / 20_000);
}
