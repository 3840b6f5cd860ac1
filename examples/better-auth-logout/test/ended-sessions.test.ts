// Every way to end a session in Better Auth, with all kinds of session storage.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import type { BetterAuthPlugin } from "better-auth";
import { multiSession } from "better-auth/plugins";

import { jwtWithLogout } from "better-auth-logout";
import { startApi, verifiedSids, type Api } from "./api.js";
import { minor, password, signIn, startIssuer, storages, type Device, type Issuer, type Storage } from "./issuer.js";

interface Scene {
  issuer: Issuer;
  storage: Storage;
  /** Three devices of one user. */
  devices: [Device, Device, Device];
  user: string;
  sids: [string, string, string];
  /** Another user's device. */
  admin: Device;
}

/** Performs an action, and returns the sids of the sessions that it ended. */
type Event = (scene: Scene) => Promise<string[]>;

const events: Record<string, Event> = {
  async "sign-out"({ devices: [phone], sids: [sid] }) {
    await phone.post("/sign-out");
    return [sid];
  },
  async "auth.api.signOut"({ issuer, devices: [phone], sids: [sid] }) {
    await issuer.auth.api.signOut({ headers: phone.headers() });
    return [sid];
  },
  async "revoke-session of another device"({ devices: [phone, laptop], sids: [, sid] }) {
    await phone.post("/revoke-session", { token: await laptop.sessionToken() });
    return [sid];
  },
  async "revoke-other-sessions"({ devices: [phone], sids: [, ...others] }) {
    await phone.post("/revoke-other-sessions");
    return others;
  },
  async "revoke-sessions"({ devices: [phone], sids }) {
    await phone.post("/revoke-sessions");
    return sids;
  },
  async "change-password with revokeOtherSessions, which gives the acting device a new sid"({
    devices: [phone],
    sids,
  }) {
    await phone.post("/change-password", {
      currentPassword: password,
      newPassword: `new ${password}`,
      revokeOtherSessions: true,
    });
    assert.ok(!sids.includes(await phone.sid()));
    return sids;
  },
  async "change-password without revokeOtherSessions ends nothing"({ devices: [phone] }) {
    await phone.post("/change-password", { currentPassword: password, newPassword: `new ${password}` });
    return [];
  },
  async "password reset with revokeSessionsOnPasswordReset"({ issuer, devices: [phone], user, sids }) {
    await phone.post("/request-password-reset", { email: phone.email });
    await issuer.settled();
    await phone.post("/reset-password", { newPassword: `new ${password}`, token: issuer.resetTokens.get(user) });
    return sids;
  },
  async "delete-user"({ devices: [phone], sids }) {
    await phone.post("/delete-user", { password });
    return sids;
  },
  async "signing in again without signing out leaves the old session alive"({ devices: [phone], sids }) {
    const again = phone.copy();
    await again.post("/sign-in/email", { email: phone.email, password });
    assert.ok(!sids.includes(await again.sid()));
    return [];
  },
  async "admin ban-user"({ admin, user, sids }) {
    await admin.post("/admin/ban-user", { userId: user });
    return sids;
  },
  async "admin update-user to banned, which ends nothing before 1.6.16"({ admin, user, sids }) {
    await admin.post("/admin/update-user", { userId: user, data: { banned: true } });
    return minor >= 6 ? sids : [];
  },
  async "admin revoke-user-session"({ admin, devices: [phone], sids: [sid] }) {
    await admin.post("/admin/revoke-user-session", { sessionToken: await phone.sessionToken() });
    return [sid];
  },
  async "admin revoke-user-sessions"({ admin, user, sids }) {
    await admin.post("/admin/revoke-user-sessions", { userId: user });
    return sids;
  },
  async "admin remove-user"({ admin, user, sids }) {
    await admin.post("/admin/remove-user", { userId: user });
    return sids;
  },
  async "admin set-user-password ends nothing"({ admin, user }) {
    await admin.post("/admin/set-user-password", { userId: user, newPassword: `new ${password}` });
    return [];
  },
  async "the start of an impersonation ends nothing"({ admin, user, sids }) {
    const own = await admin.sid();
    await admin.post("/admin/impersonate-user", { userId: user });
    const impersonation = await admin.sid();
    assert.ok(impersonation !== own && !sids.includes(impersonation));
    return [];
  },
  async "the end of an impersonation, which brings the admin back to the old sid"({ admin, user }) {
    const own = await admin.sid();
    await admin.post("/admin/impersonate-user", { userId: user });
    const impersonation = await admin.sid();
    await admin.post("/admin/stop-impersonating");
    assert.equal(await admin.sid(), own);
    return [impersonation];
  },
  async "deleteUserSessions, called by a script"({ issuer, user, sids }) {
    await issuer.deleteUserSessions(user);
    return sids;
  },
};

