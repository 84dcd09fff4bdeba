// stripe-node, unmodified, through a whole checkout flow against our Stripe-compatible door, state checked at each step.
// Every answer it was given is then held against the published schema, where $FLORIN_SPECS brings one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Stripe from 'stripe';
import { walkForms } from '../lib/forms.mjs';
import { Kit, receiver, startFlorin, until } from '../lib/kit.mjs';
import { recorder } from '../lib/record.mjs';

const VERSION = '2026-10-28.endive';
const SECONDS = 1000;

const kit = new Kit('sdk-node');
const florin = await startFlorin(kit, { needs: ['stripe', 'key'] });
const calls = join(kit.work, 'sdk-node.calls.jsonl');
const proxy = await recorder(florin.stripe, calls);
const shop = await receiver();

const { hostname: host, port } = new URL(proxy.url);
const connect = (key) => new Stripe(key, { host, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false });
const stripe = connect(florin.key);

/** The error that a call must end in. */
async function refused(call, type, fields = {}) {
  const error = await call.then(
    (answer) => assert.fail(`expected a refusal and got ${JSON.stringify(answer)}`),
    (error) => error,
  );
  assert.equal(error.type, type, `${error.type}: ${error.message}`);
  for (const [name, value] of Object.entries(fields)) assert.equal(error[name], value, `${name} of: ${error.message}`);
  assert.ok(error.requestId, 'the error names its request');
  return error;
}

const card = (name) => ({ payment_method: name, payment_method_types: ['card'] });
const pay = (amount, name, more = {}) =>
  stripe.paymentIntents.create({ amount, currency: 'eur', confirm: true, ...card(name), ...more });

let product, price, customer, session, intent, charge, refund, endpoint, declined, challenged;

await kit.test('a webhook endpoint is registered and its secret shown', async () => {
  endpoint = await stripe.webhookEndpoints.create({ url: `${shop.url}/hook`, enabled_events: ['*'], description: 'fulfilment' });
  assert.match(endpoint.id, /^we_/);
  assert.match(endpoint.secret, /^whsec_/);
  assert.equal(endpoint.status, 'enabled');
});

await kit.test('every answer names its request and our version', async () => {
  const { headers, requestId } = (await stripe.webhookEndpoints.retrieve(endpoint.id)).lastResponse;
  assert.equal(headers['stripe-version'], VERSION);
  assert.match(requestId, /^req_/);
});

await kit.test('a product is made and read again', async () => {
  product = await stripe.products.create({ name: 'Teapot', description: 'holds tea', metadata: { sku: 'T-1' } });
  const again = await stripe.products.retrieve(product.id);
  assert.deepEqual([again.name, again.active, again.metadata.sku], ['Teapot', true, 'T-1']);
});

await kit.test('a price of it is made, read and listed', async () => {
  price = await stripe.prices.create({ product: product.id, unit_amount: 1500, currency: 'eur' });
  assert.deepEqual([price.type, price.unit_amount, price.currency], ['one_time', 1500, 'eur']);
  assert.equal((await stripe.prices.retrieve(price.id)).product, product.id);
  const list = await stripe.prices.list({ product: product.id });
  assert.deepEqual(list.data.map((one) => one.id), [price.id]);
});

await kit.test('a product is renamed', async () => {
  assert.equal((await stripe.products.update(product.id, { name: 'Big teapot' })).name, 'Big teapot');
});

await kit.test('a customer is made, changed and read', async () => {
  customer = await stripe.customers.create({ email: 'jenny@example.com', name: 'Jenny', metadata: { tier: 'gold' } });
  await stripe.customers.update(customer.id, { name: 'Jenny Rosen', metadata: { tier: '' } });
  const again = await stripe.customers.retrieve(customer.id);
  assert.deepEqual([again.name, again.email, again.metadata.tier], ['Jenny Rosen', 'jenny@example.com', undefined]);
});

