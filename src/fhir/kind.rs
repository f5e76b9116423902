//! The resource types of R4 as one byte each. The order is stored in databases: append only.

use std::fmt;

/// A resource type of FHIR R4 4.0.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

/// Every R4 resource type, in the order of their numbers.
pub const NAMES: [&str; 146] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];

impl Kind {
    /// The type of that name.
    pub fn named(name: &str) -> Option<Kind> {
        let at = NAMES.binary_search(&name).ok()?;
        u8::try_from(at).ok().map(Kind)
    }

    /// The type of that stored number.
    pub fn numbered(number: i64) -> Option<Kind> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < NAMES.len()).then_some(Kind(number))
    }

    /// Its name, as in `resourceType`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// Its stored number.
    pub fn number(self) -> i64 {
        i64::from(self.0)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Kind> {
        (0..NAMES.len()).filter_map(|n| u8::try_from(n).ok().map(Kind))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of resource types.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds([u64; 3]);

impl Kinds {
    /// Every type.
    pub const ALL: Kinds = Kinds([u64::MAX; 3]);
    /// No type.
    pub const NONE: Kinds = Kinds([0; 3]);

    /// The types of these names; unknown names are dropped (tables are checked at start).
    pub fn of(names: &[&str]) -> Kinds {
        names.iter().filter_map(|name| Kind::named(name)).collect()
    }

    /// Whether `kind` is in the set.
    pub fn has(self, kind: Kind) -> bool {
        let (word, bit) = (usize::from(kind.0 / 64), kind.0 % 64);
        self.0.get(word).is_some_and(|word| word & (1 << bit) != 0)
    }

    /// With `kind` added.
    #[must_use]
    pub fn with(mut self, kind: Kind) -> Kinds {
        let (word, bit) = (usize::from(kind.0 / 64), kind.0 % 64);
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << bit;
        }
        self
    }

    /// Those in this set but not in `other`.
    #[must_use]
    pub fn without(self, other: Kinds) -> Kinds {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Kinds([a & !x, b & !y, c & !z])
    }

    /// Those in both sets.
    #[must_use]
    pub fn both(self, other: Kinds) -> Kinds {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Kinds([a & x, b & y, c & z])
    }

    /// Those in either set.
    #[must_use]
    pub fn either(self, other: Kinds) -> Kinds {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Kinds([a | x, b | y, c | z])
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The types in it.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::all().filter(move |kind| self.has(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Kinds::NONE, Kinds::with)
    }
}

impl serde::Serialize for Kinds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Kind::name))
    }
}

impl<'de> serde::Deserialize<'de> for Kinds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| Kind::named(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for kind in Kind::all() {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert_eq!(Kind::numbered(kind.number()), Some(kind));
        }
        assert_eq!(Kind::named("Ghost"), None);
        assert_eq!(Kind::numbered(255), None);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = Kinds::of(&["Patient", "VisionPrescription"]);
        assert!(set.has(Kind::named("Patient").unwrap()));
        assert_eq!(set.iter().count(), 2);
        assert!(Kinds::ALL.without(set).both(set).is_empty());
        assert_eq!(Kinds::ALL.iter().count(), NAMES.len());
    }
}
