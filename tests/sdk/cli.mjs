// Stripe's command line, unmodified: `stripe trigger` makes test events with our door in place of Stripe's.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kit, startFlorin, until } from '../lib/kit.mjs';

// The two that we promise, and what else needs no route beyond a checkout flow.
const EVENTS = [
  'payment_intent.succeeded', 'checkout.session.completed',
  'payment_intent.created', 'payment_intent.canceled', 'payment_intent.amount_capturable_updated', 'charge.captured',
  'charge.refunded', 'payment_intent.payment_failed', 'checkout.session.expired',
];
// What they make is made, and of documents nothing is told.
const MADE = ['product.created', 'price.created'];

const kit = new Kit('stripe-cli');
const florin = await startFlorin(kit, { needs: ['stripe', 'key'] });
const home = mkdtempSync(join(tmpdir(), 'florin-stripe-cli-'));
const program = join(import.meta.dirname, '../node_modules/@stripe/cli/bin/shim.js');

/** Runs the CLI and gives its exit status and all that it printed. */
function stripe(...args) {
  const child = spawn(process.execPath, [program, ...args, '--color', 'off'], {
    env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, STRIPE_API_KEY: florin.key },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (piece) => { output += piece; });
  child.stderr.on('data', (piece) => { output += piece; });
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, output })));
}

/** How many events of this type the door lists. */
async function events(type) {
  const answer = await fetch(`${florin.stripe}/v1/events?type=${type}&limit=100`, { headers: { authorization: `Bearer ${florin.key}` } });
  assert.equal(answer.status, 200);
  return (await answer.json()).data.length;
}

for (const type of EVENTS) {
  await kit.test(`stripe trigger ${type} succeeds and the event is there`, async () => {
    const before = await events(type);
    const { status, output } = await stripe('trigger', type, '--api-base', florin.stripe.replace(/\/$/, ''));
    assert.equal(status, 0, output);
    assert.match(output, /Trigger succeeded/, output);
    await until(`an event ${type}`, async () => (await events(type)) > before);
  });
}

for (const type of MADE) {
  await kit.test(`stripe trigger ${type} succeeds`, async () => {
    const { status, output } = await stripe('trigger', type, '--api-base', florin.stripe.replace(/\/$/, ''));
    assert.equal(status, 0, output);
    assert.match(output, /Trigger succeeded/, output);
  });
}

await florin.stop();
florin.forget();
rmSync(home, { recursive: true, force: true });
kit.done();
