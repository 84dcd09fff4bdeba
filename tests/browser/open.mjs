// Chromium of the distribution, and pages whose every complaint is written down.

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { cannotRun } from '../lib/kit.mjs';

const PLACES = [process.env.KIT_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const PATIENCE_MS = 15_000;

/** Starts the browser. It looks nothing up and updates nothing: what it asks for is what our pages ask for. */
export async function openBrowser() {
  const executablePath = PLACES.find((place) => place && existsSync(place)) ?? cannotRun('there is no chromium here');
  return chromium.launch({
    executablePath,
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
    ],
  });
}

/** A page in a fresh profile. `complaints` collects what the browser refused, what failed, and who else was asked. */
export async function openPage(browser, florin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB', ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const ours = new Set(Object.values(florin).filter((value) => /^http/.test(value)).map((url) => new URL(url).hostname));
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (/^http/.test(url.protocol) && !ours.has(url.hostname)) complaints.push(`asked somebody else: ${url.href}`);
  });
  context.on('weberror', (error) => complaints.push(`a script failed: ${error.error().message}`));
  context.on('console', (message) => {
    // A page that says "declined" or "not a test card" may do so with status 402 or 422, and Chromium remarks on that.
    if (message.type() === 'error' && !/status of (402|422)\b/.test(message.text())) complaints.push(`${message.page()?.url()}: ${message.text()}`);
  });
  return { page: await context.newPage(), context, complaints, close: () => context.close() };
}
