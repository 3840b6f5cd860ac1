//! `tower-oauth2-resource-server`, with the faster of its two backends.

use ::tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

use crate::{Setup, Target, inner::Inner, setup::MyClaims, target::Layered};

pub(super) async fn target(setup: &Setup) -> Box<dyn Target> {
    let origin = setup.issuer.origin();
    // The settings that it uses after OIDC discovery. With other sources of keys it does not check the
    // issuer by default.
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
