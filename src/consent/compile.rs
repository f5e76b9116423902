//! From the R4 provision tree to clauses.

use super::{Category, Clause, Condition, Directive, Reason, Refusal, authorization};
use crate::{
    calendar,
    fhir::{CODE_SYSTEM, Interval, Key, Kind, Kinds, Resource},
    statute::{Labels, Purpose},
};
use confide_typed::{Coding, Concept, Consent, Kind as Answer, Meaning, Provision};

/// The most levels of provisions that are compiled: the root, its exceptions, and theirs.
const LEVELS: usize = 3;

/// Compiles an active Consent; `None` for one that is not active (it directs nothing).
pub fn compile(resource: &Resource) -> Result<Option<Directive>, Refusal> {
    let consent = confide_typed::parse_consent(resource.text())
        .map_err(|_| refusal("the Consent can't be read as a typed resource", "Consent"))?;
    if consent.status != "active" {
        return Ok(None);
    }
    let mut work = Work::default();
    if !consent.modifiers.is_empty() || consent.implicit_rules.is_some() {
        work.refuse(
            "modifier extensions and implicit rules are not understood",
            "Consent.modifierExtension",
        );
    }
    let Some(patient) = consent
        .patient
        .as_ref()
        .and_then(|reference| Key::parse(&reference.0))
    else {
        return Err(refusal(
            "a Consent directs nothing without a patient",
            "Consent.patient",
        ));
    };
    let category = category(&consent);
    let directive = work.directive(&consent, category, patient);
    if category == Category::Authorization {
        work.reasons
            .extend(authorization::missing(&consent, &directive));
    }
    if work.reasons.is_empty() {
        Ok(Some(directive))
    } else {
        Err(Refusal(work.reasons))
    }
}

fn refusal(text: &str, expression: &'static str) -> Refusal {
    Refusal(vec![Reason {
        text: text.to_owned(),
        expression,
    }])
}

fn category(consent: &Consent) -> Category {
    consent
        .category
        .iter()
        .flat_map(|concept| &concept.codings)
        .filter(|coding| {
            coding
                .system
                .as_deref()
                .is_some_and(|system| system.strip_prefix(CODE_SYSTEM) == Some("consent-category"))
        })
        .find_map(|coding| match coding.code.as_deref()? {
            "authorization" => Some(Category::Authorization),
            "part2-consent" => Some(Category::Part2Consent),
            "self-pay-restriction" => Some(Category::SelfPayRestriction),
            "restriction" => Some(Category::Restriction),
            "confidential-communications-request" => {
                Some(Category::ConfidentialCommunicationsRequest)
            }
            _ => None,
        })
        .unwrap_or(Category::Privacy)
}

#[derive(Default)]
struct Work {
    reasons: Vec<Reason>,
}

impl Work {
    fn refuse(&mut self, text: &str, expression: &'static str) {
        self.reasons.push(Reason {
            text: text.to_owned(),
            expression,
        });
    }

    fn directive(&mut self, consent: &Consent, category: Category, patient: Key) -> Directive {
        let mut directive = Directive {
            category,
            patient,
            period: Interval::ALWAYS,
            permits: Vec::new(),
            denies: Vec::new(),
            names: Vec::new(),
        };
        let Some(root) = &consent.provision else {
            if self.base(consent, None) == Some(Answer::Deny) && category != Category::Authorization
            {
                directive.denies.push(everything(Condition::default()));
            }
            return directive;
        };
        if let Some(period) = &root.period {
            match Interval::of_period(
                period.start.as_deref(),
                period.end.as_deref(),
                &calendar::zone(),
            ) {
                Some(period) => directive.period = period,
                None => self.refuse("the period can't be read", "Consent.provision.period"),
            }
        }
        let base = self.base(consent, root.kind);
        let on = self.condition(root, base);
        self.level(base, root, &on, 1, &mut directive);
        directive
    }

