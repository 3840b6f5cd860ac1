import { decodeJwt } from "jose";

export interface AccessToken {
  jwt: string;
  userId: string | undefined;
  /** In milliseconds, by this computer's clock. */
  renewAt: number;
}

/** Keeps one token in memory: fetched once for all who ask at the same time, and renewed before it expires. */
export class AccessTokens {
  #held: AccessToken | undefined;
  #coming: Promise<AccessToken> | undefined;

  constructor(private readonly fetchToken: () => Promise<string>) {}

  /** The token to send now; never the one that the API has refused. */
  async current(refused?: AccessToken): Promise<AccessToken> {
    const held = this.#held;
    if (held && held.jwt !== refused?.jwt && Date.now() < held.renewAt) return held;
    return (this.#coming ??= this.#fetch());
  }

  forget() {
    this.#held = this.#coming = undefined;
  }

  #fetch(): Promise<AccessToken> {
    const coming = this.fetchToken().then(read);
    const arrived = (token?: AccessToken) => {
      // Forgotten meanwhile: whoever waits for it still gets it, and nobody after them.
      if (this.#coming !== coming) return;
      this.#held = token;
      this.#coming = undefined;
    };
    coming.then(arrived, () => arrived());
    return coming;
  }
}

// The token's life is counted from its arrival: computers' clocks are often wrong, but they all go at the same speed.
function read(jwt: string): AccessToken {
  const { sub, iat = 0, exp = 0 } = decodeJwt(jwt);
  const life = (exp - iat) * 1000;
  return { jwt, userId: sub, renewAt: Date.now() + life - Math.min(30_000, life / 2) };
}
