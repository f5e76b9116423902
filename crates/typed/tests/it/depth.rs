//! A deep body is an error, never a stack overflow: that would end the process.

use confide_typed::{Consent, TypedError, parse_consent};

/// Half of a worker thread's, so that as much is left for the handler.
const STACK: usize = 1024 * 1024;

/// The ways to nest: element, opening, innermost, closing.
const ROUTES: [(&str, &str, &str, &str); 4] = [
    ("provision", r#"{"provision": ["#, "{}", "]}"),
    (
        "extension",
        r#"{"url": "u", "extension": ["#,
        r#"{"url": "u"}"#,
        "]}",
    ),
    (
        "contained",
        r#"{"resourceType": "Patient", "contained": ["#,
        r#"{"resourceType": "Patient"}"#,
        "]}",
    ),
    (
        "contained",
        r#"{"resourceType": "Bundle", "type": "batch", "entry": [{"resource": "#,
        r#"{"resourceType": "Patient"}"#,
        "}]}",
    ),
];

fn read(route: (&str, &str, &str, &str), nests: usize) -> Result<Consent, TypedError> {
    let (element, open, innermost, close) = route;
    let mut nested = format!("{}{innermost}{}", open.repeat(nests), close.repeat(nests));
    if element != "provision" {
        nested = format!("[{nested}]");
    }
    let body = format!(
        r#"{{"resourceType": "Consent", "status": "active", "scope": {{"text": "s"}},
            "category": [{{"text": "c"}}], "{element}": {nested}}}"#
    );
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread
        .spawn(move || parse_consent(body.as_bytes()))
        .map_err(|e| TypedError::Shape(e.to_string()))?
        .join()
        .map_err(|_| TypedError::Shape("the thread panicked".to_owned()))
        .unwrap_or_else(Err)
}

#[test]
fn whatever_is_let_through_fits_half_a_workers_stack() {
    for route in ROUTES {
        let deepest = (1..64).filter(|&nests| read(route, nests).is_ok()).max();
        assert!(deepest >= Some(9), "{route:?} {deepest:?}");
        assert!(deepest <= Some(15), "{route:?} {deepest:?}");
    }
}

#[test]
fn deeper_is_refused() {
    for route in ROUTES {
        assert_eq!(read(route, 16), Err(TypedError::TooDeep(32)));
        assert!(matches!(read(route, 5000), Err(TypedError::Shape(_))));
    }
}
