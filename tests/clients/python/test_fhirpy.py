"""PyPI fhirpy: plain dictionaries, synchronous and asynchronous."""

import os
import unittest

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

BASE = os.environ["FHIR_BASE"]


def settings(token):
    # Its count() sends a parameter of one vendor's; here who wants unknown parameters ignored says so.
    return {
        "authorization": "Bearer " + os.environ[token],
        "extra_headers": {"Prefer": "handling=lenient"},
    }


class Synchronous(unittest.TestCase):
    def setUp(self):
        self.client = SyncFHIRClient(BASE, **settings("EHR_TOKEN"))

    def test_search_first_count_and_all(self):
        encounters = self.client.resources("Encounter").search(patient="rivera-maya")
        total = encounters.count()
        self.assertGreater(total, 10)
        self.assertEqual(encounters.sort("-date").first()["resourceType"], "Encounter")
        self.assertEqual(len(encounters.limit(5).fetch()), 5)
        every = encounters.limit(7).fetch_all()
        self.assertEqual(len(every), total)
        self.assertEqual(len({e.id for e in every}), total)

    def test_dates_and_codes_narrow(self):
        observations = self.client.resources("Observation")
        late = observations.search(patient="rivera-maya", date__ge="2026-01-01")
        early = observations.search(patient="rivera-maya", date__lt="2026-01-01")
        both = observations.search(patient="rivera-maya")
        self.assertEqual(late.count() + early.count(), both.count())
        self.assertGreater(late.count(), 0)

    def test_references_are_followed(self):
        one = self.client.resources("Encounter").search(patient="rivera-maya").first()
        subject = one["subject"].to_resource()
        self.assertEqual(subject["id"], "rivera-maya")

    def test_save_and_refresh(self):
        goal = self.client.resource(
            "Goal",
            lifecycleStatus="active",
            description={"text": "Walks every day"},
            subject={"reference": "Patient/rivera-maya"},
        )
        goal.save()
        self.assertIsNotNone(goal.id)
        goal["lifecycleStatus"] = "completed"
        goal.save()
        again = self.client.reference("Goal", goal.id).to_resource()
        self.assertEqual(again["lifecycleStatus"], "completed")

    def test_errors_are_outcomes(self):
        with self.assertRaises(ResourceNotFound):
            self.client.reference("Patient", "never-was").to_resource()
        with self.assertRaises(OperationOutcome) as told:
            self.client.resource("Observation", status="final", colour="red").save()
        self.assertIn("OperationOutcome", str(told.exception))

    def test_an_operation_is_executed(self):
        everything = self.client.execute("Patient/rivera-maya/$everything", method="get", params={"_count": "50"})
        self.assertEqual(everything["type"], "searchset")
        matches = [entry for entry in everything["entry"] if entry["search"]["mode"] == "match"]
        self.assertEqual(len(matches), 50)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_many_pages_are_walked(self):
        client = AsyncFHIRClient(BASE, **settings("EHR_TOKEN"))
        observations = client.resources("Observation").search(patient="rivera-maya").limit(20)
        total = await observations.count()
        ids = [one.id async for one in observations]
        self.assertEqual((len(ids), len(set(ids))), (total, total))

    async def test_the_subscriber_counts_nothing_that_is_hidden(self):
        client = AsyncFHIRClient(BASE, **settings("SUBSCRIBER_TOKEN"))
        self.assertEqual(await client.resources("Condition").search(patient="rivera-maya").count(), 0)
        bills = await client.resources("ExplanationOfBenefit").search(patient="rivera-maya").fetch_all()
        self.assertGreater(len(bills), 0)
        for bill in bills:
            self.assertNotIn("security", bill.get("meta", {}))
