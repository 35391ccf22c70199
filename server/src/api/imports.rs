//! Imports of stacks that others made: shown first, then saved as they were shown.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::import::{FoundTenant, ImportPlan, Row, RowEdit, TenantEdit};
use serde::{Deserialize, Serialize};
use service::{Error, ImportForm, ImportSource, Service};
use utoipa::ToSchema;

/// Where the tenants are read from.
#[derive(Deserialize, ToSchema, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum SourceIn {
    /// The stacks themselves: their names, tags and parameters.
    #[default]
    Stacks,
    /// The tables of the serverless reference design, which name the stacks.
    Tables,
}

/// An import.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportIn {
    /// The target: `cloudformation/eu-prod`.
    pub target: String,
    /// Where the tenants are read from; `stacks` if absent.
    #[serde(default)]
    pub source: SourceIn,
    /// Which stacks, by name, with `*` for anything and `{tenant}` for what the tenant is called.
    #[serde(default)]
    pub pattern: String,
    /// Which stacks, by tags: `app=books, env=prod`.
    #[serde(default)]
    pub tags: String,
    /// The table that maps tenants to stacks.
    pub mapping: Option<String>,
    /// The table of tenants.
    pub details: Option<String>,
    /// The table of settings.
    pub settings: Option<String>,
    /// The tier of stacks that say none.
    #[serde(default)]
    pub tier: String,
    /// Tiers by the other tool's plans: `Platinum=enterprise, Basic=basic`.
    #[serde(default)]
    pub plans: String,
    /// The address of tenants that have none; `{tenant}` stands for the short name.
    #[serde(default)]
    pub email: String,
    /// The region of every stack, in place of the one that follows from its tier.
    #[serde(default)]
    pub region: String,
    /// Whether a dedicated stack keeps its own values of the tier's parameters, as overrides of its tenant.
    #[serde(default)]
    pub keep: bool,
    /// Whether stacks with problems are left out.
    #[serde(default)]
    pub skip: bool,
    /// What is said of single stacks.
    #[serde(default)]
    pub rows: Vec<RowIn>,
    /// The `plan` that the preview showed; only for saving.
    #[serde(default)]
    pub plan: String,
}

/// What is said of one stack; absent says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RowIn {
    /// Its name at the provider.
    pub stack: String,
    /// Whether it is left out.
    #[serde(default)]
    pub leave_out: bool,
    /// A tier's key.
    #[serde(default)]
    pub tier: String,
    /// A registered version, or `unknown`.
    #[serde(default)]
    pub release: String,
    /// What is said of its tenants.
    #[serde(default)]
    pub tenants: Vec<TenantIn>,
}

/// What is said of one tenant; absent says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportedTenantIn)]
pub struct TenantIn {
    /// What the other tool calls it: `key` in the preview.
    pub key: String,
    /// The short name.
    #[serde(default)]
    pub slug: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Who administers it.
    #[serde(default)]
    pub email: String,
    /// A tier's key, for a tenant of a shared stack.
    #[serde(default)]
    pub tier: String,
}

impl From<ImportIn> for ImportForm {
    fn from(form: ImportIn) -> Self {
        let usual = Self::default();
        let tenant =
            |t: TenantIn| TenantEdit { key: t.key, slug: t.slug, name: t.name, email: t.email, tier: t.tier };
        let row = |row: RowIn| RowEdit {
            stack: row.stack,
            leave_out: row.leave_out,
            tier: row.tier,
            release: row.release,
            tenants: row.tenants.into_iter().map(tenant).collect(),
        };
        Self {
            target: form.target,
            source: match form.source {
                SourceIn::Stacks => ImportSource::Stacks,
                SourceIn::Tables => ImportSource::Tables,
            },
            pattern: form.pattern,
            tags: form.tags,
            mapping: form.mapping.unwrap_or(usual.mapping),
            details: form.details.unwrap_or(usual.details),
            settings: form.settings.unwrap_or(usual.settings),
            tier: form.tier,
            plans: form.plans,
            email: form.email,
            region: form.region,
            keep: form.keep,
            skip: form.skip,
            rows: form.rows.into_iter().map(row).collect(),
        }
    }
}

/// What an import would do.
#[derive(Serialize, ToSchema)]
pub struct ImportOut {
    /// Changes whenever what is shown changes; give it when saving.
    pub plan: String,
    /// Stacks that are taken over.
    pub stacks: usize,
    /// Tenants that come with them or join.
    pub tenants: usize,
    /// Every stack that is meant.
    pub rows: Vec<RowOut>,
    /// What was found that no row stands for.
    pub notes: Vec<String>,
}

/// A stack that was found.
#[derive(Serialize, ToSchema)]
pub struct RowOut {
    /// Its name at the provider.
    pub stack: String,
    /// Its name in Tidegate.
    pub name: String,
    /// The provider's word for its status.
    pub status: String,
    /// `new`, `joins`, `known`, `foreign` or `left_out`.
    pub fate: &'static str,
    /// `pool` or `silo`; absent if nothing says it.
    pub kind: Option<&'static str>,
    /// Its tier's key.
    pub tier: Option<String>,
    /// What that was inferred from: `tag`, `parameter`, `table`, `person`, `default`.
    pub tier_by: Option<&'static str>,
    /// The region in which the tier has it.
    pub region: Option<String>,
    /// The release that it is said to run.
    pub release: Option<String>,
    /// What that was inferred from.
    pub release_by: Option<&'static str>,
    /// Whether it is proved that it runs that.
    pub proved: bool,
    /// The release that its parameters were compared with, where nothing says what it runs.
    pub compared: Option<String>,
    /// Parameters that the first update would change.
    pub differs: Vec<DiffersOut>,
    /// Whom it serves.
    pub tenants: Vec<TenantOut>,
    /// What keeps it from being imported.
    pub problems: Vec<ProblemOut>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What happens to it after the import.
    pub next: String,
}

