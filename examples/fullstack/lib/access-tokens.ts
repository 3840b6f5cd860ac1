import { decodeJwt } from "jose";

export interface AccessToken {
  jwt: string;
  userId: string | undefined;
  /** In milliseconds, by this computer's clock. */
  renewAt: number;
}

/** Keeps one token in memory. Concurrent callers share one fetch; the token is renewed before it expires. */
export class AccessTokens {
  #current: AccessToken | undefined;
  #pending: Promise<AccessToken> | undefined;

  constructor(private readonly fetchToken: () => Promise<string>) {}

  /** The token to send now. Never returns the `rejected` one. */
  async current(rejected?: AccessToken): Promise<AccessToken> {
    const current = this.#current;
    if (current && current.jwt !== rejected?.jwt && Date.now() < current.renewAt) return current;
    return (this.#pending ??= this.#fetch());
  }

  clear() {
    this.#current = this.#pending = undefined;
  }

  #fetch(): Promise<AccessToken> {
    const pending = this.fetchToken().then(read);
    const settle = (token?: AccessToken) => {
      // Cleared in the meantime: waiting callers get this token, but later ones do not.
      if (this.#pending !== pending) return;
      this.#current = token;
      this.#pending = undefined;
    };
    pending.then(settle, () => settle());
    return pending;
  }
}

// The lifetime is counted from now, because this computer's clock may be wrong.
function read(jwt: string): AccessToken {
  const { sub, iat = 0, exp = 0 } = decodeJwt(jwt);
  const lifetime = (exp - iat) * 1000;
  return { jwt, userId: sub, renewAt: Date.now() + lifetime - Math.min(30_000, lifetime / 2) };
}
