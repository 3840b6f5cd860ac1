//! Guides for tasks that involve several parts of this crate.

/// One guide. As in `lib.rs`, links lead to the items that the enabled features provide, and to docs.rs otherwise.
macro_rules! guide {
    ($name:ident, $file:literal) => {
        #[cfg_attr(not(doctest), doc = include_str!("links/always.md"))]
        #[cfg_attr(all(feature = "axum", not(doctest)), doc = include_str!("links/axum.md"))]
        #[cfg_attr(all(feature = "jwks", not(doctest)), doc = include_str!("links/jwks.md"))]
        #[cfg_attr(all(feature = "jwks-reqwest", not(doctest)), doc = include_str!("links/jwks-reqwest.md"))]
        #[cfg_attr(all(feature = "backchannel-logout", not(doctest)), doc = include_str!("links/backchannel-logout.md"))]
        #[cfg_attr(all(feature = "session-exchange", not(doctest)), doc = include_str!("links/session-exchange.md"))]
        #[cfg_attr(all(feature = "test-util", not(doctest)), doc = include_str!("links/test-util.md"))]
        #[cfg_attr(not(doctest), doc = include_str!("links/docs-rs.md"))]
        #[cfg_attr(not(doctest), doc = "")]
        #[cfg_attr(
            any(
                not(doctest),
                all(
                    feature = "axum",
                    feature = "backchannel-logout",
                    feature = "jwks-reqwest",
                    feature = "session-exchange",
                    feature = "test-util"
                )
            ),
            doc = include_str!($file)
        )]
        pub mod $name {}
    };
}

guide!(containers, "guides/containers.md");
guide!(grpc, "guides/grpc.md");
guide!(organizations, "guides/organizations.md");
guide!(revocations, "guides/revocations.md");
guide!(roles, "guides/roles.md");
guide!(session_exchange, "guides/session_exchange.md");
guide!(several_issuers, "guides/several_issuers.md");
guide!(streams, "guides/streams.md");
guide!(testing, "guides/testing.md");
guide!(workers, "guides/workers.md");
