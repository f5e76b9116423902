//! Narrative (<https://hl7.org/fhir/R4/narrative.html>): what may never be kept, and the invariants
//! txt-1 and txt-2.

use quick_xml::{Reader, events::Event};

/// Elements that run or fetch something; narrative may hold none of them.
const ACTIVE: [&str; 13] = [
    "script", "iframe", "frame", "frameset", "object", "embed", "applet", "form", "base", "link",
    "meta", "head", "body",
];

/// Narrative: one `div`, no active content (<https://hl7.org/fhir/R4/narrative.html#security>).
pub(super) fn unsafe_or_no_div(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let whole = text
        .strip_prefix("<div")
        .is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '>', '/']))
        && text.ends_with('>');
    if !whole {
        return Some("must be an XHTML div");
    }
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once('<') {
        rest = tag;
        if tag.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic()) {
            match tag_fault(tag) {
                None => {}
                fault => return fault,
            }
        }
    }
    None
}

/// What is wrong with the tag at the beginning of a text. XML has no `<` in a tag, which keeps
/// this linear.
fn tag_fault(text: &str) -> Option<&'static str> {
    let mut bare = String::new();
    let mut quoted = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    loop {
        match (chars.next(), quote) {
            (None | Some('<'), _) => return Some("must be well-formed XHTML"),
            (Some('>'), None) => break,
            (Some(char), Some(open)) if char == open => quote = None,
            (Some(char), Some(_)) if char.is_whitespace() => {}
            (Some(char), Some(_)) => quoted.push(char.to_ascii_lowercase()),
            (Some(char @ ('"' | '\'')), None) => {
                quote = Some(char);
                bare.push(' ');
                quoted.push(' ');
            }
            (Some(char), None) => bare.push(char.to_ascii_lowercase()),
        }
    }
    let name = bare.trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next();
    let mut attributes = bare.split('=');
    attributes.next_back();
    let handler = |before: &str| {
        let name = before.split_whitespace().next_back();
        name.is_some_and(|name| name.starts_with("on"))
    };
    let active = name.is_some_and(|name| ACTIVE.contains(&name))
        || attributes.any(handler)
        || quoted.contains(" javascript:");
    active.then_some("must not hold scripts or other active content")
}

/// The elements of the chapters of HTML 4.0 that txt-1 names.
const FORMATTING: [&str; 53] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];

/// `tt`, `u` and `var` stand apart for the sake of the list's order.
const MORE: [&str; 5] = ["s", "strike", "tt", "u", "var"];

/// Which invariant of narrative a text breaks, and how: txt-1 (well-formed, formatting only) or txt-2
/// (something to read).
pub(super) fn broken(text: &str) -> Option<(&'static str, &'static str)> {
    let malformed = Some(("txt-1", "must be well-formed XHTML"));
    let mut reader = Reader::from_str(text.trim());
    let (mut depth, mut content) = (0_usize, false);
    let mut roots = 0_usize;
    loop {
        let Ok(event) = reader.read_event() else {
            return malformed;
        };
        let inside = depth > 0;
        match event {
            Event::Start(tag) | Event::Empty(tag)
                if !is_formatting(tag.name().into_inner())
                    || tag.attributes().any(|attribute| attribute.is_err()) =>
            {
                return Some(("txt-1", "must hold well-formed formatting alone"));
            }
            Event::Start(tag) => {
                roots += usize::from(!inside);
                content |= tag.name().into_inner() == "img";
                depth += 1;
            }
            Event::Empty(tag) => {
                roots += usize::from(!inside);
                content |= tag.name().into_inner() == "img";
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) => {
                let blank = text.trim().is_empty();
                if !blank && !inside {
                    return malformed;
                }
                content |= !blank;
            }
            Event::CData(_) | Event::GeneralRef(_) if !inside => return malformed,
            Event::CData(text) => content |= !text.trim().is_empty(),
            Event::GeneralRef(_) => content = true,
            Event::Comment(_) => {}
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) => return malformed,
            Event::Eof => break,
        }
    }
    if depth > 0 || roots != 1 {
        return malformed;
    }
    (!content).then_some(("txt-2", "must have something to read"))
}

fn is_formatting(name: &str) -> bool {
    FORMATTING.binary_search(&name).is_ok() || MORE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrative_is_a_div_without_active_content() {
        let good = [
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>on = 1; javascript: no tag</p></div>",
            "<div><!-- it's < --><a href=\"https://x?one=1\" title=\"on\">x</a><baseline/></div>",
        ];
        let bad = [
            "<p>x</p>",
            "<divan>x</divan>",
            "text",
            "<div><script>x</script></div>",
            "<div><b title='>' onclick='x'>x</b></div>",
            "<div><!-- ' --><script>x</script></div>",
            "<div><b title='<' onclick='x'>x</b></div>",
            "<div",
            "<div><ScRiPt src='x'/></div>",
            "<div><img onerror=\"x\"/></div>",
            "<div><img src=\"x\"onload = 'x'/></div>",
            "<div><a href=\"java\nscript:x\">x</a></div>",
        ];
        for text in good {
            assert!(unsafe_or_no_div(text).is_none(), "{text}");
        }
        for text in bad {
            assert!(unsafe_or_no_div(text).is_some(), "{text}");
        }
    }

    #[test]
    fn narrative_is_well_formed_formatting_with_something_to_read() {
        assert!(FORMATTING.is_sorted());
        let good = [
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>a &amp; b<br/></p></div>",
            "<div><img src=\"#x\" alt=\"x\"/></div>",
            "<div><!-- x --><table><tbody><tr><td>&#160;</td></tr></tbody></table></div>",
            " <div>x</div> ",
        ];
        for text in good {
            assert_eq!(broken(text), None, "{text}");
        }
        let bad = [
            ("txt-1", "<div><p>x</div>"),
            ("txt-1", "<div>x</div><div>y</div>"),
            ("txt-1", "<div>x"),
            ("txt-1", "x<div>x</div>"),
            ("txt-1", "<div><p class=x>x</p></div>"),
            ("txt-1", "<div><p a=\"1\" a=\"2\">x</p></div>"),
            ("txt-1", "<div><video>x</video></div>"),
            ("txt-1", "<?xml version=\"1.0\"?><div>x</div>"),
            ("txt-2", "<div> <p/> <!-- x --></div>"),
            ("txt-2", "<div/>"),
        ];
        for (key, text) in bad {
            assert_eq!(broken(text).map(|(key, _)| key), Some(key), "{text}");
        }
    }
}
