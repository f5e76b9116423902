//! What a record can reveal: one bit a class that some rule asks about (SEMANTICS section 4).

use std::fmt;

/// A set of sensitivity bits. Stored as an integer: append only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Labels(pub u32);

/// A bit with its names and its code on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Bit {
    /// The bit.
    pub labels: Labels,
    /// Its name in our tables.
    pub name: &'static str,
    /// Its code in `meta.security`.
    pub code: &'static str,
    /// Whether the code is one of v3-ActCode; otherwise of our `sensitive-service`.
    pub act_code: bool,
    /// Whether records with it are very restricted (`V`) rather than restricted (`R`).
    pub very: bool,
}

macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident = $at:literal, $text:literal, $code:literal, $act:literal, $very:literal;)*) => {
        impl Labels {
            $($(#[$doc])* pub const $name: Labels = Labels(1 << $at);)*
            /// Every bit.
            pub const ALL: Labels = Labels(0 $(| 1 << $at)*);
            /// Each bit with its names, in order.
            pub const BITS: &'static [Bit] = &[
                $(Bit { labels: Labels::$name, name: $text, code: $code, act_code: $act, very: $very },)*
            ];
        }
    };
}

bits! {
    /// Mental or behavioral health.
    MENTAL_HEALTH = 0, "mh", "MH", true, false;
    /// Pregnancy.
    PREGNANCY = 1, "pregnancy", "PREGNANT", true, false;
    /// Contraception.
    CONTRACEPTION = 2, "contraception", "contraception", false, false;
    /// Abortion.
    ABORTION = 3, "abortion", "abortion", false, true;
    /// Other sexual and reproductive health.
    SEXUAL_HEALTH = 4, "sex", "SEX", true, false;
    /// Sexually transmitted infection.
    STI = 5, "sti", "STD", true, false;
    /// HIV.
    HIV = 6, "hiv", "HIV", true, false;
    /// The result of an HIV test (H&S 120980), as against a diagnosis.
    HIV_TEST_RESULT = 7, "hiv-test-result", "hiv-test-result", false, true;
    /// Substance use disorder.
    SUBSTANCE_USE = 8, "sud", "SUD", true, false;
    /// Opioid use disorder.
    OPIOID_USE = 9, "opioid", "OPIOIDUD", true, false;
    /// Gender-affirming care.
    GENDER_AFFIRMING = 10, "gac", "gender-affirming-care", false, false;
    /// Intimate partner violence.
    PARTNER_VIOLENCE = 11, "ipv", "SDV", true, false;
    /// Psychotherapy notes (45 CFR 164.501).
    PSYCHOTHERAPY_NOTE = 12, "psychotherapy-note", "PSYTHPN", true, true;
    /// Outpatient psychotherapy (Civ. 56.104).
    OUTPATIENT_PSYCHOTHERAPY = 13, "outpatient-psychotherapy", "outpatient-psychotherapy", false, false;
    /// Records of a Part 2 program (42 CFR 2).
    PART2 = 14, "part2", "part2", false, true;
    /// Records under the Lanterman-Petris-Short Act (W&I 5328).
    LPS = 15, "lps", "lps", false, true;
    /// Genetic test results (Civ. 56.17).
    GENETIC = 16, "genetic", "GDIS", true, false;
    /// Paid by the member in full and restricted (45 CFR 164.522(a)(1)(vi)).
    SELF_PAID = 17, "self-paid", "self-paid", false, false;
    /// Care outside the six categories that this minor could consent to (Fam. 6922, 7050, 6926).
    MINOR_CONSENTED = 18, "minor-consented", "minor-consented", false, false;
    /// A code that no table knows.
    UNCLASSIFIED = 19, "unclassified", "unclassified", false, false;
    /// A psychotherapy note that its originator has not released to the member (164.524); never on
    /// the wire, always beside `PSYCHOTHERAPY_NOTE`.
    NOTE_UNRELEASED = 20, "note-unreleased", "", false, false;
}

impl Labels {
    /// No bit.
    pub const NONE: Labels = Labels(0);

    /// The label of that name in our tables.
    pub fn named(name: &str) -> Option<Labels> {
        Labels::BITS
            .iter()
            .find(|bit| bit.name == name)
            .map(|bit| bit.labels)
    }

    /// A space-separated list of names; the first unknown name is the error.
    pub fn list(names: &str) -> Result<Labels, &str> {
        names
            .split_whitespace()
            .try_fold(Labels::NONE, |labels, name| {
                Labels::named(name)
                    .map(|label| labels.and(label))
                    .ok_or(name)
            })
    }

