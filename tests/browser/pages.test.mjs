// The pages around the main job: editing tiers and strategies, finding and changing tenants, signing up with care.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { request } from 'node:http';
import { begin, everywhere, person, signIn, until, violations } from './harness.mjs';

let server, chrome, admin, viewer;

before(async () => {
  ({ server, chrome, admin } = await begin());
});

after(async () => {
  await chrome?.close();
  await server?.stop();
});

/** What a tenant's address answers: status and text. */
async function served(slug) {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port: server.port, path: '/', headers: { host: `${slug}.localhost:${server.port}` } }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    asked.on('error', () => resolve({ status: 0, text: '' }));
    asked.end();
  });
}

async function tenant(name) {
  await admin.goto(`${server.base}/tenants?q=${encodeURIComponent(name)}`);
  await admin.click(`td a:text-is("${name}")`);
  await admin.waitForURL(/\/tenants\/[0-9a-f-]{36}/);
}

test('a new installation has friendly empty pages', async () => {
  const found = [];
  for (const path of ['/', '/tenants', '/tenants/new', '/tiers', '/releases', '/rollouts', '/approvals', '/activity', '/signup', '/tenants?q=nobody', '/activity?q=nothing-like-this']) {
    await admin.goto(server.base + path);
    found.push(...(await violations(admin, `empty${path.replaceAll(/[/?=]/g, '_')}`)));
  }
  await admin.goto(`${server.base}/tenants?q=nobody`);
  await admin.waitForSelector('text=No tenant matches');
  assert.deepEqual(found, []);
});

test('the sample is set up, with a strategy of one wave', async () => {
  await admin.goto(server.base);
  await admin.click('text=Set up the sample');
  await admin.waitForSelector('text=The sample is set up');
  await until('all four are served', async () => {
    const all = await Promise.all(['alder-books', 'birch-bikes', 'cedar-clinic', 'elm-energy'].map(served));
    return all.every((a) => a.status === 200);
  });
  // The sentence under the heading follows as the rest of the page does.
  await admin.waitForSelector('.lede:text-is("All 4 tenants run 1.0.0.")');
  await admin.goto(`${server.base}/strategies/new`);
  await admin.fill('#name', 'Quick');
  await admin.click('.wave-row-actions button[value="remove:0"]');
  await admin.waitForSelector('.wave-row >> nth=0');
  assert.equal(await admin.locator('.wave-row').count(), 1);
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('text=Saved.');
  await admin.goto(`${server.base}/settings`);
  await admin.click('text=Add a person');
  await admin.fill('#email', 'vera@example.com');
  await admin.fill('#password', 'a long password');
  await admin.click('button:text-is("Add")');
  await admin.waitForSelector('text=vera@example.com was added');
  viewer = await person(chrome);
  await signIn(viewer, server.base, 'vera@example.com', 'a long password');
});

