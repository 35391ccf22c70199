// Measures how long a browser takes to plan for a large fleet; printed for the bench.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { browser, person } from './harness.mjs';

const runs = 7;
const origin = 'http://planning.localhost';
const types = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm' };
const chrome = await browser();
try {
  const page = await person(chrome);
  await page.route(`${origin}/**`, async (route) => {
    const name = new URL(route.request().url()).pathname.slice(1) || 'index.html';
    const body = name === 'index.html' ? '<!doctype html>' : await readFile(join(process.env.PLANNING, name));
    await route.fulfill({ body, contentType: types[name.split('.').pop()] });
  });
  await page.goto(origin);
  const times = await page.evaluate(async (runs) => {
    const { default: load, Fleet } = await import('/planning.js');
    await load({ module_or_path: '/planning_bg.wasm' });
    const fleet = new Fleet();
    return Array.from({ length: runs }, () => {
      const begin = performance.now();
      fleet.plan();
      return performance.now() - begin;
    });
  }, runs);
  times.sort((a, b) => a - b);
  const [middle, worst] = [times[Math.floor(runs / 2)], times[runs - 1]].map((time) => time.toFixed(0));
  console.log(`browser: planning for 100,000 stacks in 5 waves: median ${middle} ms, worst of ${runs} ${worst} ms`);
} finally {
  await chrome.close();
}
