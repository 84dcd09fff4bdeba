// What a person does on our pages, by the words that a person reads: roles and labels, never classes.

import { until } from '../lib/kit.mjs';

/** Stripe's published test numbers; the provider's page takes no others. */
export const CARDS = {
  pays: '4242424242424242',
  asks: '4000002500003155', // for 3-D Secure
  noFunds: '4000000000009995',
  declined: '4000000000000002',
};

export const PAID = /^\s*paid\b/i;

export const button = (page, name) => page.locator('main').getByRole('button', { name }).first();

/** From the list of a visitor's orders to the newest of them. */
export const latestOrder = (page) => page.locator('main').getByRole('link').first().click();

/** Puts something into the cart and goes to the provider's page, which it waits for. */
export async function goToPayment(page, florin) {
  await page.goto(florin.shop);
  await button(page, /^add\b.*\bcart\b/i).click();
  await page.goto(`${florin.shop}/cart`);
  await button(page, /^pay\b/i).click();
  await onPaymentPage(page);
}

export async function onPaymentPage(page) {
  await page.getByLabel(/card number/i).waitFor();
}

/** Fills the card form and presses the button that repeats the amount. */
export async function payWith(page, number, { exp = '12 / 34', cvc = '123' } = {}) {
  await page.getByLabel(/card number/i).fill(number);
  await page.getByLabel(/expir/i).fill(exp);
  await page.getByLabel(/security code|cvc/i).fill(cvc);
  await button(page, /^pay\b/i).click();
}

/** Answers the bank's question. */
export async function answerChallenge(page, answer) {
  await page.getByRole('heading', { name: /3-d secure|authentication|your bank|confirm/i }).first().waitFor();
  await button(page, answer === 'complete' ? /complete|approve|confirm/i : /fail|refuse|decline/i).click();
}

/** Waits until the order page says `state`; without scripts it is asked again, as its reader would. */
export async function orderSays(page, florin, state, scripts) {
  await page.waitForURL((url) => url.href.startsWith(`${florin.shop}/orders/`));
  await until(`the order page to say ${state}`, async () => {
    const says = await page.locator('#state-word').textContent();
    if (state.test(says)) return true;
    if (!scripts) await page.reload();
    return false;
  }, 15_000);
}

/** The way back to the shop that the payment page offers to those who will not pay now. */
export async function leavePayment(page) {
  await page.getByRole('link', { name: /back|cancel|return/i }).or(button(page, /back|cancel|return/i)).first().click();
}
