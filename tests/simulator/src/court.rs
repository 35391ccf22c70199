//! Holds all laws against what happened, in the order in which it did.

use crate::laws::{self, Broken, Law};
use crate::provider::Asked;
use crate::scene::{Fleet, Logged, Scene};
use crate::trace::Trace;

/// See the module.
pub struct Court {
    laws: Vec<Box<dyn Law>>,
    /// What is known so far.
    pub scene: Scene,
}

impl Default for Court {
    fn default() -> Self {
        Self { laws: laws::all(), scene: Scene::default() }
    }
}

impl Court {
    /// The provider was asked something by `host`, `at` the wall's milliseconds.
    ///
    /// # Errors
    /// A law is broken.
    pub fn asked(&mut self, at: i64, host: &str, asked: &Asked, trace: &mut Trace) -> Result<(), Broken> {
        trace.asked(at, host, asked);
        self.scene.ask(asked);
        laws::each(&mut self.laws, |law| law.asked(at, host, asked, &self.scene))
    }

    /// An event was appended.
    ///
    /// # Errors
    /// A law is broken.
    pub fn logged(&mut self, event: &Logged, trace: &mut Trace) -> Result<(), Broken> {
        trace.logged(event);
        let text = "What was accepted survives kill -9 at any instant: the log replays to the same state.";
        self.scene.log(event).map_err(|how| Broken { law: 7, text, how })?;
        laws::each(&mut self.laws, |law| law.logged(event, &self.scene))
    }

    /// An event from before the schedule: only its traces count.
    ///
    /// # Errors
    /// It does not follow from those before it.
    pub fn remember(&mut self, event: &Logged) -> Result<(), Broken> {
        let text = "What was accepted survives kill -9 at any instant: the log replays to the same state.";
        self.scene.log(event).map_err(|how| Broken { law: 7, text, how })
    }

    /// The tables say this now.
    ///
    /// # Errors
    /// A law is broken.
    pub fn looked(&mut self, fleet: &Fleet) -> Result<(), Broken> {
        laws::each(&mut self.laws, |law| law.looked(fleet, &self.scene))
    }

    /// The tables say this, and nothing goes on any more.
    ///
    /// # Errors
    /// A law is broken.
    pub fn rested(&mut self, fleet: &Fleet) -> Result<(), Broken> {
        laws::each(&mut self.laws, |law| law.rested(fleet, &self.scene))
    }
}
