//! An off-boarding as pages show it, and the certificate of one that has ended.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::process::{Process as _, ProcessKind};
use domain::work::{Certificate, Command, Offboarding};
use domain::{Actor, TenantId};
use store::{HookRun, ProcessRow, Running};

/// An off-boarding, on its way or ended.
#[derive(Clone, Debug)]
pub struct OffboardingView {
    /// Its process.
    pub process: ProcessRow,
    /// How it stands.
    pub work: Offboarding,
    /// What hooks said, in order.
    pub hooks: Vec<HookRun>,
    /// Whether a hook failed that can be left out.
    pub may_skip: bool,
    /// Whether the tenant can still be kept: nothing of it was taken away yet.
    pub may_keep: bool,
}

impl Service {
    /// The last off-boarding of a tenant; `None` if there never was one.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn offboarding(&self, actor: &Actor, id: TenantId) -> Result<Option<OffboardingView>> {
        actor.require(Permission::View)?;
        let rows = self.store.processes(ProcessKind::Offboarding, Some(id.to_string()), None, 1).await?;
        let Some(process) = rows.into_iter().next() else { return Ok(None) };
        let Some(running) = Running::<Offboarding>::load(&self.store, process.id).await? else {
            return Ok(None);
        };
        let work = running.process;
        let hooks = self.store.hook_runs(process.id).await?;
        let failed = |point| matches!(work.hook(point), domain::hook::Step::Failed { .. });
        let may_skip = process.summary.waits_for_person && work.due(self.now()).is_some_and(failed);
        let may_keep = work.command(actor, Command::Close, self.now()).is_ok();
        Ok(Some(OffboardingView { process, work, hooks, may_skip, may_keep }))
    }

    /// What proves that nothing is left of a tenant.
    ///
    /// # Errors
    /// Needs `view`; the tenant has not gone, or went before there were certificates.
    pub async fn certificate(&self, actor: &Actor, id: TenantId) -> Result<Certificate> {
        let view = self.offboarding(actor, id).await?;
        let certificate = view.and_then(|view| view.work.certificate());
        certificate.ok_or_else(|| Error::not_found("a certificate of this tenant"))
    }
}
