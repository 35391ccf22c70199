//! How the driver reaches CloudFormation: whose credentials, which region, which address.

use super::budget::Limits;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::retry::RetryConfig;
use aws_sdk_cloudformation::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// A role in the account where the stacks live.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy asks for.
    pub external_id: Option<String>,
    /// Another address of STS than AWS's own, for emulators.
    pub endpoint: Option<String>,
}

/// How to reach CloudFormation, in one account and region.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region; without it, the SDK's ordinary chain says it.
    pub region: Option<String>,
    /// Another address than AWS's own, for emulators and private endpoints.
    pub endpoint: Option<String>,
    /// A role to assume; without it, the credentials are used as they are.
    pub role: Option<Role>,
    /// Credentials in place of the SDK's ordinary chain.
    pub credentials: Option<SharedCredentialsProvider>,
    /// The role that CloudFormation itself works with.
    pub service_role: Option<String>,
    /// What goes before each stack's name.
    pub prefix: String,
    /// The rate budget.
    pub limits: Limits,
    /// How long a call may take before its answer counts as lost.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            role: None,
            credentials: None,
            service_role: None,
            prefix: String::new(),
            limits: Limits { per_second: 2.0, burst: 10.0 },
            patience: Duration::from_secs(30),
        }
    }
}

/// A client that tries once: the driver itself decides what may be repeated.
pub async fn client(settings: &Settings) -> Client {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(https())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(settings));
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    let mut config = loader.load().await;
    if let Some(role) = &settings.role {
        let mut sts = config.to_builder();
        sts.set_endpoint_url(role.endpoint.clone());
        let mut assumed =
            AssumeRoleProvider::builder(&role.arn).session_name("tidegate").configure(&sts.build());
        if let Some(id) = &role.external_id {
            assumed = assumed.external_id(id);
        }
        let assumed = SharedCredentialsProvider::new(assumed.build().await);
        config = config.into_builder().credentials_provider(assumed).build();
    }
    let mut config = aws_sdk_cloudformation::config::Builder::from(&config);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

fn https() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}

fn timeouts(settings: &Settings) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5).min(settings.patience))
        .operation_attempt_timeout(settings.patience)
        .build()
}
