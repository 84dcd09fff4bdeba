// What a careful client expects of Stripe beyond a flow that goes well: refusals in Stripe's words, repeats, expansion, paging, filters and
// search, asked with the unmodified stripe-node. Every answer is then held against the published schema, where $FLORIN_SPECS brings one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Stripe from 'stripe';
import { Kit, startFlorin, until } from '../lib/kit.mjs';
import { recorder } from '../lib/record.mjs';

const kit = new Kit('sdk-strict');
const florin = await startFlorin(kit, { needs: ['stripe', 'key'] });
const calls = join(kit.work, 'sdk-strict.calls.jsonl');
const proxy = await recorder(florin.stripe, calls);
const { hostname: host, port } = new URL(proxy.url);
const stripe = new Stripe(florin.key, { host, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false });

const INVALID = 'StripeInvalidRequestError';

/** The refusal that a call must end in. */
async function refused(call, fields) {
  const error = await call.then((answer) => assert.fail(`expected a refusal and got ${JSON.stringify(answer).slice(0, 300)}`), (error) => error);
  for (const [name, value] of Object.entries({ type: INVALID, statusCode: 400, ...fields })) {
    if (value instanceof RegExp) assert.match(String(error[name]), value, `${name}: ${error.message}`);
    else assert.equal(error[name], value, `${name}: ${error.message}`);
  }
  assert.ok(error.requestId, 'the error names its request');
  return error;
}

/** A call as bytes: what no library would send. */
async function raw(method, path, { body, key = florin.key, ...headers } = {}) {
  const answer = await fetch(proxy.url + path, {
    method, body,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }), ...headers },
  });
  return { status: answer.status, headers: answer.headers, json: await answer.json() };
}

const pay = (amount, method = 'pm_card_visa', more = {}, options) => stripe.paymentIntents.create(
  { amount, currency: 'eur', confirm: true, payment_method: method, payment_method_types: ['card'], ...more }, options);
const line = (more = {}) => ({ quantity: 1, price_data: { currency: 'eur', unit_amount: 500, product_data: { name: 'Cup' } }, ...more });
const checkout = (more = {}, options) => stripe.checkout.sessions.create(
  { mode: 'payment', success_url: 'https://shop.example/thanks', line_items: [line()], ...more }, options);
const ids = (list) => list.data.map((one) => one.id);

// ---- parameters

await kit.test('unknown parameters are all named, with the place where they stand', async () => {
  const deep = line({ price_data: { currency: 'eur', unit_amount: 1, product_data: { name: 'x', colour: 'red' } } });
  await refused(checkout({ line_items: [deep] }), { code: 'parameter_unknown', param: 'line_items[0][price_data][product_data][colour]' });
  await refused(stripe.customers.create({ nme: 'a', emal: 'b' }), { code: 'parameter_unknown', message: /nme.*emal/ });
  await refused(stripe.customers.list({ colour: 'red' }), { code: 'parameter_unknown', param: 'colour' });
  await refused(stripe.paymentIntents.retrieve('pi_nothing', { colour: 'red' }), { code: 'parameter_unknown' });
});

await kit.test('a number that is none, too small or too large is refused by its name', async () => {
  for (const amount of ['ten', '10.5', '-1', '0', '1e3', '99999999999999999999']) {
    await refused(stripe.paymentIntents.create({ amount, currency: 'eur' }), { param: 'amount', code: /parameter_invalid_integer|amount_too/ });
  }
  await refused(stripe.customers.list({ limit: 101 }), { param: 'limit' });
  await refused(stripe.customers.list({ limit: 0 }), { param: 'limit' });
});

await kit.test('a currency, a word, a truth and an address that are none are refused by their names', async () => {
  await refused(stripe.paymentIntents.create({ amount: 100, currency: 'zzz' }), { param: 'currency' });
  await refused(stripe.paymentIntents.create({ amount: 100, currency: 'eur', capture_method: 'sometimes' }), { param: 'capture_method' });
  await refused(stripe.products.create({ name: 'a', active: 'perhaps' }), { param: 'active' });
  await refused(checkout({ success_url: 'not an address' }), { param: 'success_url', code: 'url_invalid' });
  await refused(checkout({ success_url: 'javascript:alert(1)' }), { param: 'success_url', code: 'url_invalid' });
  await refused(checkout({ mode: 'subscription' }), { param: 'mode' });
});

