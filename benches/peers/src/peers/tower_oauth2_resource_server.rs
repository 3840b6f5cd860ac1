//! `tower-oauth2-resource-server`, with the faster of its two backends.

use ::tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

use crate::{Contestant, Setup, contestant::Layered, inner::Inner, setup::MyClaims};

pub(super) async fn guard(setup: &Setup) -> Box<dyn Contestant> {
    let origin = setup.issuer.origin();
    // What it sets by itself after OIDC discovery. With keys given any other way it checks no issuer
    // unless told to.
    let rules = ClaimsValidationSpec::new().exp(true).iss(origin).aud(&vec![origin.to_owned()]);
    let tenant = match &setup.jwks_url {
        Some(url) => TenantConfiguration::builder(origin).jwks_url(url).claims_validation(rules).build().await,
        None => TenantConfiguration::static_builder(setup.jwks())
            .claims_validation(rules)
            .allowed_algorithms(&[setup.algorithm()])
            .build(),
    };
    let server = OAuth2ResourceServer::<MyClaims>::builder().add_tenant(tenant.expect("a tenant")).build().await;
    let layer = server.expect("a server").into_layer::<()>();
    Box::new(Layered::new(layer, Inner::<()>::new(), || ()))
}