    /// The label meant by a code of `meta.security`.
    pub fn of_security(system: Option<&str>, code: &str) -> Option<Labels> {
        const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
        let system = system?;
        let ours = system.strip_prefix(crate::fhir::CODE_SYSTEM) == Some("sensitive-service");
        if ours {
            let bit = Labels::BITS
                .iter()
                .find(|bit| !bit.act_code && bit.code == code && !code.is_empty())?;
            return Some(bit.labels);
        }
        if system != ACT_CODE && system != "urn:oid:2.16.840.1.113883.5.4" {
            return None;
        }
        Some(match code {
            // Behavioral health is both: which of them is not told.
            "BH" => Labels::MENTAL_HEALTH.and(Labels::SUBSTANCE_USE),
            "MH" | "EMOTDIS" | "COGN" | "DVD" => Labels::MENTAL_HEALTH,
            "PSY" | "PSYTHPN" => Labels::MENTAL_HEALTH
                .and(Labels::PSYCHOTHERAPY_NOTE)
                .and(Labels::NOTE_UNRELEASED),
            "SUD" | "ETH" | "ETHUD" | "SUDETH" => Labels::SUBSTANCE_USE,
            "OPIOIDUD" => Labels::SUBSTANCE_USE.and(Labels::OPIOID_USE),
            "SEX" | "SEXL" => Labels::SEXUAL_HEALTH,
            "PREGNANT" => Labels::PREGNANCY,
            "STD" => Labels::STI,
            "HIV" => Labels::STI.and(Labels::HIV),
            "SDV" | "VIO" | "SV" => Labels::PARTNER_VIOLENCE,
            "GDIS" => Labels::GENETIC,
            "GENDER" => Labels::GENDER_AFFIRMING,
            _ => return None,
        })
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Labels) -> Labels {
        Labels(self.0 | other.0)
    }

    /// The bits in both.
    #[must_use]
    pub const fn both(self, other: Labels) -> Labels {
        Labels(self.0 & other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Labels) -> Labels {
        Labels(self.0 & !other.0)
    }

    /// With what each of these always comes with: HIV is an STI, an opioid use disorder a substance use
    /// disorder, a psychotherapy note mental health (and it may be unreleased).
    #[must_use]
    pub const fn with_broader(self) -> Labels {
        let mut all = self;
        if self.meets(Labels::HIV) {
            all = Labels(all.0 | Labels::STI.0);
        }
        if self.meets(Labels::OPIOID_USE) {
            all = Labels(all.0 | Labels::SUBSTANCE_USE.0);
        }
        if self.meets(Labels::PSYCHOTHERAPY_NOTE) {
            let beside = Labels::MENTAL_HEALTH.0
                | Labels::NOTE_UNRELEASED.0
                | Labels::OUTPATIENT_PSYCHOTHERAPY.0;
            all = Labels(all.0 | beside);
        }
        all
    }

    /// What `code` of `meta.security` names and nothing broader: who names HIV does not name every STI.
    /// Of a class with kinds a denial names every kind, a permission what is of no kind: whoever opens
    /// abortion or substance use says so.
    pub fn named_by_security(system: Option<&str>, code: &str, denies: bool) -> Option<Labels> {
        let whole = Labels::of_security(system, code)?;
        let narrow = [Labels::HIV, Labels::OPIOID_USE, Labels::PSYCHOTHERAPY_NOTE];
        let narrower = narrow.into_iter().find(|label| whole.holds(*label));
        let both = Labels::MENTAL_HEALTH.and(Labels::SUBSTANCE_USE);
        Some(match narrower.unwrap_or(whole) {
            Labels::SEXUAL_HEALTH if denies => Labels::SEXUAL_HEALTH
                .and(Labels::PREGNANCY)
                .and(Labels::CONTRACEPTION)
                .and(Labels::ABORTION),
            named if named == both && !denies => Labels::MENTAL_HEALTH,
            named => named,
        })
    }

    /// Whether a bit is in both.
    pub const fn meets(self, other: Labels) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every bit of `other` is in it.
    pub const fn holds(self, other: Labels) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no bit is set.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// From a database column; unknown bits are kept out of nothing: they count as set.
    pub fn from_column(column: i64) -> Labels {
        Labels(u32::try_from(column).unwrap_or(Labels::ALL.0))
    }

    /// For a database column.
    pub fn column(self) -> i64 {
        i64::from(self.0)
    }

    /// Its bits, with their names.
    pub fn bits(self) -> impl Iterator<Item = &'static Bit> {
        Labels::BITS
            .iter()
            .filter(move |bit| self.holds(bit.labels))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.bits().map(|bit| bit.name))
            .finish()
    }
}

impl FromIterator<Labels> for Labels {
    fn from_iter<I: IntoIterator<Item = Labels>>(labels: I) -> Self {
        labels.into_iter().fold(Labels::NONE, Labels::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for bit in Labels::BITS {
            assert_eq!(Labels::named(bit.name), Some(bit.labels));
        }
        assert_eq!(
            Labels::list("mh sti"),
            Ok(Labels::MENTAL_HEALTH.and(Labels::STI))
        );
        assert_eq!(Labels::list("mh ghost"), Err("ghost"));
    }

    #[test]
    fn wire_codes_are_taken_over() {
        let act = Some("http://terminology.hl7.org/CodeSystem/v3-ActCode");
        let ours = Some("https://confide.example/fhir/CodeSystem/sensitive-service");
        for bit in Labels::BITS.iter().filter(|bit| !bit.code.is_empty()) {
            let system = if bit.act_code { act } else { ours };
            assert!(
                Labels::of_security(system, bit.code)
                    .unwrap()
                    .holds(bit.labels),
                "{}",
                bit.name
            );
        }
        assert_eq!(Labels::of_security(None, "MH"), None);
        assert_eq!(Labels::of_security(act, "TREAT"), None);
    }
}