await kit.test('metadata has its limits', async () => {
  const many = Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`k${at}`, 'v']));
  await refused(stripe.customers.create({ metadata: many }), { param: 'metadata' });
  await refused(stripe.customers.create({ metadata: { ['k'.repeat(41)]: 'v' } }), { param: /metadata/ });
  await refused(stripe.customers.create({ metadata: { k: 'v'.repeat(501) } }), { param: /metadata/ });
  const made = await stripe.customers.create({ metadata: { a: '1', b: '2' } });
  assert.deepEqual((await stripe.customers.update(made.id, { metadata: { a: '', c: '3' } })).metadata, { b: '2', c: '3' });
  assert.deepEqual((await stripe.customers.update(made.id, { metadata: '' })).metadata, {});
});

await kit.test('a session is refused whose lines do not fit together', async () => {
  await refused(checkout({ line_items: [] }), { param: /line_items/ });
  await refused(checkout({ line_items: [line({ quantity: 0 })] }), { param: 'line_items[0][quantity]' });
  const dollars = line({ price_data: { currency: 'usd', unit_amount: 500, product_data: { name: 'Cup' } } });
  await refused(checkout({ line_items: [line(), dollars] }), { param: /line_items|currency/ });
  await refused(checkout({ line_items: [{ price: 'price_nothing', quantity: 1 }] }), { code: 'resource_missing', param: /line_items\[0\]\[price\]/ });
  await refused(checkout({ expires_at: Math.floor(Date.now() / 1000) + 60 }), { param: 'expires_at' });
  await refused(checkout({ customer: 'cus_nothing' }), { code: 'resource_missing', param: 'customer' });
});

await kit.test('only forms are read, and only methods that exist', async () => {
  const json = await raw('POST', '/v1/customers', { body: '{"name":"a"}', 'content-type': 'application/json' });
  assert.equal(json.status, 400);
  assert.equal(json.json.error.type, 'invalid_request_error');
  const put = await raw('PUT', '/v1/customers', { body: 'name=a' });
  assert.equal(put.status, 404);
  assert.match(put.json.error.message, /Unrecognized request URL/);
  const half = await raw('POST', '/v1/customers', { body: 'name=%zz' });
  assert.equal(half.status, 400);
});

await kit.test('keys open by Bearer and by Basic, and are told apart when they do not', async () => {
  const basic = await fetch(`${proxy.url}/v1/customers?limit=1`, { headers: { authorization: `Basic ${btoa(`${florin.key}:`)}` } });
  assert.equal(basic.status, 200);
  const none = await fetch(`${proxy.url}/v1/customers`);
  assert.equal(none.status, 401);
  const wrong = await raw('GET', '/v1/customers', { key: 'sk_test_0123456789abcdef0123456789' });
  assert.equal(wrong.status, 401);
  assert.doesNotMatch(wrong.json.error.message, /0123456789abcdef/);
});

await kit.test('whatever version is asked for, the answer names the one that it has', async () => {
  for (const version of ['2015-01-01', '2023-08-16', '2026-10-28.endive', 'nonsense']) {
    const { status, headers } = await raw('GET', '/v1/customers', { 'stripe-version': version });
    assert.deepEqual([status, headers.get('stripe-version')], [200, '2026-10-28.endive']);
    assert.match(headers.get('request-id'), /^req_/);
  }
});

// ---- repeats

await kit.test('a decline is repeated as the same decline', async () => {
  const key = { idempotencyKey: 'strict-declined' };
  const first = await refused(pay(1000, 'pm_card_visa_chargeDeclined', {}, key), { type: 'StripeCardError', statusCode: 402, code: 'card_declined' });
  const again = await refused(pay(1000, 'pm_card_visa_chargeDeclined', {}, key), { type: 'StripeCardError', statusCode: 402, code: 'card_declined' });
  assert.equal(again.payment_intent.id, first.payment_intent.id);
  assert.equal(again.headers['idempotent-replayed'], 'true');
});