const checkout = () => ({
  mode: 'payment',
  customer: customer.id,
  client_reference_id: 'cart-17',
  metadata: { cart: '17' },
  success_url: `${shop.url}/thanks?session={CHECKOUT_SESSION_ID}`,
  cancel_url: `${shop.url}/cart`,
  line_items: [
    { price: price.id, quantity: 2 },
    { price_data: { currency: 'eur', unit_amount: 99, product_data: { name: 'Wrapping' } }, quantity: 1 },
  ],
  payment_intent_data: { metadata: { cart: '17' } },
});

await kit.test('a checkout session is made over a price and an ad-hoc price', async () => {
  session = await stripe.checkout.sessions.create(checkout(), { idempotencyKey: 'cart-17' });
  assert.deepEqual([session.status, session.payment_status, session.amount_total, session.currency], ['open', 'unpaid', 3099, 'eur']);
  assert.deepEqual([session.client_reference_id, session.customer, session.metadata.cart], ['cart-17', customer.id, '17']);
  assert.match(session.url, /^http/);
});

await kit.test('the same key gives the same session and says so', async () => {
  const again = await stripe.checkout.sessions.create(checkout(), { idempotencyKey: 'cart-17' });
  assert.equal(again.id, session.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
});

await kit.test('the same key with another body is refused', async () => {
  const other = { ...checkout(), client_reference_id: 'cart-18' };
  await refused(stripe.checkout.sessions.create(other, { idempotencyKey: 'cart-17' }), 'StripeIdempotencyError', { statusCode: 400 });
});

await kit.test('its lines are listed', async () => {
  const { data } = await stripe.checkout.sessions.listLineItems(session.id);
  assert.deepEqual(data.map((line) => [line.quantity, line.amount_total]), [[2, 3000], [1, 99]]);
});

await kit.test('a payer who presses Pay pays it once', async () => {
  const page = await stripe.rawRequest('GET', `/v1/payment_pages/${session.id}`);
  assert.equal(page.session_id ?? page.id, session.id);
  const method = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } });
  await stripe.rawRequest('POST', `/v1/payment_pages/${session.id}/confirm`, { payment_method: method.id, expected_amount: 3099 });
  session = await until('the session to be paid', async () => {
    const now = await stripe.checkout.sessions.retrieve(session.id, { expand: ['payment_intent'] });
    return now.status === 'complete' && now;
  });
  assert.equal(session.payment_status, 'paid');
  assert.deepEqual([session.payment_intent.status, session.payment_intent.amount_received], ['succeeded', 3099]);
  assert.equal(session.payment_intent.metadata.cart, '17');
});

await kit.test('a session that was paid cannot be expired', async () => {
  await refused(stripe.checkout.sessions.expire(session.id), 'StripeInvalidRequestError', { statusCode: 400 });
});

await kit.test('a session that nobody paid is expired', async () => {
  const open = await stripe.checkout.sessions.create(checkout());
  const expired = await stripe.checkout.sessions.expire(open.id);
  assert.deepEqual([expired.status, expired.payment_status, expired.url], ['expired', 'unpaid', null]);
});

await kit.test('an intent is made and changed before it is paid', async () => {
  intent = await stripe.paymentIntents.create({ amount: 2000, currency: 'eur', customer: customer.id, capture_method: 'manual', payment_method_types: ['card'] });
  assert.equal(intent.status, 'requires_payment_method');
  intent = await stripe.paymentIntents.update(intent.id, { amount: 2500, metadata: { order: 'A-17' } });
  assert.deepEqual([intent.amount, intent.metadata.order], [2500, 'A-17']);
});

await kit.test('confirmed with manual capture, it holds the money', async () => {
  intent = await stripe.paymentIntents.confirm(intent.id, { payment_method: 'pm_card_visa' });
  assert.deepEqual([intent.status, intent.amount_capturable, intent.amount_received], ['requires_capture', 2500, 0]);
});