/// A parameter that the first update would change.
#[derive(Serialize, ToSchema)]
pub struct DiffersOut {
    /// The template's parameter.
    pub parameter: String,
    /// What the stack has.
    pub is: Option<String>,
    /// What it would get.
    pub will: Option<String>,
}

/// What keeps something from being imported.
#[derive(Serialize, ToSchema)]
pub struct ProblemOut {
    /// Which field.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// A tenant that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedTenantOut)]
pub struct TenantOut {
    /// What the other tool calls it.
    pub key: String,
    /// Its id from now on.
    pub id: String,
    /// The short name.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Who administers it.
    pub email: String,
    /// Its tier's key.
    pub tier: String,
    /// Groups for selectors.
    pub tags: Vec<String>,
    /// Whether the other tool had it switched off.
    pub suspended: bool,
    /// Whether it is on record already.
    pub known: bool,
    /// What keeps it from being imported.
    pub problems: Vec<ProblemOut>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
pub struct ImportedOut {
    /// Stacks that are on record now and were not before.
    pub stacks: usize,
    /// Tenants that are on record now and were not before.
    pub tenants: usize,
    /// Stacks that were on record already.
    pub unchanged: usize,
    /// Imported stacks of which it is not proved what they run: they are on the catch-up list.
    pub unproved: usize,
}

fn plan_out(plan: ImportPlan) -> ImportOut {
    let (stacks, tenants) = plan.counts();
    ImportOut {
        plan: plan.hash,
        stacks,
        tenants,
        rows: plan.rows.into_iter().map(row_out).collect(),
        notes: plan.notes,
    }
}

fn problems(all: Vec<domain::Problem>) -> Vec<ProblemOut> {
    all.into_iter().map(|p| ProblemOut { field: p.field, message: p.message }).collect()
}

fn row_out(row: Row) -> RowOut {
    let differs = row.differs.into_iter();
    RowOut {
        stack: row.found.name,
        name: row.name,
        status: row.found.status,
        fate: row.fate.word(),
        kind: row.kind.map(domain::stack::StackKind::word),
        tier_by: row.tier.as_ref().map(|t| t.evidence.word()),
        tier: row.tier.map(|t| t.value.into()),
        region: row.region.map(String::from),
        release_by: row.release.map(|r| r.evidence.word()),
        release: row.version.map(|v| v.to_string()),
        proved: row.actual.is_some(),
        compared: row.compared.map(|v| v.to_string()),
        differs: differs.map(|d| DiffersOut { parameter: d.parameter, is: d.is, will: d.will }).collect(),
        tenants: row.tenants.into_iter().map(tenant_out).collect(),
        problems: problems(row.problems),
        notes: row.notes,
        next: row.next,
    }
}

fn tenant_out(tenant: FoundTenant) -> TenantOut {
    TenantOut {
        key: tenant.key,
        id: tenant.id.to_string(),
        slug: tenant.slug,
        name: tenant.name,
        email: tenant.email,
        tier: tenant.tier,
        tags: tenant.tags.into_iter().map(String::from).collect(),
        suspended: tenant.suspended,
        known: tenant.known,
        problems: problems(tenant.problems),
    }
}

/// Saves nothing.
#[utoipa::path(post, path = "/imports/preview", operation_id = "preview_import", request_body = ImportIn, responses((status = 200, body = ImportOut), (status = "4XX", body = Problem)))]
pub async fn preview(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<ImportIn>,
) -> ApiResult<Json<ImportOut>> {
    Ok(Json(plan_out(service.preview_import(&actor, &form.into()).await?)))
}

/// Saves what the preview showed, and changes nothing at the provider. The same again changes nothing.
#[utoipa::path(post, path = "/imports", operation_id = "import", request_body = ImportIn, responses((status = 201, body = ImportedOut), (status = 200, body = ImportedOut, description = "Nothing changed"), (status = "4XX", body = Problem)))]
pub async fn save(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<ImportIn>,
) -> ApiResult<(StatusCode, Json<ImportedOut>)> {
    let shown = form.plan.clone();
    if shown.trim().is_empty() {
        let text = "is missing; ask POST /imports/preview, look at what it shows, and give its plan";
        return Err(Error::field("plan", text).into());
    }
    let done = service.import(&actor, &form.into(), shown.trim()).await?;
    let status = if done.stacks + done.tenants == 0 { StatusCode::OK } else { StatusCode::CREATED };
    let (stacks, tenants, unchanged, unproved) = (done.stacks, done.tenants, done.unchanged, done.unproved);
    Ok((status, Json(ImportedOut { stacks, tenants, unchanged, unproved })))
}