await kit.test('a key is bound to its call: other parameters or another address are refused', async () => {
  const key = { idempotencyKey: 'strict-bound' };
  const made = await stripe.customers.create({ name: 'a' }, key);
  assert.equal((await stripe.customers.create({ name: 'a' }, key)).id, made.id);
  await refused(stripe.customers.create({ name: 'b' }, key), { type: 'StripeIdempotencyError' });
  await refused(stripe.products.create({ name: 'a' }, key), { type: 'StripeIdempotencyError' });
  await refused(stripe.customers.create({ name: 'a' }, { idempotencyKey: 'k'.repeat(256) }), {});
});

await kit.test('ten calls at once under one key make one payment', async () => {
  const key = { idempotencyKey: 'strict-at-once' };
  const answers = await Promise.allSettled(Array.from({ length: 10 }, () => pay(4321, 'pm_card_visa', {}, key)));
  for (const { reason } of answers.filter((one) => one.status === 'rejected')) assert.equal(reason.statusCode, 409, reason.message);
  const made = new Set(answers.filter((one) => one.status === 'fulfilled').map((one) => one.value.id));
  assert.equal(made.size, 1);
  const { data } = await stripe.paymentIntents.list({ limit: 100 });
  assert.equal(data.filter((one) => one.amount === 4321).length, 1);
});

await kit.test('a refund under one key is given once', async () => {
  const paid = await pay(3000);
  const key = { idempotencyKey: 'strict-refund' };
  const one = await stripe.refunds.create({ payment_intent: paid.id, amount: 1000 }, key);
  const two = await stripe.refunds.create({ payment_intent: paid.id, amount: 1000 }, key);
  assert.equal(one.id, two.id);
  assert.equal((await stripe.refunds.list({ payment_intent: paid.id })).data.length, 1);
});

// ---- states

const unexpected = { code: 'payment_intent_unexpected_state' };

await kit.test('an intent refuses what its state does not allow, and shows itself', async () => {
  const paid = await pay(1200);
  for (const call of [
    () => stripe.paymentIntents.capture(paid.id), () => stripe.paymentIntents.cancel(paid.id),
    () => stripe.paymentIntents.confirm(paid.id), () => stripe.paymentIntents.update(paid.id, { amount: 1300 }),
  ]) {
    const error = await refused(call(), unexpected);
    assert.equal(error.payment_intent.id, paid.id);
  }
  const hold = await pay(1200, 'pm_card_visa', { capture_method: 'manual' });
  await refused(stripe.paymentIntents.capture(hold.id, { amount_to_capture: 1201 }), { param: 'amount_to_capture' });
  await stripe.paymentIntents.capture(hold.id);
  await refused(stripe.paymentIntents.capture(hold.id), unexpected);
});

await kit.test('a canceled intent is final, and canceling it again is refused', async () => {
  const open = await stripe.paymentIntents.create({ amount: 100, currency: 'eur', payment_method_types: ['card'] });
  await stripe.paymentIntents.cancel(open.id);
  await refused(stripe.paymentIntents.cancel(open.id), unexpected);
  await refused(stripe.paymentIntents.confirm(open.id, { payment_method: 'pm_card_visa' }), unexpected);
});

await kit.test('a refund needs one payment, and no more than there is', async () => {
  const paid = await pay(900);
  await refused(stripe.refunds.create({}), {});
  await refused(stripe.refunds.create({ payment_intent: 'pi_nothing' }), { code: 'resource_missing', statusCode: /40[04]/ });
  await refused(stripe.refunds.create({ payment_intent: paid.id, amount: 0 }), { param: 'amount' });
  await refused(stripe.refunds.create({ payment_intent: paid.id, reason: 'bored' }), { param: 'reason' });
  const open = await stripe.paymentIntents.create({ amount: 100, currency: 'eur', payment_method_types: ['card'] });
  await refused(stripe.refunds.create({ payment_intent: open.id }), {});
});

await kit.test('a method that was used up or belongs to somebody else is refused', async () => {
  const [one, two] = [await stripe.customers.create({ name: 'one' }), await stripe.customers.create({ name: 'two' })];
  const method = await stripe.paymentMethods.attach('pm_card_visa', { customer: one.id });
  await refused(stripe.paymentMethods.attach(method.id, { customer: two.id }), {});
  await refused(pay(100, method.id, { customer: two.id }), {});
  await stripe.paymentMethods.detach(method.id);
  await refused(stripe.paymentMethods.attach(method.id, { customer: one.id }), {});
});

