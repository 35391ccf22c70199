// The main job, as people do it: tiers, sign-ups, a release through gated waves, a broken one back, a crash.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { request } from 'node:http';
import { createRequire } from 'node:module';
import { Server, browser, person, signIn, until } from './harness.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const output = new URL('./output/', import.meta.url).pathname;
let server, chrome, admin, approver;

before(async () => {
  await mkdir(output, { recursive: true });
  server = await Server.start();
  chrome = await browser();
  admin = await person(chrome);
});

after(async () => {
  await chrome?.close();
  await server?.stop();
});

async function tier(key, name, model, description) {
  await admin.goto(`${server.base}/tiers/new`);
  await admin.fill('#key', key);
  await admin.fill('#name', name);
  await admin.fill('#description', description);
  await admin.fill('#price', '19 € a month');
  await admin.selectOption('#model', model);
  await admin.selectOption('#signup', 'automatic');
  await admin.click('text=Create the tier');
  await admin.waitForURL(/\/tiers\/[0-9a-f-]{36}/);
}

async function release(build) {
  await admin.goto(`${server.base}/releases`);
  await admin.selectOption('#build', build);
  await admin.click('button:text-is("Register")');
  await admin.waitForSelector(`text=Release ${build} is registered`);
}

async function rollOut(version) {
  await admin.goto(`${server.base}/rollouts/new?version=${version}&strategy=Quick`);
  await admin.click(`text=Start Release ${version}`);
  await admin.waitForURL(/\/rollouts\/[0-9a-f-]{36}/);
  return admin.url();
}

async function status(word, seconds = 60) {
  await admin.waitForSelector(`.rollout-title .state[data-state=${word}]`, { timeout: seconds * 1000 });
}

/** The version that a tenant's page names, asked as its people ask. */
async function named(slug) {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port: server.port, path: '/', headers: { host: `${slug}.localhost:${server.port}` } }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve(/Orders (\d+\.\d+\.\d+)/.exec(text)?.[1]));
    });
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}

async function versions(slugs, wanted) {
  await until(`${slugs} answer with ${wanted}`, async () => {
    const all = await Promise.all(slugs.map(named));
    return all.every((v) => v === wanted);
  });
}

async function signUp(organisation, email, plan) {
  const customer = await person(chrome);
  await customer.goto(`${server.base}/signup`);
  assert.equal(await customer.locator('script[src]:not([src$="/signup.js"]), link[rel=modulepreload]').count(), 0, 'sign-up loads one small script');
  await customer.check(`input[value=${plan}]`);
  await customer.fill('#organisation', organisation);
  await customer.fill('#email', email);
  await customer.click('button:text-is("Sign up")');
  await customer.waitForSelector('text=Check your mail');
  const message = await server.mail(email, '/welcome/');
  await customer.goto(/http\S+\/welcome\/\S+/.exec(message)[0]);
  const confirm = customer.locator('text=Confirm and go on');
  if (await confirm.count()) await confirm.click();
  await customer.waitForSelector('text=Your workspace is ready', { timeout: 40_000 });
  const link = await customer.locator('a.btn-primary').getAttribute('href');
  await customer.context().close();
  return new URL(link).hostname.split('.')[0];
}

test('an admin signs in with the password of the first start and is shown the first steps', async () => {
  await signIn(admin, server.base, 'admin@localhost', server.password);
  await admin.waitForSelector('text=First steps');
  const wrong = await person(chrome);
  await wrong.goto(`${server.base}/tenants`);
  assert.match(wrong.url(), /sign-in\?to=/);
  await wrong.fill('#email', 'admin@localhost');
  await wrong.fill('#password', 'not it');
  await wrong.click('button[type=submit]');
  await wrong.waitForSelector('text=the e-mail address or the password is wrong');
  assert.equal(await wrong.inputValue('#email'), 'admin@localhost', 'what was written is still there');
  await wrong.context().close();
});