    /// The answer where nothing more special is said.
    fn base(&mut self, consent: &Consent, root: Option<Answer>) -> Option<Answer> {
        let by_rule = consent
            .policy_rule
            .iter()
            .flat_map(|rule| &rule.codings)
            .find_map(|coding| match coding.code.as_deref()? {
                "OPTIN" | "OPTINR" => Some(Answer::Permit),
                "OPTOUT" | "OPTOUTE" => Some(Answer::Deny),
                _ => None,
            });
        let hrex = consent
            .policy
            .iter()
            .filter_map(|policy| policy.uri.as_deref())
            .any(|uri| uri.split_once("hrex-consent.html#").is_some());
        match (by_rule, root) {
            (Some(rule), Some(said)) if rule != said => {
                // R4 knows no type at the root; one that says the opposite leaves open what is meant.
                self.refuse(
                    "policyRule and the type of the root provision contradict each other",
                    "Consent.provision.type",
                );
                None
            }
            (Some(answer), _) => Some(answer),
            (None, Some(answer)) if hrex || consent.policy_rule.is_none() => Some(answer),
            _ => {
                self.refuse("the base answer is not known: neither policyRule OPTIN or OPTOUT nor a known policy", "Consent.policyRule");
                None
            }
        }
    }

    /// One provision: where the answer differs from what stands around it, a clause; its nested
    /// provisions are exceptions to it.
    fn level(
        &mut self,
        answer: Option<Answer>,
        provision: &Provision,
        on: &Condition,
        depth: usize,
        directive: &mut Directive,
    ) {
        if depth > LEVELS {
            self.refuse(
                "provisions nested this deeply are not compiled",
                "Consent.provision.provision",
            );
            return;
        }
        if !self.speaks_of_disclosure(provision) {
            return;
        }
        let mut except = Vec::new();
        for nested in &provision.provisions {
            let named = self.condition(nested, nested.kind);
            let among = |around: &Vec<Key>| {
                let named = named.actors.as_deref().unwrap_or_default();
                named.iter().all(|actor| around.contains(actor))
            };
            if !on.actors.as_ref().is_none_or(among) {
                // One of them may act for another (a practitioner for a clinic): not both of two lists.
                self.refuse(
                    "a nested provision names an actor that the one around it does not",
                    "Consent.provision.provision.actor",
                );
            }
            let inner = on.both(&named);
            if nested.kind.is_none() {
                self.refuse(
                    "a nested provision says permit or deny",
                    "Consent.provision.provision.type",
                );
            }
            if nested.kind != answer && self.speaks_of_disclosure(nested) {
                except.push(inner.clone());
            }
            self.level(nested.kind, nested, &inner, depth + 1, directive);
        }
        for data in provision
            .data
            .iter()
            .filter(|data| data.meaning == Meaning::Instance)
        {
            directive
                .names
                .extend(data.reference.as_ref().and_then(|r| Key::parse(&r.0)));
        }
        let clause = Clause {
            on: on.clone(),
            except,
        };
        match answer {
            // A base permission adds nothing to what the law permits; an authorization's base denial
            // takes nothing away: it gives exactly what it names.
            Some(Answer::Permit) if depth > 1 || root_permits(directive.category) => {
                directive.permits.push(clause)
            }
            Some(Answer::Deny) if depth > 1 || !gives_only(directive.category) => {
                directive.denies.push(clause)
            }
            _ => {}
        }
    }

    fn speaks_of_disclosure(&mut self, provision: &Provision) -> bool {
        if provision.actions.is_empty() {
            return true;
        }
        let codes = provision.actions.iter().flat_map(|action| &action.codings);
        let mut speaks = false;
        for coding in codes {
            match coding.code.as_deref() {
                Some("access" | "disclose" | "use") => speaks = true,
                Some("collect" | "correct") => {}
                _ => self.refuse("an action that is not known", "Consent.provision.action"),
            }
        }
        speaks
    }

