//! `_pretty`: <https://hl7.org/fhir/R4/http.html#pretty>. Only white space is added: every byte of
//! every value stays.

use axum::{
    body::{Body, Bytes, HttpBody as _},
    http::header,
    response::Response,
};
use http_body_util::BodyExt as _;
use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll},
};

/// Whether the query asks for it.
pub(super) fn is_asked(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "_pretty=true"))
}

/// The reply with its JSON set out in lines. A body that is not whole yet stays as it is.
pub(super) fn printed(response: Response, context: &mut Context<'_>) -> Response {
    if response
        .body()
        .size_hint()
        .exact()
        .is_none_or(|size| size == 0)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let whole = match pin!(body.collect()).poll(context) {
        Poll::Ready(Ok(whole)) => whole.to_bytes(),
        // Bodies of a known length are in memory.
        _ => Bytes::new(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(set_out(&whole)))
}

fn set_out(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                while bytes.next_if(u8::is_ascii_whitespace).is_some() {}
                if !matches!(bytes.peek(), Some(b'}' | b']')) {
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b'"' => {
                in_string = true;
                out.push(byte);
            }
            byte => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_is_added() {
        let json = br#"{"a":[1.50,{},[] , "x{\"\\"],"b":{"c":null}}"#;
        let lines = String::from_utf8(set_out(json)).unwrap();
        let expected = "{\n  \"a\": [\n    1.50,\n    {},\n    [],\n    \"x{\\\"\\\\\"\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}\n";
        assert_eq!(lines, expected);
        assert!(is_asked(Some("a=b&_pretty=true")) && !is_asked(Some("x_pretty=true")));
    }
}
