//! A hook that is an address: a signed POST, answered at once, or with 202 and where to ask again.

use super::input::Input;
use super::{LOG, Told, done};
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use sha2::{Digest as _, Sha256};
use std::sync::OnceLock;
use std::time::Duration;

/// The pause before an answer that is not there yet is asked for again, where the hook does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn call(url: &str, secret: &str, input: &Input, timeout: Duration) -> Told {
    let asking = ask(url, secret, input);
    match tokio::time::timeout(timeout, asking).await {
        Ok(told) => told,
        Err(_) => {
            let sentence = format!("did not answer within {} s", timeout.as_secs());
            Told::failed("hook_timeout", sentence, true, String::new())
        }
    }
}

async fn ask(url: &str, secret: &str, input: &Input) -> Told {
    let (Some(client), Ok(mut at)) = (client(), url.parse::<Url>()) else {
        return Told::failed(
            "hook_not_set_up",
            "its address cannot be used".to_owned(),
            false,
            String::new(),
        );
    };
    let origin = at.origin();
    let first = client.post(at.clone()).header(header::CONTENT_TYPE, "application/json");
    let mut request = signed(first.body(input.body.clone()), secret, &input.key, &input.body);
    let (mut log, mut pause) = (String::new(), PAUSE);
    loop {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let sentence = format!("{} does not answer ({})", host(&at), short(&error));
                return Told::failed("hook_unreachable", sentence, true, log);
            }
        };
        let status = response.status();
        let location = word(&response, header::LOCATION);
        let after = word(&response, header::RETRY_AFTER).and_then(|text| text.parse().ok());
        let text = bounded(response).await;
        log = format!("{log}{status}\n{text}\n");
        match status {
            StatusCode::ACCEPTED => {
                let Some(next) = location.and_then(|to| at.join(&to).ok()).filter(|to| to.origin() == origin)
                else {
                    let sentence =
                        "answered 202 without a Location on the same server to ask again".to_owned();
                    return Told::failed("hook_no_location", sentence, false, log);
                };
                at = next;
                tokio::time::sleep(after.map_or(pause, Duration::from_secs).min(LONGEST)).await;
                pause = (pause * 2).min(LONGEST);
                request = signed(client.get(at.clone()), secret, &input.key, "");
            }
            ok if ok.is_success() => return Told { result: Ok(done(&text)), log },
            StatusCode::TOO_MANY_REQUESTS => {
                let sentence = format!("{} has too much to do ({status})", host(&at));
                return Told::failed("hook_failed", sentence, true, log);
            }
            other => {
                let first: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
                let sentence = format!("{} answered {other}: {first}", host(&at));
                return Told::failed("hook_failed", sentence, other.is_server_error(), log);
            }
        }
    }
}

fn client() -> Option<&'static reqwest::Client> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        // A second installation is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        builder.connect_timeout(Duration::from_secs(10)).build().ok()
    });
    made.as_ref()
}

/// Proves who asks, and when: an old request cannot be sent again by somebody who saw it.
fn signed(request: RequestBuilder, secret: &str, key: &str, body: &str) -> RequestBuilder {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = since.as_secs();
    let signature = hmac(secret.as_bytes(), format!("{at}.{body}").as_bytes());
    request
        .header("idempotency-key", key)
        .header("x-tidegate-timestamp", at.to_string())
        .header("x-tidegate-signature", format!("sha256={signature}"))
}

/// HMAC with SHA-256 (RFC 2104), in hex.
fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(response: &Response, name: header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What is answered, as far as it is kept.
async fn bounded(mut response: Response) -> String {
    let mut kept = vec![];
    while let Ok(Some(piece)) = response.chunk().await {
        kept.extend_from_slice(&piece);
        if kept.len() > LOG {
            break;
        }
    }
    let text = String::from_utf8_lossy(&kept);
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the hook")
}

/// Without the address, which may have secrets in it.
fn short(error: &reqwest::Error) -> &'static str {
    match (error.is_connect(), error.is_timeout()) {
        (true, _) => "it cannot be connected to",
        (_, true) => "it took too long",
        (false, false) => "the connection broke",
    }
}

#[cfg(test)]
mod tests {
    use super::hmac;

    /// RFC 4231, cases 2 and 6.
    #[test]
    fn it_signs_as_everybody_does() {
        let short = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(short, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
}
