//! One spelling of a path: `%24everything` is `$everything` (RFC 3986 section 6.2.2.2 for what is
//! unreserved; `$` and `*` beside it, which stand for themselves in a segment). Routes are matched by
//! spelling, so this comes before them. What would be another path is left as it is: `%2F` is no
//! slash, `%2E` no dot that a path could climb by, `%25` no beginning of another escape.

use axum::http::{Uri, uri::PathAndQuery};
use std::borrow::Cow;

/// The same address with a path in the one spelling; `None` where it is already.
pub(super) fn plain(uri: &Uri) -> Option<Uri> {
    let path = match unescaped(uri.path()) {
        Cow::Borrowed(_) => return None,
        Cow::Owned(path) => path,
    };
    let whole = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

fn unescaped(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut pieces = path.split('%');
    let mut out = String::with_capacity(path.len());
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        let byte = u8::from_str_radix(code, 16).ok().map(char::from);
        match byte.filter(|c| c.is_ascii_alphanumeric() || "-_~$*".contains(*c)) {
            Some(c) if code.len() == 2 => out.push(c),
            _ => {
                out.push('%');
                out.push_str(code);
            }
        }
        out.push_str(rest);
    }
    match out == path {
        true => Cow::Borrowed(path),
        false => Cow::Owned(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        let uri: Uri = path.parse().unwrap();
        plain(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn an_escape_is_undone_where_it_is_no_other_path() {
        let read_as = [
            (
                "/fhir/Patient/a/%24everything?_type=%24x",
                "/fhir/Patient/a/$everything?_type=%24x",
            ),
            ("/fhir/Patient/%5fsearch", "/fhir/Patient/_search"),
            ("/fhir/%50atient/a%2Db", "/fhir/Patient/a-b"),
            ("/fhir/Patient/a/%2A", "/fhir/Patient/a/*"),
        ];
        for (path, plain) in read_as {
            assert_eq!(read(path), plain);
        }
    }

    #[test]
    fn another_path_stays_another() {
        for path in [
            "/fhir/Patient/a%2F$everything",
            "/fhir/Patient/%2E%2E/a",
            "/fhir/Patient/a%2524everything",
            "/fhir/Patient/%3F",
            "/fhir/Patient/%+4everything",
            "/fhir/Patient/%2",
            "/fhir/Patient/%",
            "/fhir/Patient/%C3%A4",
            "/fhir/Patient/%00",
        ] {
            assert_eq!(read(path), path);
        }
    }
}
