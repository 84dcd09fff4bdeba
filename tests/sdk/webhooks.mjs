// Our own webhooks, verified by other people's code: the `standardwebhooks` libraries for JavaScript and Python, and
// Node's own Ed25519 for the signatures that those do not check.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPublicKey, verify } from 'node:crypto';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { Kit, receiver, startFlorin, until } from '../lib/kit.mjs';

const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex'); // what stands before the 32 bytes of a public key

const kit = new Kit('webhooks');
const florin = await startFlorin(kit, { needs: ['api', 'key'] });
const shop = await receiver();

async function api(method, path, body) {
  const answer = await fetch(`${florin.api}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${florin.key}`, 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const sale = (reference) => api('POST', '/orders', { amount: 1099, currency: 'EUR', reference, confirm: true, method: 'card_visa' });
const hooks = (path = '/hook') => shop.hits.filter((hit) => hit.path === path).map((hit) => ({ ...hit, event: JSON.parse(hit.body) }));
const about = (order) => hooks().filter((hit) => hit.event.subject === order);
const told = (order, type) => until(`${type} of ${order}`, () => about(order).find((hit) => hit.event.type === type));

let endpoint, order, captured;

await kit.test('an endpoint is registered and its secret shown once', async () => {
  endpoint = await api('POST', '/webhook_endpoints', { url: `${shop.url}/hook` });
  assert.match(endpoint.secret, /^whsec_/);
  assert.equal((await api('GET', `/webhook_endpoints/${endpoint.id}`)).secret, undefined);
});

await kit.test('a sale is told, from created to captured', async () => {
  order = await sale('webhooks-1');
  captured = await told(order.id, 'order.captured');
  await told(order.id, 'order.created');
  assert.equal(captured.event.specversion, '1.0');
  assert.equal(captured.event.id, captured.headers['webhook-id']);
  assert.equal(captured.event.data.order.payment_order_status, 'captured');
});

await kit.test('its events are numbered from one, without gaps or repeats', async () => {
  const seen = new Map(about(order.id).map((hit) => [hit.event.id, hit.event.sequence]));
  const sorted = [...seen.values()].sort((a, b) => a - b);
  assert.deepEqual(sorted, sorted.map((_, at) => at + 1), `${sorted}`);
});

await kit.test('the JavaScript library accepts every one of them', async () => {
  assert.ok(hooks().length > 1, 'more than one was sent');
  for (const { body, headers } of hooks()) new Webhook(endpoint.secret).verify(body, headers);
});

await kit.test('the Python library accepts it too', async () => {
  const program = 'import json, sys; from standardwebhooks import Webhook; a = json.load(sys.stdin); Webhook(a["secret"]).verify(a["body"], a["headers"])';
  const input = JSON.stringify({ secret: endpoint.secret, body: captured.body, headers: captured.headers });
  execFileSync(process.env.KIT_PYTHON, ['-c', program], { input, stdio: ['pipe', 'ignore', 'pipe'] });
});

await kit.test('neither accepts another body, another secret or another id', async () => {
  assert.ok(captured, 'one was sent');
  const other = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
  assert.throws(() => new Webhook(other).verify(captured.body, captured.headers), /signature/i);
  assert.throws(() => new Webhook(endpoint.secret).verify(captured.body.replace('1099', '1'), captured.headers), /signature/i);
  assert.throws(() => new Webhook(endpoint.secret).verify(captured.body, { ...captured.headers, 'webhook-id': 'evt_other' }), /signature/i);
});

await kit.test('the Ed25519 signature holds against the public key that the endpoint names', async () => {
  const signing = await api('POST', '/webhook_endpoints', { url: `${shop.url}/ed25519`, signature: 'ed25519' });
  assert.match(signing.secret, /^whsk_/);
  const { public_key: name } = await api('GET', `/webhook_endpoints/${signing.id}`);
  assert.match(name ?? '', /^whpk_/);
  const sold = await sale('webhooks-ed25519');
  const signed = () => hooks('/ed25519').find((hit) => hit.event.subject === sold.id && hit.event.type === 'order.captured');
  await until('the delivery that Ed25519 signs', signed);
  const captured = signed();
  const raw = Buffer.from(name.slice('whpk_'.length), 'base64');
  const key = createPublicKey({ key: Buffer.concat([SPKI_ED25519, raw]), format: 'der', type: 'spki' });
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures } = captured.headers;
  const signature = signatures.split(' ').find((one) => one.startsWith('v1a,'))?.slice('v1a,'.length);
  assert.ok(signature, `no v1a in ${signatures}`);
  const message = Buffer.from(`${id}.${time}.${captured.body}`);
  assert.ok(verify(null, message, key, Buffer.from(signature, 'base64')));
  assert.ok(!verify(null, Buffer.concat([message, Buffer.from(' ')]), key, Buffer.from(signature, 'base64')));
});

await kit.test('while a secret is rotated, the old and the new one both hold', async () => {
  const rotated = await api('POST', `/webhook_endpoints/${endpoint.id}/rotate_secret`);
  assert.notEqual(rotated.secret, endpoint.secret);
  const next = await sale('webhooks-2');
  const { body, headers } = await told(next.id, 'order.captured');
  new Webhook(endpoint.secret).verify(body, headers);
  new Webhook(rotated.secret).verify(body, headers);
});

await kit.test('an event that is sent again keeps its id and its bytes', async () => {
  const before = about(order.id).filter((hit) => hit.event.id === captured.event.id).length;
  await api('POST', `/events/${captured.event.id}/resend`);
  await until('the second delivery', () => about(order.id).filter((hit) => hit.event.id === captured.event.id).length > before);
  const bodies = new Set(about(order.id).filter((hit) => hit.event.id === captured.event.id).map((hit) => hit.body));
  assert.equal(bodies.size, 1);
});

await kit.test('deliveries are listed with what the endpoint answered', async () => {
  const look = async () => {
    const { data } = await api('GET', `/orders/${order.id}/deliveries`);
    return data.find((delivery) => delivery.event === captured.event.id && delivery.status === 'succeeded');
  };
  // What the endpoint answered is written after it has answered.
  await until('the answer to be written down', look);
  assert.equal((await look()).attempts[0].status_code, 200);
});

shop.close();
await florin.stop();
await florin.neverWrote('API keys and webhook secrets', [florin.key, endpoint?.secret ?? 'whsec_'], { alsoInData: false });
florin.forget();
kit.done();
