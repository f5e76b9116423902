//! A change that someone makes to what they are shown of a record, brought back into the whole of it.
//! A path that is hidden from the writer behaves as if nothing were there: the change is made on what
//! the writer is shown, so that it can't be found out by trying (SEMANTICS section 5).

use super::{
    amend,
    record::Sealed,
    release::{release, reopen_shown},
};
use crate::{
    faces::Stamp,
    fhir::{
        Node, Resource,
        json::{Member, Value},
    },
    policy::{Case, Settings, Standing, Withheld},
};

/// Why a change was not made.
#[derive(Debug)]
pub enum Unworkable<E> {
    /// The record does not exist for the writer.
    Withheld(Withheld),
    /// The change itself fails on what the writer is shown.
    Refused(E),
    /// It would replace what the writer is shown less than the whole of.
    Conflict,
}

/// A record after a change.
#[derive(Debug)]
pub struct Reworked {
    /// All of it.
    pub resource: Resource,
    /// Whether the writer is shown less than that: what is wrong with it can't be told then.
    pub is_partial: bool,
}

/// Makes `change` on what `case` is shown of a record, and brings it back into the whole. The change
/// is told the version as the writer sees it. One of the named doors.
pub fn rework<E>(
    sealed: Sealed,
    case: &Case,
    settings: Settings,
    standing: &Standing,
    change: impl FnOnce(&Resource, &Stamp) -> Result<Resource, E>,
) -> Result<Reworked, Unworkable<E>> {
    let whole = amend(&sealed).map_err(|_| Unworkable::Conflict)?;
    let released = release(sealed, case, settings, standing).map_err(Unworkable::Withheld)?;
    let shown = reopen_shown(&released).ok_or(Unworkable::Conflict)?;
    let changed = change(&shown, released.stamp()).map_err(Unworkable::Refused)?;
    let is_partial = released.is_partial();
    let resource = merged(&whole, &shown, &changed, is_partial).ok_or(Unworkable::Conflict)?;
    Ok(Reworked {
        resource,
        is_partial,
    })
}

/// `whole` with what is different between `shown` and `changed`, member by member; `None` where a
/// member changed that is shown in part only and is no list whose entries can be told apart. What a
/// reply adds to `meta` (labels) is not written back, where the change leaves `meta` alone.
fn merged(
    whole: &Resource,
    shown: &Resource,
    changed: &Resource,
    is_partial: bool,
) -> Option<Resource> {
    let mut members: Vec<Vec<u8>> = Vec::new();
    for member in whole.root().members() {
        let name = &*member.name;
        let before = find(shown, name);
        let after = find(changed, name);
        let kept = bytes(whole, member);
        if name == "id" || name == "resourceType" || same(before, after) {
            members.push(kept.to_vec());
            continue;
        }
        let own = value(whole, &member.node);
        match (before, after) {
            (_, after) if name == "meta" && !is_partial => {
                members.extend(after.map(|(changed, after)| bytes(changed, after).to_vec()));
            }
            (Some((at, before)), after) if value(at, &before.node) == own => {
                members.extend(after.map(|(changed, after)| bytes(changed, after).to_vec()));
            }
            (before, after) if name != "meta" => {
                let shown = before.map(|(text, member)| items(text, &member.node));
                let changed = after.map(|(text, member)| items(text, &member.node));
                let list = spliced(
                    &items(whole, &member.node)?,
                    &shown.unwrap_or(Some(Vec::new()))?,
                    &changed.unwrap_or(Some(Vec::new()))?,
                )?;
                if !list.is_empty() {
                    let mut out = quoted(name);
                    out.push(b'[');
                    out.extend_from_slice(&list.join(&b","[..]));
                    out.push(b']');
                    members.push(out);
                }
            }
            _ => return None,
        }
    }
    for member in changed.root().members() {
        if whole.root().get(&member.name).is_none() {
            if &*member.name == "meta" && same(find(shown, "meta"), find(changed, "meta")) {
                continue;
            }
            if &*member.name == "meta" && is_partial {
                return None;
            }
            members.push(bytes(changed, member).to_vec());
        }
    }
    let mut out = vec![b'{'];
    out.extend_from_slice(&members.join(&b","[..]));
    out.push(b'}');
    Resource::ours(out).ok()
}

type Found<'r> = Option<(&'r Resource, &'r Member)>;

fn find<'r>(resource: &'r Resource, name: &str) -> Found<'r> {
    let mut members = resource.root().members().iter();
    members
        .find(|member| &*member.name == name)
        .map(|member| (resource, member))
}

fn same(one: Found<'_>, other: Found<'_>) -> bool {
    let text = |found: Found<'_>| found.map(|(text, member)| value(text, &member.node).to_vec());
    text(one) == text(other)
}

fn bytes<'r>(resource: &'r Resource, member: &Member) -> &'r [u8] {
    let range = member.start as usize..member.node.end as usize;
    resource.text().get(range).unwrap_or_default()
}

