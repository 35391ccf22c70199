//! The tier editor: rows of parameters as a person types them, what an edit would change, and saving it.

use crate::window_form::written;
use crate::{Difference, Error, Result, Service, TierForm, tier_diff};
use domain::access::Permission;
use domain::identity::Located;
use domain::invalid::Problems;
use domain::parameter::{Kind, Parameter};
use domain::plan::Change;
use domain::tier::{DeploymentModel, Tier, TierSpec};
use domain::{Actor, TierId};
use std::collections::BTreeSet;

/// A parameter as the editor's row holds it: every field a text, what its kind does not use is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ParameterRow {
    /// As templates name it.
    pub name: String,
    /// The component that it belongs to; empty for all of them.
    pub component: String,
    /// `integer`, `boolean`, `choice` or `text`.
    pub kind: String,
    /// Smallest whole number.
    pub min: String,
    /// Largest whole number.
    pub max: String,
    /// Shown behind a number.
    pub unit: String,
    /// Choices, separated by commas.
    pub options: String,
    /// Longest text in characters.
    pub most: String,
    /// The tier's value.
    pub value: String,
}

/// What the editor sends.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct TierEdit {
    /// Everything but parameters.
    pub form: TierForm,
    /// All parameters, in order.
    #[serde(default)]
    pub rows: Vec<ParameterRow>,
    /// The revision that was edited; empty for a new tier.
    #[serde(default)]
    pub seen: String,
}

/// What an edit would change.
#[derive(Clone, Debug)]
pub struct TierPreview {
    /// Against the revision that tenants run.
    pub changes: Vec<Difference>,
    /// One sentence about stacks, waves and tenants.
    pub sentence: String,
}

impl TierEdit {
    /// The editor's content for a saved revision.
    #[must_use]
    pub fn of(tier: &Tier) -> Self {
        let spec = &tier.spec;
        let (shared, dedicated) = match &spec.model {
            DeploymentModel::Hybrid { shared, dedicated } => (shared.join(", "), dedicated.join(", ")),
            DeploymentModel::Pool | DeploymentModel::Silo => (String::new(), String::new()),
        };
        let regions: Vec<_> = spec.regions.iter().map(ToString::to_string).collect();
        let text = |located: Option<&Located>| located.map(ToString::to_string).unwrap_or_default();
        let form = TierForm {
            key: tier.key.to_string(),
            name: spec.name.to_string(),
            description: spec.description.clone(),
            price: spec.price.clone(),
            model: spec.model.word().to_owned(),
            shared,
            dedicated,
            signup: spec.signup.word().to_owned(),
            regions: regions.join(", "),
            pool_capacity: spec.pool_capacity.to_string(),
            identity: spec.identity.kind().word().to_owned(),
            user_pool: text(spec.identity.places().0),
            app_client: text(spec.identity.places().1),
            window_length: Some(spec.own_windows.map(|own| written(own.shortest)).unwrap_or_default()),
            window_weekly: Some(
                spec.own_windows
                    .filter(|own| own.weekly > domain::Span::ZERO)
                    .map(|own| written(own.weekly))
                    .unwrap_or_default(),
            ),
            ..TierForm::default()
        };
        Self {
            form,
            rows: spec.parameters.iter().map(ParameterRow::of).collect(),
            seen: tier.revision.to_string(),
        }
    }

    /// The editor's content for a tier that does not exist yet.
    #[must_use]
    pub fn fresh() -> Self {
        let form = TierForm {
            model: "pool".into(),
            signup: "closed".into(),
            regions: "local".into(),
            pool_capacity: "100".into(),
            identity: "invitation".into(),
            ..TierForm::default()
        };
        let rows = crate::default_parameters().iter().map(ParameterRow::of).collect();
        Self { form, rows, seen: String::new() }
    }

    /// The form with its rows parsed; what is wrong with a row is noted at `rows[i]`.
    fn parsed(self, problems: &mut Problems) -> TierForm {
        let mut parameters = vec![];
        for (i, row) in self.rows.iter().enumerate() {
            parameters.extend(problems.take(&format!("rows[{i}]"), row.parse()));
            let twice = self.rows[..i].iter().any(|r| r.name.trim() == row.name.trim());
            problems.require(!twice, &format!("rows[{i}].name"), "is there twice; rename or remove one");
        }
        TierForm { parameters: Some(parameters), ..self.form }
    }
}

impl ParameterRow {
    /// The row of a parameter.
    #[must_use]
    pub fn of(p: &Parameter) -> Self {
        let row = Self {
            name: p.name.clone(),
            component: p.component.clone(),
            value: p.value.to_string(),
            ..Self::default()
        };
        match &p.kind {
            Kind::Integer { min, max, unit } => Self {
                kind: "integer".into(),
                min: min.to_string(),
                max: max.to_string(),
                unit: unit.clone(),
                ..row
            },
            Kind::Boolean => Self { kind: "boolean".into(), ..row },
            Kind::Choice { options } => Self { kind: "choice".into(), options: options.join(", "), ..row },
            Kind::Text { most } => Self { kind: "text".into(), most: most.to_string(), ..row },
        }
    }

