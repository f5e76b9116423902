//! The formats of FHIR's primitive types (<https://hl7.org/fhir/R4/datatypes.html#primitive>).

use super::narrative;
use crate::fhir::{Id, json::Value, time};

/// What a value is instead of one of its type, in words that don't repeat it.
pub(super) fn fault(kind: &str, value: &Value, longest: usize) -> Option<&'static str> {
    match kind {
        "boolean" => match value {
            Value::Bool(_) => None,
            _ => Some("must be true or false"),
        },
        "integer" | "unsignedInt" | "positiveInt" | "decimal" => match value {
            Value::Number(text) => number(kind, text),
            _ => Some("must be a JSON number"),
        },
        _ => match value {
            Value::String(text) if text.is_empty() => Some("must not be an empty text"),
            Value::String(text) if text.len() > longest => Some("is longer than a text may be"),
            Value::String(text) => words(kind, text),
            _ => Some("must be a JSON string"),
        },
    }
}

fn number(kind: &str, text: &str) -> Option<&'static str> {
    let least = match kind {
        "positiveInt" => 1,
        "unsignedInt" => 0,
        "integer" => i32::MIN,
        _ => return None,
    };
    let whole = text.parse::<i32>().ok().filter(|_| text != "-0");
    match whole {
        Some(value) if value >= least => None,
        _ if least == 1 => Some("must be a whole number from 1 to 2147483647"),
        _ if least == 0 => Some("must be a whole number from 0 to 2147483647"),
        _ => Some("must be a whole number of 32 bits"),
    }
}

fn words(kind: &str, text: &str) -> Option<&'static str> {
    let (fits, wrong) = match kind {
        "code" => (
            code(text),
            "must be a code: no space at its ends, no two in a row",
        ),
        "id" => (
            Id::parse(text).is_some(),
            "must be 1 to 64 of the characters A-Z a-z 0-9 - .",
        ),
        "uri" | "url" | "canonical" => (
            !text.contains(char::is_whitespace),
            "must be a URI, without spaces",
        ),
        "oid" => (oid(text), "must be an OID: urn:oid: and numbers with dots"),
        "uuid" => (uuid(text), "must be a UUID: urn:uuid: and lower-case hex"),
        "date" => (date(text), "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"),
        "dateTime" => (
            date(text) || moment(text),
            "must be a date, or a time to the second with its zone",
        ),
        "instant" => (moment(text), "must be a time to the second with its zone"),
        "time" => (clock(text), "must be a time of day: hh:mm:ss"),
        "base64Binary" => (base64(text), "must be base64"),
        "xhtml" => return narrative::unsafe_or_no_div(text),
        _ => (
            !text.contains(|c: char| c < ' ' && !matches!(c, '\t' | '\r' | '\n')),
            "must not hold control characters",
        ),
    };
    (!fits).then_some(wrong)
}

fn code(text: &str) -> bool {
    text.split(char::is_whitespace).all(|part| !part.is_empty())
}

fn oid(text: &str) -> bool {
    let number = |part: &str| {
        part.bytes().all(|b| b.is_ascii_digit())
            && !part.is_empty()
            && (part == "0" || !part.starts_with('0'))
    };
    text.strip_prefix("urn:oid:").is_some_and(|oid| {
        oid.starts_with(['0', '1', '2']) && oid.contains('.') && oid.split('.').all(number)
    })
}

fn uuid(text: &str) -> bool {
    let widths = [8, 4, 4, 4, 12];
    text.strip_prefix("urn:uuid:").is_some_and(|uuid| {
        uuid.split('-').map(str::len).eq(widths)
            && uuid
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
    })
}

/// A pattern of digits (`9`) and of itself.
fn like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(b, p)| match p {
            b'9' => b.is_ascii_digit(),
            p => b == p,
        })
}

fn date(text: &str) -> bool {
    let form = ["9999", "9999-99", "9999-99-99"];
    form.iter().any(|form| like(text, form))
        && !text.starts_with("0000")
        && time::days(text).is_some()
}