// ---- expansion

await kit.test('what is documented is expanded, through several levels and in lists', async () => {
  const customer = await stripe.customers.create({ name: 'expanded' });
  const paid = await pay(2222, 'pm_card_visa', { customer: customer.id, expand: ['customer', 'latest_charge.balance_transaction'] });
  assert.equal(paid.customer.name, 'expanded');
  assert.equal(paid.latest_charge.balance_transaction.object, 'balance_transaction');
  const list = await stripe.charges.list({ payment_intent: paid.id, expand: ['data.payment_intent.customer', 'data.balance_transaction'] });
  assert.equal(list.data[0].payment_intent.customer.id, customer.id);
  const session = await checkout({ expand: ['line_items'] });
  assert.equal(session.line_items.data[0].description, 'Cup');
  const deep = await stripe.checkout.sessions.retrieve(session.id, { expand: ['line_items.data.price.product', 'payment_intent'] });
  assert.equal(deep.line_items.data[0].price.product.object, 'product');
});

await kit.test('what cannot be expanded is refused', async () => {
  const paid = await pay(333);
  for (const expand of [['amount'], ['nothing'], ['latest_charge.nothing'], ['a.b.c.d.e']]) {
    await refused(stripe.paymentIntents.retrieve(paid.id, { expand }), { param: 'expand' });
  }
  await refused(stripe.paymentIntents.list({ expand: ['customer'] }), { param: 'expand' });
});

// ---- lists

await kit.test('lists are paged to their end, forwards and backwards, by the library itself', async () => {
  for (let at = 0; at < 23; at += 1) await stripe.products.create({ name: `paged ${at}` });
  const forwards = [];
  for await (const product of stripe.products.list({ limit: 5 })) forwards.push(product.id);
  assert.equal(forwards.length, 23);
  assert.equal(new Set(forwards).size, 23);
  const backwards = [];
  for await (const product of stripe.products.list({ limit: 5, ending_before: forwards.at(-1) })) backwards.push(product.id);
  assert.deepEqual(backwards, forwards.slice(0, -1).reverse());
  await refused(stripe.products.list({ starting_after: 'prod_nothing' }), { code: 'resource_missing', param: 'starting_after', statusCode: /40[04]/ });
});

await kit.test('lists of what orders have are paged without gaps', async () => {
  const all = (await stripe.paymentIntents.list({ limit: 100 })).data.map((one) => one.id);
  const walked = [];
  for await (const intent of stripe.paymentIntents.list({ limit: 3 })) walked.push(intent.id);
  assert.deepEqual(walked, all);
  const charges = [];
  for await (const charge of stripe.charges.list({ limit: 2 })) charges.push(charge.id);
  assert.equal(new Set(charges).size, charges.length);
  assert.deepEqual(charges, ids(await stripe.charges.list({ limit: 100 })));
});

await kit.test('every filter leaves what it names and nothing else', async () => {
  const email = 'filter@example.com';
  const customer = await stripe.customers.create({ email });
  await stripe.customers.create({ email: 'other@example.com' });
  assert.deepEqual(ids(await stripe.customers.list({ email })), [customer.id]);
  const product = await stripe.products.create({ name: 'filtered' });
  const price = await stripe.prices.create({ product: product.id, unit_amount: 100, currency: 'usd' });
  await stripe.products.update(product.id, { active: false });
  assert.deepEqual(ids(await stripe.products.list({ active: false })), [product.id]);
  assert.deepEqual(ids(await stripe.products.list({ ids: [product.id] })), [product.id]);
  assert.deepEqual(ids(await stripe.prices.list({ product: product.id, active: true, currency: 'usd', type: 'one_time' })), [price.id]);
  const paid = await pay(777, 'pm_card_visa', { customer: customer.id });
  assert.deepEqual(ids(await stripe.paymentIntents.list({ customer: customer.id })), [paid.id]);
  assert.deepEqual(ids(await stripe.charges.list({ customer: customer.id })), [paid.latest_charge]);
  const refund = await stripe.refunds.create({ payment_intent: paid.id, amount: 7 });
  assert.deepEqual(ids(await stripe.refunds.list({ charge: paid.latest_charge })), [refund.id]);
  const session = await checkout({ customer: customer.id });
  assert.deepEqual(ids(await stripe.checkout.sessions.list({ customer: customer.id })), [session.id]);
  assert.deepEqual(ids(await stripe.checkout.sessions.list({ customer: customer.id, status: 'complete' })), []);
  const soon = Math.floor(Date.now() / 1000) + 3600;
  assert.deepEqual(ids(await stripe.paymentIntents.list({ created: { gte: soon } })), []);
  assert.equal((await stripe.paymentIntents.list({ created: { lt: soon }, limit: 1 })).data.length, 1);
  const lines = await stripe.balanceTransactions.list({ type: 'refund', limit: 100 });
  assert.ok(lines.data.length > 0 && lines.data.every((one) => one.type === 'refund'));
});

