// A `florin dev` of its own for each kit, and a count of what held.
//
// A kit prints one line for each thing it tested and ends with "N passed, N failed, N skipped", which ./test adds up.
// Status 77 with the reason on the last line means: this machine lacks what the kit needs (a browser).

import { spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 60_000; // a debug build on a busy machine; a release starts in under a second
const STOP_MS = 30_000; // drains for 25 s at most

/** Counts what was tested and says how it went. */
export class Kit {
  passed = 0;
  failed = 0;
  skipped = 0;

  constructor(name) {
    this.name = name;
    this.work = process.env.KIT_WORK ?? mkdtempSync(join(tmpdir(), `florin-${name}-`));
  }

  /** Runs one test, named as a sentence. A test that throws has failed; the next one runs all the same. */
  async test(sentence, run) {
    const began = Date.now();
    try {
      await run();
      this.passed += 1;
      console.log(`ok      ${sentence} (${Date.now() - began} ms)`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED  ${sentence}\n${indented(error.stack ?? String(error))}`);
    }
  }

  skip(sentence, why) {
    this.skipped += 1;
    console.log(`skipped ${sentence}: ${why}`);
  }

  /** Prints the sum and ends the process. */
  done() {
    console.log(`${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`);
    process.exit(this.failed === 0 ? 0 : 1);
  }
}

/** Ends the process and says why the kit could not run. */
export function cannotRun(why) {
  console.log(why);
  process.exit(77);
}

/** Starts `florin dev` on free ports over an empty folder and waits for its line. `needs` are members of that line. */
export async function startFlorin(kit, { needs = [], args = [] } = {}) {
  const binary = process.env.FLORIN_BIN;
  if (!binary) throw new Error('FLORIN_BIN does not name the program');
  const data = mkdtempSync(join(tmpdir(), `florin-${kit.name}-data-`));
  const log = join(kit.work, `${kit.name}.florin.log`);
  const child = spawn(binary, ['dev', '--json', '--port', '0', '--data', data, ...args], {
    stdio: ['ignore', 'pipe', openSync(log, 'w')],
    env: { ...foreignEnvironment(), FLORIN_LOG_FILTER: 'debug', NO_COLOR: '1' },
  });
  process.on('exit', () => child.exitCode ?? child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  const line = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve)),
    ended.then((how) => Promise.reject(new Error(`florin dev ended (${how}) before it was ready:\n${tail(log)}`))),
    sleep(START_MS).then(() => Promise.reject(new Error(`florin dev said nothing in ${START_MS} ms:\n${tail(log)}`))),
  ]);
  child.stdout.resume();
  const florin = JSON.parse(line);
  const missing = needs.filter((name) => !florin[name]);
  if (missing.length > 0) throw new Error(`the line of \`florin dev --json\` has no ${missing.join(', ')}`);

  /** Stops it as an operator would, then looks for what must never have been written. */
  florin.stop = async () => {
    await kit.test('florin stops when it is asked to', async () => {
      child.kill('SIGTERM');
      const how = await Promise.race([ended, sleep(STOP_MS).then(() => 'never')]);
      if (how !== 0) throw new Error(`ended with ${how}`);
    });
  };

  /** Fails if a log line or a file of the databases holds one of these texts. */
  florin.neverWrote = async (what, texts, { alsoInData = true } = {}) => {
    await kit.test(`${what} stand in no log${alsoInData ? ' and no database' : ''}`, async () => {
      const files = [log, ...(alsoInData ? below(data) : [])];
      const found = [];
      for (const file of files) {
        const bytes = readFileSync(file);
        for (const text of texts) if (bytes.includes(text)) found.push(`${file} holds ${text}`);
      }
      if (statSync(log).size === 0) throw new Error(`${log} is empty`);
      if (files.length < 2 && alsoInData) throw new Error(`${data} holds no files at all`);
      if (found.length > 0) throw new Error(found.join('\n'));
    });
  };

  florin.forget = () => rmSync(data, { recursive: true, force: true });
  florin.log = log;
  return florin;
}

/** A small server that keeps what it is sent. `hits` holds {method, path, headers, body, at}. */
export async function receiver(answer = () => ({ status: 200, body: 'ok' })) {
  const hits = [];
  const server = createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const hit = { method: request.method, path: request.url, headers: request.headers, body: Buffer.concat(pieces).toString(), at: Date.now() };
      hits.push(hit);
      const { status, body, headers = {} } = answer(hit);
      response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, hits, close: () => server.close() };
}

/** Waits until `look` gives something, and gives it. */
export async function until(what, look, patience_ms = 10_000) {
  const end = Date.now() + patience_ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${patience_ms} ms for ${what}`);
    await sleep(50);
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref?.());

/** The environment without settings of ours, which it would obey or refuse. */
function foreignEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FLORIN_')));
}

function tail(file) {
  return readFileSync(file, 'utf8').split('\n').slice(-15).join('\n');
}

function below(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = statSync(path);
    return stat.isDirectory() ? below(path) : stat.isFile() ? [path] : [];
  });
}

function indented(text) {
  return text.split('\n').map((line) => `        ${line}`).join('\n');
}
