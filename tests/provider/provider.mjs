// A certified OpenID Connect provider (oidc-provider) on loopback, where whoever is next is signed
// in without being asked, and which lies when it is told to.
//
// It prints `issuer URL` when it is ready, and ends with its standard input.
//
//   GET  /control   what it was asked, and the secrets that it gave away
//   POST /control   a JSON object; each of its keys is described at `orders`, but for `rotate`:
//                   the algorithm of a new key that takes the place of the old one

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { SignJWT, decodeJwt, decodeProtectedHeader, importJWK } from 'jose';
import { Provider } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

/** What the provider is told to do. */
const orders = {
  // Who signs in next: `sub`, and claims about them.
  person: { sub: 'subject-1', preferred_username: 'ann' },
  // Whether they refuse instead.
  refuse: false,
  // Whether claims are told at the UserInfo endpoint alone, as OpenID Connect has it for scopes.
  thin: false,
  // How ID tokens are changed: { claims, header, key: 'stranger' | 'none' | a text for HMAC }. A
  // claim that is null is left out.
  id_token: null,
  // A code challenge in place of the one that comes.
  challenge: null,
  // What the discovery document says instead.
  metadata: {},
  // What the UserInfo endpoint says instead.
  userinfo: null,
  // Whether it answers 503 to everything.
  down: false,
};

const people = new Map();
const asked = [];
const secrets = [];
let key = makeKey('RS256');
const stranger = makeKey('RS256');

function makeKey(alg) {
  const [type, options] = {
    ES256: ['ec', { namedCurve: 'P-256' }],
    ES384: ['ec', { namedCurve: 'P-384' }],
    EdDSA: ['ed25519', {}],
  }[alg] ?? ['rsa', { modulusLength: 2048 }];
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' };
}

// Its storage is that of the module, so that what one provider began the next one ends.
class Adapter extends MemoryAdapter {}

const HTTP = 'http://127.0.0.1:1/auth/oidc/test/callback';
const HTTPS = 'https://octostore.example/auth/oidc/test/callback';

function makeProvider(issuer) {
  const client = {
    redirect_uris: [HTTP, HTTPS],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    id_token_signed_response_alg: key.alg,
  };
  const provider = new Provider(issuer, {
    adapter: Adapter,
    jwks: { keys: [key] },
    clients: [
      { ...client, client_id: 'octostore', client_secret: 'client-secret: 4711 & more' },
      { ...client, client_id: 'public', token_endpoint_auth_method: 'none' },
      {
        ...client,
        client_id: 'posting',
        client_secret: 'posted-secret-4712',
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    claims: {
      openid: ['sub'],
      profile: ['preferred_username', 'name', 'picture', 'groups'],
      email: ['email', 'email_verified'],
    },
    conformIdTokenClaims: orders.thin,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] },
    cookies: { keys: ['a key of the tests'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => people.get(sub) }),
    loadExistingGrant: async (ctx) => {
      const { accountId } = ctx.oidc.session;
      const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
  });
  provider.use(async (ctx, next) => {
    if (ctx.path.startsWith('/interaction/')) {
      people.set(orders.person.sub, orders.person);
      const result = orders.refuse
        ? { error: 'access_denied', error_description: 'They <b>would</b> not' }
        : { login: { accountId: orders.person.sub } };
      ctx.respond = false;
      await provider.interactionFinished(ctx.req, ctx.res, result);
      return;
    }
    if (orders.challenge && ctx.query.code_challenge) {
      ctx.query = { ...ctx.query, code_challenge: orders.challenge };
    }
    await next();
    const route = ctx.oidc?.route;
    if (route === 'discovery') ctx.body = { ...ctx.body, ...orders.metadata };
    if (route === 'userinfo' && orders.userinfo) ctx.body = orders.userinfo;
    if (route === 'token') secrets.push(ctx.oidc.body.code, ctx.oidc.body.code_verifier);
    if (route === 'token' && ctx.body.id_token) {
      if (orders.id_token) ctx.body.id_token = await changed(ctx.body.id_token, orders.id_token);
      secrets.push(ctx.body.access_token, ctx.body.id_token);
    }
  });
  return provider;
}

async function changed(token, { claims, header, key: with_key }) {
  const payload = { ...decodeJwt(token), ...claims };
  for (const [name, value] of Object.entries(payload)) {
    if (value === null) delete payload[name];
  }
  if (with_key === 'none') {
    const parts = [{ alg: 'none', ...header }, payload].map((part) => JSON.stringify(part));
    return `${parts.map((part) => Buffer.from(part).toString('base64url')).join('.')}.`;
  }
  const protectedHeader = { ...decodeProtectedHeader(token), ...header };
  const signing = with_key === 'stranger' ? await importJWK(stranger, 'RS256')
    : with_key ? new TextEncoder().encode(with_key)
      : await importJWK(key, key.alg);
  return new SignJWT(payload).setProtectedHeader(protectedHeader).sign(signing);
}

let provider;

async function control(request, response) {
  if (request.method === 'POST') {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const order = JSON.parse(Buffer.concat(chunks).toString());
    if (order.rotate) key = makeKey(order.rotate);
    delete order.rotate;
    Object.assign(orders, order);
    provider = makeProvider(provider.issuer);
  }
  const body = JSON.stringify({ asked, secrets });
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/control') return control(request, response);
  asked.push(pathname);
  if (orders.down) {
    response.writeHead(503, { 'content-length': 0 });
    return response.end();
  }
  return provider.callback()(request, response);
}

const server = createServer(answer);
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = makeProvider(issuer);
  console.log(`issuer ${issuer}`);
  // Nobody listens to what it says after that.
  for (const say of ['log', 'info', 'warn', 'error']) console[say] = () => {};
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
