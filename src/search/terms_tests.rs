use super::*;

fn read(text: &str) -> Option<Definition> {
    Definition::of(&Resource::ours(text.to_owned()).unwrap())
}

fn library() -> Library {
    let mut library = Library::default();
    let set = |library: &mut Library, name: &str, body: &str| {
        let text = format!(r#"{{"resourceType":"ValueSet",{body}}}"#);
        library.put(Need::ValueSet(name.into()), read(&text));
    };
    let animals = r#"{"resourceType":"CodeSystem","content":"complete","concept":[
        {"code":"animal","concept":[{"code":"cat","concept":[{"code":"tom"}]},{"code":"dog"}]},
        {"code":"plant"},{"code":"tabby","property":[{"code":"parent","valueCode":"cat"}]}]}"#;
    library.put(Need::CodeSystem("a".into()), read(animals));
    library.put(Need::CodeSystem("none".into()), None);
    set(
        &mut library,
        "cats",
        r#""compose":{"include":[{"system":"a","filter":[{"property":"concept","op":"is-a","value":"cat"}]}]}"#,
    );
    set(
        &mut library,
        "some",
        r#""compose":{"include":[{"system":"a","concept":[{"code":"dog"},{"code":"tom"}]},{"system":"b"}]}"#,
    );
    set(
        &mut library,
        "both",
        r#""compose":{"include":[{"valueSet":["cats","some"]}]}"#,
    );
    set(
        &mut library,
        "less",
        r#""compose":{"include":[{"system":"a"}],"exclude":[{"valueSet":["cats"]}]}"#,
    );
    set(
        &mut library,
        "self",
        r#""compose":{"include":[{"valueSet":["self"]}]}"#,
    );
    set(
        &mut library,
        "odd",
        r#""compose":{"include":[{"system":"a","filter":[{"property":"x","op":"regex","value":"."}]}]},
        "expansion":{"contains":[{"system":"a","code":"dog","abstract":true,"contains":[{"system":"a","code":"pup"}]}]}"#,
    );
    set(
        &mut library,
        "worse",
        r#""compose":{"include":[{"system":"none","filter":[{"property":"concept","op":"is-a","value":"x"}]}]}"#,
    );
    library
}

fn codes(name: &str) -> Result<Vec<String>, Unclear> {
    let codes = library().of(&Defined::In(name.into()))?;
    let tests = codes.tests().into_iter();
    let text = |part: Option<Box<str>>| part.unwrap_or_else(|| "*".into()).into_string();
    Ok(tests
        .map(|test| format!("{}|{}", text(test.system.flatten()), text(test.code)))
        .collect())
}

#[test]
fn value_sets_are_evaluated_as_far_as_they_can_be() {
    assert_eq!(codes("cats").unwrap(), ["a|cat", "a|tabby", "a|tom"]);
    assert_eq!(codes("some").unwrap(), ["b|*", "a|dog", "a|tom"]);
    assert_eq!(codes("both").unwrap(), ["a|tom"]);
    assert_eq!(codes("less").unwrap(), ["a|animal", "a|dog", "a|plant"]);
    assert_eq!(codes("odd").unwrap(), ["a|pup"]);
    assert_eq!(codes("http://s?fhir_vs").unwrap(), ["http://s|*"]);
    assert!(matches!(codes("worse"), Err(Unclear::Because(_))));
    assert!(matches!(codes("self"), Err(Unclear::Because(_))));
    let need = Need::ValueSet("unknown".into());
    assert_eq!(codes("unknown"), Err(Unclear::Needs(need)));
}

#[test]
fn codes_above_and_below_come_from_the_code_system() {
    let of = |defined| library().of(&defined).unwrap().single.len();
    assert_eq!(of(Defined::Below("a".into(), "animal".into())), 5);
    assert_eq!(of(Defined::Above("a".into(), "tabby".into())), 3);
    assert_eq!(of(Defined::Below("a".into(), "ghost".into())), 1);
    assert!(
        library()
            .of(&Defined::Below("none".into(), "x".into()))
            .is_err()
    );
}

#[test]
fn a_ring_of_codes_ends() {
    let ring = r#"{"resourceType":"CodeSystem","content":"complete","concept":[
        {"code":"a","property":[{"code":"parent","valueCode":"b"}]},
        {"code":"b","property":[{"code":"parent","valueCode":"a"}]}]}"#;
    let Some(Definition::CodeSystem(ring)) = read(ring) else {
        panic!()
    };
    assert_eq!(ring.and_above("a").len(), 2);
    assert_eq!(ring.and_below("a").len(), 2);
}
