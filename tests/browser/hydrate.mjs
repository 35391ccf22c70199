// Measures how soon each page is painted and its islands are at work, with nothing cached; printed for the bench.
import { Server, browser, person, signIn } from './harness.mjs';

const runs = 7;
const server = await Server.start();
const chrome = await browser();
try {
  const admin = await person(chrome);
  await signIn(admin, server.base, 'admin@localhost', server.password);
  await admin.click('text=Set up the sample');
  await admin.waitForSelector('text=The sample is set up');
  const first = async (path, selector) => {
    await admin.goto(server.base + path);
    return admin.locator(selector).first().getAttribute('href', { timeout: 20_000 });
  };
  const pages = ['/', '/tenants', await first('/tenants', 'tbody td a'), '/tiers', await first('/tiers', '.card a'), '/releases', '/strategies', await first('/strategies', '.card a'), '/rollouts', '/rollouts/new?version=1.1.0&strategy=Careful', await first('/rollouts', 'tbody td a'), '/approvals', '/activity', '/settings'];
  const state = await admin.context().storageState();
  for (const path of pages) await measure(path, state);
  for (const path of ['/signup', '/sign-in']) await measure(path, undefined);
} finally {
  await chrome.close();
  await server.stop();
}

async function measure(path, storageState) {
  const seen = [];
  for (let run = 0; run < runs; run += 1) {
    const page = await person(chrome, { storageState });
    await page.goto(server.base + path, { waitUntil: 'load' });
    if (storageState) await page.waitForFunction(() => performance.getEntriesByName('hydrated').length > 0);
    await page.waitForTimeout(150);
    seen.push(await page.evaluate(() => {
      const bytes = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
      const marks = performance.getEntriesByName('hydrated').map((mark) => mark.startTime);
      return {
        painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
        hydrated: marks.length ? Math.max(...marks) : 0,
        kilobytes: bytes.reduce((sum, entry) => sum + entry.transferSize, 0) / 1000,
      };
    }));
    await page.context().close();
  }
  const middle = (what) => seen.map((one) => one[what]).sort((a, b) => a - b)[Math.floor(runs / 2)];
  const name = path.replace(/[0-9a-f-]{36}/, '…').replace(/\?.*/, '');
  const hydrated = storageState ? `, at work after ${middle('hydrated').toFixed(0)} ms` : ', no islands';
  console.log(`browser ${name}: painted after ${middle('painted').toFixed(0)} ms${hydrated}, ${middle('kilobytes').toFixed(0)} kB in all`);
}