await kit.test('events are listed by type and by several types', async () => {
  const of = async (params) => new Set((await stripe.events.list({ limit: 100, ...params })).data.map((one) => one.type));
  assert.deepEqual(await of({ type: 'charge.refunded' }), new Set(['charge.refunded']));
  assert.deepEqual(await of({ types: ['charge.refunded', 'payment_intent.canceled'] }), new Set(['charge.refunded', 'payment_intent.canceled']));
  assert.ok([...await of({ type: 'charge.*' })].every((type) => type.startsWith('charge.')));
});

await kit.test('intents are found by metadata, and the search is paged to its end', async () => {
  const made = [];
  for (let at = 0; at < 5; at += 1) made.unshift((await pay(100 + at, 'pm_card_visa', { metadata: { cart: "o'neil-1" } })).id);
  const query = "metadata['cart']:'o\\'neil-1' AND status:'succeeded'";
  const found = [];
  for await (const intent of stripe.paymentIntents.search({ query, limit: 2 })) found.push(intent.id);
  assert.deepEqual(found, made);
  assert.deepEqual((await stripe.paymentIntents.search({ query: "metadata['cart']:'nothing'" })).data, []);
  await refused(stripe.paymentIntents.search({ query: 'colour is red' }), { param: 'query' });
  await refused(stripe.paymentIntents.search({}), { code: 'parameter_missing', param: 'query' });
});

await kit.test('text from outside comes back as it was', async () => {
  const name = 'Zoë <b>&amp; "O\'Neil" 日本 🫖';
  const made = await stripe.customers.create({ name, metadata: { 'a b': 'x=y&z' } });
  const again = await stripe.customers.retrieve(made.id);
  assert.deepEqual([again.name, again.metadata['a b']], [name, 'x=y&z']);
});

await kit.test('what was deleted is named so and no longer listed', async () => {
  const product = await stripe.products.create({ name: 'gone' });
  assert.deepEqual(await stripe.products.del(product.id).then(({ deleted, id }) => [deleted, id]), [true, product.id]);
  await refused(stripe.products.retrieve(product.id), { statusCode: 404, code: 'resource_missing' });
  assert.ok(!ids(await stripe.products.list({ limit: 100 })).includes(product.id));
});

await kit.test('the balance adds up over its lines', async () => {
  const sums = {};
  for await (const one of stripe.balanceTransactions.list({ limit: 100 })) sums[one.currency] = (sums[one.currency] ?? 0) + one.net;
  const { available, pending } = await stripe.balance.retrieve();
  for (const [currency, net] of Object.entries(sums)) {
    const of = (list) => list.filter((one) => one.currency === currency).reduce((sum, one) => sum + one.amount, 0);
    assert.equal(of(available) + of(pending), net, currency);
  }
});

proxy.close();
await florin.stop();
const schema = join(process.env.FLORIN_SPECS ?? '', 'stripe/openapi-v1-2023-08-16.min.json');
if (process.env.FLORIN_SPECS && existsSync(schema)) {
  await kit.test('every answer has the shape that the published schema asks for', async () => {
    try {
      execFileSync(process.env.KIT_PYTHON, [join(import.meta.dirname, 'schema.py'), schema, calls], { encoding: 'utf8' });
    } catch (error) {
      throw new Error(error.stdout || error.message);
    }
  });
} else {
  kit.skip('every answer has the shape that the published schema asks for', 'FLORIN_SPECS does not name a folder with stripe/');
}
florin.forget();
kit.done();
