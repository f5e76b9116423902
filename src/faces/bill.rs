//! Bills with some lines gone: what only those lines used goes with them, numbers close up, totals
//! and payment are those of what stays (SEMANTICS section 5).

use super::money::{self, Amount};
use crate::calendar;
use crate::fhir::{Interval, Node, Path, Resource, cut::Edits, json, time};
use std::collections::{HashMap, HashSet};

/// Numbered lists, and the pointers by which lines use their entries.
const NUMBERED: &[(&str, &str, &str)] = &[
    ("careTeam", "sequence", "careTeamSequence"),
    ("diagnosis", "sequence", "diagnosisSequence"),
    ("procedure", "sequence", "procedureSequence"),
    ("supportingInfo", "sequence", "informationSequence"),
    ("processNote", "number", "noteNumber"),
];

/// What speaks about the bill as a whole and can't be recomputed.
const DROPPED: &[&str] = &[
    "benefitBalance",
    "adjudication",
    "disposition",
    "preAuthRef",
    "preAuthRefPeriod",
    "formCode",
    "form",
    "totalNet",
    "totalGross",
    "totalPriceComponent",
    "precedence",
];

/// Completes `edits` (which take lines out of a Claim, ExplanationOfBenefit or Invoice).
pub fn close_up(resource: &Resource, edits: &mut Edits) {
    let bill = Bill {
        root: resource.root(),
    };
    let lines = bill.lines();
    let kept: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| !edits.removes(&line.path))
        .collect();
    if kept.len() == lines.len() && !bill.entries_go(edits) {
        return;
    }
    bill.drop_unused(&lines, edits);
    bill.drop_uncomputable(edits);
    bill.renumber(&lines, edits);
    bill.total(&lines, edits);
    bill.payment(&lines, edits);
    bill.period(&lines, edits);
}

struct Bill<'r> {
    root: &'r Node,
}

struct Line<'r> {
    path: Path,
    node: &'r Node,
}

