//! How a release is registered: one of the bundled builds, or a CloudFormation template.

use crate::parts::{Field, described, field_error};
use crate::session::{Flash, actor, answer};
use domain::release::DriverKind;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Error, NewRelease};
use std::collections::BTreeSet;

/// The form for the driver that is asked for, or for the first that is set up; `known` are the versions that are
/// registered already.
pub fn form(flash: &Flash, kinds: &BTreeSet<DriverKind>, asked: &str, known: &[String]) -> AnyView {
    let forms =
        [(DriverKind::Local, "Bundled build"), (DriverKind::Cloudformation, "CloudFormation template")];
    let forms: Vec<_> = forms.into_iter().filter(|(kind, _)| kinds.contains(kind)).collect();
    let Some(first) = forms.first() else { return ().into_any() };
    let (chosen, _) = forms.iter().find(|(kind, _)| kind.word() == asked).unwrap_or(first);
    let choice = (forms.len() > 1).then(|| {
        let link = |(kind, label): &(DriverKind, &'static str)| {
            let current = (kind == chosen).then_some("page");
            view! { <a href=format!("/releases?driver={kind}#register") aria-current=current>{*label}</a> }
        };
        let links: Vec<_> = forms.iter().map(link).collect();
        view! { <nav class="segmented" aria-label="What it deploys">{links}</nav> }
    });
    let fields = if *chosen == DriverKind::Local { bundled(flash, known) } else { template(flash) };
    view! {
        <section class="section" id="register"><header class="section-head"><h2>"Register a release"</h2></header>
            {choice} {fields}
        </section>
    }
    .into_any()
}

fn bundled(flash: &Flash, known: &[String]) -> AnyView {
    let builds: Vec<_> = sample::catalogue()
        .into_iter()
        .map(|b| {
            let there = known.contains(&b.version);
            let text = format!("{}: {}{}", b.version, b.notes, if there { " (registered)" } else { "" });
            view! { <option value=b.version.clone()>{text}</option> }
        })
        .collect();
    view! {
            <form class="form" method="post" action="/do/add_release">
                <div class="field"><label for="build">"Bundled build"</label>
                    <p class="hint">"What the local driver deploys; its version is the release's if you write none."</p>
                    <select id="build" name="form[build]">{builds}</select></div>
                {Field::new(flash, "version", "Version").hint("A semantic version like 1.4.0; empty for the build's.").most(64).complete("off").view()}
                {Field::new(flash, "commit", "Commit").most(64).complete("off").view()}
                {Text::new("notes", "Notes").hint("What changed, on as many lines as it needs; the first line is shown in the list. Empty for the build's.").view(flash)}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Register"</button></div>
            </form>
    }
    .into_any()
}

fn template(flash: &Flash) -> AnyView {
    view! {
            <form class="form" method="post" action="/do/add_template_release">
                {Field::new(flash, "version", "Version").hint("A semantic version like 1.4.0.").most(64).complete("off").required().view()}
                {Field::new(flash, "template_url", "Template address").hint("Where CloudFormation reads it, like https://bucket.s3.eu-west-1.amazonaws.com/app.yaml. Or write the template below.").most(1024).complete("off").view()}
                {Text::new("template_body", "Template").hint("SAM or plain, YAML or JSON, at most 51,200 bytes.").code(10, 51_200).view(flash)}
                {Text::new("settings", "Further settings").hint("A JSON object, where names do not say it all: {\"parameters\": {\"MemorySize\": \"memory_mb\", \"Stage\": {\"constant\": \"prod\"}}}. Parameters that are called like a tier's need no entry.").code(4, 20_000).view(flash)}
                {Field::new(flash, "commit", "Commit").most(64).complete("off").view()}
                {Text::new("notes", "Notes").hint("What changed; the first line is shown in the list.").view(flash)}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Register"</button></div>
            </form>
    }
    .into_any()
}

/// A field of several lines.
struct Text {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    rows: u32,
    most: u32,
    code: bool,
}

