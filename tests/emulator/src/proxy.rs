//! A fault proxy between the driver and the emulator: it keeps a log of every call and breaks them as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is refused for its rate; the emulator never hears of it.
    Throttle,
    /// It arrives late.
    Delay(Duration),
    /// It is answered with 503 and no body; the emulator never hears of it.
    Broken,
    /// The emulator accepts it, and the answer is 503 without a body.
    AcceptedThenBroken,
    /// The emulator accepts it, and the connection is cut in place of the answer.
    AcceptedThenCut,
    /// The emulator accepts it, and the answer comes after so long.
    AcceptedThenLate(Duration),
    /// The connection is cut before the emulator hears of it.
    Cut,
    /// It is answered as the same call was answered last: a replica that is behind.
    Stale,
    /// It is answered in the emulator's place: the code and message of a 400.
    Refuse(&'static str, &'static str),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// `UpdateStack`, `SendMessage`.
    pub action: String,
    /// The stack's name or id; empty where all are meant.
    pub stack: String,
    /// Whether the emulator accepted it.
    pub accepted: bool,
    /// What was done to it.
    pub fault: Fault,
}

type Script = dyn FnMut(&Call) -> Fault + Send;

struct Shared {
    script: Mutex<Box<Script>>,
    log: Mutex<Vec<Call>>,
    /// The last answer to each action on each stack.
    last: Mutex<HashMap<(String, String), Vec<u8>>>,
    emulator: SocketAddr,
}

/// See the module.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Before the emulator at this address.
    pub async fn before(emulator: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(|_| Fault::None)),
            log: Mutex::default(),
            last: Mutex::default(),
            emulator,
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move { serve(stream, &shared).await });
            }
        });
        Self { address, shared }
    }

    /// From now on each call is treated as `script` says.
    pub fn follow(&self, script: impl FnMut(&Call) -> Fault + Send + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Throttles beyond so many calls per second, with a burst of twice as many.
    pub fn throttle(&self, per_second: f64) {
        let (mut tokens, mut at) = (per_second * 2.0, Instant::now());
        self.follow(move |_| {
            tokens = (tokens + at.elapsed().as_secs_f64() * per_second).min(per_second * 2.0);
            at = Instant::now();
            if tokens < 1.0 {
                return Fault::Throttle;
            }
            tokens -= 1.0;
            Fault::None
        });
    }

    /// Every call since the last time.
    pub fn take_log(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }
}

/// How many calls of this kind the emulator accepted.
pub fn accepted(log: &[Call], action: &str) -> usize {
    log.iter().filter(|c| c.accepted && c.action == action).count()
}

async fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    while let Some((head, body)) = receive(&mut stream).await {
        let field = |name: &str| field(&body, name);
        // Services that speak JSON name it in a header: `AmazonSQS.SendMessage`.
        let named = header(&head, "x-amz-target").and_then(|target| target.split_once('.'));
        let action = named.map_or_else(|| field("Action"), |(_, action)| action.to_owned());
        let mut call = Call { action, stack: field("StackName"), accepted: false, fault: Fault::None };
        call.fault = (shared.script.lock().unwrap())(&call);
        let fault = call.fault.clone();
        let key = (call.action.clone(), call.stack.clone());
        let last = shared.last.lock().unwrap().get(&key).cloned().filter(|_| fault == Fault::Stale);
        let reaches = last.is_none()
            && !matches!(fault, Fault::Throttle | Fault::Broken | Fault::Cut | Fault::Refuse(..));
        if let Fault::Delay(pause) = fault {
            tokio::time::sleep(pause).await;
        }
        let answer = if reaches { Some(forward(shared.emulator, &head, &body).await) } else { None };
        call.accepted = answer.as_ref().is_some_and(|a| a.starts_with(b"HTTP/1.1 200"));
        if let Some(answer) = &answer {
            shared.last.lock().unwrap().insert(key, answer.clone());
        }
        shared.log.lock().unwrap().push(call);
        let answer = match fault {
            Fault::None | Fault::Delay(_) => answer.unwrap_or_default(),
            Fault::Stale => last.or(answer).unwrap_or_default(),
            Fault::Throttle => error("Throttling", "Rate exceeded"),
            Fault::Refuse(code, message) => error(code, message),
            Fault::Broken | Fault::AcceptedThenBroken => {
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec()
            }
            Fault::Cut | Fault::AcceptedThenCut => return,
            Fault::AcceptedThenLate(pause) => {
                tokio::time::sleep(pause).await;
                answer.unwrap_or_default()
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// One request: its head and its body.
async fn receive(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = vec![];
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            let mut body = bytes.split_off(end + 4);
            while body.len() < length {
                let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
                body.extend_from_slice(&buffer[..n]);
            }
            return Some((head, body));
        }
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
    }
}

/// Gives the request to the emulator; returns its whole answer with a length.
async fn forward(emulator: SocketAddr, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(emulator).await.unwrap();
    let lines = head.lines().filter(|l| !l.to_ascii_lowercase().starts_with("connection:"));
    let head: Vec<_> = lines.collect();
    let request = format!("{}\r\nconnection: close\r\n\r\n", head.join("\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = vec![];
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer without a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = &answer[end + 4..];
    let body = if header(&head, "transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        unchunked(body)
    } else {
        body.to_vec()
    };
    let status = head.lines().next().unwrap_or_default();
    let kind = header(&head, "content-type").unwrap_or("text/xml").to_owned();
    let mut whole =
        format!("{status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    whole.extend(body);
    whole
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = vec![];
    while let Some(end) = body.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&body[..end]).trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}

fn error(code: &str, message: &str) -> Vec<u8> {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    let length = body.len();
    format!("HTTP/1.1 400 Bad Request\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A field of a form; enough for names, which need no unescaping but for ids' colons and slashes.
fn field(body: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(body);
    let found = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_default().replace("%3A", ":").replace("%2F", "/")
}
