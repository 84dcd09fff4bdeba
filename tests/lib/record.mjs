// A loopback proxy that writes down each call and its answer, for the check against the published schema.

import { createServer, request as send } from 'node:http';
import { appendFileSync, writeFileSync } from 'node:fs';

/** Stands in front of `target` and appends {m, path, q, status, answer} to `file`, one JSON line a call. */
export async function recorder(target, file) {
  writeFileSync(file, '');
  const { hostname, port } = new URL(target);
  const server = createServer((incoming, response) => {
    const outgoing = send({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => {
        const body = Buffer.concat(pieces);
        const [path, q = ''] = incoming.url.split('?');
        appendFileSync(file, `${JSON.stringify({ m: incoming.method, path, q, status: answer.statusCode, answer: body.toString() })}\n`);
        response.writeHead(answer.statusCode, answer.headers);
        response.end(body);
      });
    });
    outgoing.on('error', (error) => response.destroy(error));
    incoming.pipe(outgoing);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
