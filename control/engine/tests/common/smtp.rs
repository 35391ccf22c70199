//! A mail server that does what a test tells it, over a real connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a message to one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is taken.
    Take,
    /// It is taken, after a while.
    TakeSlowly(Duration),
    /// 550.
    Refuse,
    /// 451.
    PutOff,
    /// No answer to the address.
    Hang,
    /// It is taken, and nobody is told.
    TakeAndHang,
}

/// A message that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    pub to: String,
    pub id: String,
    pub text: String,
}

#[derive(Default)]
struct Seen {
    taken: Vec<Taken>,
    asked: HashMap<String, u32>,
    now: usize,
    most: usize,
}

#[derive(Clone)]
pub struct SmtpServer {
    pub address: String,
    seen: Arc<Mutex<Seen>>,
}

type Script = dyn Fn(&str, u32) -> Answer + Send + Sync;

impl SmtpServer {
    /// `script` gets an address and how often it was asked for, this time included.
    pub async fn start(script: impl Fn(&str, u32) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen) = (script.clone(), shared.clone());
                tokio::spawn(async move { converse(stream, &*script, &seen).await });
            }
        });
        Self { address, seen }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.seen.lock().unwrap().taken.clone()
    }

    /// What this address got.
    pub fn to(&self, address: &str) -> Vec<Taken> {
        self.taken().into_iter().filter(|t| t.to == address).collect()
    }

    /// How often an address was asked for.
    pub fn asked(&self, address: &str) -> u32 {
        self.seen.lock().unwrap().asked.get(address).copied().unwrap_or(0)
    }

    /// The most messages that were on their way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.seen.lock().unwrap().most
    }
}

/// Answers until the other side ends; errors are its business.
async fn converse(stream: TcpStream, script: &Script, seen: &Mutex<Seen>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut to, mut answer) = (String::new(), Answer::Take);
    say(&mut stream, "220 ready").await?;
    loop {
        let line = hear(&mut stream).await?;
        match line.split_once([' ', ':']).map_or(line.as_str(), |(verb, _)| verb) {
            "EHLO" => say(&mut stream, "250-here\r\n250 AUTH PLAIN").await?,
            "AUTH" => say(&mut stream, "535 wrong password").await?,
            "RCPT" => {
                to = line.split_once('<')?.1.split_once('>')?.0.to_owned();
                answer = {
                    let mut seen = seen.lock().unwrap();
                    let nth = seen.asked.entry(to.clone()).or_default();
                    *nth += 1;
                    script(&to, *nth)
                };
                match answer {
                    Answer::Refuse => say(&mut stream, "550 no such mailbox").await?,
                    Answer::PutOff => say(&mut stream, "451 come back later").await?,
                    Answer::Hang => std::future::pending().await,
                    Answer::Take | Answer::TakeSlowly(_) | Answer::TakeAndHang => {
                        say(&mut stream, "250 fine").await?;
                    }
                }
            }
            "DATA" => {
                enter(seen);
                say(&mut stream, "354 go on").await?;
                let taken = message(&mut stream, &to).await?;
                if let Answer::TakeSlowly(while_) = answer {
                    tokio::time::sleep(while_).await;
                }
                {
                    let mut seen = seen.lock().unwrap();
                    seen.taken.push(taken);
                    seen.now -= 1;
                }
                if answer == Answer::TakeAndHang {
                    std::future::pending::<()>().await;
                }
                say(&mut stream, "250 taken").await?;
            }
            "QUIT" => return say(&mut stream, "221 bye").await,
            _ => say(&mut stream, "250 fine").await?,
        }
    }
}

fn enter(seen: &Mutex<Seen>) {
    let mut seen = seen.lock().unwrap();
    seen.now += 1;
    seen.most = seen.most.max(seen.now);
}

async fn message(stream: &mut BufReader<TcpStream>, to: &str) -> Option<Taken> {
    let mut text = String::new();
    loop {
        let line = hear(stream).await?;
        if line == "." {
            break;
        }
        text = text + &line + "\n";
    }
    let id = text.lines().find_map(|l| l.strip_prefix("Message-ID: ")).unwrap_or_default().to_owned();
    Some(Taken { to: to.to_owned(), id, text })
}

async fn hear(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> Option<()> {
    stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.ok()
}
