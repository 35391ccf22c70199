// Starts the real binary and a real browser, and ends both.
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const binary = process.env.TIDEGATE_BIN ?? new URL('../../target/debug/tidegate', import.meta.url).pathname;
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Where screenshots go. */
export const output = new URL('./output/', import.meta.url).pathname;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function until(what, holds, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`it never happened that ${what}`);
    await sleep(150);
  }
}

export class Server {
  static async start() {
    const server = new Server();
    server.data = await mkdtemp(join(tmpdir(), 'tidegate-browser-'));
    await server.run('0');
    return server;
  }

  async run(port) {
    let output = '';
    this.process = spawn(binary, ['serve', '--port', port, '--data', this.data], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process.stdout.on('data', (chunk) => (output += chunk));
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    await until('the server says where it listens', () => output.includes('sign-up'), 30);
    this.port = /127\.0\.0\.1:(\d+)/.exec(output)[1];
    this.base = `http://localhost:${this.port}`;
    this.password = /password (\S+)/.exec(output)?.[1] ?? this.password;
  }

  /** As the system would: no time for last words. */
  async killAndStartAgain() {
    process.kill(this.process.pid, 'SIGKILL');
    await this.ended;
    await this.run(this.port);
  }

  async stop() {
    this.process.kill('SIGTERM');
    await Promise.race([this.ended, sleep(20_000)]);
    await rm(this.data, { recursive: true, force: true });
  }

  /** The newest message to an address, as it was sent. */
  async mail(to, containing) {
    const folder = join(this.data, 'mail');
    return until(`a message to ${to} with “${containing}”`, async () => {
      if (!existsSync(folder)) return undefined;
      const names = (await readdir(folder)).filter((n) => n.endsWith('.eml'));
      const written = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })));
      for (const { name } of written.sort((a, b) => b.at - a.at)) {
        const raw = await readFile(join(folder, name), 'utf8');
        const body = decode(raw);
        if (raw.includes(`To: ${to}`) && body.includes(containing)) return body;
      }
      return undefined;
    });
  }

  tenant(slug) {
    return `http://${slug}.localhost:${this.port}`;
  }
}

function decode(raw) {
  const [head, ...rest] = raw.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  if (/base64/i.test(head)) return Buffer.from(body, 'base64').toString('utf8');
  return body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}

export async function browser() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
}

/** A person with a browser window of their own; what goes wrong in it is kept. */
export async function person(chrome, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => m.type() === 'error' && page.complaints.push(m.text()));
  page.on('pageerror', (e) => page.complaints.push(e.message));
  // The console says only that something failed to load; the answer itself says what.
  page.on('response', (r) => r.status() >= 500 && page.complaints.push(`${r.request().method()} ${new URL(r.url()).pathname} answered ${r.status()}`));
  page.setDefaultTimeout(20_000);
  return page;
}

export async function signIn(page, base, email, password) {
  await page.goto(`${base}/sign-in`);
  await page.fill('#email', email);
  await page.fill('#password', password);
  await page.click('button[type=submit]');
  await page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

/** What axe finds on the page as it stands. */
export async function violations(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.screenshot({ path: `${output}${name}.png`, fullPage: true });
  return [...violations.map((v) => `${name}: ${v.id} ${v.nodes[0].html.slice(0, 160)}`), ...(wide > 1 ? [`${name}: ${wide} px too wide`] : [])];
}

/** What axe finds in both themes, wide and narrow, and what does not fit. */
export async function everywhere(page, name) {
  const found = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1440, 390]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      found.push(...(await violations(page, `${name}-${colorScheme}-${width}`)));
    }
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.setViewportSize({ width: 1440, height: 900 });
  return found;
}

/** Makes a token that may do everything, by the page for it. */
export async function makeToken(admin, server) {
  await admin.goto(`${server.base}/settings`);
  await admin.click('text=Make a token');
  const form = admin.locator('form[action="/do/add_token"]');
  await form.locator('#name').fill('browser suite');
  for (const box of await form.locator('input[type=checkbox]').all()) await box.check();
  await form.locator('button[type=submit]').click();
  return (await admin.locator('.copy code').textContent()).trim();
}

/** One call of the REST API, which must succeed. */
export async function call(server, token, verb, path, body) {
  const response = await fetch(`http://127.0.0.1:${server.port}/api/v1${path}`, {
    method: verb,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${verb} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? undefined : response.json();
}

/** A server, a browser and its admin, signed in; nothing is left running where that fails. */
export async function begin() {
  await mkdir(output, { recursive: true });
  const server = await Server.start();
  let chrome;
  try {
    chrome = await browser();
    const admin = await person(chrome);
    await signIn(admin, server.base, 'admin@localhost', server.password);
    return { server, chrome, admin };
  } catch (error) {
    await chrome?.close();
    await server.stop();
    throw error;
  }
}
