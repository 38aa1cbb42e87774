// The real program as a process, with an account, in a folder of its own.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/// The token of the account `alice`.
export const TOKEN = "alice-token-of-the-browser-tests";

/// Starts it, with these variables besides. Resolves when it listens: `{ url, stop }`.
export async function start(variables = {}) {
  const program = process.env.OCTOSTORE ?? new URL("../../target/debug/octostore", import.meta.url).pathname;
  const folder = await mkdtemp(join(tmpdir(), "octostore-browser-"));
  const env = { STATIC_TOKENS: `alice:${TOKEN},bob:bob-${TOKEN.slice(6)}`, ...variables };
  const server = spawn(program, ["--bind", "127.0.0.1:0", "--database", join(folder, "octostore.db")], { env });
  let said = "";
  server.stderr.on("data", (text) => { said += text; });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  const url = await Promise.race([
    listening(server.stdout),
    ended.then((code) => { throw new Error(`the server ended with ${code}: ${said}`); }),
  ]);
  const stop = async () => {
    server.kill();
    await ended;
    await rm(folder, { recursive: true });
  };
  return { url, stop };
}

async function listening(stdout) {
  for await (const line of createInterface(stdout)) {
    const [, url] = /listening on\s+(http:\S+)/.exec(line) ?? [];
    if (url) return url.replace(/,$/, "");
  }
  throw new Error("the server said nothing");
}