test('an admin defines tiers, a release, a strategy with three waves, and adds an approver', async () => {
  await tier('basic', 'Basic', 'pool', 'A shared workspace.');
  await tier('premium', 'Premium', 'silo', 'Your own environment.');
  await admin.goto(`${server.base}/tiers/new`);
  await admin.fill('#key', 'Not A Key');
  await admin.fill('#name', 'Nameless');
  await admin.click('text=Create the tier');
  await admin.waitForSelector('#key-e');
  assert.equal(await admin.inputValue('#key'), 'Not A Key');

  await admin.goto(`${server.base}/strategies/new`);
  await admin.fill('#name', 'Quick');
  await admin.click('text=Add a wave');
  await admin.waitForSelector('#w2-name');
  assert.equal(await admin.inputValue('#name'), 'Quick', 'what was typed stays');
  await admin.selectOption('#on_halt', 'rollback');
  const waves = [['Shared', 'tier:basic', '3 s', '1'], ['Half', '50%', '2 s', '0'], ['Everyone else', 'everyone', '0', '0']];
  for (const [i, [name, who, bake, quorum]] of waves.entries()) {
    await admin.fill(`#w${i}-name`, name);
    if (i < 2) await admin.fill(`#w${i}-selector`, who);
    await admin.fill(`#w${i}-bake`, bake);
    await admin.fill(`#w${i}-quorum`, quorum);
    await admin.selectOption(`#w${i}-healthy`, i < 2 ? 'on' : 'off');
    await admin.fill(`#w${i}-max_errors`, i < 2 ? '5' : '');
  }
  await admin.waitForSelector('.preview .selection');
  await admin.click('button:text-is("Save")');
  await admin.waitForSelector('text=Saved.');

  await admin.goto(`${server.base}/settings`);
  await admin.click('text=Add a person');
  await admin.fill('#email', 'ana@example.com');
  await admin.selectOption('#role', 'approver');
  await admin.fill('#password', 'a long password');
  await admin.click('button:text-is("Add")');
  await admin.waitForSelector('text=ana@example.com was added');
  approver = await person(chrome, { viewport: { width: 390, height: 844 } });

  await release('1.0.0');
  await rollOut('1.0.0');
  await status('succeeded');
});

test('customers sign up: a shared workspace and environments of their own', async () => {
  assert.equal(await signUp('Acme Books', 'ada@acme.example', 'basic'), 'acme-books');
  assert.equal(await signUp('Birch Bikes', 'bob@birch.example', 'premium'), 'birch-bikes');
  assert.equal(await signUp('Cedar Clinic', 'cyd@cedar.example', 'premium'), 'cedar-clinic');
  assert.equal(await signUp('Acme Books', 'ada@acme.example', 'basic'), 'acme-books', 'the same again is the same tenant');
  await versions(['acme-books', 'birch-bikes', 'cedar-clinic'], '1.0.0');
  await admin.goto(`${server.base}/tenants`);
  await admin.waitForSelector('text=3 tenants');
  const page = await person(chrome);
  await page.goto(server.tenant('acme-books'));
  await page.fill('input[name=customer]', 'Zoe');
  await page.fill('input[name=item]', 'Lamp');
  await page.click('text=Add');
  await page.waitForSelector('td:text-is("Lamp")');
  await page.context().close();
});

test('a release goes through three waves; the approver opens the gate from the message', async () => {
  await release('1.1.0');
  const url = await rollOut('1.1.0');
  await admin.waitForSelector('.gate >> text=See the gate', { timeout: 40_000 });
  await admin.screenshot({ path: process.env.TIDEGATE_PICTURE ? new URL('./timeline.png', import.meta.url).pathname : `${output}timeline.png` });
  assert.equal(await named('acme-books'), '1.1.0');
  assert.equal(await named('birch-bikes'), '1.0.0', 'nothing of wave 2 before its gate');
  const message = await server.mail('ana@example.com', '/gates/');
  const gate = /http\S+\/gates\/\S+/.exec(message)[0];
  await approver.goto(gate);
  await approver.fill('#email', 'ana@example.com');
  await approver.fill('#password', 'a long password');
  await approver.click('button[type=submit]');
  await approver.waitForSelector('.gate-panel');
  assert.equal(await approver.locator('script[src], link[rel=modulepreload]').count(), 0, 'the gate panel loads no scripts');
  await approver.screenshot({ path: `${output}gate.png`, fullPage: true });
  await approver.click('button:text-is("Reject")');
  await approver.waitForSelector('text=say why you reject');
  await approver.fill('#comment', 'pilots are happy');
  await approver.click('button:text-is("Approve")');
  await approver.waitForSelector('text=Approved. Thank you.');
  assert.equal(admin.url(), url, 'no reload');
  await status('succeeded');
  await versions(['acme-books', 'birch-bikes', 'cedar-clinic'], '1.1.0');
  assert.equal(await admin.locator('.cell[data-state=succeeded]').count(), 3);
  assert.match(await fetchText('acme-books'), /Lamp/, 'data survives the update');
});

