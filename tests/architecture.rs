//! Reads the source and holds the architecture to its promises (DESIGN, "Rooms"): arrows point down,
//! decisions are pure, SQL is in one room, the doors have few callers, files stay readable.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy's own leave for tests ends at helper functions"
)]

#[path = "architecture/scan.rs"]
mod scan;

use scan::Source;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Every room and its layer. `config` is plain data, between the gate and what may be configured.
const ROOMS: &[(u8, &[&str])] = &[
    (0, &["fhir", "calendar", "statute"]),
    (10, &["consent", "label", "search", "scope", "profile"]),
    (20, &["policy", "faces"]),
    (30, &["gate"]),
    (35, &["config"]),
    (40, &["authn", "store", "upstream"]),
    (
        50,
        &["interaction", "operation", "smart", "confidential", "emr"],
    ),
    (60, &["http", "console"]),
    (70, &["cli"]),
    (80, &["main", "lib"]),
];

/// The last layer that is pure.
const PURE: u8 = 20;

/// A door, as the code names it, and where it may be named.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["Sealed::from_row"], &["src/store/", "src/gate/"]),
    (
        &["Sealed::into_row", ".into_row("],
        &["src/store/", "src/gate/"],
    ),
    (
        &["Case::from_verified"],
        &["src/http/", "src/interaction/", "src/policy/case.rs"],
    ),
    (&["gate::amend"], &["src/store/", "src/gate/"]),
    (&["gate::rework"], &["src/interaction/", "src/gate/"]),
];

fn layer(room: &str) -> Option<u8> {
    let of = |(layer, rooms): &(u8, &[&str])| rooms.contains(&room).then_some(*layer);
    ROOMS.iter().find_map(of)
}

fn room(source: &Source) -> String {
    source.module()[0].to_owned()
}

/// Arrows up, and files in no known room.
fn arrows(source: &Source) -> (Vec<String>, BTreeSet<(String, String)>) {
    let from = room(source);
    let Some(height) = layer(&from) else {
        let text = format!("{}: no room is called `{from}`", source.path);
        return (vec![text], BTreeSet::new());
    };
    let (mut wrong, mut beside) = (Vec::new(), BTreeSet::new());
    for (line, path) in source.paths() {
        let (Some("crate"), Some(to)) = (path.first().map(String::as_str), path.get(1)) else {
            continue;
        };
        match layer(to) {
            Some(depth) if depth > height => {
                wrong.push(format!(
                    "{}:{line}: `{from}` must not know `{to}`",
                    source.path
                ));
            }
            Some(depth) if depth == height && *to != from => {
                beside.insert((from.clone(), to.clone()));
            }
            _ => {}
        }
    }
    wrong.dedup();
    (wrong, beside)
}

/// Arrows between rooms of one layer that come back to where they began.
fn circles(beside: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut reach = beside.clone();
    loop {
        let more: Vec<_> = reach
            .iter()
            .flat_map(|(a, b)| {
                let onward = beside.iter().filter(move |(from, _)| from == b);
                onward.map(move |(_, c)| (a.clone(), c.clone()))
            })
            .filter(|arrow| !reach.contains(arrow))
            .collect();
        if more.is_empty() {
            break;
        }
        reach.extend(more);
    }
    let round = reach.iter().filter(|(a, b)| a == b);
    round
        .map(|(a, _)| format!("`{a}` knows itself through its neighbours"))
        .collect()
}

