//! String folding for search: case- and accent-insensitive (<https://hl7.org/fhir/R4/search.html#string>).

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Folds a text: no case, no accents, single spaces. Folding twice changes nothing.
pub fn fold(text: &str) -> Box<str> {
    if text.is_ascii() {
        return spaced(text.bytes().map(|byte| byte.to_ascii_lowercase().into()));
    }
    let plain = text
        .nfkd()
        .filter(|char| !is_combining_mark(*char))
        .flat_map(char::to_lowercase);
    // Lower case may bring marks of its own (`İ`).
    let plain: String = plain.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    spaced(plain.chars().flat_map(unligatured))
}

/// Letters that no decomposition takes apart.
fn unligatured(char: char) -> impl Iterator<Item = char> {
    let plain = match char {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'þ' => "th",
        'ı' => "i",
        _ => return [Some(char), None].into_iter().flatten(),
    };
    let mut chars = plain.chars();
    [chars.next(), chars.next()].into_iter().flatten()
}

/// The distinct folded words of a text, in order.
pub fn words(text: &str) -> Vec<Box<str>> {
    let folded = fold(text);
    let mut words: Vec<&str> = folded
        .split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words.dedup();
    words.into_iter().map(Into::into).collect()
}

fn spaced(chars: impl Iterator<Item = char>) -> Box<str> {
    let mut out = String::new();
    let mut gap = false;
    for char in chars {
        if char.is_whitespace() {
            gap = !out.is_empty();
        } else {
            if gap {
                out.push(' ');
                gap = false;
            }
            out.push(char);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_accents_and_spaces_make_no_difference() {
        assert_eq!(&*fold("  José \t MUÑOZ "), "jose munoz");
        assert_eq!(&*fold("Grøße Łódź"), "grosse lodz");
        assert_eq!(&*fold("Nguyễn"), "nguyen");
        assert_eq!(&*fold("İstanbul"), "istanbul");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC*") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