async function fetchText(slug) {
  const page = await person(chrome);
  await page.goto(server.tenant(slug));
  const text = await page.textContent('body');
  await page.context().close();
  return text;
}

test('a release that breaks under use halts in wave 1 and goes back; the others never saw it', async () => {
  await release('1.4.0');
  await rollOut('1.4.0');
  await status('rolled_back');
  await versions(['acme-books', 'birch-bikes', 'cedar-clinic'], '1.1.0');
  const birch = admin.locator('.cell[aria-label^="silo-birch-bikes"]');
  assert.equal(await birch.getAttribute('data-state'), 'queued');
  await admin.goto(`${server.base}/releases`);
  await admin.waitForSelector('text=Rolled back');
});

test('a release that fails at its start leaves the former process running', async () => {
  await release('1.3.0');
  await rollOut('1.3.0');
  await status('rolled_back');
  assert.equal(await named('acme-books'), '1.1.0');
  await admin.locator('.cell').first().click();
  await admin.waitForSelector('.drawer >> text=price list');
});

test('the server is killed in the middle of a rollout and loses nothing', async () => {
  await release('1.2.0');
  const url = await rollOut('1.2.0');
  await admin.waitForSelector('.cell[data-state=in_progress]');
  await server.killAndStartAgain();
  await until('tenants are served again', async () => (await named('birch-bikes')) === '1.1.0');
  await admin.waitForSelector('.gate >> text=See the gate', { timeout: 60_000 });
  await approver.goto(`${server.base}/approvals`);
  await approver.click('text=Review');
  await approver.click('button:text-is("Approve")');
  await approver.waitForSelector('text=Approved. Thank you.');
  await admin.goto(url);
  await status('succeeded', 90);
  await versions(['acme-books', 'birch-bikes', 'cedar-clinic'], '1.2.0');
});

test('people may do what their role allows, and are told what it does not', async () => {
  await approver.goto(`${server.base}/tenants/new`);
  await approver.waitForSelector('text=it needs the permission “tenants”');
  await approver.goto(`${server.base}/settings`);
  await approver.waitForSelector('text=Change your password');
  assert.equal(await approver.locator('text=Add a person').count(), 0);
  await approver.click('text=Make a token');
  assert.deepEqual(await approver.locator('#permissions input').evaluateAll((all) => all.map((box) => box.value)), ['view', 'decide']);
});

test('every page is accessible and fits, light and dark, wide and narrow', async () => {
  await admin.goto(`${server.base}/tenants`);
  const tenants = await admin.locator('td a').first().getAttribute('href');
  await admin.goto(`${server.base}/rollouts`);
  const rollout = await admin.locator('td a').first().getAttribute('href');
  await admin.goto(`${server.base}/tiers`);
  const tier = await admin.locator('.card a').first().getAttribute('href');
  await admin.goto(`${server.base}/strategies`);
  const strategy = await admin.locator('.card a').first().getAttribute('href');
  const pages = ['/', '/tenants', '/tenants/new', tenants, '/tiers', '/tiers/new', tier, '/releases', '/strategies', strategy, '/rollouts', '/rollouts/new', rollout, '/approvals', '/activity', '/settings', '/signup', '/nowhere', `/gates/${rollout.split('/')[2]}/1`];
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1440, 390]) {
      await admin.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await admin.setViewportSize({ width, height: 900 });
      for (const path of pages) {
        await admin.goto(server.base + path);
        await admin.evaluate(axe);
        const { violations } = await admin.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
        found.push(...violations.map((v) => `${path} ${colorScheme} ${width}: ${v.id} ${v.nodes[0].html.slice(0, 120)}`));
        const wide = await admin.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        if (wide > 1) found.push(`${path} ${width}: ${wide} px too wide`);
        const name = path.replaceAll('/', '_').slice(0, 24) || 'overview';
        await admin.screenshot({ path: `${output}${name}-${colorScheme}-${width}.png`, fullPage: true });
      }
    }
  }
  assert.deepEqual([...new Set(found)], []);
});

test('no page complained', () => {
  const expected = /status of (404|403|422|503)|Failed to load resource|net::ERR_/;
  assert.deepEqual([...admin.complaints, ...approver.complaints].filter((text) => !expected.test(text)), []);
});