    fn condition(&mut self, provision: &Provision, answer: Option<Answer>) -> Condition {
        Condition {
            actors: self.actors(provision),
            purposes: self.purposes(provision),
            labels: self.labels(provision, answer == Some(Answer::Deny)),
            kinds: self.kinds(provision),
            serviced: self.period(
                provision.data_period.as_ref(),
                "Consent.provision.dataPeriod",
            ),
            period: self.period(provision.period.as_ref(), "Consent.provision.period"),
            records: self.records(provision),
        }
    }

    fn period(
        &mut self,
        period: Option<&confide_typed::Period>,
        expression: &'static str,
    ) -> Option<Interval> {
        let period = period?;
        let read = Interval::of_period(
            period.start.as_deref(),
            period.end.as_deref(),
            &calendar::zone(),
        );
        if read.is_none() {
            self.refuse("the period can't be read", expression);
        }
        read
    }

    fn actors(&mut self, provision: &Provision) -> Option<Vec<Key>> {
        let recipients: Vec<_> = provision
            .actors
            .iter()
            .filter(|actor| !is_discloser(&actor.role))
            .collect();
        if recipients.is_empty() {
            return None;
        }
        let mut keys = Vec::new();
        for actor in recipients {
            match actor
                .reference
                .as_ref()
                .and_then(|reference| Key::parse(&reference.0))
            {
                Some(key) if ["Group", "CareTeam"].contains(&key.kind.name()) => {
                    self.refuse(
                        "an actor that is a group of people is not compiled",
                        "Consent.provision.actor",
                    );
                }
                Some(key) => keys.push(key),
                None => self.refuse(
                    "an actor without a reference to a record",
                    "Consent.provision.actor",
                ),
            }
        }
        Some(keys)
    }

    fn purposes(&mut self, provision: &Provision) -> Option<u32> {
        if provision.purposes.is_empty() {
            return None;
        }
        let mut bits = 0;
        for coding in &provision.purposes {
            match coding.code.as_deref().and_then(Purpose::parse) {
                // A rule for TREAT also means an emergency, never a plan (SEMANTICS section 2).
                Some(Purpose::Treat) => bits |= Purpose::Treat.bit() | Purpose::Etreat.bit(),
                Some(purpose) => bits |= purpose.bit(),
                None => self.refuse(
                    "a purpose that no request can have",
                    "Consent.provision.purpose",
                ),
            }
        }
        Some(bits)
    }

    fn labels(&mut self, provision: &Provision, denies: bool) -> Option<Labels> {
        if provision.security_labels.is_empty() {
            return None;
        }
        let mut labels = Labels::NONE;
        for Coding { system, code } in &provision.security_labels {
            let known = code
                .as_deref()
                .and_then(|code| Labels::named_by_security(system.as_deref(), code, denies));
            match known {
                Some(known) => labels = labels.and(known),
                None => self.refuse(
                    "a security label that is not compiled",
                    "Consent.provision.securityLabel",
                ),
            }
        }
        // Outpatient psychotherapy has no code of its own: who names mental health names it too.
        if labels.holds(Labels::MENTAL_HEALTH) {
            labels = labels.and(Labels::OUTPATIENT_PSYCHOTHERAPY);
        }
        Some(labels)
    }

    fn kinds(&mut self, provision: &Provision) -> Option<Kinds> {
        if !provision.codes.is_empty() {
            self.refuse(
                "a provision by code is not compiled",
                "Consent.provision.code",
            );
        }
        if provision.classes.is_empty() {
            return None;
        }
        let mut kinds = Kinds::NONE;
        for coding in &provision.classes {
            match coding.code.as_deref().and_then(Kind::named) {
                Some(kind) => kinds = kinds.with(kind),
                None => self.refuse(
                    "a class that is not a resource type",
                    "Consent.provision.class",
                ),
            }
        }
        Some(kinds)
    }

    fn records(&mut self, provision: &Provision) -> Option<Vec<Key>> {
        if provision.data.is_empty() {
            return None;
        }
        let mut keys = Vec::new();
        for data in &provision.data {
            let key = data
                .reference
                .as_ref()
                .and_then(|reference| Key::parse(&reference.0));
            match (data.meaning, key) {
                (Meaning::Instance, Some(key)) => keys.push(key),
                _ => self.refuse(
                    "only instances of records are compiled",
                    "Consent.provision.data",
                ),
            }
        }
        Some(keys)
    }
}

