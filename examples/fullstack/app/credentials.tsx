"use client";

import Link from "next/link";
import { useActionState } from "react";

import { Field } from "./field";
import { authClient } from "@/lib/auth-client";

const texts = {
  "sign-in": { title: "Sign in", other: "/sign-up", invitation: "No account yet?", otherTitle: "Sign up" },
  "sign-up": { title: "Sign up", other: "/sign-in", invitation: "Have an account?", otherTitle: "Sign in" },
};

export function Credentials({ purpose }: { purpose: keyof typeof texts }) {
  const [entered, submit, pending] = useActionState(enter, { email: "", name: "" });
  const { title, other, invitation, otherTitle } = texts[purpose];

  async function enter(_: unknown, form: FormData) {
    const text = (field: string) => String(form.get(field) ?? "");
    const entered = { email: text("email"), name: text("name") };
    try {
      const { error } = await (purpose === "sign-in"
        ? authClient.signIn.email({ email: entered.email, password: text("password") })
        : authClient.signUp.email({ ...entered, password: text("password") }));
      if (error) return { ...entered, error: error.message ?? "That did not work. Please try again." };
    } catch {
      return { ...entered, error: "The server cannot be reached. Please try again." };
    }
    location.assign("/");
    return entered;
  }

  return (
    <main className="narrow card">
      <h1>{title}</h1>
      <form action={submit} className="credentials">
        {purpose === "sign-up" && (
          <Field label="Name" name="name" defaultValue={entered.name} autoComplete="name" required autoFocus />
        )}
        <Field
          label="Email"
          name="email"
          type="email"
          defaultValue={entered.email}
          autoComplete="email"
          required
          autoFocus={purpose === "sign-in"}
        />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete={purpose === "sign-in" ? "current-password" : "new-password"}
          minLength={8}
          required
        />
        {"error" in entered && (
          <p role="alert" className="error">
            {entered.error}
          </p>
        )}
        <button className="primary" disabled={pending}>
          {title}
        </button>
      </form>
      <p className="quiet">
        {invitation} <Link href={other}>{otherTitle}</Link>
      </p>
    </main>
  );
}
