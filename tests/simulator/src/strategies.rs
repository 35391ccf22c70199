//! A strategy from chance.

use crate::chance::Chance;
use serde_json::{Value, json};

/// Waves, gates, concurrency and tolerance as chance will have them; the last wave takes everyone.
pub fn strategy(chance: &mut Chance) -> Value {
    let n = chance.between(1, 3);
    let mut waves = vec![];
    for i in 0..n {
        let last = i == n - 1;
        let selector = if last {
            "everyone".to_owned()
        } else {
            let percent = chance.between(20, 70);
            chance
                .pick(&["tier:basic", "tier:premium", ""])
                .filter(|s| !s.is_empty())
                .map_or_else(|| format!("{percent}%"), |tier| (*tier).to_owned())
        };
        let checks = chance.per_mille(400);
        let bake = if checks { chance.between(5, 20) } else { chance.between(0, 2) * 10 };
        let quorum = chance.between(-1, 2);
        let expiry = chance.between(60, 900) * 1000;
        let approval = (quorum > 0).then(|| json!({ "quorum": quorum, "group": null, "expiry": expiry }));
        let mut list = vec![];
        if checks {
            list.push(json!({ "check": "healthy" }));
            if chance.per_mille(500) {
                list.push(json!({ "check": "error_rate", "max_percent": 10 }));
            }
        }
        waves.push(json!({
            "name": format!("Wave {i}"),
            "selector": selector,
            "concurrency": chance.between(1, 4).to_string(),
            "tolerance": chance.between(0, 2).to_string(),
            "mode": if chance.per_mille(400) { "strict" } else { "soft" },
            "attempts": chance.between(1, 3),
            "patience": chance.between(0, 60) * 1000,
            "gate": { "bake": bake * 1000, "checks": list, "grace": chance.between(0, 3), "approval": approval },
        }));
    }
    let halt = if chance.per_mille(400) { "rollback" } else { "stay" };
    json!({ "name": "Simulated", "on_halt": halt, "waves": waves })
}
