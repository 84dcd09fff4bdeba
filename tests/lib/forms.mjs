// A payer without a browser: opens a page, fills its form, presses a button, follows redirects, keeps cookies.
// For the SDK kits, where a payer has to answer a challenge; what people see is the browser kit's business.

const HOPS = 12;

/** Walks from `url` until an address starts with `home`, pressing on each page the button that `press` matches. */
export async function walkForms(url, { home, press, fill = {} }) {
  const cookies = new Map();
  let next = { url, method: 'GET', body: undefined };
  for (let hop = 0; hop < HOPS; hop += 1) {
    if (next.url.startsWith(home)) return next.url;
    const response = await fetch(next.url, {
      method: next.method,
      body: next.body,
      redirect: 'manual',
      headers: {
        ...(cookies.size > 0 ? { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } : {}),
        ...(next.body ? { 'content-type': 'application/x-www-form-urlencoded', origin: new URL(next.url).origin } : {}),
      },
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      cookies.set(pair.slice(0, at).trim(), pair.slice(at + 1));
    }
    const location = response.headers.get('location');
    if (location) {
      next = { url: new URL(location, next.url).href, method: 'GET' };
      continue;
    }
    const page = await response.text();
    const form = formWith(page, press);
    if (!form) {
      const refresh = /http-equiv="?refresh"?[^>]*content="(\d+)(?:;\s*url=([^"]*))?"/i.exec(page);
      if (!refresh) throw new Error(`${next.url} (${response.status}) has no button like ${press}:\n${page.slice(0, 2000)}`);
      await new Promise((resolve) => setTimeout(resolve, Number(refresh[1]) * 1000));
      next = { url: refresh[2] ? new URL(unescape(refresh[2]), next.url).href : next.url, method: 'GET' };
      continue;
    }
    const fields = new URLSearchParams({ ...form.fields, ...Object.fromEntries(Object.entries(fill).filter(([name]) => name in form.fields)) });
    const action = new URL(form.action, next.url);
    next = form.method === 'POST'
      ? { url: action.href, method: 'POST', body: fields.toString() }
      : { url: `${action.origin}${action.pathname}?${fields}`, method: 'GET' };
  }
  throw new Error(`still not home after ${HOPS} pages; at ${next.url}`);
}

/** The first form with a button whose text or value matches, and what it would send. */
function formWith(page, press) {
  for (const [, attributes, inside] of page.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
    const fields = {};
    for (const [, input] of inside.matchAll(/<input\b([^>]*)>/gi)) {
      const type = (attribute(input, 'type') ?? 'text').toLowerCase();
      const name = attribute(input, 'name');
      const chosen = !['radio', 'checkbox'].includes(type) || /\bchecked\b/i.test(input);
      if (name && chosen && type !== 'submit') fields[name] = attribute(input, 'value') ?? '';
    }
    for (const [, button, label] of inside.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)) {
      const text = label.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim();
      if (!press.test(text) && !press.test(attribute(button, 'value') ?? '')) continue;
      const name = attribute(button, 'name');
      if (name) fields[name] = attribute(button, 'value') ?? '';
      return {
        action: attribute(button, 'formaction') ?? attribute(attributes, 'action') ?? '',
        method: (attribute(attributes, 'method') ?? 'get').toUpperCase(),
        fields,
      };
    }
  }
  return undefined;
}

function attribute(tag, name) {
  const found = new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(tag);
  return found ? unescape(found[1] ?? found[2] ?? found[3]) : undefined;
}

function unescape(text) {
  return text
    .replace(/&#x([0-9a-f]+);/gi, (_, hex) => String.fromCodePoint(parseInt(hex, 16)))
    .replace(/&#(\d+);/g, (_, number) => String.fromCodePoint(Number(number)))
    .replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
}
