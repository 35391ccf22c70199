//! What a create or an update sends, made from what was asked.

use super::artifact::{Artifact, Source};
use super::budget::Class;
use super::calls::Wish;
use super::errors::Trouble;
use super::protection::Wanted;
use super::template::Template;
use super::{Inner, parameters, reasons, tags};
use crate::Change;
use domain::Reason;
use domain::stack::own_name;

impl Inner {
    /// What a create or an update sends; `None` if the provider must be asked again first.
    pub async fn wish(&self, class: Class, change: &Change, name: &str) -> Result<Wish, Option<Reason>> {
        let Some(goal) = &change.to else {
            return Err(Some(Reason::new("no_goal", "nothing was said of what the stack shall run")));
        };
        let artifact = Artifact::parse(&goal.artifact).map_err(|invalid| {
            let sentence =
                format!("what the release brings for CloudFormation is not valid: {}", invalid.sentence());
            Some(Reason::new("bad_artifact", sentence))
        })?;
        let (url, body, template) = match &artifact.source {
            Source::Body(body, template) => (None, Some(body.clone()), template.clone()),
            Source::Url(url) => (Some(url.clone()), None, self.template(class, url).await?),
        };
        let stack = own_name(&change.name).unwrap_or(&change.name);
        let parameters = parameters::render(&artifact, &template, goal, stack).map_err(Some)?;
        let protection = match &artifact.protection {
            Some(protection) => protection.wanted(goal).map_err(Some)?,
            None => Wanted::default(),
        };
        Ok(Wish {
            name: name.to_owned(),
            token: change.token.to_string(),
            url,
            body,
            parameters,
            tags: tags::of(change, &artifact, &protection),
            protection,
            capabilities: artifact.capabilities,
            kept: vec![],
            role: self.settings.service_role.clone(),
            topics: self.settings.notification_arns.clone(),
        })
    }

    /// What the template at an address declares; asked once.
    pub(super) async fn template(&self, class: Class, url: &str) -> Result<Template, Option<Reason>> {
        if let Some(known) = self.known_template(url) {
            return Ok(known);
        }
        match self.calls.template(class, url).await {
            Ok(template) => {
                self.know_template(url, &template);
                Ok(template)
            }
            Err(Trouble::Unknown(what)) => {
                tracing::warn!(what, "the template's parameters cannot be read; trying again");
                Err(None)
            }
            Err(trouble) => Err(Some(reasons::refused(&trouble, url).0)),
        }
    }
}
