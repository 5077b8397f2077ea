// AsyncAPI's own parser: prints what it finds wrong with a document, and how many messages it sees in it.
import { Parser, fromFile } from '@asyncapi/parser';

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const faults = diagnostics.filter(({ severity }) => severity < 2);
process.stdout.write(JSON.stringify({
  faults: faults.map(({ code, path, message }) => `${code} at ${path.join('/')}: ${message}`),
  messages: document ? document.allMessages().length : 0,
  operations: document ? document.allOperations().length : 0,
}));
