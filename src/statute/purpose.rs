//! Purposes of use that a decision knows (SEMANTICS section 2), from v3-ActReason.

use std::fmt;

/// HL7's code system of purposes.
pub const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Why someone asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "HL7's own codes; `display` says them")]
pub enum Purpose {
    Patrqt,
    Pwatrny,
    Famrqt,
    Supnwk,
    Coverage,
    Treat,
    Etreat,
    Coc,
    Hdm,
    Hqualimp,
    Perfmsr,
    Hcompl,
    Hoperat,
    Hsysadmin,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 14] = [
        Purpose::Patrqt,
        Purpose::Pwatrny,
        Purpose::Famrqt,
        Purpose::Supnwk,
        Purpose::Coverage,
        Purpose::Treat,
        Purpose::Etreat,
        Purpose::Coc,
        Purpose::Hdm,
        Purpose::Hqualimp,
        Purpose::Perfmsr,
        Purpose::Hcompl,
        Purpose::Hoperat,
        Purpose::Hsysadmin,
    ];

    /// The v3-ActReason code.
    pub fn code(self) -> &'static str {
        match self {
            Purpose::Patrqt => "PATRQT",
            Purpose::Pwatrny => "PWATRNY",
            Purpose::Famrqt => "FAMRQT",
            Purpose::Supnwk => "SUPNWK",
            Purpose::Coverage => "COVERAGE",
            Purpose::Treat => "TREAT",
            Purpose::Etreat => "ETREAT",
            Purpose::Coc => "COC",
            Purpose::Hdm => "HDM",
            Purpose::Hqualimp => "HQUALIMP",
            Purpose::Perfmsr => "PERFMSR",
            Purpose::Hcompl => "HCOMPL",
            Purpose::Hoperat => "HOPERAT",
            Purpose::Hsysadmin => "HSYSADMIN",
        }
    }

    /// What it says to a person.
    pub fn display(self) -> &'static str {
        match self {
            Purpose::Patrqt => "patient requested",
            Purpose::Pwatrny => "power of attorney",
            Purpose::Famrqt => "family requested",
            Purpose::Supnwk => "support network",
            Purpose::Coverage => "coverage under policy or program",
            Purpose::Treat => "treatment",
            Purpose::Etreat => "emergency treatment",
            Purpose::Coc => "coordination of care",
            Purpose::Hdm => "healthcare delivery management",
            Purpose::Hqualimp => "health quality improvement",
            Purpose::Perfmsr => "performance measure",
            Purpose::Hcompl => "health compliance",
            Purpose::Hoperat => "healthcare operations",
            Purpose::Hsysadmin => "health system administration",
        }
    }

    /// Reads `CODE` or `system|CODE`.
    pub fn parse(text: &str) -> Option<Purpose> {
        let code = match text.split_once('|') {
            Some((system, code)) => {
                let known = system == ACT_REASON || system == "urn:oid:2.16.840.1.113883.5.8";
                known.then_some(code)?
            }
            None => text,
        };
        Purpose::ALL
            .into_iter()
            .find(|purpose| purpose.code() == code)
    }

    /// Its bit in a set of purposes.
    pub fn bit(self) -> u32 {
        Purpose::ALL
            .iter()
            .position(|purpose| *purpose == self)
            .map_or(0, |at| 1 << at)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_with_and_without_their_system() {
        for purpose in Purpose::ALL {
            assert_eq!(Purpose::parse(purpose.code()), Some(purpose));
            assert_eq!(
                Purpose::parse(&format!("{ACT_REASON}|{purpose}")),
                Some(purpose)
            );
        }
        assert_eq!(Purpose::parse("CAREMGT"), None);
        assert_eq!(Purpose::parse("http://else.example|TREAT"), None);
    }
}