await kit.test('a part is captured and the rest released', async () => {
  intent = await stripe.paymentIntents.capture(intent.id, { amount_to_capture: 1999 });
  assert.deepEqual([intent.status, intent.amount_received, intent.amount_capturable], ['succeeded', 1999, 0]);
});

await kit.test('its charge says what was captured', async () => {
  charge = await stripe.charges.retrieve(intent.latest_charge, { expand: ['balance_transaction'] });
  assert.deepEqual([charge.status, charge.captured, charge.amount_captured, charge.amount_refunded], ['succeeded', true, 1999, 0]);
  assert.deepEqual([charge.payment_method_details.card.brand, charge.payment_method_details.card.last4], ['visa', '4242']);
  assert.equal(charge.payment_intent, intent.id);
});

await kit.test('its balance transaction adds up', async () => {
  const line = await stripe.balanceTransactions.retrieve(charge.balance_transaction.id);
  assert.deepEqual([line.type, line.amount, line.net], ['charge', 1999, 1999 - line.fee]);
  assert.equal(line.source, charge.id);
});

await kit.test('a part is refunded', async () => {
  refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 500, reason: 'requested_by_customer' });
  refund = await until('the refund to succeed', async () => {
    const now = await stripe.refunds.retrieve(refund.id);
    return now.status === 'succeeded' && now;
  });
  assert.deepEqual([refund.amount, refund.payment_intent, refund.charge], [500, intent.id, charge.id]);
  charge = await stripe.charges.retrieve(charge.id);
  assert.deepEqual([charge.amount_refunded, charge.refunded], [500, false]);
});

await kit.test('more than is left is not refunded', async () => {
  await refused(stripe.refunds.create({ payment_intent: intent.id, amount: 1500 }), 'StripeInvalidRequestError', { statusCode: 400, param: 'amount' });
});

await kit.test('a refund without amount gives back the rest, and then nothing is left', async () => {
  const rest = await stripe.refunds.create({ charge: charge.id });
  assert.equal(rest.amount, 1499);
  charge = await until('the charge to be refunded', async () => {
    const now = await stripe.charges.retrieve(charge.id);
    return now.refunded && now;
  });
  assert.equal(charge.amount_refunded, 1999);
  await refused(stripe.refunds.create({ charge: charge.id }), 'StripeInvalidRequestError', { code: 'charge_already_refunded' });
});

await kit.test('the refunds of an intent are listed, newest first', async () => {
  const { data } = await stripe.refunds.list({ payment_intent: intent.id });
  assert.deepEqual(data.map((one) => one.amount), [1499, 500]);
});

await kit.test('a refused card says why, and nothing was taken', async () => {
  const error = await refused(pay(1000, 'pm_card_visa_chargeDeclinedInsufficientFunds'), 'StripeCardError', {
    statusCode: 402, code: 'card_declined', decline_code: 'insufficient_funds',
  });
  declined = error.payment_intent;
  assert.deepEqual([declined.status, declined.amount_received], ['requires_payment_method', 0]);
  assert.equal(declined.last_payment_error.decline_code, 'insufficient_funds');
});

await kit.test('the same intent is paid with another card', async () => {
  const paid = await stripe.paymentIntents.confirm(declined.id, { payment_method: 'pm_card_mastercard' });
  assert.deepEqual([paid.status, paid.amount_received], ['succeeded', 1000]);
});

await kit.test('a generic decline is told from missing funds', async () => {
  await refused(pay(1000, 'pm_card_visa_chargeDeclined'), 'StripeCardError', { code: 'card_declined', decline_code: 'generic_decline' });
});

await kit.test('a payer who is challenged is sent to the challenge', async () => {
  challenged = await pay(3000, 'pm_card_threeDSecure2Required', { return_url: `${shop.url}/back` });
  assert.equal(challenged.status, 'requires_action');
  assert.equal(challenged.next_action.type, 'redirect_to_url');
  assert.equal(challenged.next_action.redirect_to_url.return_url, `${shop.url}/back`);
});