test('the tier editor shows what an edit would change, and takes it to the stacks', async () => {
  await admin.goto(`${server.base}/tiers`);
  await admin.click('.card a:text-is("Premium")');
  await admin.waitForSelector('.preview >> text=Nothing differs');
  const workers = admin.locator('.param', { hasText: 'Workers' });
  assert.equal(await workers.getAttribute('data-origin'), 'inherited');
  await workers.locator('[data-value]').fill('6');
  await admin.waitForSelector('.preview >> text=/Changes 2 stacks in [12] waves? of “Careful”, 2 tenants/');
  assert.equal(await workers.getAttribute('data-origin'), 'changed');
  assert.match(await workers.locator('.param-mark').textContent(), /changed, was 8/);
  assert.match(await admin.locator('.preview .diff').textContent(), /workers\s+8\s+6/);
  const found = await everywhere(admin, 'tier-edited');

  // One more parameter: what was typed stays, limits hold.
  await admin.click('text=Add a parameter');
  await admin.waitForSelector('.param-new');
  assert.equal(await workers.locator('[data-value]').inputValue(), '6');
  const row = admin.locator('.param-new');
  await row.locator('input[name$="[name]"]').fill('greeting');
  await row.locator('select').selectOption('choice');
  await row.locator('input[name$="[options]"]').fill('hello, welcome');
  await row.locator('input[name$="[value]"]').fill('goodbye');
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('.param-new .field-error');
  assert.equal(await row.locator('input[name$="[value]"]').inputValue(), 'goodbye');
  found.push(...(await everywhere(admin, 'tier-refused')));
  await row.locator('input[name$="[value]"]').fill('welcome');
  await admin.click('text=Save and roll out');
  await admin.waitForURL(/\/rollouts\/new\?tiers=premium/);
  await admin.selectOption('#strategy', 'Quick');
  await admin.click('text=Show the plan');
  await admin.click('button:has-text("Start Tier Premium r2")');
  await admin.waitForURL(/\/rollouts\/[0-9a-f-]{36}/);
  await admin.waitForSelector('.rollout-title .state[data-state=succeeded]', { timeout: 60_000 });
  for (const slug of ['cedar-clinic', 'elm-energy']) {
    const { text } = await served(slug);
    assert.match(text, /workers/i);
    assert.match(text.replaceAll(/<[^>]+>/g, ' '), /workers\s+6/i);
  }
  await admin.goto(`${server.base}/tiers`);
  await admin.click('.card a:text-is("Premium")');
  const history = await admin.locator('.revisions').textContent();
  assert.match(history, /Revision 2/);
  assert.match(history, /greeting\s*added/);
  assert.deepEqual(found, []);
});

test('a tier that somebody saved meanwhile is not overwritten, and tenants keep their tier’s model', async () => {
  const other = await admin.context().newPage();
  await admin.goto(`${server.base}/tiers`);
  const path = await admin.locator('.card a:text-is("Basic")').getAttribute('href');
  await admin.goto(server.base + path);
  await other.goto(server.base + path);
  await other.fill('#price', '21 € a month');
  await other.click('.form-actions button:text-is("Save")');
  await other.waitForSelector('text=Revision 2 is saved.');
  await admin.fill('#price', '23 € a month');
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('text=saved revision 2 while you edited');
  assert.equal(await admin.inputValue('#price'), '23 € a month', 'what was typed stays');
  await admin.selectOption('#model', 'silo');
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('#model-e >> text=Cannot change while 2 tenants live on this tier');
  await other.close();
});

test('strategies: waves are added, moved and taken away, and errors stand at their fields', async () => {
  await admin.goto(`${server.base}/strategies/new`);
  await admin.fill('#name', 'Long way');
  await admin.fill('#w0-name', 'Pilots');
  await admin.fill('#w0-selector', 'tenant:cedar-clinic');
  await admin.waitForSelector('.preview .selection >> text=cedar-clinic');
  await admin.click('text=Add a wave');
  await admin.waitForSelector('#w2-name');
  await admin.fill('#w1-name', 'Shared');
  await admin.fill('#w1-selector', 'tier:basic');
  await admin.click('button[value="up:1"]');
  await admin.waitForFunction(() => document.querySelector('#w0-name').value === 'Shared');
  assert.equal(await admin.inputValue('#w1-selector'), 'tenant:cedar-clinic');
  assert.equal(await admin.inputValue('#name'), 'Long way');
  await admin.fill('#w0-bake', 'soon');
  await admin.fill('#w1-concurrency', 'many');
  await admin.waitForSelector('.preview .selection >> text=pool-basic');
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('#w0-bake-e');
  await admin.waitForSelector('#w1-concurrency-e');
  assert.equal(await admin.getAttribute('#w0-bake', 'aria-invalid'), 'true');
  assert.equal(await admin.inputValue('#w0-bake'), 'soon');
  assert.deepEqual(await everywhere(admin, 'strategy-refused'), []);
  await admin.fill('#w0-bake', '2 s');
  await admin.fill('#w1-concurrency', '2');
  await admin.click('button[value="remove:1"]');
  await admin.waitForFunction(() => !document.querySelector('#w2-name'));
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('text=Saved.');
});

