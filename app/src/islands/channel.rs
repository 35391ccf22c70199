//! A live connection that says how it is: it comes back by itself, rests while the page is hidden, and knows
//! the difference between a server that is away and a person who is signed out.

use super::browser::{Fetched, fetch_part, hear, later, sign_in_url, visible};
use leptos::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::EventSource;

/// How a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It was not made.
    Off,
    /// It stands.
    Live,
    /// It was lost and is made again.
    Reconnecting,
    /// The server does not know who looks.
    SignedOut,
}

/// See the module.
#[derive(Clone)]
pub struct Channel(Rc<Inner>);

type Listener = Closure<dyn Fn(web_sys::MessageEvent)>;

struct Inner {
    link: RwSignal<Link>,
    url: Box<dyn Fn() -> String>,
    listeners: RefCell<Vec<(&'static str, Listener)>>,
    source: RefCell<Option<EventSource>>,
    misses: Cell<i32>,
    // Counts connections: what an earlier one still says is not heard.
    turn: Cell<u32>,
}

impl Channel {
    /// Connects to `url`, asked again for every connection, and calls `heard` with the name and data of events.
    pub fn open(
        link: RwSignal<Link>,
        url: impl Fn() -> String + 'static,
        events: &[&'static str],
        heard: impl Fn(&'static str, String) + 'static,
    ) -> Self {
        let channel = Self(Rc::new(Inner {
            link,
            url: Box::new(url),
            listeners: RefCell::default(),
            source: RefCell::default(),
            misses: Cell::new(0),
            turn: Cell::new(0),
        }));
        let heard = Rc::new(heard);
        for name in events.iter().copied() {
            let heard = heard.clone();
            channel.listen(name, move |event| heard(name, event.data().as_string().unwrap_or_default()));
        }
        let (opened, failed, shown) = (channel.clone(), channel.clone(), channel.clone());
        channel.listen("open", move |_| {
            opened.0.misses.set(0);
            opened.0.link.set(Link::Live);
        });
        channel.listen("error", move |_| failed.lost());
        hear(&document(), "visibilitychange", move |_| {
            if visible() {
                shown.connect();
            } else {
                shown.close();
            }
        });
        channel.connect();
        channel
    }

    /// Makes the connection anew: what is shown may have a gap.
    pub fn connect(&self) {
        self.close();
        let Ok(source) = EventSource::new(&(self.0.url)()) else { return };
        for (name, listener) in self.0.listeners.borrow().iter() {
            let _ = source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
        *self.0.source.borrow_mut() = Some(source);
    }

    fn close(&self) {
        self.0.turn.set(self.0.turn.get() + 1);
        if let Some(source) = self.0.source.borrow_mut().take() {
            source.close();
        }
    }

    fn listen(&self, name: &'static str, heard: impl Fn(web_sys::MessageEvent) + 'static) {
        self.0.listeners.borrow_mut().push((name, Closure::new(heard)));
    }

    /// The browser tries again by itself, unless the server answered with a refusal.
    fn lost(&self) {
        self.0.link.set(Link::Reconnecting);
        let refused = self.0.source.borrow().as_ref().is_some_and(|s| s.ready_state() == EventSource::CLOSED);
        if !refused {
            return;
        }
        self.close();
        let (channel, turn) = (self.clone(), self.0.turn.get());
        leptos::task::spawn_local(async move {
            if let Fetched::SignedOut = fetch_part("/live/session").await {
                channel.0.link.set(Link::SignedOut);
                return;
            }
            let misses = channel.0.misses.get() + 1;
            channel.0.misses.set(misses);
            later((500 << misses.min(6)).min(20_000), move || {
                if channel.0.turn.get() == turn && visible() {
                    channel.connect();
                }
            });
        });
    }
}

/// The state of a connection as a small sign.
pub fn sign(link: RwSignal<Link>) -> impl IntoView {
    let state = move || match link.get() {
        Link::Off => "off",
        Link::Live => "live",
        Link::Reconnecting => "reconnecting",
        Link::SignedOut => "signed-out",
    };
    let text = move || match link.get() {
        Link::Off => "",
        Link::Live => "Live",
        Link::Reconnecting => "Reconnecting…",
        Link::SignedOut => "Signed out",
    };
    view! { <span class="live" data-live-state=state hidden=move || link.get() == Link::Off>{text}</span> }
}

/// Tells whoever is signed out, and where to go.
pub fn signed_out(link: RwSignal<Link>) -> impl IntoView {
    let gone = Memo::new(move |_| link.get() == Link::SignedOut);
    move || {
        gone.get().then(|| {
            view! {
                <p class="alert alert-warning" role="alert">
                    "You are signed out, so this page no longer changes by itself. "
                    <a href=sign_in_url()>"Sign in again"</a>
                </p>
            }
        })
    }
}
