// A person with a browser: buys, is challenged, is declined and pays with another card, abandons and comes back; with
// scripts and without. Then every page in light and dark, narrow and wide, and what the browsers reported.

import assert from 'node:assert/strict';
import { Kit, startFlorin, until } from '../lib/kit.mjs';
import { look } from './accessible.mjs';
import { openBrowser, openPage } from './open.mjs';
import { CARDS, PAID, answerChallenge, goToPayment, latestOrder, leavePayment, onPaymentPage, orderSays, payWith } from './pages.mjs';
import { stops } from './stops.mjs';

const kit = new Kit('browser');
const florin = await startFlorin(kit, { needs: ['shop', 'api', 'stripe', 'provider', 'issuer', 'key'] });
const browser = await openBrowser();
console.log(`Chromium ${browser.version()} against ${florin.shop}`);

/** A typical page comes in one go. */
const PAGE_BYTES = 15_000;

/** Where each origin counts what browsers refused on its pages. */
const REPORTED = [`${florin.shop}/csp-reports`, `${florin.api}/policy-reports`, `${florin.stripe}/c/reports`, `${florin.provider}/c/reports`];

/** What one origin's pages had refused by browsers. */
const reports = async (address = REPORTED[0]) => (await (await fetch(address)).json()).violations;

/** How many entries of one kind the card issuer's own book holds. */
async function book(kind) {
  let count = 0;
  for (let after = 0, more = true; more;) {
    const { data, has_more } = await (await fetch(`${florin.issuer}/book?after=${after}&limit=100`)).json();
    count += data.filter((entry) => entry.kind === kind).length;
    [after, more] = [data.at(-1)?.seq, has_more];
  }
  return count;
}

async function visit(options, run) {
  const visitor = await openPage(browser, florin, options);
  try {
    await run(visitor.page, visitor);
    assert.deepEqual(visitor.complaints, [], 'the browser had nothing to complain about');
  } finally {
    await visitor.close();
  }
}

for (const scripts of [true, false]) {
  const how = scripts ? 'with scripts' : 'without scripts';
  const options = { javaScriptEnabled: scripts };

  await kit.test(`${how}: somebody buys`, () => visit(options, async (page) => {
    const before = await book('authorized');
    await goToPayment(page, florin);
    assert.equal(await page.locator('script').count(), 0, 'a page that takes cards has no script');
    await payWith(page, CARDS.pays);
    await orderSays(page, florin, PAID, scripts);
    assert.equal(await book('authorized'), before + 1, 'the issuer was asked once');
  }));

  await kit.test(`${how}: somebody is challenged, passes, and has paid`, () => visit(options, async (page) => {
    await goToPayment(page, florin);
    await payWith(page, CARDS.asks);
    await answerChallenge(page, 'complete');
    await orderSays(page, florin, PAID, scripts);
  }));

  await kit.test(`${how}: somebody fails the challenge and pays with another card`, () => visit(options, async (page) => {
    await goToPayment(page, florin);
    await payWith(page, CARDS.asks);
    await answerChallenge(page, 'fail');
    await onPaymentPage(page);
    await payWith(page, CARDS.pays);
    await orderSays(page, florin, PAID, scripts);
  }));

  await kit.test(`${how}: somebody is declined, is not told why, and pays with another card`, () => visit(options, async (page) => {
    const before = await book('authorized');
    await goToPayment(page, florin);
    await payWith(page, CARDS.noFunds);
    const alert = page.getByRole('alert').filter({ hasText: /declined/i }).first();
    await alert.waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /insufficient|funds/i, 'the reason is not for the payer');
    assert.equal(await page.getByLabel(/card number/i).inputValue(), '', 'the number is not sent back to the page');
    await payWith(page, CARDS.pays);
    await orderSays(page, florin, PAID, scripts);
    assert.equal(await book('authorized'), before + 1, 'one card was charged, once');
  }));

  await kit.test(`${how}: somebody leaves the payment page, comes back and pays`, () => visit(options, async (page) => {
    await goToPayment(page, florin);
    await leavePayment(page);
    await page.waitForURL((url) => url.href.startsWith(florin.shop));
    await page.goto(`${florin.shop}/orders`);
    await page.locator('main').getByRole('link').first().click();
    await page.locator('main').getByRole('button', { name: /\bpay\b/i }).first().click();
    await onPaymentPage(page);
    await payWith(page, CARDS.pays);
    await orderSays(page, florin, PAID, scripts);
  }));

  await kit.test(`${how}: somebody closes the window and pays from another one`, () => visit(options, async (page, { context }) => {
    await goToPayment(page, florin);
    await page.close();
    const other = await context.newPage();
    await other.goto(`${florin.shop}/orders`);
    await other.locator('main').getByRole('link').first().click();
    await other.locator('main').getByRole('button', { name: /\bpay/i }).or(other.locator('main').getByRole('link', { name: /\bpay/i })).first().click();
    await onPaymentPage(other);
    await payWith(other, CARDS.pays);
    await orderSays(other, florin, PAID, scripts);
  }));

  await kit.test(`${how}: a number that is no test card is refused and not repeated`, () => visit(options, async (page) => {
    await goToPayment(page, florin);
    await payWith(page, '4111111111111111');
    await page.getByText(/test card/i).first().waitFor();
    assert.doesNotMatch(await page.content(), /4111111111111111/);
  }));
}