fn value<'r>(resource: &'r Resource, node: &Node) -> &'r [u8] {
    node.slice(resource.text())
}

fn items<'r>(resource: &'r Resource, node: &'r Node) -> Option<Vec<&'r [u8]>> {
    match &node.value {
        Value::Array(items) => Some(items.iter().map(|item| value(resource, item)).collect()),
        _ => None,
    }
}

fn quoted(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::fhir::json::quote(&mut out, name);
    out.push(b':');
    out
}

/// A list with what is different between its entries as shown and as changed. Entries that are not
/// shown stay where they are; an entry that is shown in part only must stay as it is.
fn spliced<'b>(
    whole: &[&'b [u8]],
    shown: &[&'b [u8]],
    changed: &[&'b [u8]],
) -> Option<Vec<&'b [u8]>> {
    let equal = |(one, other): &(&&[u8], &&[u8])| one == other;
    let start = shown.iter().zip(changed).take_while(equal).count();
    let (rest, new) = (shown.get(start..)?, changed.get(start..)?);
    let end = rest.iter().rev().zip(new.iter().rev());
    let end = end.take_while(equal).count();
    let (old, new) = (rest.get(..rest.len() - end)?, new.get(..new.len() - end)?);
    // Where each shown entry stands in the whole.
    let mut next = 0;
    let mut places: Vec<Option<usize>> = Vec::new();
    for entry in shown {
        let at = whole.iter().skip(next).position(|own| own == entry);
        places.push(at.map(|at| next + at));
        next = at.map_or(next, |at| next + at + 1);
    }
    let place = |at: usize| places.get(at).copied().flatten();
    let gone: Vec<usize> = (start..start + old.len())
        .map(place)
        .collect::<Option<_>>()?;
    let before = start.checked_sub(1).and_then(place).map(|at| at + 1);
    let appended = start == shown.len();
    let at = gone
        .first()
        .copied()
        .or(before.filter(|_| !appended))
        .or_else(|| place(start))
        .unwrap_or(whole.len());
    let mut list = Vec::new();
    for (index, own) in whole.iter().enumerate() {
        if index == at {
            list.extend(new);
        }
        if !gone.contains(&index) {
            list.push(*own);
        }
    }
    if at >= whole.len() {
        list.extend(new);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(whole: &str, shown: &str, changed: &str) -> Option<String> {
        let of = |text: &str| Resource::ours(text.to_owned()).unwrap();
        let merged = merged(&of(whole), &of(shown), &of(changed), true)?;
        Some(String::from_utf8(merged.text().to_vec()).unwrap())
    }

    const WHOLE: &str = r#"{"resourceType":"Encounter","id":"e","status":"planned","reason":["a","secret","b"],"text":{"div":"x"},"n":1.50}"#;
    const SHOWN: &str = r#"{"resourceType":"Encounter","id":"e","meta":{"versionId":"1"},"status":"planned","reason":["a","b"],"n":1.50}"#;

    #[test]
    fn a_change_of_what_is_shown_reaches_the_whole_and_nothing_else() {
        let changed = SHOWN.replace("planned", "finished");
        let merged = merge(WHOLE, SHOWN, &changed).unwrap();
        assert_eq!(merged, WHOLE.replace("planned", "finished"));
        assert_eq!(merge(WHOLE, SHOWN, SHOWN).unwrap(), WHOLE);
    }

    #[test]
    fn hidden_entries_of_a_list_stay() {
        for (after, expected) in [
            (r#"["a","b","c"]"#, r#"["a","secret","b","c"]"#),
            (r#"["c","a","b"]"#, r#"["c","a","secret","b"]"#),
            (r#"["b"]"#, r#"["secret","b"]"#),
            (r#"["a"]"#, r#"["a","secret"]"#),
            (r#"["a","x"]"#, r#"["a","secret","x"]"#),
        ] {
            let changed = SHOWN.replace(r#"["a","b"]"#, after);
            let merged = merge(WHOLE, SHOWN, &changed).unwrap();
            let whole = WHOLE.replace(r#"["a","secret","b"]"#, expected);
            assert_eq!(merged, whole, "{after}");
        }
        let changed = SHOWN.replace(r#","reason":["a","b"]"#, "");
        let merged = merge(WHOLE, SHOWN, &changed).unwrap();
        assert!(merged.contains(r#""reason":["secret"]"#), "{merged}");
    }

    #[test]
    fn what_is_hidden_is_not_replaced() {
        let changed = SHOWN.replace(r#""n":"#, r#""text":{"div":"y"},"n":"#);
        assert_eq!(merge(WHOLE, SHOWN, &changed), None);
        let changed = SHOWN.replace(r#""versionId":"1""#, r#""tag":[]"#);
        let whole = WHOLE.replace(r#""status""#, r#""meta":{"source":"s"},"status""#);
        assert_eq!(merge(&whole, SHOWN, &changed), None);
    }
}
