//! Signatures of what is sent: whoever has the secret can tell that Tidegate sent it, and when.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header that carries it.
pub(crate) const HEADER: &str = "tidegate-signature";

/// `t=<seconds>,v1=<hex>`: an HMAC with SHA-256 over `<seconds>.<body>`.
pub(crate) fn signature(secret: &str, seconds: i64, body: &str) -> String {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anybody_can_check_it() {
        // As `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` says.
        let known = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature("secret", 1_700_000_000, "{}"), known);
    }
}
