// A consumer of another platform. It keeps a short queue of its own, which drops the oldest messages when it is full,
// notices by `previous` what it has missed, and asks the history feed for it.
//
//   node consumer.mjs <amqp url> <feed url> <contract folder>
//
// Says {"ready":true} once its queue is bound, begins to consume at a line of input, whose number is the position at
// which to stop, and prints a line for each event: where it came from, and what is wrong with it.
import { createInterface } from 'node:readline';
import amqp from 'amqplib';
import { openContract } from './schemas.mjs';

const [amqpUrl, feedUrl, folder] = process.argv.slice(2);
const faultsOf = openContract(folder);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let last = 0;

function take(event, via) {
  const position = Number(event.position);
  if (position <= last) return say({ duplicate: position, via });
  if (Number(event.previous) !== last) throw new Error(`${event.previous} is missing before ${position}, via ${via}`);
  last = position;
  say({ position, id: event.id, type: event.type, via, faults: faultsOf(event) });
}

async function heal(upTo) {
  while (last < upTo) {
    const answer = await fetch(`${feedUrl}/v1/events?after=${last}&limit=7`);
    if (!answer.ok) throw new Error(`the feed answered ${answer.status}: ${await answer.text()}`);
    const lines = (await answer.text()).split('\n').filter(Boolean);
    for (const line of lines) {
      const event = JSON.parse(line);
      if (Number(event.position) <= upTo) take(event, 'feed');
    }
    if (lines.length === 0) throw new Error(`the feed ends at ${answer.headers.get('kithlog-position')}`);
  }
}

async function receive(message) {
  const { contentType, headers, type, messageId } = message.properties;
  const event = JSON.parse(message.content.toString('utf8'));
  const agrees =
    contentType === 'application/cloudevents+json' && type === event.type && messageId === event.id &&
    ['position', 'previous', 'epoch'].every((name) => String(headers[name]) === String(event[name])) &&
    message.fields.routingKey === `${event.tenant}.${event.type.split('.').slice(1, 3).join('.')}`;
  if (!agrees) throw new Error(`properties and body disagree at ${event.position}`);
  if (headers.previous > last) await heal(headers.previous);
  take(event, 'broker');
}

const connection = await amqp.connect(amqpUrl);
const channel = await connection.createChannel();
await channel.checkExchange('kithlog.events');
const { queue } = await channel.assertQueue('platform.events', {
  durable: true,
  arguments: { 'x-queue-type': 'quorum', 'x-max-length': 20, 'x-overflow': 'drop-head', 'x-delivery-limit': 20 },
});
await channel.bindQueue(queue, 'kithlog.events', '#');
await channel.prefetch(10);
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const stopAt = Number(line);
  let work = Promise.resolve();
  await new Promise((resolve, reject) => {
    channel.consume(queue, (message) => {
      work = work.then(() => receive(message)).then(() => {
        channel.ack(message);
        if (last >= stopAt) resolve();
      }).catch(reject);
    });
  });
  break;
}
await channel.close();
await connection.close();
process.stdin.destroy(); // else it keeps the process
