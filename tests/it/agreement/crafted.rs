//! Small stores for what chance seldom puts together.

use super::made::{Item, Made};

fn item(kind: u8, patient: usize, codes: &[usize], links: &[usize], more: u16) -> Item {
    Item {
        kind,
        patient,
        codes: codes.to_vec(),
        links: links.to_vec(),
        more,
    }
}

/// Each with what it is about.
pub fn stores() -> Vec<(&'static str, Made)> {
    let parent = 1 << 5;
    let made = |items, consents, rules| Made {
        items,
        consents,
        rules,
    };
    vec![
        (
            "a note's originator finds what refers to it",
            made(
                vec![item(8, 2, &[0], &[], 0x30), item(8, 2, &[0], &[1], 0x10)],
                vec![],
                0,
            ),
        ),
        (
            "no reference leads to what a restriction hides",
            made(
                vec![
                    item(2, 2, &[0], &[], 0),
                    item(0, 2, &[0], &[1], 0),
                    item(16, 2, &[0], &[2], 0),
                ],
                vec![(5, 2)],
                0,
            ),
        ),
        (
            "what goes with a reference to what a restriction hides is not found",
            made(
                vec![
                    item(2, 2, &[0], &[], 0),
                    item(8, 2, &[0], &[1], 0x4000),
                    item(7, 2, &[0], &[2], 0x2000),
                    item(15, 2, &[0], &[3], 0x2000),
                    item(8, 2, &[0], &[], 0x4000),
                    item(7, 2, &[0], &[], 0x2000),
                ],
                vec![(5, 2)],
                0,
            ),
        ),
        (
            "whom only hidden lines name is not found",
            made(
                vec![
                    item(11, 1, &[3, 0, 4, 1], &[], 0),
                    item(10, 1, &[4, 0, 3], &[], 0),
                    item(11, 1, &[4, 0, 4, 4], &[], 0),
                ],
                vec![],
                parent,
            ),
        ),
    ]
}
