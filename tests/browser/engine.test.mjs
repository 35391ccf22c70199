// What keeps rollouts, tenants and pools in order, by the forms that people use: windows, holds, checks, ways back, tier
// changes, pools, and the portal in which a customer chooses its own time.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { begin, call, everywhere, makeToken, person, until } from './harness.mjs';

const HOUR = 3_600_000;
let server, chrome, admin, token;

const api = (verb, path, body) => call(server, token, verb, path, body);

async function stack(name) {
  await admin.goto(`${server.base}/fleet`);
  await admin.click(`a:text-is("${name}")`);
  await admin.waitForURL(/\/stacks\//);
}

async function tenant(name) {
  const found = (await api('GET', `/tenants?search=${name}`)).items[0];
  await admin.goto(`${server.base}/tenants/${found.id}`);
  return found;
}

async function rollOut(version, strategy) {
  await admin.goto(`${server.base}/rollouts/new?version=${version}&strategy=${strategy}`);
  await admin.click(`text=Start Release ${version}`);
  await admin.waitForURL(/\/rollouts\/[0-9a-f-]{36}$/);
  return admin.url();
}

async function status(word) {
  await admin.waitForSelector(`.rollout-title .state[data-state=${word}]`, { timeout: 60_000 });
}

before(async () => {
  ({ server, chrome, admin } = await begin());
  token = await makeToken(admin, server);
  const tier = { signup: 'closed', regions: ['local'] };
  await api('POST', '/tiers', { ...tier, key: 'basic', name: 'Basic', model: 'pool', pool_capacity: 2 });
  await api('POST', '/tiers', { ...tier, key: 'premium', name: 'Premium', model: 'silo', window_length: 2 * HOUR, window_weekly: 4 * HOUR });
  for (const build of ['1.0.0', '1.1.0', '1.2.0']) {
    await api('POST', '/releases', { version: build, artifacts: { local: { app: 'orders', build } } });
  }
  const gate = { bake: 0, checks: [], grace: 0, approval: null };
  const wave = { name: 'All', selector: 'everyone', concurrency: '100%', tolerance: '0', mode: 'soft', attempts: 1, gate };
  await api('POST', '/strategies', { name: 'Plain', on_halt: 'stay', waves: [wave] });
  await rollOut('1.0.0', 'Plain');
  await status('succeeded');
  for (const name of ['Alder', 'Birch', 'Cedar']) {
    await api('POST', '/tenants', { name, email: `ops@${name.toLowerCase()}.example`, tier: 'basic' });
  }
  for (const name of ['Damson', 'Elm']) {
    await api('POST', '/tenants', { name, email: `ops@${name.toLowerCase()}.example`, tier: 'premium' });
  }
  await until('all tenants are active', async () => (await api('GET', '/tenants')).items.every((t) => t.state === 'active'));
});

after(async () => {
  await chrome?.close();
  await server?.stop();
});

test('pools say how full they are, and take another capacity', async () => {
  await admin.goto(`${server.base}/pools`);
  await admin.waitForSelector('text=2 of 2');
  await admin.waitForSelector('text=1 of 2');
  await admin.click('summary:text-is("Change pool-basic-local-2")');
  const form = admin.locator('details[open] form[action="/do/edit_pool"]');
  await form.locator('input[name="form[capacity]"]').fill('none');
  await form.locator('button').click();
  await admin.waitForSelector('.field-error');
  assert.deepEqual(await everywhere(admin, 'pools-refused'), []);
  const again = admin.locator('details[open] form[action="/do/edit_pool"]');
  await again.locator('input[name="form[capacity]"]').fill('5');
  await again.locator('input[name="form[label]"]').fill('Late comers');
  await again.locator('button').click();
  await admin.waitForSelector('text=1 of 5');
  await admin.waitForSelector('text=Late comers');
  assert.deepEqual(await everywhere(admin, 'pools'), []);
});

test('a freeze keeps stacks where they are until it is over, or a person says why not', async () => {
  await admin.goto(`${server.base}/windows/new`);
  await admin.fill('#name', 'Year end');
  await admin.selectOption('#kind', 'freeze');
  await admin.selectOption('#scope', 'tier:premium');
  await admin.selectOption('#repeats', 'once');
  const day = (n) => new Date(Date.now() + n * 24 * HOUR).toISOString().slice(0, 16);
  await admin.fill('#begins', day(-1));
  await admin.fill('#ends', day(-2));
  await admin.fill('#reason', 'The books are closed');
  await admin.click('button:text-is("Save")');
  await admin.waitForSelector('#ends-e');
  assert.deepEqual(await everywhere(admin, 'window-refused'), []);
  await admin.fill('#ends', day(2));
  await admin.click('button:text-is("Save")');
  await admin.waitForURL(/\/windows$/);
  await admin.waitForSelector('text=Year end');
  assert.deepEqual(await everywhere(admin, 'windows'), []);

  const rollout = await rollOut('1.1.0', 'Plain');
  await admin.waitForSelector('text=/all that is left waits/i');
  assert.deepEqual(await everywhere(admin, 'rollout-frozen'), []);
  const running = async (tier) => (await api('GET', `/fleet?tier=${tier}`)).items.map((row) => row.actual.version);
  assert.deepEqual(await running('basic'), ['1.1.0', '1.1.0']);
  assert.deepEqual(await running('premium'), ['1.0.0', '1.0.0']);
  await stack('silo-damson');
  await admin.waitForSelector('text=The books are closed');
  await admin.locator('form[action="/do/override_windows"] input[name="form[comment]"]').fill('their own wish');
  await admin.click('button:text-is("Override the windows")');
  const version = async (name) => (await api('GET', `/tenants?search=${name}`)).items[0].version;
  await until('the stack goes on', async () => (await version('damson')) === '1.1.0');
  assert.equal(await version('elm'), '1.0.0');
  await admin.goto(`${server.base}/windows`);
  await admin.click('a:text-is("Year end")');
  await admin.waitForURL(/\/windows\//);
  await admin.fill('#ends', day(-0.5));
  await admin.click('button:text-is("Save")');
  await admin.goto(rollout);
  await status('succeeded');
  assert.equal(await version('elm'), '1.1.0');
});

test('a held stack stays, says why, and is on the list when the hold is lifted', async () => {
  await stack('silo-elm');
  await admin.click('summary:text-is("Hold it where it is")');
  const form = admin.locator('form[action="/do/hold_stack"]');
  await form.locator('input[name="form[reason]"]').fill('an audit');
  await form.locator('input[name="form[until]"]').fill(new Date(Date.now() + 72 * HOUR).toISOString().slice(0, 16));
  await form.locator('button').click();
  await admin.waitForSelector('text=an audit');
  assert.deepEqual(await everywhere(admin, 'stack-held'), []);
  await admin.goto(`${server.base}/windows`);
  await admin.waitForSelector('text=an audit');
  await stack('silo-elm');
  await admin.click('button:has-text("Lift")');
  await admin.waitForSelector('summary:text-is("Hold it where it is")');
});

test('a gate with a check is made by clicks, measures, and a way back is seen before it is taken', async () => {
  await admin.goto(`${server.base}/strategies/new`);
  await admin.fill('#name', 'Watched');
  await admin.locator('button:has-text("HTTP probe")').first().click();
  await admin.waitForSelector('legend:text-is("HTTP probe")');
  assert.equal(await admin.inputValue('#name'), 'Watched', 'what was typed stays');
  assert.deepEqual(await everywhere(admin, 'strategy-check'), []);
  await admin.fill('#w0-bake', '3 s');
  await admin.fill('#w0-quorum', '0');
  await admin.fill('#w0-c0-name', 'answers');
  await admin.fill('#w0-c0-at', '/healthz');
  await admin.fill('#w0-c0-interval', '1 s');
  await admin.fill('#w0-c0-min_samples', '2');
  await admin.click('button:text-is("Save")');
  await admin.waitForURL(/\/strategies\/[0-9a-f-]{36}$/);
  const rollout = await rollOut('1.2.0', 'Watched');
  await status('succeeded');
  await admin.goto(`${server.base}/gates/${rollout.split('/').pop()}/1`);
  await admin.waitForSelector('text=answers');
  assert.deepEqual(await everywhere(admin, 'gate-checked'), []);
  await admin.goto(`${rollout}/rollback`);
  await admin.waitForSelector('text=/go back to .*1\\.1\\.0/');
  assert.deepEqual(await everywhere(admin, 'rollback'), []);
  await admin.locator('form[action="/do/roll_back"] input[name="form[comment]"], form[action="/do/roll_back"] textarea').first().fill('customers complain');
  await admin.locator('form[action="/do/roll_back"] button[type=submit]').click();
  await admin.waitForURL((url) => /\/rollouts\/[0-9a-f-]{36}$/.test(url.pathname) && url.href !== rollout);
  await status('succeeded');
  await admin.goto(`${server.base}/releases`);
  await admin.waitForSelector('text=customers complain');
  assert.deepEqual(await everywhere(admin, 'releases-marked'), []);
});

test('a tenant moves to another tier, and comes back', async () => {
  const { id } = await tenant('alder');
  await admin.click('a:text-is("Change tier")');
  await admin.selectOption('#tier', 'premium');
  await admin.click('button:text-is("Show what it would do")');
  await admin.waitForSelector('h2:has-text("Basic → Premium")');
  assert.deepEqual(await everywhere(admin, 'tier-change-preview'), []);
  await admin.click('button:text-is("Move to Premium")');
  await admin.waitForURL(new RegExp(`/tenants/${id}$`));
  await admin.waitForSelector('button:text-is("End the hold now")', { timeout: 60_000 });
  assert.deepEqual(await everywhere(admin, 'tier-change-hold'), []);
  await admin.click('button:text-is("Undo")');
  await until('it is back', async () => (await api('GET', `/tenants/${id}/tier-change`)).stage === 'undone');
  assert.equal((await api('GET', `/tenants/${id}`)).tier, 'basic');
});

test('a customer chooses its own time behind the link that it was sent', async () => {
  await tenant('damson');
  await admin.click('button:text-is("Send the portal link")');
  await admin.waitForSelector('text=/link/i');
  const message = await server.mail('ops@damson.example', '/portal/');
  const customer = await person(chrome);
  await customer.goto(/http\S+\/portal\/\S+/.exec(message)[0]);
  await customer.check('input[value=SU]');
  await customer.fill('#at', '02:00');
  await customer.fill('#length', '3 h');
  await customer.click('button:text-is("Save")');
  await customer.waitForSelector('.field-error');
  assert.deepEqual(await everywhere(customer, 'portal-refused'), []);
  await customer.check('input[value=WE]');
  await customer.click('button:text-is("Save")');
  await customer.waitForSelector('text=/every Wednesday and Sunday at 02:00/i');
  assert.deepEqual(await everywhere(customer, 'portal'), []);
  assert.deepEqual(customer.complaints.filter((text) => !/422|Failed to load/.test(text)), []);
});

test('no page complained', () => {
  const expected = /status of (404|403|422|503)|Failed to load resource|net::ERR_/;
  assert.deepEqual(admin.complaints.filter((text) => !expected.test(text)), []);
});
