// A GitHub that lets everybody in, as one and the same person.

import { createServer } from "node:http";

/// Starts it. Resolves to `{ url, stop }`; `returnsTo` is where it is registered to send browsers back.
export async function startGitHub() {
  const github = {};
  const server = createServer((request, answer) => {
    const asked = new URL(request.url, "http://github.invalid");
    const json = (body) => answer.setHeader("content-type", "application/json").end(JSON.stringify(body));
    if (asked.pathname === "/login/oauth/authorize") {
      const back = new URL(github.returnsTo);
      back.searchParams.set("code", "a-code");
      back.searchParams.set("state", asked.searchParams.get("state"));
      answer.writeHead(302, { location: back.href }).end();
    } else if (asked.pathname === "/login/oauth/access_token") json({ access_token: "a-token", token_type: "bearer", scope: "" });
    else if (asked.pathname === "/api/v3/user") json({ id: 583231, login: "ann", avatar_url: "" });
    else answer.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections());
  return Object.assign(github, { url: `http://127.0.0.1:${server.address().port}`, stop });
}
