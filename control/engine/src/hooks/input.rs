//! What a hook is told: whom it is for, and the stacks that it concerns.

use super::Hook;
use crate::Context;
use domain::hook::Order;
use domain::{ProcessId, StackId};
use serde_json::{Value, json};
use store::StoreError;

/// The input of one hook at one step.
pub(super) struct Input {
    /// The same for every call of the hook for this step.
    pub key: String,
    /// Words for the environment of a command.
    pub words: Vec<(&'static str, String)>,
    /// The whole, as JSON.
    pub body: String,
}

pub(super) async fn of(
    context: &Context,
    id: ProcessId,
    hook: &Hook,
    order: &Order,
) -> Result<Input, StoreError> {
    let key = format!("{id}/{}/{}", order.point, hook.name);
    let body = json!({
        "key": key,
        "hook": hook.name,
        "point": order.point,
        "attempt": order.attempt,
        "process": id,
        "tenant": { "id": order.tenant, "slug": order.slug, "name": order.name, "region": order.region },
        "from": stacks(context, &order.from).await?,
        "to": stacks(context, &order.to).await?,
    });
    let words = vec![
        ("TIDEGATE_KEY", key.clone()),
        ("TIDEGATE_POINT", order.point.to_string()),
        ("TIDEGATE_PROCESS", id.to_string()),
        ("TIDEGATE_TENANT", order.tenant.to_string()),
        ("TIDEGATE_SLUG", order.slug.to_string()),
        ("TIDEGATE_REGION", order.region.to_string()),
    ];
    Ok(Input { key, words, body: body.to_string() })
}

async fn stacks(context: &Context, ids: &[StackId]) -> Result<Vec<Value>, StoreError> {
    let mut all = vec![];
    for id in ids {
        let Some(stack) = context.store.stack(*id).await? else { continue };
        let endpoint = context.targets.get(&stack.target).and_then(|driver| driver.endpoint(&stack.name));
        all.push(json!({
            "id": stack.id,
            "name": stack.name,
            "kind": stack.kind,
            "target": stack.target,
            "region": stack.region,
            "version": stack.actual.as_ref().map(|c| c.version.to_string()),
            "outputs": stack.outputs,
            "endpoint": endpoint.map(|at| format!("http://{at}")),
        }));
    }
    Ok(all)
}