await kit.test('a payer who passes the challenge has paid', async () => {
  const home = await walkForms(challenged.next_action.redirect_to_url.url, { home: `${shop.url}/back`, press: /complete|approve|pass/i });
  assert.equal(new URL(home).searchParams.get('payment_intent'), challenged.id);
  const paid = await until('the intent to succeed', async () => {
    const now = await stripe.paymentIntents.retrieve(challenged.id);
    return now.status === 'succeeded' && now;
  });
  assert.equal(paid.amount_received, 3000);
});

await kit.test('a payer who fails the challenge has not paid and may try again', async () => {
  const failed = await pay(3000, 'pm_card_threeDSecure2Required', { return_url: `${shop.url}/back` });
  await walkForms(failed.next_action.redirect_to_url.url, { home: `${shop.url}/back`, press: /fail|refuse|decline/i });
  const now = await until('the intent to need another method', async () => {
    const now = await stripe.paymentIntents.retrieve(failed.id);
    return now.status === 'requires_payment_method' && now;
  });
  assert.equal(now.last_payment_error.code, 'payment_intent_authentication_failure');
});

await kit.test('a hold that is cancelled is gone, and cannot be captured', async () => {
  const hold = await pay(700, 'pm_card_visa', { capture_method: 'manual' });
  const canceled = await stripe.paymentIntents.cancel(hold.id, { cancellation_reason: 'abandoned' });
  assert.deepEqual([canceled.status, canceled.cancellation_reason, canceled.amount_capturable], ['canceled', 'abandoned', 0]);
  await refused(stripe.paymentIntents.capture(hold.id), 'StripeInvalidRequestError', { code: 'payment_intent_unexpected_state' });
});

await kit.test('a method is attached to a customer, listed, used and detached', async () => {
  const method = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  assert.deepEqual([method.customer, method.card.last4], [customer.id, '4242']);
  const { data } = await stripe.customers.listPaymentMethods(customer.id, { type: 'card' });
  assert.deepEqual(data.map((one) => one.id), [method.id]);
  assert.equal((await pay(400, method.id, { customer: customer.id })).status, 'succeeded');
  assert.equal((await stripe.paymentMethods.detach(method.id)).customer, null);
  assert.equal((await stripe.customers.listPaymentMethods(customer.id)).data.length, 0);
});

await kit.test('currencies without decimals and with three keep their amounts', async () => {
  for (const [amount, currency] of [[500, 'jpy'], [1230, 'kwd']]) {
    const paid = await stripe.paymentIntents.create({ amount, currency, confirm: true, ...card('pm_card_visa') });
    assert.deepEqual([paid.status, paid.amount_received, paid.currency], ['succeeded', amount, currency]);
  }
});

await kit.test('an unknown parameter is refused by its name', async () => {
  const call = stripe.paymentIntents.create({ amount: 1, currency: 'eur', colour: 'red' });
  await refused(call, 'StripeInvalidRequestError', { statusCode: 400, code: 'parameter_unknown', param: 'colour' });
});

await kit.test('a missing parameter is asked for by its name', async () => {
  await refused(stripe.paymentIntents.create({ currency: 'eur' }), 'StripeInvalidRequestError', { statusCode: 400, code: 'parameter_missing', param: 'amount' });
});

await kit.test('what does not exist is not found', async () => {
  await refused(stripe.paymentIntents.retrieve('pi_nothing'), 'StripeInvalidRequestError', { statusCode: 404, code: 'resource_missing', param: 'intent' });
});

await kit.test('a wrong key opens nothing', async () => {
  await refused(connect('sk_test_wrong').customers.list(), 'StripeAuthenticationError', { statusCode: 401 });
});

