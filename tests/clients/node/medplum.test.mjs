// npm @medplum/core: the client of the Medplum platform, against another server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MedplumClient, OperationOutcomeError } from '@medplum/core';

const base = new URL(process.env.FHIR_BASE);
const as = (token) =>
  new MedplumClient({
    baseUrl: `${base.origin}/`,
    fhirUrlPath: 'fhir',
    accessToken: process.env[token],
    fetch,
    cacheTime: 0,
  });
const ehr = as('EHR_TOKEN');

const carePlan = () => ({
  resourceType: 'CarePlan',
  status: 'active',
  intent: 'plan',
  title: 'Back to sport',
  subject: { reference: 'Patient/rivera-maya' },
});

test('read and search', async () => {
  const maya = await ehr.readResource('Patient', 'rivera-maya');
  assert.equal(maya.name[0].family, 'Rivera');
  const bundle = await ehr.search('Observation', 'patient=Patient/rivera-maya&_count=4&_total=accurate');
  assert.equal(bundle.entry.length, 4);
  const one = await ehr.searchOne('Encounter', 'patient=rivera-maya&_sort=-date');
  assert.equal(one.resourceType, 'Encounter');
  let pages = 0;
  let seen = 0;
  for await (const page of ehr.searchResourcePages('Observation', 'patient=rivera-maya&_count=25')) {
    pages += 1;
    seen += page.length;
  }
  assert.equal(seen, bundle.total);
  assert.ok(pages > 1);
});

test('create, update, patch, history, delete', async () => {
  const created = await ehr.createResource(carePlan());
  const updated = await ehr.updateResource({ ...created, title: 'Back to football' });
  assert.notEqual(updated.meta.versionId, created.meta.versionId);
  const patched = await ehr.patchResource('CarePlan', created.id, [{ op: 'replace', path: '/title', value: 'Rest' }]);
  assert.equal(patched.title, 'Rest');
  const history = await ehr.readHistory('CarePlan', created.id);
  assert.deepEqual(history.entry.map((e) => e.resource.title), ['Rest', 'Back to football', 'Back to sport']);
  const first = await ehr.readVersion('CarePlan', created.id, created.meta.versionId);
  assert.equal(first.title, 'Back to sport');
  await ehr.deleteResource('CarePlan', created.id);
  await assert.rejects(ehr.readResource('CarePlan', created.id), OperationOutcomeError);
});

test('a conditional create makes one record', async () => {
  const identifier = [{ system: 'https://valley.example/plans', value: 'p-4711' }];
  const made = await ehr.createResourceIfNoneExist({ ...carePlan(), identifier }, 'identifier=https://valley.example/plans|p-4711');
  const again = await ehr.createResourceIfNoneExist({ ...carePlan(), identifier }, 'identifier=https://valley.example/plans|p-4711');
  assert.equal(again.id, made.id);
});

test('$everything and $validate', async () => {
  const everything = await ehr.readPatientEverything('rivera-maya');
  assert.ok(everything.entry.length > 10);
  const outcome = await ehr.validateResource(carePlan());
  assert.equal(outcome.resourceType, 'OperationOutcome');
  assert.ok(!outcome.issue.some((issue) => ['error', 'fatal'].includes(issue.severity)));
});

test('a batch of reads', async () => {
  const bundle = await ehr.executeBatch({
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { request: { method: 'GET', url: 'Patient/rivera-maya' } },
      { request: { method: 'GET', url: 'Observation?patient=rivera-maya&_count=1' } },
    ],
  });
  assert.deepEqual(bundle.entry.map((e) => e.resource.resourceType), ['Patient', 'Bundle']);
});

test('the subscriber gets nothing that is hidden', async () => {
  const subscriber = as('SUBSCRIBER_TOKEN');
  assert.equal((await subscriber.searchResources('MedicationRequest', 'patient=rivera-maya')).length, 0);
  const told = async (id) => {
    try {
      await subscriber.readResource('Encounter', id);
    } catch (error) {
      return JSON.stringify(error.outcome);
    }
    return 'shown';
  };
  assert.equal(await told('maya-mh-encounter'), await told('never-was'));
});
