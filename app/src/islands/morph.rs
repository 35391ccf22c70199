//! Changes a part of the page into another one and leaves alone what is the same: focus, selection, what is
//! scrolled and what is unfolded stay.

use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::{Element, Node};

/// The document that this HTML makes.
pub fn parse(html: &str) -> Option<web_sys::Document> {
    web_sys::DomParser::new().ok()?.parse_from_string(html, web_sys::SupportedType::TextHtml).ok()
}

/// Makes the children of `old` those of `new`.
pub fn children(old: &Node, new: &Node) {
    let mut at = old.first_child();
    let mut next = new.first_child();
    while let Some(wanted) = next {
        next = wanted.next_sibling();
        match at.as_ref().and_then(|from| same(from, &wanted)) {
            Some(known) => {
                if at.as_ref().is_some_and(|at| !at.is_same_node(Some(&known))) {
                    let _ = old.insert_before(&known, at.as_ref());
                } else {
                    at = known.next_sibling();
                }
                node(&known, &wanted);
            }
            None => {
                if let Ok(made) = document().import_node_with_deep(&wanted, true) {
                    let _ = old.insert_before(&made, at.as_ref());
                }
            }
        }
    }
    while let Some(gone) = at {
        at = gone.next_sibling();
        let _ = old.remove_child(&gone);
    }
}

/// The node that becomes `wanted`: the one with its key among those from `from` on, or `from` itself.
fn same(from: &Node, wanted: &Node) -> Option<Node> {
    let key = key(wanted);
    if key.is_none() {
        return (from.node_name() == wanted.node_name() && self::key(from).is_none()).then(|| from.clone());
    }
    let mut at = Some(from.clone());
    while let Some(node) = at {
        if self::key(&node) == key && node.node_name() == wanted.node_name() {
            return Some(node);
        }
        at = node.next_sibling();
    }
    None
}

fn key(node: &Node) -> Option<String> {
    let element = node.dyn_ref::<Element>()?;
    element.get_attribute("data-key").or_else(|| element.get_attribute("id"))
}

fn node(old: &Node, new: &Node) {
    if old.is_equal_node(Some(new)) {
        return;
    }
    let (Some(to), Some(from)) = (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) else {
        return old.set_node_value(new.node_value().as_deref());
    };
    let typing = matches!(&*to.tag_name(), "INPUT" | "TEXTAREA" | "SELECT");
    if typing && document().active_element().is_some_and(|a| a.is_same_node(Some(to))) {
        return;
    }
    for name in names(to).filter(|name| name != "open" && !from.has_attribute(name)) {
        let _ = to.remove_attribute(&name);
    }
    for name in names(from).filter(|name| name != "open") {
        let value = from.get_attribute(&name);
        if value != to.get_attribute(&name) {
            let _ = to.set_attribute(&name, &value.unwrap_or_default());
        }
    }
    children(to, from);
}

fn names(element: &Element) -> impl Iterator<Item = String> + use<> {
    element.get_attribute_names().into_iter().filter_map(|name| name.as_string())
}
