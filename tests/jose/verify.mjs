// Verifies tokens with jose, like an API that trusts one issuer. Reads lines of JSON from standard input:
//
//   {"jwks": {"keys": […]} | "secret": "…", "token": "…", "now": 1800000000, "issuer": "…", "audience": "…"}
//
// and prints one line for each: `accept`, or `reject` and jose's error code.

import { createInterface } from "node:readline";
import { createLocalJWKSet, jwtVerify } from "jose";

const keySets = new Map();

for await (const line of createInterface({ input: process.stdin })) console.log(await verdict(JSON.parse(line)));

async function verdict({ jwks, secret, token, now, issuer, audience }) {
  const key = jwks ? keysOf(jwks) : new TextEncoder().encode(secret);
  const options = {
    issuer,
    audience,
    currentDate: new Date(now * 1000),
    clockTolerance: 30,
    requiredClaims: ["exp", "sub"],
  };
  // A secret has no `alg`.
  if (secret) options.algorithms = ["HS256"];
  try {
    await jwtVerify(token, key, options);
    return "accept";
  } catch (error) {
    return `reject ${error.code ?? error.name}`;
  }
}

function keysOf(jwks) {
  const name = JSON.stringify(jwks);
  if (!keySets.has(name)) keySets.set(name, createLocalJWKSet(jwks));
  return keySets.get(name);
}