await kit.test('an open order page says by itself that it is paid, and shows the ledger', () => visit({}, async (page, { context }) => {
  await goToPayment(page, florin);
  const watching = await context.newPage();
  await watching.goto(`${florin.shop}/orders`);
  await watching.locator('main').getByRole('link').first().click();
  await watching.locator('#state-word').waitFor();
  await payWith(page, CARDS.pays);
  await orderSays(watching, florin, PAID, true);
  const deliveries = watching.locator('#part-deliveries');
  await until('the webhook that fulfilled it', async () => /order\.captured/.test(await deliveries.innerText()), 15_000);
  assert.match(await watching.locator('#part-ledger').innerText(), /receivable/i);
}));

// What each page looks like, once in every state that a newcomer sees.
const visitor = await openPage(browser, florin, { bypassCSP: true });
for (const [name, go] of stops(visitor.page, florin)) {
  await kit.test(`${name}: no violation in light and dark, at 320 and 1280 px`, async () => {
    await go();
    await look(kit, visitor.page, name);
  });
}
await visitor.close();

await kit.test('each of these pages does what it does under its own policy', async () => {
  const strict = await openPage(browser, florin);
  for (const [, go] of stops(strict.page, florin)) await go();
  assert.deepEqual(strict.complaints.filter((one) => /security policy|asked somebody else/i.test(one)), []);
  await strict.close();
});

await kit.test('what the shop shows of an order is small enough to be there at once', () => visit({}, async (page) => {
  await goToPayment(page, florin);
  await payWith(page, CARDS.pays);
  await orderSays(page, florin, PAID, true);
  await until('its webhooks', async () => /packed/i.test(await page.locator('#part-state').innerText()));
  const html = await (await fetch(page.url())).text();
  assert.ok(html.length < PAGE_BYTES, `${html.length} bytes`);
}));

await kit.test('every place of the reference that an order page links to is there', () => visit({}, async (page) => {
  await goToPayment(page, florin);
  await leavePayment(page);
  await page.goto(`${florin.shop}/orders`);
  await latestOrder(page);
  await page.locator('#part-try').waitFor();
  const links = await page.locator(`a[href^="${florin.api}/docs#"]`).evaluateAll((all) => all.map((one) => one.hash.slice(1)));
  assert.ok(links.length >= 5, `${links}`);
  const reference = await (await fetch(`${florin.api}/docs`)).text();
  for (const anchor of links) assert.ok(reference.includes(`id="${anchor}"`), `there is no #${anchor}`);
}));

await kit.test('no page of any of our origins was reported for breaking its policy', async () => {
  for (const address of REPORTED) assert.equal(await reports(address), 0, address);
});

await kit.test('a control page with a forbidden script is refused and reported', async () => {
  const control = await openPage(browser, florin);
  await control.page.goto(`${florin.shop}/_policy`);
  assert.equal(await control.page.locator('#control').innerText(), 'The policy holds');
  assert.ok(control.complaints.some((one) => /content security policy/i.test(one)), `${control.complaints}`);
  await until('the report', async () => (await reports()) > 0, 30_000);
  await control.close();
});

await browser.close();
await florin.stop();
await florin.neverWrote('card numbers', [...Object.values(CARDS), '4111111111111111']);
florin.forget();
kit.done();
