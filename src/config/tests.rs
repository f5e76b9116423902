//! What a configuration accepts and how it refuses.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    // A folder of the tests' own without a confide.toml would need chdir; name an empty file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.toml");
    std::fs::write(&file, "").unwrap();
    Config::read(Some(&file), pairs.collect::<Vec<_>>(), &[])
}

fn file(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    std::fs::write(&file, text).unwrap();
    Config::read(Some(&file), [], &[]).map_err(|error| {
        let shown = error.to_string();
        shown.replace(&folder.path().display().to_string(), "DIR")
    })
}

#[test]
fn defaults_are_the_contract() {
    let config = env(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.base(), "http://127.0.0.1:8080/fhir");
    assert_eq!(
        config.database,
        Database::Sqlite(PathBuf::from("./confide-data/confide.db"))
    );
    assert_eq!(config.limits.body_bytes, 16 * 1024 * 1024);
    assert_eq!(config.policy.household, Household::Claims);
}

#[test]
fn the_description_has_every_key_with_its_default() {
    let shown = env(&[]).unwrap().describe();
    let names: Vec<_> = shown.iter().map(|(key, _)| *key).collect();
    let keys: Vec<_> = keys::KEYS.iter().map(|(key, ..)| *key).collect();
    assert_eq!(names, keys);
    for ((key, value), (_, _, default)) in shown.iter().zip(keys::KEYS) {
        if !default.contains('<') {
            assert_eq!(value, default, "{key}");
        }
    }
}

#[test]
fn environment_overrides_file_and_flags_override_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:1\"\n[limits]\njson_depth = 9").unwrap();
    let environment = [("CONFIDE_LISTEN".into(), "127.0.0.1:2".into())];
    let config = Config::read(Some(&path), environment.clone(), &[]).unwrap();
    assert_eq!((config.listen.port(), config.limits.json_depth), (2, 9));
    let flags = [("listen", "127.0.0.1:3".to_owned())];
    let config = Config::read(Some(&path), environment, &flags).unwrap();
    assert_eq!(config.listen.port(), 3);
}

#[test]
fn unknown_keys_are_named_with_their_place() {
    assert_eq!(
        file("[limits]\nbody = 3").unwrap_err(),
        "DIR/c.toml: limits.body: unknown key"
    );
    let error = env(&[("CONFIDE_LIMITS__BODY", "3")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "environment CONFIDE_LIMITS__BODY: limits.body: unknown key"
    );
    assert!(env(&[("CONFIDE_BIN", "/x/confide"), ("PATH", "/bin")]).is_ok());
}

#[test]
fn values_are_checked_and_not_repeated() {
    for (text, problem) in [
        (
            "listen = \"here\"",
            "listen: must be an address and a port, as 127.0.0.1:8080",
        ),
        ("listen = 8080", "listen: must be a text"),
        (
            "log_format = \"xml\"",
            "log_format: must be one of: text, json",
        ),
        (
            "[limits]\nbody_bytes = \"big\"",
            "limits.body_bytes: must be a whole number from 1024 to 1073741824",
        ),
        (
            "[limits]\nbody_bytes = -1",
            "limits.body_bytes: must be from 1024 to 1073741824",
        ),
        (
            "public_url = \"ftp://x\"",
            "public_url: must be http:// or https://, a host, and no query, fragment or user",
        ),
        (
            "database_url = \"postgres://u:secret@h\"",
            "database_url: must name a database, as postgres://user@host:5432/confide",
        ),
        (
            "database_url = \"mysql://u:secret@h/d\"",
            "database_url: must begin with sqlite:// or postgres://",
        ),
        (
            "database_url = \"sqlite://\"",
            "database_url: must name a file, as sqlite:///var/lib/confide/confide.db",
        ),
        ("policy = 3", "policy: unknown key"),
        (
            "listen = ",
            "line 1: string values must be quoted, expected literal string",
        ),
    ] {
        let shown = file(text).unwrap_err();
        assert_eq!(shown, format!("DIR/c.toml: {problem}"), "{text}");
    }
}

#[test]
fn an_address_of_a_database_is_shown_without_its_secrets() {
    let secret = "postgres://us:se@cret@db.example:5433/confide?sslmode=require&password=secret2";
    let config = env(&[("CONFIDE_DATABASE_URL", secret)]).unwrap();
    let Database::Postgres(address) = &config.database else {
        panic!("it is PostgreSQL");
    };
    assert_eq!(address.secret(), secret);
    assert_eq!(address.to_string(), "postgres://db.example:5433/confide");
    let shown = format!("{config:?} {:?}", config.describe());
    assert!(!shown.contains("cret") && !shown.contains("us:"), "{shown}");
}

#[test]
fn clinical_households_need_a_basis() {
    let clinical = ("CONFIDE_POLICY__HOUSEHOLD", "clinical");
    assert!(matches!(
        env(&[clinical, ("CONFIDE_POLICY__HOUSEHOLD_BASIS", " ")]),
        Err(ConfigError::Missing {
            key: "policy.household_basis",
            ..
        })
    ));
    let config = env(&[clinical, ("CONFIDE_POLICY__HOUSEHOLD_BASIS", "2026")]).unwrap();
    let basis = "2026".to_owned();
    assert_eq!(config.policy.household, Household::Clinical { basis });
}

#[test]
fn a_named_file_must_exist() {
    assert!(matches!(
        Config::read(Some(Path::new("/nonexistent/c.toml")), [], &[]),
        Err(ConfigError::File { .. })
    ));
}