    fn parse(&self) -> std::result::Result<Parameter, domain::Invalid> {
        let mut problems = Problems::default();
        let number = |problems: &mut Problems, field: &str, text: &str, otherwise: i64| match text.trim() {
            "" => otherwise,
            text => text.parse().unwrap_or_else(|_| {
                problems.note(field, "is not a whole number");
                otherwise
            }),
        };
        let unit = problems.take("unit", domain::fields::bounded_text(&self.unit, 20)).unwrap_or_default();
        let kind = match self.kind.trim() {
            "integer" => Kind::Integer {
                min: number(&mut problems, "min", &self.min, 0),
                max: number(&mut problems, "max", &self.max, 1_000_000),
                unit,
            },
            "boolean" => Kind::Boolean,
            "choice" => Kind::Choice {
                options: self
                    .options
                    .split(',')
                    .map(str::trim)
                    .filter(|w| !w.is_empty())
                    .map(str::to_owned)
                    .collect(),
            },
            "text" => {
                let most = number(&mut problems, "most", &self.most, 200);
                problems.require((1..=1000).contains(&most), "most", "must be from 1 to 1000 characters");
                Kind::Text { most: usize::try_from(most).unwrap_or(0) }
            }
            _ => {
                problems.note("kind", "must be one of integer, boolean, choice, text");
                return Err(problems.into_invalid());
            }
        };
        let component = self.component.trim();
        if !component.is_empty() {
            problems.take("component", component.parse::<domain::Tag>());
        }
        let parameter = problems.take("value", kind.parse(&self.value)).map(|value| Parameter {
            name: self.name.trim().to_owned(),
            component: component.to_owned(),
            kind,
            value,
        });
        if let Some(p) = &parameter
            && let Err(invalid) = domain::parameter::check_all(std::slice::from_ref(p))
        {
            // Problems are named after the parameter there; here each field has its own name.
            for problem in invalid.problems {
                let field =
                    ["name", "min", "options", "most"].into_iter().find(|f| problem.field.ends_with(f));
                problems.note(field.unwrap_or("value"), problem.message);
            }
        }
        match parameter {
            Some(parameter) => problems.finish(parameter),
            None => Err(problems.into_invalid()),
        }
    }
}

impl Service {
    /// Saves what the editor holds as a new tier, or as the next revision of one.
    ///
    /// # Errors
    /// Needs `tiers`; the field that is wrong (parameters at `rows[i]`); somebody saved meanwhile.
    pub async fn save_tier_edit(&self, actor: &Actor, id: Option<TierId>, edit: TierEdit) -> Result<Tier> {
        actor.require(Permission::Tiers)?;
        if let Some(id) = id {
            let (latest, _) = self.store.tier(id, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
            if edit.seen.trim().parse() != Ok(latest.revision) {
                return Err(Error::refused(
                    "stale",
                    format!(
                        "{} saved revision {} while you edited. What you wrote is still here: look at the revisions below, then save again.",
                        latest.saved_by, latest.revision
                    ),
                ));
            }
        }
        let mut problems = Problems::default();
        let form = edit.parsed(&mut problems);
        self.save_tier_noting(actor, id, form, problems).await
    }

    /// What saving and rolling out an edited tier would change.
    ///
    /// # Errors
    /// Needs `view`; the field that is wrong.
    pub async fn preview_tier(&self, actor: &Actor, id: TierId, edit: TierEdit) -> Result<TierPreview> {
        actor.require(Permission::View)?;
        let (latest, live) = self.store.tier(id, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
        let mut problems = Problems::default();
        let form = edit.parsed(&mut problems);
        let spec = form.spec(Some(&latest.spec), &mut problems);
        let Some(spec) = spec else { return Err(problems.into_invalid().into()) };
        problems.finish(())?;
        spec.check()?;
        let live = match live {
            Some(live) if live != latest.revision => self.store.tier(id, Some(live)).await?.map(|(t, _)| t),
            _ => None,
        };
        let running = live.as_ref().map_or(&latest.spec, |tier| &tier.spec);
        let changes = tier_diff::differences(running, &spec);
        let sentence = self.reach(&latest, &spec, &changes).await?;
        Ok(TierPreview { changes, sentence })
    }

    async fn reach(&self, tier: &Tier, spec: &TierSpec, changes: &[Difference]) -> Result<String> {
        if changes.is_empty() {
            return Ok("Nothing differs from what tenants run.".to_owned());
        }
        let Some(release) = self.store.live_release().await? else {
            return Ok("Changes no stack: no release is live yet.".to_owned());
        };
        let strategy = self.store.strategies().await?.into_iter().next().map(|s| s.spec);
        let edited = Tier { spec: spec.clone(), ..tier.clone() };
        let (mut stacks, mut tenants, mut waves) = (0, 0, BTreeSet::new());
        for facts in self.facts().await?.iter().filter(|f| f.tier == tier.id) {
            if matches!(facts.step(&release, &edited).0.change, Change::Update) {
                stacks += 1;
                tenants += facts.tenants.len();
                waves.extend(strategy.as_ref().and_then(|s| facts.wave_in(s)));
            }
        }
        if stacks == 0 {
            return Ok("Changes no stack: only what people read, and what new tenants get.".to_owned());
        }
        let ways = match &strategy {
            Some(s) => format!(" in {} of “{}”", plural(waves.len(), "wave"), s.name),
            None => String::new(),
        };
        Ok(format!(
            "Changes {}{ways}, {}, once it is rolled out.",
            plural(stacks, "stack"),
            plural(tenants, "tenant")
        ))
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
