// Each page in light and dark, narrow and wide: no axe violation, no sideways scrolling, and a screenshot to look at.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export const LOOKS = [320, 1280].flatMap((width) => ['light', 'dark'].map((colorScheme) => ({ width, colorScheme })));

/** Looks at what is on the page now, in all four ways. Throws with everything that is wrong. */
export async function look(kit, page, name) {
  const folder = join(kit.work, 'screenshots');
  mkdirSync(folder, { recursive: true });
  const wrong = [];
  for (const { width, colorScheme } of LOOKS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (sideways > 0) wrong.push(`${width} px ${colorScheme}: scrolls sideways by ${sideways} px`);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate((tags) => globalThis.axe.run({ runOnly: { type: 'tag', values: tags } }), WCAG);
    for (const { id, help, nodes } of violations) {
      wrong.push(`${width} px ${colorScheme}: ${id}: ${help}: ${nodes.map((node) => `${node.target} (${node.failureSummary?.split('\n')[1]?.trim()})`).join('; ')}`);
    }
    await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  if (wrong.length > 0) throw new Error(`${page.url()}\n${wrong.join('\n')}`);
}
