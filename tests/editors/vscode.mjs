// What a person does with Taper in VS Code, and what is seen then. Run by tests/editors/vscode.sh, with a folder that
// has projects and an installed extension, and perhaps one for pictures.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [work, pictures] = process.argv.slice(2);
const root = fileURLToPath(new URL('../..', import.meta.url));
const { chromium } = await import(path.join(root, 'target/editors/vscode/node_modules/playwright-core/index.mjs'));
const PATIENCE = 60_000;

let page;

/** Runs one check. It fails by an exception. */
async function check(name, run) {
  try {
    await run();
  } catch (error) {
    const seen = path.join(root, 'target/editors/vscode-failed.png');
    await page?.screenshot({ path: seen }).catch(() => {});
    console.error(`FAILED: ${name}: ${error.stack}\nWhat was seen then: ${seen}`);
    process.exit(1);
  }
  console.log(`ok: ${name}`);
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits for what a function gives, until it is truthy. */
async function until(what, found) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    const value = await found();
    if (value) return value;
    await sleep(50);
  }
  assert.fail(`not seen: ${what}`);
}

/**
 * Whether a frame of the window has what is looked for. A webview replaces its frames while it loads: one that is gone has nothing.
 */
async function inFrames(found) {
  for (const frame of page.frames()) {
    const isThere = await found(frame).catch((error) => {
      if (!frame.isDetached()) throw error;
      return false;
    });
    if (isThere) return true;
  }
  return false;
}

/** The processes whose command line begins with a text. */
function processes(command) {
  const listed = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' });
  const lines = listed.split('\n').map((line) => line.trim().match(/^(\d+) (.*)$/));
  return lines.filter((line) => line?.[2].startsWith(command)).map((line) => Number(line[1]));
}

/** What an element shows; hints have spaces of other kinds. */
const plain = (text) => text.replace(/\u00a0/g, ' ').replace(/[\u200b\u200c]/g, '');

/** The lines on the screen, from top to bottom, with what stands beside them. */
async function lines() {
  const all = await page.locator('.editor-instance .view-line').evaluateAll((elements) =>
    elements
      .map((element) => [element.getBoundingClientRect().top, element.textContent])
      .sort((one, other) => one[0] - other[0])
      .map((pair) => pair[1]),
  );
  return all.map(plain);
}

const line = (...texts) =>
  until(`a line with ${texts.join(' and ')}`, async () =>
    (await lines()).find((one) => texts.every((text) => one.includes(text))),
  );

/** Waits for an element that holds a text. */
function shown(selector, text) {
  const element = page.locator(selector).filter({ hasText: text }).first();
  return until(`\`${text}\` in ${selector}`, async () => ((await element.isVisible()) ? element : undefined));
}

