//! The page that a tenant's people see.

use crate::orders::Order;
use crate::{Config, Tenant};
use std::collections::BTreeMap;

pub fn page(config: &Config, tenant: &Tenant, orders: &[Order], memory: &str) -> String {
    let Config { build, tier, model, .. } = config;
    let parameters: String = config
        .parameters
        .iter()
        .map(|(name, value)| format!("<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(&plain(value))))
        .collect();
    let rows: String = orders
        .iter()
        .map(|o| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&o.customer),
                escape(&o.item),
                o.quantity
            )
        })
        .collect();
    let empty = if orders.is_empty() { "<p>No orders yet. Add the first one.</p>" } else { "" };
    let mut extra = String::new();
    if build.totals && !orders.is_empty() {
        let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
        for order in orders {
            *totals.entry(&order.customer).or_default() += order.quantity;
        }
        let rows: String =
            totals.iter().map(|(c, n)| format!("<tr><td>{}</td><td>{n}</td></tr>", escape(c))).collect();
        extra += &format!("<h2>Totals</h2><table>{rows}</table>");
    }
    if build.version == "1.5.0" && on(config, "reports") {
        extra += &format!("<h2>Report</h2><p>{} orders on record.</p>", orders.len());
    }
    if on(config, "export") {
        extra += "<p><a href=\"/api/orders\">Export as JSON</a></p>";
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">
<title>{name} · Orders</title><style>
:root{{color-scheme:light dark;--c:{colour}}}body{{font:16px/1.5 system-ui,sans-serif;margin:0}}
header{{background:var(--c);color:#fff;padding:1rem 2rem;display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}}
header b{{font-size:1.3rem}}main{{max-width:52rem;margin:1.5rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.35rem .5rem;border-bottom:1px solid #8884;font-weight:400}}
form{{display:flex;gap:.5rem;flex-wrap:wrap;margin:1rem 0}}input,button{{font:inherit;padding:.4rem .6rem}}
details{{margin-top:2rem;opacity:.85}}</style>
<header><b>{name}</b><span>Orders {version}</span><span>{tier} · {model}</span></header><main>
<h1>Orders</h1><form method=post action=/orders><label>Customer <input name=customer required maxlength=80></label>
<label>Item <input name=item required maxlength=80></label><label>Quantity <input name=quantity type=number min=1 max=9999 value=1></label>
<button>Add</button></form>{empty}<table>{rows}</table>{extra}
<details open><summary>About this workspace</summary><table><tr><th>Tenant</th><td>{slug}</td></tr><tr><th>Tier</th><td>{tier}</td></tr>
<tr><th>Version</th><td>{version}</td></tr><tr><th>Memory in use</th><td>{memory}</td></tr>{parameters}</table></details></main></html>",
        name = escape(&tenant.name),
        slug = escape(&tenant.slug),
        colour = build.colour,
        version = escape(&build.version),
        tier = escape(tier),
        model = escape(model),
    )
}

pub fn message(title: &str, text: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{0}</title><body style=\"font:16px system-ui;max-width:40rem;margin:4rem auto\"><h1>{0}</h1><p>{1}</p>",
        escape(title),
        escape(text)
    )
}

pub fn on(config: &Config, name: &str) -> bool {
    config.parameters.get(name).and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(on) => if *on { "on" } else { "off" }.into(),
        other => other.to_string(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
