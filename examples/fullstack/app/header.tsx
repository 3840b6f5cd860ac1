"use client";

import Link from "next/link";
import { useState } from "react";

import { signOut } from "@/lib/auth-client";

const pages = { "/": "Tasks", "/sessions": "Sessions" };

export function Header({ email, current }: { email: string; current: keyof typeof pages }) {
  const [failed, setFailed] = useState(false);
  return (
    <header>
      <nav aria-label="Pages">
        {Object.entries(pages).map(([href, name]) => (
          <Link key={href} href={href} aria-current={href === current ? "page" : undefined}>
            {name}
          </Link>
        ))}
      </nav>
      <span className="email">{email}</span>
      <button onClick={() => signOut().catch(() => setFailed(true))}>Sign out</button>
      {failed && <p role="alert">You could not be signed out. Please try again.</p>}
    </header>
  );
}
