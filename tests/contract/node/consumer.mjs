// A consumer of another platform, by the rules of deploy/contract/README.md. Its queue is short, and drops the oldest
// messages when it is full: what it has missed it asks the history feed for.
//
//   node consumer.mjs <amqp url> <feed url> <contract folder> [<category>]
//
// Bound to all events, or to those of a category. Says {"ready":true} once its queue is bound. Each line of input is a
// position: it consumes until the broker has brought that one, and says {"reached":…}. It prints a line for each event:
// where it came from, and what is wrong with it.
import { createInterface } from 'node:readline';
import amqp from 'amqplib';
import { openContract } from './schemas.mjs';

const [amqpUrl, feedUrl, folder, category] = process.argv.slice(2);
const faultsOf = openContract(folder);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// What it keeps; a service does so in its database, in the transaction in which it handles an event.
let epoch = 0; // none yet
let read = 0; // all that it is bound to, up to this position, is handled
const beyond = new Set(); // positions handled after that: none for a consumer of all events, which has no gaps

function take(event, via) {
  const position = Number(event.position);
  if (position <= read || beyond.has(position)) return say({ duplicate: position, via });
  if (category) beyond.add(position);
  else if (Number(event.previous) === read) read = position;
  else throw new Error(`${event.previous} is missing before ${position}, via ${via}`);
  say({ position, id: event.id, type: event.type, via, faults: faultsOf(event) });
}

// Sent once more, to this queue alone: handled whatever its position, which moves nothing. Who replays may have named
// more than this is bound to, and a restore may have undone since what was replayed.
async function takeAgain(event, key) {
  if (category && key.split('.')[1] !== category) return;
  const position = Number(event.position);
  const doubtful = event.epoch < epoch || position > Math.max(read, ...beyond);
  if (doubtful && !(await holds(event))) return say({ abandoned: position });
  say({ replayed: position, id: event.id, faults: faultsOf(event) });
}

// Whether the log has an event of an earlier epoch still.
async function holds(event) {
  const answer = await fetch(`${feedUrl}/v1/events?after=${event.position - 1}&limit=1`);
  const text = await answer.text();
  if (!answer.ok && answer.status !== 409) throw new Error(`the feed answered ${answer.status}: ${text}`);
  const there = answer.ok && text && JSON.parse(text);
  return there && there.id === event.id && there.epoch === event.epoch;
}

// A page of the history, or null: then the log was restored. What came after the fork is forgotten, where a service
// would undo it, too; and what is kept is of the epoch that a message has told of, or else of the log's.
async function page(after, inEpoch) {
  const asked = { after, limit: 7, ...(epoch && { epoch }), ...(category && { types: `${category}.*` }) };
  const answer = await fetch(`${feedUrl}/v1/events?${new URLSearchParams(asked)}`);
  const text = await answer.text();
  const forked = answer.status === 409 && JSON.parse(text);
  if (!answer.ok && forked?.fork === undefined) throw new Error(`the feed answered ${answer.status}: ${text}`);
  if (!forked) {
    epoch = Number(answer.headers.get('kithlog-epoch'));
    const [upTo, head] = ['kithlog-position', 'kithlog-head'].map((name) => Number(answer.headers.get(name)));
    return { text, upTo, head };
  }
  const top = Math.max(read, ...beyond);
  if (after < top) return page(top, inEpoch); // what is asked from before all of it is told no further fork than that
  epoch = inEpoch ?? forked.epoch;
  say({ restored: forked.fork, epoch });
  read = Math.min(read, forked.fork);
  for (const position of beyond) if (position > forked.fork) beyond.delete(position);
  return null;
}

// All that the history has, up to a position or to its end; that, too, when it tells of a restore.
async function heal(upTo = Infinity) {
  while (read < upTo) {
    const found = await page(read);
    if (!found) {
      upTo = Infinity;
      continue;
    }
    for (const event of found.text.split('\n').filter(Boolean).map(JSON.parse)) {
      if (Number(event.position) <= upTo) take(event, 'feed');
    }
    read = Math.max(read, Math.min(found.upTo, upTo));
    for (const position of beyond) if (position <= read) beyond.delete(position);
    if (found.upTo === found.head) return;
  }
}

async function receive(message) {
  const { contentType, headers, type, messageId } = message.properties;
  const event = JSON.parse(message.content.toString('utf8'));
  const key = headers.replay ? headers['routing-key'] : message.fields.routingKey;
  const agrees =
    contentType === 'application/cloudevents+json' && type === event.type && messageId === event.id &&
    ['position', 'previous', 'epoch'].every((name) => String(headers[name]) === String(event[name])) &&
    key === `${event.tenant}.${event.type.split('.').slice(1, 3).join('.')}`;
  if (!agrees) throw new Error(`properties and body disagree at ${event.position}`);
  if (headers.replay) {
    await takeAgain(event, key);
    return headers.position;
  }
  epoch ||= event.epoch;
  if (event.epoch > epoch && (await page(Math.max(read, ...beyond), event.epoch))) throw new Error('no fork is told');
  if (!category && event.epoch === epoch && headers.previous > read) await heal(headers.previous);
  if (event.epoch < epoch) say({ abandoned: headers.position });
  else take(event, 'broker');
  return headers.position;
}

const connection = await amqp.connect(amqpUrl);
const channel = await connection.createChannel();
await channel.checkExchange('kithlog.events');
const { queue } = await channel.assertQueue(`platform.${category ?? 'events'}`, {
  durable: true,
  arguments: {
    'x-queue-type': 'quorum', 'x-single-active-consumer': true, 'x-delivery-limit': 20,
    'x-max-length': 20, 'x-overflow': 'drop-head',
  },
});
await channel.bindQueue(queue, 'kithlog.events', category ? `*.${category}.*` : '#');
await channel.prefetch(10);
say({ ready: true });

for await (const line of createInterface({ input: process.stdin })) {
  const stopAt = Number(line);
  let work = Promise.resolve();
  await new Promise((resolve, reject) => {
    channel.consume(queue, (message) => {
      work = work.then(() => receive(message)).then((position) => {
        channel.ack(message);
        if (position >= stopAt) resolve();
      }).catch(reject);
    }, { consumerTag: 'platform' });
  });
  await channel.cancel('platform');
  await work;
  if (category) await heal(); // as it would from time to time
  say({ reached: stopAt });
}
await channel.close();
await connection.close();
process.stdin.destroy(); // else it keeps the process