const multiSessionEvents: Record<string, Event> = {
  async "multi-session revoke"({ devices: [phone], sids: [sid], admin }) {
    const token = await phone.sessionToken();
    await phone.post("/sign-in/email", { email: admin.email, password });
    await phone.post("/multi-session/revoke", { sessionToken: token });
    return [sid];
  },
  async "sign-out with multi-session, which ends the sessions of all users of the browser"({
    devices: [phone],
    sids: [sid],
    admin,
  }) {
    await phone.post("/sign-in/email", { email: admin.email, password });
    const other = await phone.sid();
    await phone.post("/sign-out");
    return [sid, other];
  },
  async "signing in again with multi-session, which ends the same user's session before"({
    devices: [phone],
    sids: [sid],
  }) {
    await phone.post("/sign-in/email", { email: phone.email, password });
    assert.notEqual(await phone.sid(), sid);
    return [sid];
  },
};

const expiry: Record<string, Event> = {
  async "expiry, found at the next get-session"({ issuer, devices: [phone], sids: [sid] }) {
    const token = await phone.sessionToken();
    const past = new Date(Date.now() - 1000).toISOString();
    const entry = JSON.parse((await issuer.entries.get(token)) ?? "null");
    if (entry)
      await issuer.entries.set(token, JSON.stringify({ ...entry, session: { ...entry.session, expiresAt: past } }));
    if (issuer.hasSessionTable()) issuer.sql(`update "session" set "expiresAt" = ? where "token" = ?`, past, token);
    assert.equal(await phone.get("/get-session"), null);
    return [sid];
  },
};

const changesBySql: Record<string, Event> = {
  async "a session's row deleted by SQL"({ issuer, devices: [phone], sids: [sid], storage }) {
    if (!issuer.hasSessionTable()) return [];
    issuer.sql(`delete from "session" where "token" = ?`, await phone.sessionToken());
    return needsRow(storage) ? [sid] : [];
  },
  async "a user's row deleted by SQL, and the sessions by the foreign key's cascade"({ issuer, user, sids, storage }) {
    issuer.sql(`delete from "user" where "id" = ?`, user);
    return needsRow(storage) ? sids : [];
  },
};

// In Better Auth 1.4 only the row has the id of a session that is in both.
const needsRow = ({ secondary, session }: Storage) =>
  !secondary || (minor < 5 && session?.storeSessionInDatabase && !session.preserveSessionInDatabase);

for (const [name, storage] of Object.entries(storages)) {
  suite(`sessions in ${name}`, storage, [], { ...events, ...expiry }, changesBySql);
  suite(`sessions in ${name}, and multi-session`, storage, [multiSession()], multiSessionEvents);
}

test("other entries in secondaryStorage can be deleted, and are not reported", async (t) => {
  const api = await startApi(t);
  const issuer = await startIssuer(t, { secondary: true, plugins: [jwtWithLogout({ logout: { url: api.url } })] });
  const device = await issuer.signUp();
  const copy = (await issuer.entries.get(await device.sessionToken())) ?? "";
  for (const value of [copy, "1795227396", "null", "[]", "{", ""]) {
    await issuer.entries.set("another key", value);
    await issuer.entries.delete("another key");
    assert.equal(await issuer.entries.get("another key"), null);
  }
  await issuer.entries.delete("a key that was never set");
  await issuer.settled();
  assert.deepEqual(api.tokens, []);
});

function suite(
  name: string,
  storage: Storage,
  plugins: BetterAuthPlugin[],
  reportedEvents: Record<string, Event>,
  unreportedEvents: Record<string, Event> = {},
) {
  describe(name, () => {
    let api: Api;
    let issuer: Issuer;
    let admin: Device;
    const stops: (() => void)[] = [];
    after(() => stops.forEach((stop) => stop()));
    before(async () => {
      const lifetime = { after: (stop: () => void) => void stops.push(stop) };
      api = await startApi(lifetime);
      issuer = await startIssuer(lifetime, {
        ...storage,
        plugins: [jwtWithLogout({ logout: { url: api.url } }), ...plugins],
      });
      admin = await issuer.signUpAdmin();
    });

    for (const [what, event] of Object.entries(reportedEvents)) {
      test(what, async () => {
        const { ended, reported } = await run(event);
        assert.deepEqual(reported, ended);
      });
    }
    for (const [what, event] of Object.entries(unreportedEvents)) {
      test(`${what}, is not reported`, async () => {
        const { reported } = await run(event);
        assert.deepEqual(reported, []);
      });
    }

    async function run(event: Event) {
      const scene = await arrange(issuer, admin, storage);
      const cookies = scene.devices.map((device) => device.copy());
      const ended = await event(scene);
      await issuer.settled();
      for (const [index, device] of cookies.entries()) {
        const sid = scene.sids[index] ?? "";
        if (ended.includes(sid)) await assert.rejects(device.claims(), /401/, "an ended session must not get a token");
        else assert.equal(await device.sid(), sid);
      }
      return { ended: ended.toSorted(), reported: await verifiedSids(api.tokens.splice(0), issuer.url) };
    }
  });
}

async function arrange(issuer: Issuer, admin: Device, storage: Storage): Promise<Scene> {
  const phone = await issuer.signUp();
  const devices: Scene["devices"] = [phone, await signIn(phone), await signIn(phone)];
  const sids: Scene["sids"] = [await devices[0].sid(), await devices[1].sid(), await devices[2].sid()];
  assert.equal(new Set(sids).size, 3);
  return { issuer, storage, devices, sids, user: await phone.userId(), admin: admin.copy() };
}
