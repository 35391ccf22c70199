//! Customers onboard themselves: the same request twice is one tenant, and nobody learns who else is here.

use crate::access::{hash_token, random_text};
use crate::tenants::{Registration, region_of};
use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::onboarding::Onboarding;
use domain::process::{Mail, ProcessKind, Recipient};
use domain::tenant::TenantState;
use domain::tier::{SignupPolicy, Tier};
use domain::{Actor, DisplayName, Email, SignupId, Slug, Span};
use store::{Running, Signup, SignupState};

/// Links that one address is sent within an hour, at most, whatever it registers.
const LINKS_AN_HOUR: i64 = 5;

/// A plan on offer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    /// The tier's key.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// One line.
    pub description: String,
    /// As customers read it.
    pub price: String,
    /// Where it may live; the first is the default.
    pub regions: Vec<String>,
    /// Whether it is ready at once.
    pub instant: bool,
    /// Whether a person accepts first.
    pub needs_acceptance: bool,
}

/// What a customer writes.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SignupForm {
    /// The tier's key.
    #[serde(default)]
    pub plan: String,
    /// The organisation.
    #[serde(default)]
    pub organisation: String,
    /// The subdomain.
    #[serde(default)]
    pub slug: String,
    /// Who signs up.
    #[serde(default)]
    pub email: String,
    /// Where.
    #[serde(default)]
    pub region: String,
}

/// What a customer sees of their registration.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Their organisation.
    pub organisation: String,
    /// `unconfirmed`, `waiting`, `declined`, `provisioning`, `ready`, `suspended`, `closed`, `failed`.
    pub state: String,
    /// Their address, as it was registered.
    pub email: String,
    /// What their plan is called.
    pub plan: String,
    /// Step by step.
    pub steps: Vec<domain::onboarding::Progress>,
    /// Where their workspace answers, once it is ready.
    pub url: Option<String>,
}

impl Service {
    /// The plans that customers may choose.
    ///
    /// # Errors
    /// The database failed.
    pub async fn offers(&self) -> Result<Vec<Offer>> {
        let tiers = self.store.tiers().await?.into_iter().map(|(tier, _)| tier);
        Ok(tiers
            .filter(|t| t.spec.signup != SignupPolicy::Closed)
            .map(|t| Offer {
                key: t.key.to_string(),
                name: t.spec.name.to_string(),
                description: t.spec.description.clone(),
                price: t.spec.price.clone(),
                regions: t.spec.regions.iter().map(ToString::to_string).collect(),
                instant: !t.spec.model.has_dedicated(),
                needs_acceptance: t.spec.signup == SignupPolicy::NeedsAcceptance,
            })
            .collect())
    }

    /// Takes a registration and sends a link that confirms the address.
    ///
    /// # Errors
    /// The field that is wrong.
    pub async fn sign_up(&self, form: &SignupForm) -> Result<Email> {
        let mut problems = Problems::default();
        let organisation = problems.take("organisation", form.organisation.parse::<DisplayName>());
        let email = problems.take("email", form.email.parse::<Email>());
        let slug = match form.slug.trim() {
            "" => Slug::suggest(&form.organisation)
                .ok_or_else(|| domain::Invalid::new("", "is missing; choose a short name")),
            text => text.parse(),
        };
        let slug = problems.take("slug", slug.and_then(Slug::for_tenant));
        let tier = self.offered(&form.plan).await?;
        let Some(tier) = tier else {
            problems.note("plan", "is not on offer; choose one of the list");
            return Err(problems.into_invalid().into());
        };
        let region = problems.take("region", region_of(&tier, &form.region));
        let (Some(organisation), Some(email), Some(slug), Some(region)) = (organisation, email, slug, region)
        else {
            return Err(problems.into_invalid().into());
        };
        problems.finish(())?;
        let known = self.store.signup_of(&email, &slug).await?;
        if known.is_none() && self.store.tenant_by_slug(&slug).await?.is_some() {
            return Err(Error::field("slug", format!("“{slug}” is taken; choose another")));
        }
        // A repeated request gets one more link to the same registration; a flood of them, under whatever name,
        // fills no mailbox.
        let now = self.now();
        if self.store.links_to(&email, now - Span::minutes(60)).await? >= LINKS_AN_HOUR {
            return Ok(email);
        }
        let token = random_text(40);
        let hash = hash_token(&token);
        let mut signup = known.unwrap_or_else(|| Signup {
            id: new_id(),
            email: email.clone(),
            slug,
            organisation: organisation.clone(),
            tier: tier.id,
            region: region.clone(),
            state: SignupState::Unconfirmed,
            tenant: None,
            created_at: now,
        });
        if signup.state == SignupState::Unconfirmed {
            (signup.organisation, signup.tier, signup.region) = (organisation, tier.id, region);
        }
        let mail = Mail {
            key: format!("signup/{}/{hash}", signup.id),
            to: Recipient::Address(email.to_string()),
            subject: format!("Confirm your registration of {}", signup.organisation),
            body: format!(
                "Welcome.\n\nConfirm your address and follow the progress here:\n{{base}}/welcome/{token}\n\nIf this was not you, do nothing.\n"
            ),
        };
        let actor = Actor::customer(email.as_str());
        let mut tx = self.store.begin().await?;
        tx.save_signup(&signup).await?;
        tx.add_signup_link(signup.id, &hash, now).await?;
        tx.mail(&new_id::<domain::MailId>().to_string(), &mail, now).await?;
        let event = self.event(
            "signed_up",
            format!("{email} signed up {} for {}", signup.organisation, tier.spec.name),
            &signup.slug,
        );
        tx.record(&format!("signup/{}", signup.id), None, &actor, event).await?;
        tx.commit().await?;
        Ok(email)
    }

