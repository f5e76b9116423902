//! Texts as indexes keep them. A row of PostgreSQL's indexes is bounded, so a long text is kept by its
//! beginning and a digest of the whole: still equal to itself alone, and found by how it begins.

use std::borrow::Cow;

/// The most bytes of a text that is kept as it is.
const LONG: usize = 1000;

/// What is kept of a text, and looked for.
pub fn kept(text: &str) -> Cow<'_, str> {
    if text.len() <= LONG {
        return Cow::Borrowed(text);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut kept = beginning(text).to_owned();
    kept.push('\u{1}');
    for byte in digest.as_ref() {
        kept.push_str(&format!("{byte:02x}"));
    }
    Cow::Owned(kept)
}

/// As much of a text's beginning as is kept of any text that begins with it.
pub fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONG)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_itself_alone_and_begins_as_it_does() {
        let long = "é".repeat(600);
        let (one, other) = (format!("x{long}1"), format!("x{long}2"));
        assert_ne!(kept(&one), kept(&other));
        assert_eq!(kept(&one), kept(&one.clone()));
        assert!(kept(&one).len() < 1100);
        assert!(kept(&one).starts_with(beginning(&one)));
        assert!(kept(&one).starts_with(beginning(&other)));
        assert_eq!(kept("short"), "short");
        assert_eq!(beginning("short"), "short");
    }
}
