//! Law 5: failures beyond the tolerance stop the wave; those within it stop nobody.

use super::{Kept, Law};
use crate::scene::{Logged, Scene};
use domain::operation::Run;
use domain::rollout::{Event, Phase};
use domain::strategy::ToleranceMode;

/// Never more at once than allowed, nothing more beyond the tolerance.
pub struct Contained;

impl Law for Contained {
    fn text(&self) -> (u8, &'static str) {
        (
            5,
            "One dead stack does not block the others of its wave; failures beyond the tolerance stop the wave.",
        )
    }

    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let Some((_, what)) = &event.rollout else { return Ok(()) };
        let Some(before) = &scene.before else { return Ok(()) };
        let (wave, starts) = match what {
            Event::OperationStarted { wave, phase: Phase::There, .. } => (*wave, true),
            Event::GatePassed { wave, .. } => (*wave, false),
            _ => return Ok(()),
        };
        let spec = &before.plan.waves[wave].spec;
        let steps = &before.waves[wave].steps;
        // Those that somebody took back alone are their affair.
        let failed =
            steps.iter().filter(|s| matches!(s.run, Run::Failed { .. }) && s.recalled.is_none()).count();
        let flying = steps.iter().filter(|s| matches!(s.run, Run::Started { .. })).count();
        let changing = before.changing(wave);
        let tolerated = spec.tolerance.of(changing);
        if failed > tolerated {
            return Err(format!("wave {wave} goes on with {failed} failures; {tolerated} may fail"));
        }
        if !starts {
            return Ok(());
        }
        if before.paused.is_some() {
            return Err(format!("wave {wave} starts something while it is paused"));
        }
        if flying + 1 > spec.concurrency.of(changing).max(1) {
            return Err(format!("wave {wave} works on {} stacks at once", flying + 1));
        }
        if spec.mode == ToleranceMode::Strict && flying + 1 + failed > tolerated + 1 {
            return Err(format!("wave {wave} is strict, and {} could fail together", flying + 1 + failed));
        }
        Ok(())
    }
}
