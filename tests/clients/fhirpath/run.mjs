// What npm fhirpath says of the official examples: every search expression of their type, every base
// invariant, and the expressions of a list. One JSON object a line: file, expression, result (or null
// where it is an error).
//
//   node run.mjs DEFINITIONS EXAMPLES INVARIANTS.tsv EXPRESSIONS.txt
import fs from 'node:fs';
import path from 'node:path';
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';

process.env.TZ = 'UTC';
const [definitions, examples, invariantsFile, expressionsFile] = process.argv.slice(2);
const read = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
const lines = (file) => fs.readFileSync(file, 'utf8').split('\n').filter((line) => line && !line.startsWith('#'));

const NOT_DOMAIN = ['Bundle', 'Binary', 'Parameters'];
const searches = fs.readdirSync(definitions)
  .filter((name) => name.startsWith('SearchParameter-'))
  .map((name) => read(path.join(definitions, name)))
  .filter((parameter) => parameter.expression);

const extensions = 'descendants().extension.select((extension.exists() != value.exists()))';
const invariants = lines(invariantsFile).map((line) => {
  const [owner, element, key, , expression] = line.split('\t');
  return { owner, element: element.replace('[x]', ''), key, expression };
});
// Those that hold everywhere are not in the table.
invariants.push(
  { owner: 'Element', element: '', expression: 'hasValue() or (children().count() > id.count())' },
);

const resources = new Set(searches.flatMap((parameter) => parameter.base || []));

// An invariant as one expression over the whole resource: the verdicts on each value that it is about.
function about(type, { owner, element, expression }) {
  const head = owner.split('.')[0];
  const below = element ? `.${element}` : '';
  if (owner === type || owner.startsWith(`${type}.`)) return `${owner}${below}.select((${expression}))`;
  if (owner === 'DomainResource') return NOT_DOMAIN.includes(type) ? null : `${type}.select((${expression}))`;
  if (owner === 'Resource') return `${type}.select((${expression}))`;
  // A narrative's text is no primitive to the oracle, and a primitive's extensions no children.
  if (owner === 'Element') return `descendants().where(($this is xhtml).not()).select((${expression}))`;
  if (owner === 'Extension') return null;
  if (resources.has(head) || /^[A-Z]\w+\./.test(owner) && head === type) return null;
  if (owner.includes('.')) return null;
  return `descendants().ofType(${owner})${below}.select((${expression}))`;
}

// Whether a reference names a resource of this type, as if it had been fetched.
function resolvesTo(inputs, type) {
  return inputs.some((input) => {
    const text = typeof input === 'string' ? input : input.reference;
    if (text?.startsWith('#')) return contained.some((one) => `#${one.id}` === text && one.resourceType === type);
    const match = text?.match(/(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]+(?:\/_history\/[^/]+)?$/);
    return (resources.has(match?.[1]) ? match[1] : input.type) === type;
  });
}
let contained = [];
const hasExtension = (inputs, url) => inputs.some((input) => input.extension?.some((one) => one.url === url));
const options = {
  preciseMath: true,
  traceFn: () => {},
  userInvocationTable: {
    resolvesTo: { fn: resolvesTo, arity: { 1: ['String'] } },
    hasExtension: { fn: hasExtension, arity: { 1: ['String'] } },
    htmlChecks: { fn: () => true, arity: { 0: [] } },
  },
};

// R4's own expressions apply `as` to collections, where only `ofType` is allowed.
function narrowed(expression) {
  return expression
    .replace(/resolve\(\) is (\w+)/g, "resolvesTo('$1')")
    .replace(/\.div\b/g, '.`div`')
    .replace(/\.as\((\w+)\)/g, '.ofType($1)')
    .replace(/\bas\((\w+)\)/g, 'ofType($1)')
    .replace(/\(([\w.]+) as (\w+)\)/g, '($1.ofType($2))');
}

const variables = {
  sct: 'http://snomed.info/sct',
  loinc: 'http://loinc.org',
  'vs-administrative-gender': 'http://hl7.org/fhir/ValueSet/administrative-gender',
  'ext-patient-birthTime': 'http://hl7.org/fhir/StructureDefinition/patient-birthTime',
};

const compiled = new Map();
function evaluate(resource, expression) {
  try {
    if (!compiled.has(expression)) compiled.set(expression, fhirpath.compile(narrowed(expression), r4, options));
    return compiled.get(expression)(structuredClone(resource), { ...variables, resource, rootResource: resource });
  } catch (error) {
    if (process.env.WHY) console.error(`${resource.resourceType}/${resource.id}`, expression, error.message);
    return null;
  }
}

for (const name of fs.readdirSync(examples).sort()) {
  const file = path.join(examples, name);
  const resource = read(file);
  const type = resource.resourceType;
  contained = resource.contained ?? [];
  const bases = [type, 'Resource', ...(NOT_DOMAIN.includes(type) ? [] : ['DomainResource'])];
  const expressions = new Set([extensions]);
  for (const parameter of searches) {
    if ((parameter.base || []).some((base) => bases.includes(base))) expressions.add(parameter.expression);
  }
  for (const invariant of invariants) {
    const expression = about(type, invariant);
    if (expression) expressions.add(expression);
  }
  if (/^(Patient|Observation)-example\.json$/.test(name)) lines(expressionsFile).forEach((line) => expressions.add(line));
  // The definitions of all of R4 in one file: their every descendant is too much for the oracle's stack.
  const large = fs.statSync(file).size > 1_000_000;
  for (const expression of expressions) {
    if (large && expression.includes('descendants()')) continue;
    process.stdout.write(`${JSON.stringify({ file: name, expression, result: evaluate(resource, expression) })}\n`);
  }
}