test('tenants are found as one types, by filters and tags, and page by page', async () => {
  for (let i = 0; i < 52; i += 1) {
    const form = new URLSearchParams({ 'form[name]': `Company ${String(i).padStart(2, '0')}`, 'form[email]': `c${i}@example.com`, 'form[tier]': 'basic', 'form[tags]': i % 10 ? '' : 'pilot' });
    await admin.evaluate(([url, body]) => fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } }), [`${server.base}/do/add_tenant`, form.toString()]);
  }
  await admin.goto(`${server.base}/tenants`);
  await admin.waitForSelector('text=56 tenants');
  assert.equal(await admin.locator('#tenants tbody tr').count(), 50);
  await admin.click('text=Next');
  await admin.waitForURL(/after=/);
  await admin.waitForFunction(() => document.querySelectorAll('#tenants tbody tr').length === 6);
  await admin.click('text=First page');
  await admin.locator('input[name=q]').pressSequentially('cedar');
  await admin.waitForFunction(() => document.querySelectorAll('#tenants tbody tr').length === 1);
  assert.match(admin.url(), /\?q=cedar$/, 'the address follows');
  assert.equal(await admin.evaluate(() => document.activeElement.name), 'q', 'the field keeps the focus');
  await admin.fill('input[name=q]', '');
  await admin.selectOption('select[name=tag]', 'pilot');
  await admin.waitForSelector('text=6 tenants');
  await admin.selectOption('select[name=tier]', 'premium');
  await admin.waitForSelector('text=No tenant matches');
  await admin.goto(`${server.base}/tenants?sort=tier`);
  assert.equal(await admin.locator('th[aria-sort=ascending]').textContent(), 'Tier');
  assert.deepEqual(await everywhere(admin, 'tenants'), []);
});

test('a tenant is suspended with a reason, says so at its address, and serves again', async () => {
  await tenant('Alder Books');
  await admin.fill('#comment', 'invoice 17 is open');
  await admin.click('button:text-is("Suspend")');
  await admin.waitForSelector('text=invoice 17 is open');
  await until('its address says so', async () => (await served('alder-books')).text.includes('paused'));
  assert.equal(await admin.locator('a:has-text("Open")').count(), 0, 'nothing to open');
  assert.deepEqual(await everywhere(admin, 'tenant-suspended'), []);
  await admin.click('button:text-is("Reactivate")');
  await admin.waitForSelector('text=Active again.');
  await until('it serves again', async () => (await served('alder-books')).status === 200);
});

test('many tenants are changed at once, after a look at whom', async () => {
  await admin.goto(`${server.base}/tenants?q=Company`);
  await admin.locator('tbody input[type=checkbox]').nth(1).check();
  await admin.locator('tbody input[type=checkbox]').nth(2).check();
  await admin.click('.bulk-bar >> text=Suspend');
  await admin.waitForSelector('text=2 tenants will be suspended');
  assert.deepEqual(await everywhere(admin, 'bulk'), []);
  await admin.fill('#comment', 'a test');
  await admin.click('button:has-text("Suspend 2 tenants")');
  await admin.waitForSelector('text=Changed 2 tenants.');
  await admin.goto(`${server.base}/tenants?state=suspended`);
  await admin.waitForSelector('text=2 tenants');
  await admin.click('text=Change all 2 that match');
  await admin.click('.segmented >> text=Add tags');
  await admin.fill('#tags', 'late-payer');
  await admin.click('button:has-text("Add tags to 2 tenants")');
  await admin.waitForSelector('text=Changed 2 tenants.');
  await admin.goto(`${server.base}/tenants?tag=late-payer`);
  await admin.waitForSelector('text=2 tenants');
});

test('a tenant’s name, tags and parameters are edited, and one that leaves can be kept', async () => {
  await tenant('Cedar Clinic');
  await admin.click('summary:text-is("Edit")');
  await admin.fill('#name', 'Cedar Hospital');
  await admin.fill('#o-edit-workers', '99');
  await admin.click('button:text-is("Save")');
  await admin.waitForSelector('#o-edit-workers-e');
  await admin.fill('#o-edit-workers', '3');
  await admin.click('button:text-is("Save")');
  await admin.waitForSelector('text=See below what changes, and let its stack catch up');
  await admin.waitForSelector('h3:has-text("What catching up changes")');
  await admin.waitForSelector('.badge:has-text("overridden, the tier has 6")');
  await admin.fill('#confirm', 'cedar-clinic');
  await admin.click('button:text-is("Off-board")');
  await admin.waitForSelector('text=The tenant is being off-boarded');
  await admin.click('text=Keep the tenant');
  await admin.waitForSelector('text=The tenant stays.');
  await until('it serves on', async () => (await served('cedar-clinic')).status === 200);
});

