//! jsonwebtoken 10 has one crypto provider per process, but axum-jwt-auth always enables RustCrypto and
//! axum-jose always aws-lc-rs. This provider selects the backend that each peer would use alone.

use std::{cell::Cell, future::Future, pin::Pin};

use http::Request;
use jsonwebtoken_10::crypto::{CryptoProvider, JwkUtils, aws_lc, rust_crypto};

use crate::{Outcome, Sample, Target};

#[derive(Debug, Clone, Copy)]
pub(super) enum Backend {
    AwsLcRs,
    RustCrypto,
}

thread_local! {
    static BACKEND: Cell<Backend> = const { Cell::new(Backend::AwsLcRs) };
}

/// Does nothing if it is already installed.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| (Backend::active().signer_factory)(algorithm, key),
        verifier_factory: |algorithm, key| (Backend::active().verifier_factory)(algorithm, key),
        // For creating JWKs, which no peer does.
        jwk_utils: JwkUtils::new_unimplemented(),
    };
    let _ = PROVIDER.install_default();
}

impl Backend {
    pub(super) fn activate(self) {
        BACKEND.set(self);
    }

    fn active() -> &'static CryptoProvider {
        match BACKEND.get() {
            Self::AwsLcRs => &aws_lc::DEFAULT_PROVIDER,
            Self::RustCrypto => &rust_crypto::DEFAULT_PROVIDER,
        }
    }
}

/// A target with its backend.
pub(super) struct WithBackend<C>(pub(super) Backend, pub(super) C);

impl<C: Target> Target for WithBackend<C> {
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Sample {
        self.0.activate();
        self.1.measure(requests, calls, meter)
    }

    fn call<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        self.0.activate();
        self.1.call(request)
    }
}