    async fn offered(&self, key: &str) -> Result<Option<Tier>> {
        let Ok(key) = key.parse::<Slug>() else { return Ok(None) };
        let tier = self.store.tier_by_key(&key).await?.map(|(tier, _)| tier);
        Ok(tier.filter(|t| t.spec.signup != SignupPolicy::Closed))
    }

    /// The subdomain that a registration would get, and whether it could be had: for the form while a person types.
    ///
    /// # Errors
    /// Why not.
    pub async fn check_slug(&self, slug: &str, organisation: &str) -> Result<Slug> {
        let slug = match slug.trim() {
            "" => Slug::suggest(organisation)
                .ok_or_else(|| domain::Invalid::new("slug", "is missing; choose a short name"))?,
            text => text.parse::<Slug>().map_err(|e| e.within("slug"))?,
        };
        let slug = slug.for_tenant().map_err(|e| e.within("slug"))?;
        if self.store.tenant_by_slug(&slug).await?.is_some() {
            return Err(Error::field("slug", format!("“{slug}” is taken; choose another")));
        }
        Ok(slug)
    }

    /// How far the registration behind a link is. Looking changes nothing: programs that read mail follow links too.
    ///
    /// # Errors
    /// The link is unknown.
    pub async fn welcome(&self, token: &str) -> Result<Progress> {
        let signup = self.signup_behind(token).await?;
        self.progress(&signup).await
    }

    /// Confirms the address behind a link; a second time changes nothing.
    ///
    /// # Errors
    /// The link is unknown; the subdomain was taken meanwhile.
    pub async fn confirm_signup(&self, token: &str) -> Result<()> {
        let signup = self.signup_behind(token).await?;
        if signup.state == SignupState::Unconfirmed {
            self.confirm(signup).await?;
        }
        Ok(())
    }

    async fn signup_behind(&self, token: &str) -> Result<Signup> {
        let signup = self.store.signup_by_token(&hash_token(token)).await?;
        signup.ok_or_else(|| {
            Error::NotFound(domain::Reason::new(
                "unknown_link",
                "We do not know this link. Please sign up again; you will get a new one.",
            ))
        })
    }

    async fn confirm(&self, mut signup: Signup) -> Result<Signup> {
        let (tier, _) =
            self.store.tier(signup.tier, None).await?.ok_or_else(|| Error::not_found("the plan"))?;
        if tier.spec.signup == SignupPolicy::NeedsAcceptance {
            signup.state = SignupState::Waiting;
            let actor = Actor::customer(signup.email.as_str());
            let mail = Mail {
                key: format!("signup/{}/waits", signup.id),
                to: Recipient::Operators,
                subject: format!("{} asks for {}", signup.organisation, tier.spec.name),
                body: format!(
                    "{} ({}) waits for acceptance.\n\nAccept or decline it here:\n{{base}}/\n",
                    signup.organisation, signup.email
                ),
            };
            let mut tx = self.store.begin().await?;
            tx.save_signup(&signup).await?;
            tx.mail(&new_id::<domain::MailId>().to_string(), &mail, self.now()).await?;
            let event = self.event(
                "confirmed",
                format!("{} confirmed and waits for acceptance", signup.organisation),
                &signup.slug,
            );
            tx.record(&format!("signup/{}", signup.id), None, &actor, event).await?;
            tx.commit().await?;
            return Ok(signup);
        }
        let actor = Actor::customer(signup.email.as_str());
        self.accept(&actor, signup, &tier).await
    }