await kit.test('lists page forwards and backwards without gaps', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await stripe.customers.create({ name });
  const first = await stripe.customers.list({ limit: 2 });
  assert.deepEqual([first.data.map((one) => one.name), first.has_more], [['d', 'c'], true]);
  const second = await stripe.customers.list({ limit: 2, starting_after: first.data[1].id });
  assert.deepEqual(second.data.map((one) => one.name), ['b', 'a']);
  const back = await stripe.customers.list({ limit: 2, ending_before: second.data[0].id });
  assert.deepEqual(back.data.map((one) => one.name), ['d', 'c']);
  const all = await stripe.customers.list({ limit: 2 }).autoPagingToArray({ limit: 100 });
  assert.equal(all.length, 5);
});

await kit.test('intents, charges, sessions and methods are listed', async () => {
  const intents = await stripe.paymentIntents.list({ customer: customer.id, limit: 100 });
  assert.ok(intents.data.some((one) => one.id === intent.id));
  const charges = await stripe.charges.list({ payment_intent: intent.id });
  assert.deepEqual(charges.data.map((one) => one.id), [charge.id]);
  const sessions = await stripe.checkout.sessions.list({ limit: 100 });
  assert.ok(sessions.data.some((one) => one.id === session.id));
  const lines = await stripe.balanceTransactions.list({ source: charge.id });
  assert.equal(lines.data.length, 1);
});

await kit.test('an event is kept for each thing that happened', async () => {
  const { data } = await stripe.events.list({ type: 'payment_intent.succeeded', limit: 100 });
  const event = data.find((one) => one.data.object.id === challenged.id);
  assert.ok(event, 'the challenged payment has its event');
  assert.deepEqual((await stripe.events.retrieve(event.id)).data.object.id, challenged.id);
});

const EXPECTED = [
  'checkout.session.completed', 'checkout.session.expired', 'payment_intent.created', 'payment_intent.succeeded',
  'payment_intent.payment_failed', 'payment_intent.requires_action', 'payment_intent.canceled',
  'payment_intent.amount_capturable_updated', 'charge.succeeded', 'charge.refunded',
];

await kit.test('the endpoint is told of all of it', async () => {
  const told = () => new Set(shop.hits.filter((hit) => hit.path === '/hook').map((hit) => JSON.parse(hit.body).type));
  await until('all kinds of events', () => EXPECTED.every((type) => told().has(type)), 20 * SECONDS).catch(() => {
    assert.fail(`not told of ${EXPECTED.filter((type) => !told().has(type)).join(', ')}; told of ${[...told()].join(', ')}`);
  });
});

await kit.test('constructEvent accepts every webhook we sent, and no other', async () => {
  const hooks = shop.hits.filter((hit) => hit.path === '/hook');
  for (const { body, headers } of hooks) {
    const event = stripe.webhooks.constructEvent(body, headers['stripe-signature'], endpoint.secret);
    assert.equal(event.object, 'event');
    assert.equal(event.api_version, VERSION);
  }
  const { body, headers, at } = hooks[0];
  const signature = headers['stripe-signature'];
  assert.throws(() => stripe.webhooks.constructEvent(body.replace('"', '" '), signature, endpoint.secret), /signature/i);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, 'whsec_another'), /signature/i);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, endpoint.secret, 300, undefined, at + 600 * SECONDS), /tolerance/i);
});

await kit.test('an endpoint is changed, listed and removed', async () => {
  const changed = await stripe.webhookEndpoints.update(endpoint.id, { enabled_events: ['charge.refunded'] });
  assert.deepEqual([changed.enabled_events, changed.secret], [['charge.refunded'], undefined]);
  assert.equal((await stripe.webhookEndpoints.list()).data.length, 1);
  assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
  assert.equal((await stripe.webhookEndpoints.list()).data.length, 0);
});

await kit.test('a customer is deleted and stays named as such', async () => {
  assert.equal((await stripe.customers.del(customer.id)).deleted, true);
  assert.equal((await stripe.customers.retrieve(customer.id)).deleted, true);
});

shop.close();
proxy.close();
await florin.stop();
await florin.neverWrote('API keys and webhook secrets', [florin.key, endpoint?.secret ?? 'whsec_'], { alsoInData: false });

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
