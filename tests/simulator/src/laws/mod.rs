//! The laws of DESIGN §3, one module each. A law watches what is logged, what the provider is asked and what the tables
//! say, after every step, and says in one sentence what broke it.

mod contained;
mod decision;
mod explained;
mod gates;
mod nothing_lost;
mod one_version;
mod one_writer;
mod polite;
mod proof;
mod recorded;

use crate::provider::Asked;
use crate::scene::{Fleet, Logged, Scene};

/// Nothing, or what broke it.
pub type Kept = Result<(), String>;

/// A law.
pub trait Law {
    /// Its number and its words in DESIGN §3.
    fn text(&self) -> (u8, &'static str);
    /// After an event was appended.
    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let _ = (event, scene);
        Ok(())
    }
    /// After the provider was asked something, `at` the wall's milliseconds.
    fn asked(&mut self, at: i64, host: &str, asked: &Asked, scene: &Scene) -> Kept {
        let _ = (at, host, asked, scene);
        Ok(())
    }
    /// After a step that changed something.
    fn looked(&mut self, fleet: &Fleet, scene: &Scene) -> Kept {
        let _ = (fleet, scene);
        Ok(())
    }
    /// Once everything has come to rest.
    fn rested(&mut self, fleet: &Fleet, scene: &Scene) -> Kept {
        let _ = (fleet, scene);
        Ok(())
    }
}

/// All ten.
#[must_use]
pub fn all() -> Vec<Box<dyn Law>> {
    vec![
        Box::new(one_version::OneVersion),
        Box::new(proof::Proof),
        Box::<one_writer::OneWriter>::default(),
        Box::<gates::Gates>::default(),
        Box::new(contained::Contained),
        Box::<decision::OneDecision>::default(),
        Box::<nothing_lost::NothingLost>::default(),
        Box::new(explained::Explained),
        Box::<recorded::Recorded>::default(),
        Box::<polite::Polite>::default(),
    ]
}

/// What broke which law.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The law's number.
    pub law: u8,
    /// Its words.
    pub text: &'static str,
    /// What broke it.
    pub how: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "law {} is broken: {}\n  the law: {}", self.law, self.how, self.text)
    }
}

/// What one step showed, for each law in turn.
///
/// # Errors
/// The first law that is broken.
pub fn each(laws: &mut [Box<dyn Law>], mut show: impl FnMut(&mut dyn Law) -> Kept) -> Result<(), Broken> {
    for law in laws {
        if let Err(how) = show(law.as_mut()) {
            let (number, text) = law.text();
            return Err(Broken { law: number, text, how });
        }
    }
    Ok(())
}