impl<'r> Bill<'r> {
    fn items(&self, list: &str) -> &'r [Node] {
        self.root.get(list).map(Node::items).unwrap_or_default()
    }

    fn lines(&self) -> Vec<Line<'r>> {
        ["item", "addItem", "lineItem"]
            .into_iter()
            .flat_map(|list| {
                self.items(list)
                    .iter()
                    .enumerate()
                    .filter_map(move |(at, node)| {
                        let path = Path::member(self.root, list, Some(at))?;
                        Some(Line { path, node })
                    })
            })
            .collect()
    }

    fn entries_go(&self, edits: &Edits) -> bool {
        NUMBERED.iter().any(|(list, _, _)| {
            (0..self.items(list).len()).any(|at| {
                Path::member(self.root, list, Some(at)).is_some_and(|path| edits.removes(&path))
            })
        })
    }

    /// Entries that lines used, and that no line that stays uses, go. Notes that nobody points at
    /// speak about the whole, so they go too.
    fn drop_unused(&self, lines: &[Line<'_>], edits: &mut Edits) {
        let (goers, stayers): (Vec<&Line<'_>>, Vec<&Line<'_>>) =
            lines.iter().partition(|line| edits.removes(&line.path));
        for (list, number, pointer) in NUMBERED {
            let used = |lines: &[&Line<'_>]| -> HashSet<String> {
                let numbers = lines.iter().flat_map(|line| points(line.node, pointer));
                numbers.map(str::to_owned).collect()
            };
            let (by_goers, by_stayers) = (used(&goers), used(&stayers));
            for (at, entry) in self.items(list).iter().enumerate() {
                let Some(own) = entry.get(number).and_then(Node::number) else {
                    continue;
                };
                let unused =
                    !by_stayers.contains(own) && (by_goers.contains(own) || *list == "processNote");
                if let (true, Some(path)) = (unused, Path::member(self.root, list, Some(at))) {
                    edits.remove(path);
                }
            }
        }
    }

    fn drop_uncomputable(&self, edits: &mut Edits) {
        for name in DROPPED {
            edits.remove_member(self.root, name);
        }
        if let Some(payment) = Path::member(self.root, "payment", None) {
            let whole = ["adjustment", "adjustmentReason", "identifier"];
            self.drop_inside(&payment, &whole, edits);
        }
        for at in 0..self.items("insurance").len() {
            if let Some(insurance) = Path::member(self.root, "insurance", Some(at)) {
                self.drop_inside(&insurance, &["preAuthRef", "claimResponse"], edits);
            }
        }
    }

    fn drop_inside(&self, path: &Path, names: &[&str], edits: &mut Edits) {
        let members = path.node(self.root).map(Node::members).unwrap_or_default();
        for (at, member) in members.iter().enumerate() {
            let goes = names.contains(&member.name.trim_start_matches('_'));
            if let (true, Some(path)) = (goes, path.then(at)) {
                edits.remove(path);
            }
        }
    }

    fn renumber(&self, lines: &[Line<'_>], edits: &mut Edits) {
        for (list, number, pointer) in NUMBERED {
            let new = self.close_numbers(list, number, edits);
            repoint_all(lines, pointer, &new, edits);
        }
        let new = self.close_numbers("item", "sequence", edits);
        repoint_all(lines, "itemSequence", &new, edits);
        self.close_numbers("lineItem", "sequence", edits);
    }

    /// Gives the entries that stay the numbers from 1, and tells old → new.
    fn close_numbers(
        &self,
        list: &str,
        number: &str,
        edits: &mut Edits,
    ) -> HashMap<&'r str, usize> {
        let (mut new, mut next) = (HashMap::new(), 0_usize);
        for (at, entry) in self.items(list).iter().enumerate() {
            let Some(path) = Path::member(self.root, list, Some(at)) else {
                continue;
            };
            let Some(old) = entry.get(number).and_then(Node::number) else {
                continue;
            };
            if edits.removes(&path) {
                continue;
            }
            next += 1;
            // Of several with the same number the first is meant.
            new.entry(old).or_insert(next);
            let member = entry
                .members()
                .iter()
                .position(|member| &*member.name == number);
            if let Some(path) = member.and_then(|member| path.then(member)) {
                edits.replace(path, next.to_string().into_bytes());
            }
        }
        new
    }

    fn total(&self, lines: &[Line<'_>], edits: &mut Edits) {
        let Some(path) = Path::member(self.root, "total", None) else {
            return;
        };
        let Some(total) = path.node(self.root) else {
            return;
        };
        let kept: Vec<&Line<'_>> = lines
            .iter()
            .filter(|line| !edits.removes(&line.path))
            .collect();
        if total.get("value").is_some() {
            let nets = money::sum(
                kept.iter()
                    .map(|line| line.node.at(&["net", "value"]).and_then(Node::number)),
            );
            match nets {
                Some(amount) => set_value(&path, total, amount, edits),
                None => edits.remove(path),
            }
            return;
        }
        let mut changes = Vec::new();
        for (at, entry) in total.items().iter().enumerate() {
            let Some(path) = path.then(at) else { continue };
            let amount = adjudicated(kept.iter().copied(), category(entry));
            changes.push((path, entry, amount));
        }
        for (path, entry, amount) in changes {
            let value = entry
                .get("amount")
                .and_then(|_| member_path(&path, entry, "amount"));
            match (amount, value) {
                (Some(amount), Some(value)) => {
                    if let Some(money) = entry.get("amount") {
                        set_value(&value, money, amount, edits);
                    }
                }
                _ => edits.remove(path),
            }
        }
    }

    /// The payment is of some category: the one whose lines add up to it.
    fn payment(&self, lines: &[Line<'_>], edits: &mut Edits) {
        let Some(path) = Path::member(self.root, "payment", None) else {
            return;
        };
        let Some(payment) = path.node(self.root) else {
            return;
        };
        let Some(money) = payment.get("amount") else {
            return;
        };
        let paid = money
            .get("value")
            .and_then(Node::number)
            .and_then(Amount::parse);
        let of_category = ["benefit", "paidtoprovider", "paidtopatient", "paid"]
            .into_iter()
            .map(Some)
            .find(|code| match (paid, adjudicated(lines.iter(), *code)) {
                (Some(paid), Some(all)) => paid.equals(all),
                _ => false,
            })
            .flatten();
        let left = of_category.and_then(|code| {
            adjudicated(
                lines.iter().filter(|line| !edits.removes(&line.path)),
                Some(code),
            )
        });
        match (left, member_path(&path, payment, "amount")) {
            (Some(amount), Some(value)) => set_value(&value, money, amount, edits),
            _ => edits.remove(path),
        }
    }

    /// The billed period is that of the lines that stay.
    fn period(&self, lines: &[Line<'_>], edits: &mut Edits) {
        let Some(path) = Path::member(self.root, "billablePeriod", None) else {
            return;
        };
        let days: Option<Vec<(&str, &str)>> = lines
            .iter()
            .filter(|line| !edits.removes(&line.path))
            .map(|line| served(line.node))
            .collect();
        let around = days.filter(|days| !days.is_empty()).and_then(|days| {
            let first = days
                .iter()
                .map(|(start, _)| *start)
                .min_by_key(|day| instant(day))?;
            let last = days
                .iter()
                .map(|(_, end)| *end)
                .max_by_key(|day| instant(day))?;
            Some((first, last))
        });
        let Some((first, last)) = around else {
            edits.remove(path);
            return;
        };
        let mut period = b"{\"start\":".to_vec();
        json::quote(&mut period, first);
        period.extend_from_slice(b",\"end\":");
        json::quote(&mut period, last);
        period.push(b'}');
        edits.replace(path, period);
    }
}

fn instant(day: &str) -> i64 {
    Interval::of(day, &calendar::zone()).map_or(i64::MIN, |interval: Interval| {
        interval.start as time::Instant
    })
}

fn served(line: &Node) -> Option<(&str, &str)> {
    if let Some(day) = line.text("servicedDate") {
        return Some((day, day));
    }
    let period = line.get("servicedPeriod")?;
    let start = period.text("start")?;
    Some((start, period.text("end").unwrap_or(start)))
}

fn points<'n>(line: &'n Node, pointer: &str) -> impl Iterator<Item = &'n str> {
    line.get(pointer)
        .map(Node::each)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::number)
}

