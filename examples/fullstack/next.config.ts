import type { NextConfig } from "next";

export default {
  // This directory stands on its own, wherever it is copied to.
  turbopack: { root: import.meta.dirname },
} satisfies NextConfig;
