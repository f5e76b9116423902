//! Moves a document's dates by whole days, so that the demo's people stay as old as they are told to
//! be. Pure.

use crate::fhir::json::{Node, Value};
use jiff::{Span, civil::Date};

/// The document with every string that is as a whole a date, a dateTime to the second or an instant
/// moved by `days`. The time of day, its zone and all other bytes stay. Dates within other texts
/// stay too: they are told, not meant; and so do years and months, which have no day to move.
pub fn shift(text: &[u8], root: &Node, days: i64) -> Vec<u8> {
    let mut out = text.to_vec();
    walk(root, &mut |node| {
        let start = node.start as usize + 1;
        let end = (node.end as usize).saturating_sub(1);
        let Some(date) = text.get(start..start + 10).filter(|_| start + 10 <= end) else {
            return;
        };
        if end > start + 10 && text.get(start + 10) != Some(&b'T') {
            return;
        }
        let place = out.get_mut(start..start + 10);
        if let (Some(moved), Some(place)) = (moved(date, days), place) {
            place.copy_from_slice(moved.as_bytes());
        }
    });
    out
}

/// Every string below a node.
fn walk(node: &Node, each: &mut impl FnMut(&Node)) {
    match &node.value {
        Value::String(_) => each(node),
        Value::Array(items) => items.iter().for_each(|item| walk(item, each)),
        Value::Object(members) => members.iter().for_each(|member| walk(&member.node, each)),
        _ => {}
    }
}

/// `YYYY-MM-DD` moved; `None` for what is no such date, before or after.
fn moved(date: &[u8], days: i64) -> Option<String> {
    let form = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    if !date.iter().enumerate().all(form) {
        return None;
    }
    let date: Date = std::str::from_utf8(date).ok()?.parse().ok()?;
    let moved = date.checked_add(Span::new().try_days(days).ok()?).ok()?;
    let text = moved.to_string();
    (text.len() == 10).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Limits, parse};

    fn shifted(text: &str, days: i64) -> String {
        let root = parse(text.as_bytes(), Limits::default()).unwrap();
        String::from_utf8(shift(text.as_bytes(), &root, days)).unwrap()
    }

    #[test]
    fn dates_move_over_leap_days_and_years() {
        for (from, days, to) in [
            ("2024-02-28", 1, "2024-02-29"),
            ("2024-02-29", 365, "2025-02-28"),
            ("2023-02-28", 1, "2023-03-01"),
            ("2024-03-01", -1, "2024-02-29"),
            ("2025-12-31", 1, "2026-01-01"),
            ("2026-11-24", 0, "2026-11-24"),
        ] {
            let text = format!(r#"{{"birthDate":"{from}"}}"#);
            assert_eq!(shifted(&text, days), format!(r#"{{"birthDate":"{to}"}}"#));
        }
    }

    #[test]
    fn the_time_of_day_and_everything_else_stay() {
        let text = r#"{ "a":["2026-03-07T23:30:00.5-08:00", "2026-03-07"],"b" : 1.50, "c":"2026-03",
            "d":"2026","e":"on 2026-03-07","f":"2026-03-07 x","g":"2026-02-30","h":"<div>2026-03-07</div>","2026-03-07":null,"i":"2026-03-07Z"}"#;
        let moved = text.replacen("2026-03-07T", "2026-03-08T", 1).replacen(
            "\"2026-03-07\"]",
            "\"2026-03-08\"]",
            1,
        );
        assert_eq!(shifted(text, 1), moved);
    }

    #[test]
    fn what_would_leave_the_calendar_stays() {
        assert_eq!(shifted(r#"["9999-12-31"]"#, 1), r#"["9999-12-31"]"#);
        assert_eq!(shifted(r#"["2026-01-01"]"#, i64::MAX), r#"["2026-01-01"]"#);
    }
}
