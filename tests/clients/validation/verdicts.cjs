// One line a case on standard input, one verdict a line: the number of errors that npm `fhir` finds.
const { Fhir } = require('fhir');
const readline = require('readline');

const fhir = new Fhir();
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let errors;
  try {
    const { valid, messages } = fhir.validate(JSON.parse(line), { errorOnUnexpected: true });
    errors = valid ? 0 : messages.filter((m) => m.severity === 'error' || m.severity === 'fatal').length;
  } catch (e) {
    errors = 1;
  }
  console.log(errors);
});