async function apply(customer, organisation, email) {
  await customer.goto(`${server.base}/signup`);
  await customer.check('input[value=premium]');
  await customer.fill('#organisation', organisation);
  await customer.fill('#email', email);
  await customer.click('button:text-is("Sign up")');
  await customer.waitForSelector('text=Check your mail');
  const message = await server.mail(email, '/welcome/');
  const link = /http\S+\/welcome\/\S+/.exec(message)[0];
  await customer.goto(link);
  return link;
}

test('sign-up checks the address while one types, and confirms by a button', async () => {
  const customer = await person(chrome);
  await customer.goto(`${server.base}/signup`);
  await customer.fill('#organisation', 'Fir Foods');
  await customer.waitForSelector('#address >> text=fir-foods.localhost');
  await customer.fill('#slug', 'elm-energy');
  await customer.waitForSelector('#address >> text=is taken');
  await customer.fill('#slug', 'x');
  await customer.fill('#email', 'fay@fir.example');
  await customer.click('button:text-is("Sign up")');
  await customer.waitForSelector('#slug-e');
  assert.equal(await customer.inputValue('#organisation'), 'Fir Foods');
  const found = await everywhere(customer, 'signup-refused');
  await customer.fill('#slug', '');
  await customer.click('button:text-is("Sign up")');
  await customer.waitForSelector('text=Check your mail');
  found.push(...(await everywhere(customer, 'signup-sent')));
  const message = await server.mail('fay@fir.example', '/welcome/');
  await customer.goto(/http\S+\/welcome\/\S+/.exec(message)[0]);
  await customer.waitForSelector('text=Please confirm that fay@fir.example is your address');
  found.push(...(await everywhere(customer, 'welcome-confirm')));
  assert.equal((await served('fir-foods')).status, 404, 'looking confirms nothing');
  await customer.click('text=Confirm and go on');
  await customer.waitForSelector('text=Your workspace is ready', { timeout: 40_000 });
  found.push(...(await everywhere(customer, 'welcome-ready')));
  await customer.goto(`${server.base}/welcome/nobody-knows-this`);
  await customer.waitForSelector('text=We do not know this link');
  assert.equal(await customer.locator('a[href="/signup"]').count() > 0, true);
  found.push(...(await everywhere(customer, 'welcome-unknown')));
  await customer.goto(`${server.base}/sign-in`);
  found.push(...(await everywhere(customer, 'sign-in')));
  await customer.fill('#email', 'nobody@example.com');
  await customer.fill('#password', 'wrong');
  await customer.click('button[type=submit]');
  await customer.waitForSelector('[role=alert]');
  found.push(...(await everywhere(customer, 'sign-in-refused')));
  assert.deepEqual(found, []);
  await customer.context().close();
});

test('sign-up works without JavaScript', async () => {
  const customer = await person(chrome, { javaScriptEnabled: false });
  await customer.goto(`${server.base}/signup`);
  await customer.check('input[value=basic]');
  await customer.fill('#organisation', 'Gorse Gardens');
  await customer.fill('#email', 'gil@gorse.example');
  await customer.click('button:text-is("Sign up")');
  await customer.waitForSelector('text=Check your mail');
  const message = await server.mail('gil@gorse.example', '/welcome/');
  await customer.goto(/http\S+\/welcome\/\S+/.exec(message)[0]);
  await customer.click('text=Confirm and go on');
  await until('the workspace is ready', async () => {
    const again = customer.locator('text=Look again');
    if (await again.count()) await again.click();
    return (await customer.locator('text=Your workspace is ready').count()) === 1;
  }, 40);
  await customer.context().close();
});