async function press(...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

/** Chooses what a text finds in the list that a key opens, until it is done: an editor that opens late closes the list. */
async function choose(key, text, found, isDone = () => true) {
  const input = page.locator('.quick-input-widget input:focus');
  // Before the text has been searched for, the list has what was chosen last, and no letters are marked.
  const row = page.locator('.quick-input-list .monaco-list-row.focused:has(.highlight)').filter({ hasText: found });
  await until(`\`${found}\` chosen`, async () => {
    try {
      await press(key);
      await input.waitFor({ timeout: 2000 });
      await page.keyboard.insertText(text);
      await row.waitFor({ timeout: 2000 });
      await press('Enter');
      await input.waitFor({ state: 'hidden', timeout: 2000 });
      await sleep(200);
      return isDone();
    } catch {
      await press('Escape');
      return false;
    }
  });
}

/** Opens a file at a place. */
async function open(file, row = 1, column = 1) {
  const tab = page.locator('.tab.active').filter({ hasText: file });
  const place = page.locator('.statusbar-item').filter({ hasText: `Ln ${row}, Col ${column}` });
  await choose('Control+p', `${file}:${row}:${column}`, file, async () => {
    const isThere = file.endsWith('.safetensors') || (await place.count()) > 0;
    return isThere && (await tab.count()) > 0;
  });
}

/** Runs a command by its name. */
const command = (name) => choose('F1', name, name);

/** Puts something in the place of a text in `net.taper`. */
async function replace(from, to) {
  const before = fs.readFileSync(path.join(work, 'project/net.taper'), 'utf8').split('\n');
  const row = before.findIndex((one) => one.includes(from));
  await open('net.taper', row + 1, before[row].indexOf(from) + 1);
  for (let count = 0; count < from.length; count++) await press('Shift+ArrowRight');
  await page.keyboard.insertText(to);
}

const undo = () => press('Control+z');

/** Chooses an action at the cursor by its title. */
async function act(title) {
  const row = page.locator('.action-widget .monaco-list-row').filter({ hasText: title }).first();
  await until(`the action ${title}`, async () => {
    // Suggestions that come late take the key.
    await press('Escape', 'Control+.');
    return row.click({ timeout: 2000 }).then(() => true, () => false);
  });
}

const picture = (name) => page.screenshot({ path: path.join(pictures, name) });

const benchmark = (model) => act(`Benchmark \`${model}\` and its layers on cpu`);

/** What the README and the documents show. */
async function takePictures() {
  await command('View: Close All Editors');
  await command('View: Toggle Primary Side Bar Visibility');
  await open('alexnet.taper', 22, 5);
  await line('Linear(4096)', 'params');
  await benchmark('AlexNet');
  await shown('.notification-toast', /runs|samples/);
  await picture('vscode-benchmark.png');
  await line('kernel_size=11', ' of peak');
  await page.locator('.notification-toast').waitFor({ state: 'hidden' });
  await page.mouse.move(5, 600);
  await press('Control+Home');
  await sleep(1000);
  await picture('vscode.png');
  await open('alexnet.taper', 24, 10);
  await press('Control+k', 'Control+i');
  await shown('.monaco-hover:not(.hidden)', 'Linear');
  await sleep(500);
  await picture('vscode-hover.png');
  await press('Escape');
  await open('config.json');
  await line('hidden_size', '8.03 G params');
  await sleep(500);
  await picture('vscode-config.png');
  await open('model.safetensors');
  await sleep(1500);
  await picture('vscode-checkpoint.png');
  await open('tour.taper', 15, 23);
  await page.keyboard.insertText(' + 1');
  await page.locator('.squiggly-error').first().waitFor();
  await press('F8');
  await shown('.marker-widget', 'T0');
  await sleep(500);
  await picture('vscode-mistake.png');
}

/** Opens a folder in VS Code's workbench; the extension host starts with it. */
async function start(folder, ...options) {
  const port = await freePort();
  const code = spawn(path.join(work, 'bin/code'), ['--bind-addr', `127.0.0.1:${port}`, '--auth', 'none', ...options], {
    stdio: 'ignore',
  });
  await until('the editor', () => fetch(`http://127.0.0.1:${port}/healthz`).then(() => true, () => false));
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage'],
  });
  page = await browser.newPage({ viewport: { width: 1160, height: 790 }, deviceScaleFactor: pictures ? 1.5 : 1 });
  await page.goto(`http://127.0.0.1:${port}/?folder=${folder}`);
  await page.locator('.monaco-workbench').waitFor();
  return async () => {
    await browser.close();
    code.kill();
    await until('the end of the editor', () => code.exitCode !== null || code.signalCode !== null);
  };
}