/// Async and I/O in the rooms that decide.
fn impure(source: &Source) -> Vec<String> {
    if layer(&room(source)).is_none_or(|height| height > PURE) {
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let mut say = |line: usize, what: &str| {
        wrong.push(format!("{}:{line}: {what} in a pure room", source.path));
    };
    for word in ["async", "await", "tokio"] {
        for line in source.lines_with_word(word) {
            say(line, word);
        }
    }
    for (line, path) in source.paths() {
        let outside = ["fs", "net", "process", "env", "thread"];
        if path[0] == "std"
            && path
                .get(1)
                .is_some_and(|part| outside.contains(&part.as_str()))
        {
            say(line, &path.join("::"));
        }
    }
    wrong
}

/// A clock that is not the clock; or any clock where decisions are made, which take the time as an
/// argument.
fn clocks(source: &Source) -> Vec<String> {
    let from = room(source);
    if from == "calendar" {
        return Vec::new();
    }
    let mut lines = source.lines_with("::now()");
    if layer(&from).is_some_and(|height| height <= PURE) {
        lines.extend(source.lines_with(".now()"));
    }
    let say = |line| format!("{}:{line}: now() outside the clock", source.path);
    lines.into_iter().map(say).collect()
}

/// SQL outside the store.
fn sql(source: &Source) -> Vec<String> {
    if room(source) == "store" {
        return Vec::new();
    }
    let texts = source.texts.iter().filter(|(_, text)| is_sql(text));
    texts
        .map(|(line, _)| format!("{}:{line}: SQL outside the store", source.path))
        .collect()
}

fn is_sql(text: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shouting = [
        "SELECT ",
        "INSERT ",
        "UPDATE ",
        "DELETE FROM ",
        "PRAGMA ",
        "JOIN ",
        "WHERE ",
    ];
    let quiet = text.to_lowercase();
    let two = [
        "insert into ",
        "delete from ",
        "create table ",
        "create index ",
        "drop table ",
        "alter table ",
    ];
    let alone = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric());
    let shouted = |word: &&str| text.match_indices(*word).any(|(at, _)| alone(at));
    shouting.iter().any(shouted)
        || two.iter().any(|words| quiet.contains(words))
        || (quiet.starts_with("select ") && quiet.contains(" from "))
        || (quiet.starts_with("update ") && quiet.contains(" set "))
}

/// Doors named by those who may not.
fn doors(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for (names, allowed) in DOORS {
        if allowed.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        let mut lines: BTreeSet<usize> = BTreeSet::new();
        for name in *names {
            lines.extend(source.lines_with(name));
            let parts: Vec<_> = name.split("::").collect();
            let imported = source.paths().into_iter().filter(|(_, path)| {
                path.get(1).is_some_and(|room| room == parts[0])
                    && path.last().map(String::as_str) == parts.last().copied()
            });
            lines.extend(imported.map(|(line, _)| line));
        }
        let say = |line| format!("{}:{line}: {} is not for this room", source.path, names[0]);
        wrong.extend(lines.into_iter().map(say));
    }
    wrong
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut out, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let text = fs::read_to_string(&path).unwrap();
                out.push(Source::read(&name.replace('\\', "/"), &text));
            }
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!out.is_empty());
    out
}

fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let wrong: Vec<_> = sources("src").iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn arrows_point_down_and_every_file_has_a_room() {
    hold(|source| arrows(source).0);
}

#[test]
fn rooms_of_one_layer_do_not_know_each_other_in_circles() {
    let beside = sources("src")
        .iter()
        .flat_map(|source| arrows(source).1)
        .collect();
    let wrong = circles(&beside);
    assert!(wrong.is_empty(), "{wrong:?} in {beside:?}");
}

#[test]
fn decisions_are_pure() {
    hold(impure);
}

#[test]
fn there_is_one_clock() {
    hold(clocks);
}

#[test]
fn sql_is_in_the_store_only() {
    hold(sql);
}

#[test]
fn doors_have_the_callers_that_are_listed() {
    hold(doors);
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut long = BTreeMap::new();
    for source in ["src", "tests"].iter().flat_map(|folder| sources(folder)) {
        if source.lines > 600 {
            long.insert(source.path, source.lines);
        }
    }
    assert!(long.is_empty(), "over 600 lines: {long:?}");
}

mod can_fail {
    //! Each rule, shown a sample that breaks it and one that only looks so.
    use super::*;

    fn sample(path: &str, text: &str) -> Source {
        Source::read(path, text)
    }

    #[test]
    fn arrows_are_seen_in_every_form() {
        for text in [
            "use crate::store::Store;",
            "use crate::{\n    fhir::{Id, Key},\n    store::{self, Store as S},\n};",
            "fn f(s: &crate::store::Store) {}",
            "use super::super::store::Store;",
            "use crate::{fhir::Id as I, store};",
        ] {
            let (wrong, _) = arrows(&sample("src/policy/case.rs", text));
            assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
        }
        let (wrong, _) = arrows(&sample("src/nowhere/x.rs", ""));
        assert_eq!(wrong.len(), 1);
    }

