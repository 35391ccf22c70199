// The rollout page, used hard: failures, the drawer by keyboard, steering with reasons, two approvers, a rejection,
// a lost connection, a browser without scripts.
import assert from 'node:assert/strict';
import { mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { begin, call, everywhere, makeToken, output, person, signIn, until, violations } from './harness.mjs';

const password = 'a long password';
let server, chrome, admin, ana, ben, token;

const gate = (bake, quorum) => ({ bake, checks: bake ? [{ check: 'healthy' }] : [], grace: 0, approval: quorum ? { quorum, group: null, expiry: 86_400_000 } : null });
const wave = (name, selector, concurrency, gate) => ({ name, selector, concurrency, tolerance: '0', mode: 'soft', attempts: 1, gate });

const api = (verb, path, body) => call(server, token, verb, path, body);

async function addApprover(email) {
  await admin.goto(`${server.base}/settings`);
  await admin.click('text=Add a person');
  await admin.fill('#email', email);
  await admin.selectOption('#role', 'approver');
  await admin.fill('#password', password);
  await admin.click('button:text-is("Add")');
  await admin.waitForSelector(`text=${email} was added`);
  const page = await person(chrome);
  await signIn(page, server.base, email, password);
  return page;
}

async function rollOut(version, strategy) {
  await admin.goto(`${server.base}/rollouts/new?version=${version}&strategy=${strategy}`);
  await admin.click(`text=Start Release ${version}`);
  await admin.waitForURL(/\/rollouts\/[0-9a-f-]{36}$/);
  return admin.url();
}

async function status(word, page = admin) {
  await page.waitForSelector(`.rollout-title .state[data-state=${word}]`, { timeout: 60_000 });
}

async function accessible(page, what) {
  assert.deepEqual(await violations(page, what.replaceAll(' ', '-')), []);
}

/** Keeps new processes of a stack from starting: a folder stands where its database was. Returns what mends it. */
async function sabotage(name) {
  const all = await readdir(server.data, { recursive: true });
  const file = join(server.data, all.find((path) => path.includes(name) && path.endsWith('orders.db')));
  await rename(file, `${file}.kept`);
  await mkdir(file);
  return async () => {
    await rmdir(file);
    await rename(`${file}.kept`, file);
  };
}

before(async () => {
  ({ server, chrome, admin } = await begin());
  token = await makeToken(admin, server);
  for (const [key, model] of [['basic', 'pool'], ['premium', 'silo']]) {
    await api('POST', '/tiers', { key, name: key, model, signup: 'closed', regions: ['local'] });
  }
  for (const build of ['1.0.0', '1.1.0', '1.2.0', '1.5.0']) {
    await api('POST', '/releases', { version: build, artifacts: { local: { app: 'orders', build } } });
  }
  await api('POST', '/strategies', { name: 'Plain', on_halt: 'stay', waves: [wave('All', 'everyone', '100%', gate(0, 0))] });
  const two = [wave('First', 'tag:pilot', '1', gate(1500, 2)), wave('Everyone else', 'everyone', '2', gate(0, 0))];
  await api('POST', '/strategies', { name: 'Two', on_halt: 'stay', waves: two });
  await rollOut('1.0.0', 'Plain');
  await status('succeeded');
  for (const name of ['Alder', 'Birch', 'Cedar', 'Damson', 'Elm']) {
    await api('POST', '/tenants', { name, email: `ops@${name.toLowerCase()}.example`, tier: 'premium', tags: name < 'C' ? ['pilot'] : [] });
  }
  await api('POST', '/tenants', { name: 'Fir', email: 'ops@fir.example', tier: 'basic' });
  await until('all tenants are active', async () => (await api('GET', '/tenants')).items.every((t) => t.state === 'active'));
  ana = await addApprover('ana@example.com');
  ben = await addApprover('ben@example.com');
});

after(async () => {
  await chrome?.close();
  await server?.stop();
});

test('failures come first, with their reason, and are retried from where they are listed', async () => {
  const mend = await sabotage('elm');
  await rollOut('1.1.0', 'Plain');
  await status('halted');
  const first = admin.locator('.cell').first();
  assert.match(await first.getAttribute('aria-label'), /^silo-elm.*: failed, /);
  assert.equal(await first.getAttribute('data-state'), 'failed');
  await admin.waitForSelector('.fail-list li:has-text("silo-elm") >> text=attempt 1 of 1');
  await admin.waitForSelector('text=Needs you');
  await admin.screenshot({ path: `${output}failed-1440.png`, fullPage: true });
  await accessible(admin, 'a halted rollout');
  await admin.goto(`${admin.url()}/stacks?state=failed`);
  assert.equal(await admin.locator('tbody tr').count(), 1);
  await accessible(admin, 'the list of stacks');
  await admin.goBack();
  await mend();
  await admin.click('.fail-list >> text=silo-elm');
  await admin.waitForSelector('#drawer[open] >> text=1.0.0 → 1.1.0');
  await admin.keyboard.press('Escape');
  await admin.click('.failed button:text-is("Retry failed")');
  await status('succeeded');
});

test('the drawer opens, lives and closes by keyboard', async () => {
  await rollOut('1.2.0', 'Two');
  await admin.waitForSelector('.cell[data-state=in_progress]');
  assert.equal(await admin.locator('.cell[tabindex="0"]').count(), 2, 'one stop for each wave');
  const others = admin.locator('.wave').nth(1).locator('.cell');
  await others.first().focus();
  await admin.keyboard.press('ArrowRight');
  assert.equal(await others.nth(1).evaluate((cell) => cell === document.activeElement), true);
  await admin.keyboard.press('Home');
  assert.equal(await others.nth(0).evaluate((cell) => cell === document.activeElement), true);
  const moving = admin.locator('.cell[data-state=in_progress]').first();
  await moving.focus();
  const name = (await moving.getAttribute('aria-label')).split(':')[0];
  await admin.keyboard.press('Enter');
  await admin.waitForSelector('#drawer[open] .log');
  assert.equal(await admin.locator('#drawer-title').textContent(), name);
  assert.equal(await admin.evaluate(() => document.querySelector('#drawer').contains(document.activeElement)), true);
  const length = async () => (await admin.locator('#drawer .log').textContent()).length;
  const before = await length();
  await until('the log grows', async () => (await length()) > before, 20);
  await admin.screenshot({ path: `${output}drawer-1440.png` });
  await accessible(admin, 'the open drawer');
  await admin.keyboard.press('Escape');
  assert.equal(await admin.locator('#drawer[open]').count(), 0);
  assert.equal(await admin.evaluate(() => document.activeElement.getAttribute('aria-label').split(':')[0]), name, 'the focus is where it was');
});

test('two approvers open a gate, and each is told how it stands', async () => {
  await admin.waitForSelector('.gate >> text=See the gate', { timeout: 60_000 });
  await ana.goto(`${server.base}/approvals`);
  await ana.click('text=Review');
  await ana.waitForSelector('text=One more person must approve after you');
  await ana.setViewportSize({ width: 390, height: 844 });
  await accessible(ana, 'a gate that waits');
  await ana.screenshot({ path: `${output}gate-waiting-390.png`, fullPage: true });
  await ana.setViewportSize({ width: 1440, height: 900 });
  await ana.click('button:text-is("Approve")');
  await ana.waitForSelector('text=You approved this wave. It waits for one more person.');
  assert.equal(await ana.locator('.alert-warning').count(), 0);
  await ana.goto(`${server.base}/approvals`);
  await ana.waitForSelector('text=Nothing waits for you');
  await ana.waitForSelector('text=Waits for others');
  await admin.waitForSelector('.gate-chip >> text=approval 1 of 2');
  await ben.goto(`${server.base}/approvals`);
  await ben.click('text=Review');
  await ben.waitForSelector('text=Wave 2 “Everyone else” begins');
  await ben.click('button:text-is("Approve")');
  await ben.waitForSelector('text=/This gate was passed|and it goes on/');
});

test('a connection that is lost comes back without a reload and without a gap; whoever is signed out is told', async () => {
  await admin.evaluate(() => (window.sameDocument = true));
  const guest = await person(chrome);
  await signIn(guest, server.base, 'ben@example.com', password);
  await guest.goto(admin.url());
  await guest.waitForSelector('.rollout-title .live[data-live-state=live]');
  await guest.context().clearCookies();
  process.kill(server.process.pid, 'SIGKILL');
  await server.ended;
  await admin.waitForSelector('.rollout-title .live >> text=Reconnecting');
  await server.run(server.port);
  await admin.waitForSelector('.rollout-title .live[data-live-state=live]', { timeout: 20_000 });
  await guest.waitForSelector('text=Sign in again', { timeout: 20_000 });
  await guest.context().close();
  await status('succeeded');
  assert.equal(await admin.evaluate(() => window.sameDocument), true, 'no reload');
  const shown = async (page) => ({
    cells: await page.locator('.cell').evaluateAll((all) => all.map((c) => c.getAttribute('aria-label')).sort()),
    feed: await page.locator('.rollout-panel .feed p').allTextContents(),
    sentence: await page.locator('.rollout-sentence').textContent(),
  });
  const fresh = await admin.context().newPage();
  await fresh.goto(admin.url());
  assert.deepEqual(await shown(admin), await shown(fresh));
  await fresh.close();
});

test('Stop asks first, and its reason stands in the record', async () => {
  await rollOut('1.5.0', 'Two');
  await admin.click('.rollout-head >> text=Stop…');
  await admin.waitForSelector('#confirm[open]');
  await accessible(admin, 'the question before a stop');
  await admin.screenshot({ path: `${output}confirm-1440.png` });
  await admin.keyboard.press('Escape');
  assert.equal(await admin.locator('#confirm[open]').count(), 0);
  assert.match(await admin.evaluate(() => document.activeElement.textContent), /Stop/);
  await admin.keyboard.press('Enter');
  await admin.waitForSelector('#confirm[open] >> text=The rollout ends for good.');
  await admin.fill('#confirm-comment', 'the fair begins today');
  await admin.click('#confirm button[type=submit]');
  await status('aborted');
  await admin.waitForSelector('.rollout-panel .feed >> text=“the fair begins today”');
  // What had ended by then may go back, as a rollout of its own.
  const steering = '.rollout-head .actions :is(button, [role=button])';
  assert.equal(await admin.locator(steering).count(), 0, 'nothing is left to steer');
  await admin.goto(`${server.base}/activity`);
  await admin.waitForSelector('text=“the fair begins today”');
});

test('a rejected gate stops the rollout, says why, and the rollout goes back', async () => {
  const url = await rollOut('1.1.0', 'Two');
  await admin.waitForSelector('.gate >> text=See the gate', { timeout: 60_000 });
  await ana.goto(`${server.base}/approvals`);
  await ana.click('text=Review');
  await ana.fill('#comment', 'the totals are wrong');
  await ana.click('button:text-is("Reject")');
  await ana.waitForSelector('text=/This gate did not open|You rejected this wave/');
  await status('halted');
  await admin.waitForSelector('.gate-chip[data-state=failed] >> text=the totals are wrong');
  await ben.goto(url.replace('/rollouts/', '/gates/') + '/1');
  await ben.waitForSelector('text=This gate did not open');
  assert.equal(await ben.locator('button:text-is("Approve")').count(), 0);
  await admin.click('.rollout-head >> text=Roll back…');
  await admin.waitForSelector('#confirm[open] >> text=newest wave first');
  await admin.click('#confirm button[type=submit]');
  await status('rolled_back');
});

test('everything works without scripts: the page, steering with its question, the gate', async () => {
  const plain = await person(chrome, { javaScriptEnabled: false });
  await signIn(plain, server.base, 'admin@localhost', server.password);
  await plain.goto(`${server.base}/rollouts/new?version=1.0.0&strategy=Two`);
  await plain.click('text=Start Release 1.0.0');
  await plain.waitForURL(/\/rollouts\/[0-9a-f-]{36}$/);
  const url = plain.url();
  assert.equal(await plain.locator('.cell').count(), 6);
  await plain.click('.rollout-head >> text=Pause…');
  await plain.waitForSelector('text=Nothing new is started until somebody resumes it.');
  await plain.fill('#comment', 'lunch');
  await plain.click('button:text-is("Pause")');
  await plain.waitForSelector('.rollout-title .state[data-state=paused]');
  await plain.waitForSelector('.rollout-panel .feed >> text=“lunch”');
  await plain.click('.rollout-head button:text-is("Resume")');
  await plain.waitForSelector('.rollout-title .state[data-state=running]');
  await until('the gate asks', async () => {
    await plain.goto(url);
    return (await plain.locator('.gate >> text=See the gate').count()) > 0;
  });
  assert.match(await plain.locator('.gate .countdown').first().textContent(), /until .* UTC/);
  for (const [email, answer] of [['ana@example.com', '/You approved this wave/'], ['ben@example.com', '/This gate was passed|and it goes on/']]) {
    const page = await person(chrome, { javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
    await signIn(page, server.base, email, password);
    await page.goto(`${server.base}/approvals`);
    await page.click('text=Review');
    await page.click('button:text-is("Approve")');
    await page.waitForSelector(`text=${answer}`);
    await page.context().close();
  }
  await plain.goto(url);
  await plain.click('.fail-list a, .cell >> nth=0');
  await plain.waitForURL(/\/stacks\//);
  await plain.context().close();
});

test('the rollout fits and is accessible, light and dark, wide and narrow', async () => {
  await admin.goto(`${server.base}/rollouts`);
  const path = await admin.locator('td a').first().getAttribute('href');
  const found = [];
  for (const [page, name] of [[path, 'rollout'], [`${path}/stacks`, 'stacks'], ['/approvals', 'approvals']]) {
    await admin.goto(server.base + page);
    found.push(...(await everywhere(admin, name)));
  }
  assert.deepEqual(found, []);
});

test('no page complained', () => {
  const expected = /status of (404|403|422)|net::ERR_/;
  assert.deepEqual([...admin.complaints, ...ana.complaints, ...ben.complaints].filter((text) => !expected.test(text)), []);
});