async function freePort() {
  const server = net.createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

const project = path.join(work, 'project');
const server = path.join(work, 'extensions');
const close = await start(project, '--disable-workspace-trust');

await check('hints appear when a file is opened', async () => {
  await shown('.explorer-folders-view .monaco-list-row', 'net.taper');
  await open('net.taper');
  await line('Residual(32)', '[N, 32, 32, 32]');
});

await check('hints follow typing', async () => {
  await replace('32)', '48)');
  await line('Residual(48)', '[N, 48, 32, 32]');
  await undo();
  await line('Residual(32)', '[N, 32, 32, 32]');
});

await check('a hover explains a layer', async () => {
  await open('net.taper', 7, 12);
  await press('Control+k', 'Control+i');
  const hover = await shown('.monaco-hover:not(.hidden)', '448');
  assert.match(plain(await hover.textContent()), /Conv2d/);
  await press('Escape');
});

await check('a mistake is marked, and its fix applied', async () => {
  await replace('Linear', 'Linaer');
  await page.locator('.squiggly-error').first().waitFor();
  await press('ArrowLeft');
  await act('Linear');
  await line('head: Linear(10)');
  await until('no error', async () => (await page.locator('.squiggly-error').count()) === 0);
});

await check('layers are completed', async () => {
  await open('net.taper', 10, 12);
  await page.keyboard.type('\nAdaptiveAv');
  await shown('.suggest-widget .monaco-list-row', 'AdaptiveAvgPool2d');
  await press('Escape');
  for (let count = 0; count < 11; count++) await press('Backspace');
  await line('Flatten');
  await press('Control+s');
});

await check('a block is renamed in all files', async () => {
  await open('net.taper', 8, 12);
  await press('F2');
  await page.locator('.rename-box input:focus').waitFor();
  await press('Control+a');
  await page.keyboard.insertText('Bottleneck');
  await press('Enter');
  await line('use "block.taper": Bottleneck');
  await open('block.taper');
  await line('block Bottleneck(planes)');
  await command('File: Save All Files');
  await until('both files', () =>
    ['net.taper', 'block.taper'].every((file) =>
      fs.readFileSync(path.join(project, file), 'utf8').includes('Bottleneck'),
    ),
  );
});

await check('a lens has totals and opens the layers', async () => {
  await open('net.taper');
  const lens = await shown('.codelens-decoration a', 'params');
  await lens.click();
  await line('AdaptiveAvgPool2d', '[N, 32, 1, 1]', '0.3 %');
});

await check('the totals stand in the status bar', async () => {
  await open('net.taper', 5, 3);
  await shown('.statusbar-item', 'params · ');
});

await check('the summary opens', async () => {
  await command('Taper: Show Summary');
  await until('a table of layers', () =>
    inFrames(async (frame) => (await frame.locator('table').filter({ hasText: 'Conv2d' }).count()) > 0),
  );
  await command('View: Close All Editors');
});

await check('the report opens', async () => {
  await open('net.taper', 5, 3);
  await command('Taper: Show Report');
  await until('a treemap and a roofline chart', () =>
    inFrames(async (frame) => (await frame.locator('#treemap svg, #roofline svg').count()) === 2),
  );
  await command('View: Close All Editors');
});

await check('a benchmark on the CPU ends as a hint', async () => {
  await open('net.taper', 7, 7);
  await line('stem', 'params');
  await benchmark('Net');
  // A bar that knows how far it is.
  await shown('.notification-toast:has(.monaco-progress-container.discrete)', 'Benchmark of Net on cpu');
  await line('stem', ' of peak');
});

await check('a benchmark is cancelled', async () => {
  await replace('16', '512');
  await line('[N, 512, 32, 32]');
  await benchmark('Net');
  await shown('.notification-toast', 'Benchmark');
  await until('no worker', async () => {
    // A click that meets the next message is lost.
    await page.locator('.notification-toast .monaco-button').click({ timeout: 1000 }).catch(() => {});
    return processes(server).length === 1;
  });
  await open('net.taper', 7, 7);
  await undo();
  await line('[N, 16, 32, 32]');
});

const ours = fs.readlinkSync(`/proc/${processes(server)[0]}/exe`);

await check('a config has hints', async () => {
  await open('config.json');
  await line('hidden_size', '8.03 G params');
  await shown('.codelens-decoration a', 'layers');
});

await check('other JSON is left alone', async () => {
  await open('package.json');
  await line('not-a-model');
  await sleep(500);
  assert.equal(await page.locator('.codelens-decoration a').filter({ hasText: 'params' }).count(), 0);
});

await check('a checkpoint is shown', async () => {
  await open('model.safetensors');
  await until('21 tensors', () =>
    inFrames(async (frame) => plain((await frame.evaluate(() => document.body?.textContent)) ?? '').includes('21 tensors')),
  );
});

await check('a server that is killed is started again', async () => {
  const [old, ...others] = processes(server);
  assert.deepEqual(others, []);
  process.kill(old, 'SIGKILL');
  await until('another server', () => processes(server).some((one) => one !== old));
  await open('net.taper');
  await replace('32)', '24)');
  await line('[N, 24, 32, 32]');
  await undo();
});

if (pictures) {
  await check('pictures are taken', takePictures);
}

await check('nothing is left when the editor is closed', async () => {
  await close();
  await until('no process', () => processes(server).length === 0);
});

// A folder from elsewhere, whose settings name a program of its own as the server.
const stranger = path.join(work, 'stranger');
const theirs = path.join(stranger, 'taper');
fs.mkdirSync(path.join(stranger, '.vscode'));
fs.writeFileSync(path.join(stranger, '.vscode/settings.json'), JSON.stringify({ 'taper.server.path': theirs }));
fs.writeFileSync(theirs, `#!/bin/sh\ntouch "${stranger}/was-run"\nexec "${ours}" "$@"\n`, { mode: 0o755 });
const wasRun = () => fs.existsSync(path.join(stranger, 'was-run'));
const closeStranger = await start(stranger);

await check('nothing of a folder that is not trusted is run, and hints are there', async () => {
  await shown('.statusbar-item', 'Restricted Mode');
  await open('net.taper');
  await line('Residual(32)', '[N, 32, 32, 32]');
  assert(!wasRun());
});

await check('a folder that becomes trusted may name its server', async () => {
  await command('Workspaces: Manage Workspace Trust');
  await page.locator('.workspace-trust-editor .monaco-button', { hasText: 'Trust' }).first().click();
  await until('their program', wasRun);
  await open('net.taper');
  await line('Residual(32)', '[N, 32, 32, 32]');
});

await closeStranger();
