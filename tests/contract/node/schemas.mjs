// Validates events by the committed schemas, and by nothing else: no code is shared with the services.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const read = (file) => JSON.parse(readFileSync(file, 'utf8'));

export function openContract(folder) {
  const keywords = ['x-personal', 'x-minimum', 'x-maximum'];
  const ajv = new Ajv({ strict: true, strictTypes: false, allErrors: true, keywords });
  addFormats(ajv);
  ajv.addSchema(read(join(folder, 'cloudevent.json')));
  for (const file of readdirSync(join(folder, 'events'))) ajv.addSchema(read(join(folder, 'events', file)));

  function check(id, value) {
    const validate = ajv.getSchema(id);
    if (!validate) return [`there is no schema ${id}`];
    return validate(value) ? [] : validate.errors.map((error) => `${id} ${error.instancePath}: ${error.message}`);
  }

  // What is wrong with an event, in words; nothing, if it keeps to the contract.
  return (event) => [...check('urn:kithlog:cloudevent', event), ...check(event.dataschema, event.data)];
}