fn moment(text: &str) -> bool {
    let Some((day, rest)) = text.split_once('T') else {
        return false;
    };
    let Some(zone_at) = rest.find(['Z', '+', '-']) else {
        return false;
    };
    let (time, zone) = rest.split_at(zone_at);
    day.len() == 10 && date(day) && clock(time) && (zone == "Z" || offset(zone))
}

/// `hh:mm:ss`, with fractions; second 60 is a leap second.
fn clock(text: &str) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let at_most = |range, most| whole.get(range).is_some_and(|part: &str| part <= most);
    like(whole, "99:99:99")
        && at_most(0..2, "23")
        && at_most(3..5, "59")
        && at_most(6..8, "60")
        && fraction.is_none_or(digits)
}

fn offset(text: &str) -> bool {
    text.strip_prefix(['+', '-'])
        .is_some_and(|offset| like(offset, "99:99") && offset <= "14:00")
        && text.get(4..6).is_some_and(|minutes| minutes <= "59")
}

fn base64(text: &str) -> bool {
    let mut count = 0_usize;
    let mut padding = 0;
    for byte in text.bytes() {
        match byte {
            b'=' => padding += 1,
            byte if byte.is_ascii_whitespace() => continue,
            byte if padding == 0 && (byte.is_ascii_alphanumeric() || b"+/".contains(&byte)) => {}
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4) && padding <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(kind: &str, text: &str) -> bool {
        fault(kind, &Value::String(text.into()), 100).is_none()
    }

    fn all(kind: &str, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(fits(kind, text), "{kind} {text}");
        }
        for text in bad {
            assert!(!fits(kind, text), "{kind} {text}");
        }
    }

    #[test]
    fn times_keep_to_their_forms() {
        let dates = ["2026", "2026-02", "2024-02-29"];
        let not = [
            "0000",
            "2026-2",
            "2026-02-30",
            "26",
            "2026-02-01T",
            "",
            "2026-02-01 ",
        ];
        all("date", &dates, &not);
        let moments = [
            "2026-03-07T07:30:00Z",
            "2026-03-07T07:30:00.123-08:00",
            "2026-03-07T23:59:60+14:00",
        ];
        let not = [
            "2026-03-07T07:30Z",
            "2026-03-07T07:30:00",
            "2026-03-07T24:00:00Z",
            "2026-03-07T07:30:00.Z",
            "2026-03T07:30:00Z",
            "2026-03-07T07:30:00+14:30",
            "2026-03-07T07:30:00+13:75",
        ];
        all("instant", &moments, &not);
        all("dateTime", &moments, &not);
        all("dateTime", &dates, &[]);
        all("instant", &[], &dates);
        all(
            "time",
            &["07:30:00", "07:30:00.5"],
            &["7:30:00", "07:30", "07:60:00"],
        );
    }

    #[test]
    fn names_keep_to_their_forms() {
        all("code", &["a", "a b"], &[" a", "a ", "a  b", ""]);
        all("id", &["a.B-9"], &["a/b", "a_b"]);
        all("uri", &["urn:x", "x"], &["a b"]);
        all(
            "oid",
            &["urn:oid:1.2.0"],
            &["urn:oid:3.1", "urn:oid:1", "urn:oid:1.02", "1.2"],
        );
        let uuid = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";
        all(
            "uuid",
            &[uuid],
            &["urn:uuid:c757873d", &uuid.to_uppercase()],
        );
        all(
            "base64Binary",
            &["AAAA", "AA==", "AA AA\nAA=="],
            &["AAA", "A=AA", "é=", " "],
        );
        all("string", &["a\tb", " "], &["", "a\u{1}", &"x".repeat(101)]);
    }

    #[test]
    fn numbers_keep_to_their_ranges() {
        let fits = |kind, text: &str| fault(kind, &Value::Number(text.into()), 1).is_none();
        assert!(fits("decimal", "1.50e3"));
        assert!(fits("integer", "-5") && !fits("integer", "5.0") && !fits("integer", "1e3"));
        assert!(fits("unsignedInt", "0") && !fits("unsignedInt", "-1"));
        assert!(fits("positiveInt", "1") && !fits("positiveInt", "0"));
        assert!(!fits("integer", "2147483648"));
        assert!(!fits("boolean", "1") && !fits("string", "1"));
    }
}
