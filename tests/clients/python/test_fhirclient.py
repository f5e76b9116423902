"""PyPI fhirclient: the SMART client of Boston Children's Hospital, with its typed R4 models."""

import os
import unittest
import warnings

import requests
from fhirclient import client, server
from fhirclient.models import bundle, encounter, observation, patient

BASE = os.environ["FHIR_BASE"]

# Its sessions are its own to close.
warnings.simplefilter("ignore", ResourceWarning)


def connect(token):
    smart = client.FHIRClient(settings={"app_id": "clients-ehr", "api_base": BASE})
    smart.prepare()
    smart.server.auth.access_token = os.environ[token]
    return smart


class AsAnEhr(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.smart = connect("EHR_TOKEN")

    def test_the_capability_statement_is_one_that_its_models_accept(self):
        capability = self.smart.server.capabilityStatement
        self.assertEqual(capability.fhirVersion, "4.0.1")
        kinds = {resource.type for resource in capability.rest[0].resource}
        self.assertIn("Observation", kinds)
        self.assertIn("AuditEvent", kinds)

    def test_the_oauth_endpoints_are_found(self):
        auth = self.smart.server.auth
        self.assertEqual(auth.auth_type, "oauth2")
        self.assertTrue(auth._token_uri.endswith("/auth/token"))

    def test_a_patient_is_read(self):
        maya = patient.Patient.read("rivera-maya", self.smart.server)
        self.assertEqual(maya.name[0].family, "Rivera")
        self.assertEqual(maya.birthDate.isostring, "2011-07-24")

    def test_a_search_gives_typed_resources_page_by_page(self):
        search = observation.Observation.where({"patient": "rivera-maya", "_count": "7", "_sort": "-date", "_total": "accurate"})
        first = search.perform(self.smart.server)
        self.assertEqual(first.type, "searchset")
        self.assertEqual(len(first.entry), 7)
        seen, page = [], first
        while page is not None:
            seen += [entry.resource.id for entry in page.entry or []]
            following = [link.url for link in page.link if link.relation == "next"]
            page = bundle.Bundle.read_from(following[0].removeprefix(BASE + "/"), self.smart.server) if following else None
        self.assertEqual(len(seen), first.total)
        self.assertEqual(len(seen), len(set(seen)))
        every = search.perform_resources(self.smart.server)
        self.assertGreaterEqual(len(every), 7)

    def test_included_records_come_along(self):
        search = encounter.Encounter.where({"patient": "rivera-maya", "_include": "Encounter:patient", "_count": "3"})
        found = search.perform(self.smart.server)
        modes = [entry.search.mode for entry in found.entry]
        self.assertEqual(modes.count("match"), 3)
        self.assertEqual([entry.resource.id for entry in found.entry if entry.search.mode == "include"], ["rivera-maya"])

    def test_a_record_is_created_updated_and_read_back(self):
        pulse = observation.Observation({
            "resourceType": "Observation", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": "Patient/rivera-maya"},
            "performer": [{"reference": "Practitioner/dr-lee"}],
            "effectiveDateTime": "2026-08-12T10:00:00-07:00",
            "valueQuantity": {"value": 61, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
        })
        created = pulse.create(self.smart.server)
        self.assertTrue(created["id"])
        read = observation.Observation.read(created["id"], self.smart.server)
        self.assertEqual(read.valueQuantity.value, 61)
        read.valueQuantity.value = 62
        updated = read.update(self.smart.server)
        self.assertNotEqual(updated["meta"]["versionId"], created["meta"]["versionId"])
        again = observation.Observation.read(created["id"], self.smart.server)
        self.assertEqual(again.valueQuantity.value, 62)

    def test_what_is_not_there_is_an_exception_of_its_own(self):
        with self.assertRaises(server.FHIRNotFoundException):
            patient.Patient.read("never-was", self.smart.server)

    def test_a_bad_token_is_unauthorized(self):
        other = client.FHIRClient(settings={"app_id": "x", "api_base": BASE})
        other.prepare()
        other.server.auth.access_token = "nonsense"
        with self.assertRaises(server.FHIRUnauthorizedException):
            patient.Patient.read("rivera-maya", other.server)

    def test_an_unknown_parameter_is_an_error_and_not_a_wider_search(self):
        with self.assertRaises(requests.HTTPError) as told:
            observation.Observation.where({"patient": "rivera-maya", "colour": "red"}).perform(self.smart.server)
        self.assertEqual(told.exception.response.status_code, 400)


class AsTheSubscriber(unittest.TestCase):
    def test_the_client_meets_no_sign_of_what_is_hidden(self):
        smart = connect("SUBSCRIBER_TOKEN")
        maya = patient.Patient.read("rivera-maya", smart.server)
        self.assertEqual(maya.id, "rivera-maya")
        found = observation.Observation.where({"patient": "rivera-maya", "_total": "accurate"}).perform(smart.server)
        self.assertEqual(found.total, 0)
        self.assertIsNone(found.entry)
        for id in ("maya-mh-encounter", "never-was"):
            with self.assertRaises(server.FHIRNotFoundException):
                encounter.Encounter.read(id, smart.server)