test('a plan that needs acceptance: one request is accepted, one declined', async () => {
  await admin.goto(`${server.base}/tiers`);
  await admin.click('.card a:text-is("Premium")');
  await admin.selectOption('#signup', 'needs_acceptance');
  await admin.click('.form-actions button:text-is("Save")');
  await admin.waitForSelector('text=is saved.');
  const customer = await person(chrome);
  const second = await apply(customer, 'Ivy Inks', 'ina@ivy.example');
  await customer.click('text=Confirm and go on');
  await customer.waitForSelector('text=We look at your request');
  assert.equal(await customer.locator('meta[http-equiv=refresh], [data-watch]').count(), 0, 'nothing runs while a person thinks');
  const found = await everywhere(customer, 'welcome-waiting');
  const first = await apply(customer, 'Hazel House', 'hal@hazel.example');
  await customer.click('text=Confirm and go on');
  await customer.waitForSelector('text=We look at your request');

  await viewer.goto(server.base);
  await viewer.waitForSelector('text=Waits for others');
  assert.equal(await viewer.locator('button:text-is("Accept")').count(), 0, 'only people who may answer see the buttons');
  await admin.goto(server.base);
  await admin.locator('.inbox-item', { hasText: 'Hazel House' }).locator('button:text-is("Accept")').click();
  await admin.waitForSelector('text=Accepted.');
  await admin.locator('.inbox-item', { hasText: 'Ivy Inks' }).locator('button:text-is("Decline")').click();
  await admin.waitForSelector('text=Declined.');
  await server.mail('ina@ivy.example', 'We cannot offer you this plan');
  await customer.goto(second);
  await customer.waitForSelector('text=We cannot offer you this plan');
  found.push(...(await everywhere(customer, 'welcome-declined')));
  await customer.goto(first);
  await customer.waitForSelector('text=Your workspace is ready', { timeout: 40_000 });
  await tenant('Hazel House');
  await admin.fill('#comment', 'a holiday');
  await admin.click('button:text-is("Suspend")');
  await admin.waitForSelector('text=a holiday');
  await customer.goto(first);
  await customer.waitForSelector('text=Your workspace is paused');
  assert.deepEqual(found, []);
  await customer.context().close();
});

test('the record has days, finds people by name alone, and keeps its filters', async () => {
  await admin.goto(`${server.base}/activity`);
  await admin.waitForSelector('.feed-day');
  await admin.locator('input[name=q]').pressSequentially('invoice 17');
  await admin.goto(`${server.base}/activity?q=decide`);
  await admin.waitForSelector('text=Nothing matches');
  await admin.goto(`${server.base}/activity?q=Company`);
  await admin.waitForSelector('a:text-is("Older")');
  await admin.click('a:text-is("Older")');
  assert.match(admin.url(), /q=Company.*before=/);
});

test('a viewer’s pages are accessible and offer nothing that they may not do', async () => {
  const found = [];
  await admin.goto(`${server.base}/tiers`);
  const tier = await admin.locator('.card a').first().getAttribute('href');
  await admin.goto(`${server.base}/strategies`);
  const strategy = await admin.locator('.card a').first().getAttribute('href');
  await admin.goto(`${server.base}/tenants?q=elm`);
  const elm = await admin.locator('td a').first().getAttribute('href');
  for (const [name, path] of Object.entries({ overview: '/', tenants: '/tenants', tenant: elm, tiers: '/tiers', tier, releases: '/releases', strategies: '/strategies', strategy, rollouts: '/rollouts', approvals: '/approvals', activity: '/activity' })) {
    await viewer.goto(server.base + path);
    found.push(...(await violations(viewer, `viewer-${name}`)));
    const enabled = await viewer.locator('main form[method=post] button:enabled').count();
    if (enabled) found.push(`${name}: ${enabled} buttons that a viewer may not press`);
  }
  assert.deepEqual(found, []);
});

test('no page complained', () => {
  const expected = /status of (404|403|422|503)|net::ERR_/;
  assert.deepEqual([...admin.complaints, ...viewer.complaints].filter((text) => !expected.test(text)), []);
});
