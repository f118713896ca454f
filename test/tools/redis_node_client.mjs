// What an application does with ioredis and with node-redis: prints what it saw, a line each.
// Usage: node redis_node_client.mjs FOLDER-OF-PACKAGES PORT.
import { createRequire } from 'node:module';
import { inspect } from 'node:util';

const [folder, port] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const Redis = load('ioredis');
const { createClient, RESP_TYPES } = load('redis');

const say = (what, value) => console.log(`${what}: ${inspect(value, { depth: 5, breakLength: Infinity, compact: 100 })}`);
const refused = async (what, call) => {
  try {
    say(what, await call());
  } catch (error) {
    say(what, [error.constructor.name, error.message]);
  }
};

async function ioredis() {
  const client = new Redis({ port, connectionName: 'application', maxRetriesPerRequest: 3 });
  await client.flushall();
  say('ping', await client.ping());
  say('name', await client.client('GETNAME'));
  say('set', [await client.set('k', Buffer.from([0, 255, 13, 10])), await client.getBuffer('k'), await client.set('k', 'v', 'EX', 1000, 'NX'),
    await client.set('k', 'grüße', 'GET'), await client.get('k'), await client.get('absent')]);
  say('many', [await client.mset({ a: 1, b: 'two' }), await client.mget('a', 'nothing', 'b'), await client.exists('a', 'b', 'c')]);
  say('counters', [await client.incr('n'), await client.incrby('n', 41), await client.incrbyfloat('f', '0.5'), await client.decr('n')]);
  await refused('no number', () => client.incr('b'));
  say('expiry', [await client.expire('a', 1000), await client.persist('a'), await client.ttl('a'), await client.ttl('absent')]);

  await Promise.all(Array.from({ length: 500 }, (_, i) => client.set(`scan:${String(i).padStart(3, '0')}`, i)));
  const found = [];
  for await (const keys of client.scanStream({ match: 'scan:*', count: 33 })) found.push(...keys);
  say('scan', [found.length, new Set(found).size, (await client.keys('scan:49?')).sort()]);

  const pipeline = client.pipeline();
  for (let i = 0; i < 300; i++) pipeline.set(`scan:${i}`, i).get(`scan:${i}`);
  pipeline.incr('b');
  const answers = await pipeline.exec();
  say('pipeline', [answers.length, answers[599], answers[600][0].message]);
  say('transaction', (await client.multi().set('in', 1).incr('in').get('in').exec()));
  await refused('discarded', () => client.multi().set('in', 2).set('only a key').exec());

  // Several connections change one key, each only what it has seen.
  const add = async () => {
    const own = client.duplicate();
    for (let done = 0; done < 20;) {
      await own.watch('sum');
      const sum = Number(await own.get('sum'));
      if (await own.multi().set('sum', sum + 1).exec() !== null) done++;
    }
    own.disconnect();
  };
  await Promise.all(Array.from({ length: 5 }, add));
  say('sum', await client.get('sum'));

  const automatic = client.duplicate({ enableAutoPipelining: true });
  say('automatic', (await Promise.all(Array.from({ length: 100 }, () => automatic.incr('automatic')))).at(-1));
  // The server ends the connection: the library makes another one, and asks again.
  const id = await automatic.client('ID');
  say('killed', await client.client('KILL', 'ID', id));
  say('after that', await automatic.incr('automatic'));
  automatic.disconnect();
  const locked = new Redis({ port, password: 'wrong', retryStrategy: null, enableReadyCheck: false });
  locked.on('error', () => {});
  await refused('a wrong password', () => locked.ping());
  locked.disconnect();
  await client.quit();
}

async function nodeRedis() {
  const client = createClient({ socket: { port, host: '127.0.0.1' }, RESP: 3, name: 'application' });
  await client.connect();
  await client.flushDb();
  say('ping', await client.ping());
  say('name', await client.clientGetName());
  say('set', [await client.set('k', 'v', { NX: true, EX: 1000 }), await client.set('k', 'w', { NX: true }), await client.get('k'),
    await client.get('absent'), await client.getEx('k', { type: 'PERSIST' }), await client.ttl('k')]);
  say('bytes', await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get('k'));
  say('many', [await client.mSet([['a', '1'], ['b', 'two']]), await client.mGet(['a', 'nothing', 'b']), await client.mSetNX([['a', '1']])]);
  say('counters', [await client.incr('n'), await client.incrByFloat('f', 2.5), await client.decrBy('n', 3)]);
  await refused('no number', () => client.incr('b'));
  say('keys', [await client.rename('a', 'aa'), await client.copy('aa', 'a', { REPLACE: true }), await client.del(['aa', 'zz']), await client.type('a')]);
  await Promise.all(Array.from({ length: 300 }, (_, i) => client.set(`scan:${i}`, String(i))));
  const found = [];
  for await (const keys of client.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) found.push(...keys);
  say('scan', [found.length, new Set(found).size]);
  say('transaction', await client.multi().set('in', '1').incr('in').get('in').exec());
  await client.watch('in');
  await client.duplicate().connect().then(async (other) => { await other.set('in', 'changed'); await other.quit(); });
  await refused('watched', () => client.multi().set('in', 'mine').exec());
  say('after that', await client.get('in'));
  await client.quit();
}

await ioredis();
await nodeRedis();