    #[test]
    fn what_is_no_arrow_up_is_let_be() {
        for text in [
            "// use crate::store;\n/* use crate::store; /* deep */ crate::store::x */",
            "const A: &str = \"crate::store::X\";",
            "const A: &str = r#\"a \" crate::store::X\"#;",
            "#[cfg(test)]\nmod tests { use crate::store::Store; fn f() { if true { } } }",
            "use super::{Requester, store};",
            "pub(crate) fn f() {} use crate::fhir::Id;",
            "fn f<'a>(a: &'a str) -> char { '\"' }",
        ] {
            let (wrong, _) = arrows(&sample("src/policy/case.rs", text));
            assert!(wrong.is_empty(), "{text}: {wrong:?}");
        }
        let after = "#[cfg(test)]\nmod tests { }\nuse crate::store::X;";
        assert_eq!(arrows(&sample("src/policy/case.rs", after)).0.len(), 1);
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let text = "//! a\n\nuse crate::{\n    fhir::Id,\n};\nuse crate::store::X;\n";
        let (wrong, _) = arrows(&sample("src/policy/case.rs", text));
        assert_eq!(
            wrong,
            ["src/policy/case.rs:6: `policy` must not know `store`"]
        );
    }

    #[test]
    fn a_circle_is_found() {
        let arrow = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let line = BTreeSet::from([arrow("a", "b"), arrow("b", "c")]);
        assert!(circles(&line).is_empty());
        let round = BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a")]);
        assert_eq!(circles(&round).len(), 3);
    }

    #[test]
    fn impurity_is_seen() {
        for text in [
            "async fn f() {}",
            "use std::fs;",
            "use std::{fmt, net::TcpStream};",
            "use tokio::sync::Mutex;",
        ] {
            assert!(
                !impure(&sample("src/faces/mod.rs", text)).is_empty(),
                "{text}"
            );
            assert!(
                impure(&sample("src/gate/mod.rs", text)).is_empty(),
                "{text}"
            );
        }
        let innocent = "//! async\nuse std::{fmt, collections::BTreeMap}; fn asynchronous() {}";
        assert!(impure(&sample("src/faces/mod.rs", innocent)).is_empty());
    }

    #[test]
    fn clocks_are_seen() {
        let direct = "fn f() { Timestamp::now(); }";
        assert_eq!(clocks(&sample("src/http/mod.rs", direct)).len(), 1);
        assert!(clocks(&sample("src/calendar/mod.rs", direct)).is_empty());
        let asked = "fn f(c: Clock) { c.now(); }";
        assert_eq!(clocks(&sample("src/policy/mod.rs", asked)).len(), 1);
        assert!(clocks(&sample("src/http/mod.rs", asked)).is_empty());
    }

    #[test]
    fn sql_is_told_from_english() {
        for text in [
            "SELECT 1",
            "select id from t",
            " insert into t values (1)",
            "PRAGMA user_version",
            "a IN (SELECT b)",
            "update t\n set a = 1",
        ] {
            let text = format!("const A: &str = \"{text}\";");
            assert_eq!(sql(&sample("src/gate/mod.rs", &text)).len(), 1, "{text}");
            assert!(sql(&sample("src/store/mod.rs", &text)).is_empty());
        }
        for text in [
            "DELETE",
            "Select a patient",
            "create",
            "update",
            "where",
            "https://x/INSERT",
        ] {
            let text = format!("const A: &str = \"{text}\";");
            assert!(sql(&sample("src/gate/mod.rs", &text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn doors_are_seen_by_name_and_by_import() {
        for text in [
            "fn f(r: Row) { Sealed::from_row(r); }",
            "fn f(s: Sealed) { s.into_row(); }",
            "fn f(v: V) { policy::Case::from_verified(&v, 0); }",
            "fn f() { crate::gate::amend(); }",
            "use crate::gate::{Sealed, amend};",
            "use crate::gate::record::amend;",
        ] {
            assert_eq!(
                doors(&sample("src/operation/x.rs", text)).len(),
                1,
                "{text}"
            );
            assert!(doors(&sample("src/gate/x.rs", text)).len() < 2);
        }
        let innocent = "use crate::gate::{Sealed, amended}; fn from_row() {} // Sealed::from_row";
        assert!(doors(&sample("src/operation/x.rs", innocent)).is_empty());
    }
}
