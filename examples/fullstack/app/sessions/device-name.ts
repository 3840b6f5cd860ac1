/** A name such as "Chrome on Linux", from the user agent. */
export function deviceName(userAgent: string | null | undefined) {
  const first = (names: Record<string, RegExp>) =>
    Object.entries(names).find(([, pattern]) => pattern.test(userAgent ?? ""))?.[0];
  // Each browser also names those that it is derived from, so the order matters.
  const browser = first({ Edge: /Edg/, Firefox: /Firefox/, Chrome: /Chrome/, Safari: /Safari/ }) ?? "A browser";
  const system = first({ Android: /Android/, iOS: /iPhone|iPad/, Windows: /Windows/, macOS: /Mac OS/, Linux: /Linux/ });
  return system ? `${browser} on ${system}` : browser;
}
