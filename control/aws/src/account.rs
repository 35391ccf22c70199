//! An account and region, and how it is reached.

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// A role in the account.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy asks for.
    pub external_id: Option<String>,
    /// Another address of STS than AWS's own, for emulators.
    pub endpoint: Option<String>,
}

/// How one account is reached, in one region.
#[derive(Clone, Debug)]
pub struct Account {
    /// The region; without it, the SDK's ordinary chain says it.
    pub region: Option<String>,
    /// Another address than AWS's own, for emulators and private endpoints.
    pub endpoint: Option<String>,
    /// A role to assume; without it, the credentials are used as they are.
    pub role: Option<Role>,
    /// Credentials in place of the SDK's ordinary chain.
    pub credentials: Option<SharedCredentialsProvider>,
    /// How long a call may take before its answer counts as lost.
    pub patience: Duration,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            role: None,
            credentials: None,
            patience: Duration::from_secs(30),
        }
    }
}

impl Account {
    /// What clients are made of. They try once: whoever calls decides what may be repeated.
    pub async fn config(&self) -> SdkConfig {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(tls).build_https())
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeouts());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let mut config = loader.load().await;
        if let Some(role) = &self.role {
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
        if let Some(endpoint) = &self.endpoint {
            config = config.into_builder().endpoint_url(endpoint).build();
        }
        config
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5).min(self.patience))
            .operation_attempt_timeout(self.patience)
            .build()
    }
}
