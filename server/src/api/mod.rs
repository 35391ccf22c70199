//! The REST API.
/// Placeholder until the endpoints are here.
pub fn router(_service: service::Service, _shutdown: tokio_util::sync::CancellationToken) -> axum::Router {
    axum::Router::new()
}
