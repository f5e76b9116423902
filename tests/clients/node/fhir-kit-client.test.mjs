// npm fhir-kit-client: a thin client of every interaction.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from 'fhir-kit-client';

const baseUrl = process.env.FHIR_BASE;
const as = (token) => new Client({ baseUrl, bearerToken: process.env[token] });
const ehr = as('EHR_TOKEN');

const pulse = () => ({
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  subject: { reference: 'Patient/rivera-maya' },
  performer: [{ reference: 'Practitioner/dr-lee' }],
  effectiveDateTime: '2026-08-12T10:00:00-07:00',
  valueQuantity: { value: 61, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
});

async function status(promise) {
  try {
    await promise;
    return 200;
  } catch (error) {
    assert.equal(error.response.data.resourceType, 'OperationOutcome');
    return error.response.status;
  }
}

test('discovery: metadata and SMART', async () => {
  const statement = await ehr.capabilityStatement();
  assert.equal(statement.fhirVersion, '4.0.1');
  const smart = await ehr.smartAuthMetadata();
  assert.match(smart.tokenUrl.href, /\/auth\/token$/);
});

test('read, and the versions of what changed', async () => {
  const created = await ehr.create({ resourceType: 'Observation', body: pulse() });
  const changed = { ...created, valueQuantity: { ...created.valueQuantity, value: 62 } };
  const updated = await ehr.update({ resourceType: 'Observation', id: created.id, body: changed });
  assert.notEqual(updated.meta.versionId, created.meta.versionId);
  const old = await ehr.vread({ resourceType: 'Observation', id: created.id, version: created.meta.versionId });
  assert.equal(old.valueQuantity.value, 61);
  const history = await ehr.history({ resourceType: 'Observation', id: created.id });
  assert.equal(history.type, 'history');
  assert.deepEqual(history.entry.map((e) => e.resource.valueQuantity.value), [62, 61]);
});

test('patch and delete', async () => {
  const { id } = await ehr.create({ resourceType: 'Observation', body: pulse() });
  const patched = await ehr.patch({
    resourceType: 'Observation',
    id,
    jsonPatch: [{ op: 'replace', path: '/valueQuantity/value', value: 70 }],
  });
  assert.equal(patched.valueQuantity.value, 70);
  await ehr.delete({ resourceType: 'Observation', id });
  assert.equal(await status(ehr.read({ resourceType: 'Observation', id })), 410);
});

test('search by type, by compartment and by POST; pages forth', async () => {
  const byType = await ehr.search({ resourceType: 'Observation', searchParams: { patient: 'rivera-maya', _count: 5, _total: 'accurate' } });
  assert.equal(byType.entry.length, 5);
  const next = await ehr.nextPage({ bundle: byType });
  assert.equal(next.total, byType.total);
  assert.notEqual(next.entry[0].resource.id, byType.entry[0].resource.id);
  const compartment = { resourceType: 'Patient', id: 'rivera-maya' };
  const inCompartment = await ehr.search({ resourceType: 'Observation', compartment, searchParams: { _count: 5, _total: 'accurate' } });
  assert.equal(inCompartment.total, byType.total);
  const posted = await ehr.search({
    resourceType: 'Observation',
    searchParams: { patient: 'rivera-maya', _count: 5, _total: 'accurate' },
    options: { postSearch: true },
  });
  assert.equal(posted.total, byType.total);
});

test('a transaction and a batch', async () => {
  const entry = (fullUrl, resource) => ({ fullUrl, resource, request: { method: 'POST', url: resource.resourceType } });
  const visit = 'urn:uuid:7d2f0a52-3c1d-4a51-9e57-2f6b6d3b0b01';
  const encounter = {
    resourceType: 'Encounter',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    subject: { reference: 'Patient/rivera-maya' },
    period: { start: '2026-08-12T10:00:00-07:00', end: '2026-08-12T10:30:00-07:00' },
    serviceProvider: { reference: 'Organization/valley-clinic' },
  };
  const observed = { ...pulse(), encounter: { reference: visit } };
  const body = {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [entry(visit, encounter), entry('urn:uuid:7d2f0a52-3c1d-4a51-9e57-2f6b6d3b0b02', observed)],
  };
  const done = await ehr.transaction({ body });
  assert.equal(done.type, 'transaction-response');
  const [first, second] = done.entry.map((e) => e.response.location.match(/([A-Z]\w+\/[^/]+)/)[1]);
  const [resourceType, id] = second.split('/');
  const read = await ehr.read({ resourceType, id });
  assert.equal(read.encounter.reference, first);

  const batch = await ehr.batch({
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [
        { request: { method: 'GET', url: 'Patient/rivera-maya' } },
        { request: { method: 'GET', url: 'Patient/never-was' } },
      ],
    },
  });
  assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ['200', '404']);
});

test('an operation, and references', async () => {
  const everything = await ehr.operation({ name: 'everything', resourceType: 'Patient', id: 'rivera-maya', method: 'GET' });
  assert.equal(everything.type, 'searchset');
  const encounter = everything.entry.find((e) => e.resource.resourceType === 'Encounter').resource;
  const subject = await ehr.resolve({ reference: encounter.subject.reference, context: encounter });
  assert.equal(subject.id, 'rivera-maya');
});

test('errors are OperationOutcomes with their status', async () => {
  assert.equal(await status(ehr.read({ resourceType: 'Patient', id: 'never-was' })), 404);
  assert.equal(await status(ehr.search({ resourceType: 'Patient', searchParams: { colour: 'red' } })), 400);
  assert.equal(await status(ehr.create({ resourceType: 'Observation', body: { resourceType: 'Observation' } })), 400);
  const nobody = new Client({ baseUrl, bearerToken: 'nonsense' });
  assert.equal(await status(nobody.read({ resourceType: 'Patient', id: 'rivera-maya' })), 401);
});

test('the subscriber is answered as if what is hidden never was', async () => {
  const subscriber = as('SUBSCRIBER_TOKEN');
  const found = await subscriber.search({ resourceType: 'Condition', searchParams: { patient: 'rivera-maya', _total: 'accurate' } });
  assert.deepEqual([found.total, found.entry], [0, undefined]);
  for (const act of ['read', 'history']) {
    assert.equal(await status(subscriber[act]({ resourceType: 'Encounter', id: 'maya-mh-encounter' })), 404, act);
  }
});