fn everything(on: Condition) -> Clause {
    Clause {
        on,
        except: Vec::new(),
    }
}

/// Categories whose permissions open something, so that a permission at the root counts too.
fn root_permits(category: Category) -> bool {
    matches!(category, Category::Authorization | Category::Part2Consent)
}

/// Categories that give exactly what they name, and whose base denial takes nothing away.
fn gives_only(category: Category) -> bool {
    matches!(
        category,
        Category::Authorization
            | Category::Part2Consent
            | Category::ConfidentialCommunicationsRequest
    )
}

/// Roles of who gives the information, not of who gets it.
fn is_discloser(role: &Concept) -> bool {
    role.codings.iter().any(|coding| {
        matches!(
            coding.code.as_deref(),
            Some("performer" | "CST" | "TRANS" | "SRC" | "AUT" | "source" | "custodian" | "author")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn consent(category: &str, rule: &str, provision: &str) -> Resource {
        Resource::ours(format!(
            r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},
            "category":[{{"coding":[{{"system":"https://confide.example/fhir/CodeSystem/consent-category","code":"{category}"}}]}}],
            "patient":{{"reference":"Patient/p"}},"dateTime":"2026-11-01","policyRule":{{"coding":[{{"code":"{rule}"}}]}},
            "provision":{provision}}}"#
        ))
        .unwrap()
    }

    const PLAN: &str = r#""actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"reference":"Organization/plan"}}]"#;

    #[test]
    fn a_nested_deny_is_an_exception_to_the_base() {
        let directive = compile(&consent(
            "restriction",
            "OPTIN",
            &format!(r#"{{"provision":[{{"type":"deny",{PLAN}}}]}}"#),
        ))
        .unwrap()
        .unwrap();
        assert!(directive.permits.is_empty());
        assert_eq!(
            directive.denies[0].on.actors,
            Some(vec![Key::parse("Organization/plan").unwrap()])
        );
    }

    #[test]
    fn a_permit_inside_a_deny_is_its_exception() {
        let directive = compile(&consent(
            "restriction",
            "OPTIN",
            &format!(r#"{{"provision":[{{"type":"deny",{PLAN},"provision":[{{"type":"permit","class":[{{"code":"Immunization"}}]}}]}}]}}"#),
        ))
        .unwrap()
        .unwrap();
        assert_eq!(directive.denies.len(), 1);
        let except = &directive.denies[0].except[0];
        assert_eq!(except.kinds, Some(Kinds::of(&["Immunization"])));
        assert_eq!(
            except.actors, directive.denies[0].on.actors,
            "narrowed by what stands around it"
        );
    }

    #[test]
    fn an_opt_out_denies_all_but_what_it_permits() {
        let directive = compile(&consent(
            "restriction",
            "OPTOUT",
            r#"{"provision":[{"type":"permit","purpose":[{"code":"TREAT"}]}]}"#,
        ))
        .unwrap()
        .unwrap();
        assert_eq!(directive.denies[0].on, Condition::default());
        assert_eq!(
            directive.denies[0].except[0].purposes,
            Some(Purpose::Treat.bit() | Purpose::Etreat.bit())
        );
    }

    #[test]
    fn what_cannot_be_honoured_exactly_is_refused_with_all_reasons() {
        let refused = compile(&consent(
            "restriction",
            "OPTIN",
            r#"{"provision":[{"type":"deny","code":[{"text":"x"}],"purpose":[{"code":"HMARKT"}],"data":[{"meaning":"related","reference":{"reference":"Encounter/e"}}]}]}"#,
        ))
        .unwrap_err();
        assert_eq!(refused.0.len(), 3);
        assert!(compile(&consent("restriction", "XX", "{}")).is_err());
    }

    #[test]
    fn an_exception_for_someone_of_a_named_organization_is_not_lost() {
        let nested = |actor: &str| {
            let provision = format!(
                r#"{{"provision":[{{"type":"permit",{PLAN},"provision":[{{"type":"deny","actor":[{{"role":{{"coding":[{{"code":"IRCP"}}]}},"reference":{{"reference":"{actor}"}}}}]}}]}}]}}"#
            );
            compile(&consent("part2-consent", "OPTOUT", &provision))
        };
        assert!(nested("Practitioner/works-there").is_err());
        let permits = nested("Organization/plan").unwrap().unwrap().permits;
        assert_eq!(permits[0].except.len(), 1);
    }

    #[test]
    fn a_denial_at_the_root_is_not_read_as_the_rule_that_it_contradicts() {
        let root = |rule: &str, kind: &str| {
            let provision = format!(r#"{{"type":"{kind}",{PLAN}}}"#);
            compile(&consent("restriction", rule, &provision))
        };
        assert!(root("OPTIN", "deny").is_err(), "nothing would be denied");
        assert!(root("OPTOUT", "permit").is_err());
        assert!(root("OPTIN", "permit").is_ok());
        assert_eq!(root("OPTOUT", "deny").unwrap().unwrap().denies.len(), 1);
    }

    #[test]
    fn a_narrow_label_names_nothing_broader() {
        const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
        let label =
            |code: &str| format!(r#""securityLabel":[{{"system":"{ACT}","code":"{code}"}}]"#);
        for (code, means) in [
            ("HIV", Labels::HIV),
            ("OPIOIDUD", Labels::OPIOID_USE),
            ("PSYTHPN", Labels::PSYCHOTHERAPY_NOTE),
            ("STD", Labels::STI),
        ] {
            let provision = format!(
                r#"{{"provision":[{{"type":"permit",{PLAN},{}}}]}}"#,
                label(code)
            );
            let directive = compile(&consent("part2-consent", "OPTOUT", &provision));
            let permits = directive.unwrap().unwrap().permits;
            assert_eq!(permits[0].on.labels, Some(means), "{code}");
        }
        // Inside the broader one it stays what it is.
        let provision = format!(
            r#"{{"provision":[{{"type":"permit",{PLAN},{},"provision":[{{"type":"deny",{}}}]}}]}}"#,
            label("STD"),
            label("HIV")
        );
        let directive = compile(&consent("part2-consent", "OPTOUT", &provision));
        let directive = directive.unwrap().unwrap();
        assert_eq!(directive.permits[0].except[0].labels, Some(Labels::HIV));
        assert_eq!(directive.denies[0].on.labels, Some(Labels::HIV));
    }

    #[test]
    fn a_denial_of_a_class_is_one_of_all_its_kinds() {
        let provision = |kind: &str, code: &str| {
            format!(
                r#"{{"provision":[{{"type":"{kind}",{PLAN},"securityLabel":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{code}"}}]}}]}}"#
            )
        };
        for (code, kinds) in [
            ("SEX", Labels::ABORTION.and(Labels::CONTRACEPTION)),
            ("BH", Labels::MENTAL_HEALTH.and(Labels::SUBSTANCE_USE)),
        ] {
            let denied = compile(&consent("restriction", "OPTIN", &provision("deny", code)));
            let labels = denied.unwrap().unwrap().denies[0].on.labels.unwrap();
            assert!(labels.holds(kinds), "{code}");
            let opened = compile(&consent(
                "part2-consent",
                "OPTOUT",
                &provision("permit", code),
            ));
            let labels = opened.unwrap().unwrap().permits[0].on.labels.unwrap();
            assert!(!labels.holds(kinds), "{code}");
        }
    }

    #[test]
    fn only_an_active_consent_directs() {
        let text = consent("restriction", "OPTOUT", "{}").text().to_vec();
        let text = String::from_utf8(text)
            .unwrap()
            .replace("\"active\"", "\"inactive\"");
        assert_eq!(compile(&Resource::ours(text).unwrap()), Ok(None));
    }
}