fn repoint_all(lines: &[Line<'_>], pointer: &str, new: &HashMap<&str, usize>, edits: &mut Edits) {
    for line in lines {
        if !edits.removes(&line.path) {
            repoint(line, pointer, new, edits);
        }
    }
}

fn repoint(line: &Line<'_>, pointer: &str, new: &HashMap<&str, usize>, edits: &mut Edits) {
    let Some(list) = member_path(&line.path, line.node, pointer) else {
        return;
    };
    let Some(node) = line.node.get(pointer) else {
        return;
    };
    for (at, item) in node.items().iter().enumerate() {
        let (Some(path), Some(old)) = (list.then(at), item.number()) else {
            continue;
        };
        match new.get(old) {
            Some(to) => edits.replace(path, to.to_string().into_bytes()),
            None => edits.remove(path),
        }
    }
}

fn member_path(path: &Path, node: &Node, name: &str) -> Option<Path> {
    let at = node
        .members()
        .iter()
        .position(|member| &*member.name == name)?;
    path.then(at)
}

fn set_value(path: &Path, money: &Node, amount: Amount, edits: &mut Edits) {
    if let Some(value) = member_path(path, money, "value") {
        edits.replace(value, amount.text().into_bytes());
    }
}

fn category(node: &Node) -> Option<&str> {
    let codings = node.at(&["category", "coding"])?;
    codings.items().first()?.text("code")
}

/// The sum over `lines` of the adjudications of one category; nothing where no line has it.
fn adjudicated<'l, 'r: 'l>(
    lines: impl Iterator<Item = &'l Line<'r>>,
    code: Option<&str>,
) -> Option<Amount> {
    let code = code?;
    let mut all = None;
    for line in lines {
        let entries = line
            .node
            .get("adjudication")
            .map(Node::items)
            .unwrap_or_default();
        for entry in entries.iter().filter(|entry| category(entry) == Some(code)) {
            let amount = Amount::parse(entry.at(&["amount", "value"])?.number()?)?;
            all = Some(all.unwrap_or(Amount::ZERO).plus(amount)?);
        }
    }
    all
}