    async fn accept(&self, actor: &Actor, mut signup: Signup, tier: &Tier) -> Result<Signup> {
        let registration = Registration {
            name: signup.organisation.clone(),
            slug: signup.slug.clone(),
            email: signup.email.clone(),
            tier,
            region: signup.region.clone(),
            tags: vec![],
            overrides: domain::parameter::Values::new(),
        };
        let tenant = match self.register(actor, registration, None).await {
            Ok(tenant) => tenant,
            // Two clicks at once, or a crash before the next line: the tenant is there already.
            Err(Error::Invalid(_) | Error::Refused(_)) => {
                let there = self.store.tenant_by_slug(&signup.slug).await?;
                there.filter(|t| t.email == signup.email).ok_or_else(|| {
                    Error::field(
                        "slug",
                        format!("“{}” was taken meanwhile; sign up again with another", signup.slug),
                    )
                })?
            }
            Err(other) => return Err(other),
        };
        signup.tenant = Some(tenant.id);
        signup.state = SignupState::Accepted;
        let mut tx = self.store.begin().await?;
        tx.save_signup(&signup).await?;
        tx.commit().await?;
        Ok(signup)
    }

    async fn progress(&self, signup: &Signup) -> Result<Progress> {
        let plan = self.store.tier(signup.tier, None).await?.map(|(tier, _)| tier.spec.name.to_string());
        let plain = |state: &str| Progress {
            organisation: signup.organisation.to_string(),
            state: state.into(),
            email: signup.email.to_string(),
            plan: plan.clone().unwrap_or_default(),
            steps: vec![],
            url: None,
        };
        let Some(tenant) = signup.tenant else {
            return Ok(plain(match signup.state {
                SignupState::Unconfirmed => "unconfirmed",
                SignupState::Declined => "declined",
                SignupState::Waiting | SignupState::Accepted => "waiting",
            }));
        };
        let tenant = self.store.tenant(tenant).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let rows =
            self.store.processes(ProcessKind::Onboarding, Some(tenant.id.to_string()), None, 1).await?;
        let mut progress = plain("provisioning");
        if let Some(row) = rows.first()
            && let Some(running) = Running::<Onboarding>::load(&self.store, row.id).await?
        {
            progress.steps = running.process.progress();
        }
        progress.state = match tenant.state {
            TenantState::Active => {
                progress.url = Some(self.tenant_url(tenant.slug.as_str()));
                "ready"
            }
            TenantState::Failed => "failed",
            TenantState::Suspended => "suspended",
            TenantState::Offboarding | TenantState::Offboarded => "closed",
            TenantState::Pending | TenantState::Provisioning => "provisioning",
        }
        .into();
        if progress.state == "suspended" || progress.state == "closed" {
            progress.steps.clear();
        }
        Ok(progress)
    }

    /// Registrations that wait for a person.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn waiting_signups(&self, actor: &Actor) -> Result<Vec<Signup>> {
        actor.require(Permission::View)?;
        Ok(self.store.waiting_signups().await?)
    }

    /// Accepts or declines a registration that waits.
    ///
    /// # Errors
    /// Needs `tenants`; it does not wait.
    pub async fn answer_signup(&self, actor: &Actor, id: SignupId, accept: bool) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let mut signup = self.store.signup(id).await?.ok_or_else(|| Error::not_found("the registration"))?;
        if signup.state != SignupState::Waiting {
            return Err(Error::refused("not_waiting", "Somebody has answered this request already."));
        }
        if accept {
            let (tier, _) =
                self.store.tier(signup.tier, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
            return self.accept(actor, signup, &tier).await.map(drop);
        }
        signup.state = SignupState::Declined;
        let mail = Mail {
            key: format!("signup/{id}/declined"),
            to: Recipient::Address(signup.email.to_string()),
            subject: format!("Your request for {}", signup.organisation),
            body: "Thank you for your interest.\n\nWe cannot offer you this plan. If you think that this is a mistake, please answer this message.\n".to_owned(),
        };
        let mut tx = self.store.begin().await?;
        tx.save_signup(&signup).await?;
        tx.mail(&new_id::<domain::MailId>().to_string(), &mail, self.now()).await?;
        let event =
            self.event("declined", format!("{} declined {}", actor.name, signup.organisation), &signup.slug);
        tx.record(&format!("signup/{id}"), None, actor, event).await?;
        Ok(tx.commit().await?)
    }
}
