// Keeps an open order page up to date and lets commands be copied. Everything works without it.
const policy = globalThis.trustedTypes?.createPolicy("florin", { createHTML: (html) => html });
const parse = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
document.documentElement.classList.add("scripted");

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Cannot copy";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

const live = document.getElementById("live");
const spoken = document.getElementById("spoken");
const word = () => document.getElementById("state-word").textContent.trim();
// Nobody watches a page for an hour; the link to refresh stays.
const QUIET_MS = 60 * 60 * 1000;
let tag = "";
let changed = Date.now();

// Somebody selects text in it: leave it alone until they are done.
const isHeld = (part) => {
  const selection = getSelection();
  return !selection.isCollapsed && (part.contains(selection.anchorNode) || part.contains(selection.focusNode));
};

const parts = (root) => [...root.querySelectorAll("[data-part]")];
const stops = (root) => [...root.querySelectorAll("a, button, summary, [tabindex]")];

// What was focused and what was open stays so.
const replace = (part, next) => {
  const stop = stops(part).indexOf(document.activeElement);
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  part.replaceChildren(...document.importNode(next, true).childNodes);
  part.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? false; });
  if (stop >= 0) stops(part)[stop]?.focus({ preventScroll: true });
};

const refresh = async () => {
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(live.dataset.from, { headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (answer.status !== 200) return;
  const fresh = parse(await answer.text());
  const before = word();
  let held = false;
  const names = (root) => parts(root).map((part) => part.id).join();
  if (names(live) !== names(fresh)) {
    replace(live, fresh.body);
    changed = Date.now();
  }
  for (const part of parts(live)) {
    const next = fresh.getElementById(part.id);
    if (next.dataset.every) part.dataset.every = next.dataset.every;
    if (next.innerHTML === part.innerHTML.replaceAll(' open=""', "")) continue;
    if (isHeld(part)) { held = true; continue; }
    replace(part, next);
    changed = Date.now();
  }
  tag = held ? "" : answer.headers.get("ETag") ?? "";
  if (word() !== before) spoken.textContent = `The order is now: ${word()}`;
};

const keepUp = async () => {
  if (!document.hidden) await refresh().catch(() => {});
  if (Date.now() - changed > QUIET_MS) return;
  setTimeout(keepUp, Number(live.querySelector("[data-every]").dataset.every));
};
if (live) keepUp();
