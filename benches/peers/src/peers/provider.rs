//! jsonwebtoken 10 has one crypto provider per process, and cannot choose where two peers bring two:
//! axum-jwt-auth always brings RustCrypto, axum-jose always aws-lc-rs. Here each gets the one that it
//! would get alone.

use std::{cell::Cell, future::Future, pin::Pin};

use http::Request;
use jsonwebtoken_10::crypto::{CryptoProvider, JwkUtils, aws_lc, rust_crypto};

use crate::{Answer, Contestant, Lap};

#[derive(Debug, Clone, Copy)]
pub(super) enum Backend {
    AwsLcRs,
    RustCrypto,
}

thread_local! {
    static BACKEND: Cell<Backend> = const { Cell::new(Backend::AwsLcRs) };
}

/// Does nothing when done before.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| (Backend::in_use().signer_factory)(algorithm, key),
        verifier_factory: |algorithm, key| (Backend::in_use().verifier_factory)(algorithm, key),
        // For making JWKs, which nobody here does.
        jwk_utils: JwkUtils::new_unimplemented(),
    };
    let _ = PROVIDER.install_default();
}

impl Backend {
    pub(super) fn use_it(self) {
        BACKEND.set(self);
    }

    fn in_use() -> &'static CryptoProvider {
        match BACKEND.get() {
            Self::AwsLcRs => &aws_lc::DEFAULT_PROVIDER,
            Self::RustCrypto => &rust_crypto::DEFAULT_PROVIDER,
        }
    }
}

/// A contestant with the backend it needs.
pub(super) struct On<C>(pub(super) Backend, pub(super) C);

impl<C: Contestant> Contestant for On<C> {
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Lap {
        self.0.use_it();
        self.1.measure(requests, calls, meter)
    }

    fn answer<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        self.0.use_it();
        self.1.answer(request)
    }
}
