// Every page that a person may see, in every state that it has: how to get there from a fresh browser.

import { until } from '../lib/kit.mjs';
import { CARDS, PAID, answerChallenge, button, goToPayment, latestOrder, leavePayment, onPaymentPage, orderSays, payWith } from './pages.mjs';

/** Name and way of each stop; they are walked in this order by one visitor. */
export function stops(page, florin) {
  const native = caller(florin.api, florin.key, 'application/json', JSON.stringify);
  const stripe = caller(florin.stripe, florin.key, 'application/x-www-form-urlencoded', (fields) => new URLSearchParams(fields).toString());
  const checkout = (amount) => stripe('POST', '/v1/checkout/sessions', {
    mode: 'payment', success_url: `${florin.shop}/`, cancel_url: `${florin.shop}/cart`,
    'line_items[0][price_data][currency]': 'eur', 'line_items[0][price_data][unit_amount]': amount,
    'line_items[0][price_data][product_data][name]': 'Teapot', 'line_items[0][quantity]': '2',
  });
  const order = (method) => native('POST', '/v1/orders', {
    amount: 4_200, currency: 'EUR', reference: `look-${crypto.randomUUID()}`, confirm: true, method, description: 'Two teapots',
  });
  const shopOrder = async () => (await native('GET', '/v1/orders')).data[0].id;
  return [
    ['catalogue', () => page.goto(florin.shop)],
    ['product', () => page.locator('main h2 a').first().click()],
    ['cart-empty', () => page.goto(`${florin.shop}/cart`)],
    ['orders-empty', () => page.goto(`${florin.shop}/orders`)],
    ['trouble', () => page.goto(`${florin.shop}/orders/nobody-knows-this`)],
    ['payment', () => goToPayment(page, florin)],
    ['payment-refused-fields', async () => {
      await payWith(page, '4111111111111111', { exp: '13 / 20', cvc: 'x' });
      await page.getByText(/test card/i).first().waitFor();
    }],
    ['payment-declined', async () => {
      await payWith(page, CARDS.noFunds);
      await page.getByRole('alert').first().waitFor();
    }],
    ['order-declined', async () => {
      await leavePayment(page);
      await page.goto(`${florin.shop}/orders`);
      await latestOrder(page);
      await page.locator('#state-word').waitFor();
    }],
    ['challenge', async () => {
      await button(page, /\bpay/i).click();
      await onPaymentPage(page);
      await payWith(page, CARDS.asks);
      await page.getByRole('button', { name: /complete|approve|confirm/i }).first().waitFor();
    }],
    ['payment-begun', async () => {
      await page.goto(`${florin.shop}/orders`);
      await latestOrder(page);
      await button(page, /\bpay/i).click();
      await page.getByRole('link', { name: /continue/i }).first().waitFor();
    }],
    ['order-paid', async () => {
      await page.getByRole('link', { name: /continue/i }).first().click();
      await answerChallenge(page, 'complete');
      await orderSays(page, florin, PAID, true);
      await until('its webhook', async () => /packed/i.test(await page.locator('#part-state').innerText()));
    }],
    ['order-refunded', async () => {
      await page.goto(`${florin.shop}/orders`);
      await latestOrder(page);
      await native('POST', `/v1/orders/${await shopOrder()}/refunds`, { amount: 500 });
      await orderSays(page, florin, /refunded/i, true);
    }],
    ['orders', () => page.goto(`${florin.shop}/orders`)],
    ['cart', async () => {
      await page.goto(florin.shop);
      await page.getByRole('button', { name: /^add\b.*\bcart\b/i }).nth(3).click();
      await page.goto(florin.shop);
      await page.getByRole('button', { name: /^add\b.*\bcart\b/i }).first().click();
      await page.goto(`${florin.shop}/cart`);
    }],
    ['order-waiting', async () => {
      await button(page, /^pay\b/i).click();
      await onPaymentPage(page);
      await leavePayment(page);
      await page.goto(`${florin.shop}/orders`);
      await latestOrder(page);
    }],
    ['order-canceled', async () => {
      await button(page, /^cancel/i).click();
      await orderSays(page, florin, /canceled/i, true);
    }],
    ['merchant-page', async () => page.goto((await checkout('2100')).url)],
    ['merchant-page-paid', async () => {
      const session = await checkout('2100');
      await page.goto(session.url);
      await button(page, /^pay\b/i).click();
      await onPaymentPage(page);
      await payWith(page, CARDS.pays);
      await page.waitForURL((url) => url.href.startsWith(florin.shop));
      // A page that leads on at once is looked at with that switched off.
      await page.route(`${florin.stripe}/c/pay/*`, async (route) => {
        const answer = await route.fetch();
        await route.fulfill({ response: answer, body: (await answer.text()).replace(/<meta http-equiv="refresh"[^>]*>/, '') });
      });
      await page.goto(session.url);
      await page.unroute(`${florin.stripe}/c/pay/*`);
    }],
    ['merchant-page-closed', async () => {
      const session = await checkout('2100');
      await stripe('POST', `/v1/checkout/sessions/${session.id}/expire`, {});
      await page.goto(session.url);
    }],
    ['returned', async () => {
      const { next_action } = await order('hosted');
      await page.goto(next_action.url);
      await payWith(page, CARDS.pays);
      await page.waitForURL((url) => url.href.startsWith(florin.api));
    }],
    ['return-unknown', () => page.goto(`${florin.api}/return/nobody-knows-this`)],
    ['front', () => page.goto(florin.api)],
    ['reference', () => page.goto(`${florin.api}/docs`)],
    ['problems', () => page.goto(`${florin.api}/problems`)],
    ['problem', () => page.goto(`${florin.api}/problems/key_reused`)],
    ['problem-unknown', () => page.goto(`${florin.api}/problems/nothing`)],
    ['page-unknown', () => page.goto(`${florin.api}/nothing`)],
    ['stripe-front', () => page.goto(florin.stripe)],
  ];
}

function caller(base, key, kind, written) {
  return async (method, path, body) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': kind, 'idempotency-key': crypto.randomUUID() };
    const answer = await fetch(base + path, { method, headers, body: body && written(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
}