impl Text {
    const fn new(name: &'static str, label: &'static str) -> Self {
        Self { name, label, hint: "", rows: 4, most: 20_000, code: false }
    }

    const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    const fn code(self, rows: u32, most: u32) -> Self {
        Self { rows, most, code: true, ..self }
    }

    fn view(self, flash: &Flash) -> AnyView {
        let Self { name, label, hint, rows, most, code } = self;
        let problem = flash.problem(name);
        view! {
            <div class="field"><label for=name>{label}</label>
                <p class="hint" id=format!("{name}-h")>{hint}</p>
                <textarea id=name name=format!("form[{name}]") rows=rows maxlength=most class=code.then_some("code") spellcheck=code.then_some("false")
                    aria-describedby=described(name, true, problem.is_some()) aria-invalid=problem.is_some().then_some("true")>{flash.value(name, "")}</textarea>
                {problem.map(|text| field_error(name, &text))}</div>
        }
        .into_any()
    }
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    build: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    notes: String,
}

/// Registers a release of a bundled build.
#[server(prefix = "/do", endpoint = "add_release")]
pub async fn add_release(form: Register) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let artifact = json!({ "app": "orders", "build": form.build });
        let build = sample::Build::parse(&artifact).map_err(|(_, message)| Error::field("build", message))?;
        let or = |text: &str, otherwise: String| {
            if text.trim().is_empty() { otherwise } else { text.trim().to_owned() }
        };
        let release = NewRelease {
            version: or(&form.version, build.version),
            artifacts: [(DriverKind::Local, artifact)].into(),
            commit: form.commit.clone(),
            notes: or(&form.notes, build.notes),
        };
        let release = service.add_release(&actor, release).await?;
        Ok(("/releases".to_owned(), Some(format!("Release {} is registered.", release.version))))
    };
    answer(doing.await, &form).await
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegisterTemplate {
    version: String,
    #[serde(default)]
    template_url: String,
    #[serde(default)]
    template_body: String,
    #[serde(default)]
    settings: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    notes: String,
}

impl RegisterTemplate {
    fn artifact(&self) -> Result<Value, Error> {
        let wrong = |why: &str| {
            Error::field(
                "settings",
                format!("is not a JSON object ({why}); write it like {{\"parameters\": {{}}}}"),
            )
        };
        let mut artifact = match self.settings.trim() {
            "" => serde_json::Map::new(),
            text => match serde_json::from_str(text) {
                Ok(Value::Object(object)) => object,
                Ok(_) => return Err(wrong("it is another kind of value")),
                Err(error) => return Err(wrong(&error.to_string())),
            },
        };
        // Browsers send lines that end in a carriage return too.
        let body = self.template_body.replace("\r\n", "\n");
        for (name, text) in [("template_url", self.template_url.trim()), ("template_body", body.as_str())] {
            if !text.trim().is_empty() {
                artifact.insert(name.to_owned(), text.into());
            }
        }
        Ok(artifact.into())
    }
}

/// Registers a release of a CloudFormation template.
#[server(prefix = "/do", endpoint = "add_template_release")]
pub async fn add_template_release(form: RegisterTemplate) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let release = NewRelease {
            version: form.version.clone(),
            artifacts: [(DriverKind::Cloudformation, form.artifact()?)].into(),
            commit: form.commit.clone(),
            notes: form.notes.clone(),
        };
        let release = service.add_release(&actor, release).await.map_err(of_the_form)?;
        Ok(("/releases".to_owned(), Some(format!("Release {} is registered.", release.version))))
    };
    answer(doing.await, &form).await
}

/// The problems of an artifact at the fields that they were written in.
fn of_the_form(error: Error) -> Error {
    let Error::Invalid(mut invalid) = error else { return error };
    for problem in &mut invalid.problems {
        let Some(field) = problem.field.strip_prefix("artifacts.cloudformation.") else { continue };
        if !matches!(field, "template_url" | "template_body") {
            problem.message = format!("{field}: {}", problem.message);
            problem.field = "settings".to_owned();
        } else {
            problem.field = field.to_owned();
        }
    }
    Error::Invalid(invalid)
}
