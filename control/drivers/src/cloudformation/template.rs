//! What a template declares: its parameters and its outputs.
//!
//! A template is JSON, or YAML with CloudFormation's short forms (`!Ref`, `!Sub`). Only the section `Parameters`
//! and the names of `Outputs` are of interest, and they hold no short forms; tags elsewhere are read over.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// No real template is nested deeper; a hostile one must not exhaust the stack.
const DEEPEST: usize = 100;

/// A parameter that a template declares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Declared {
    /// Whether it may be left out.
    pub has_default: bool,
    /// What it is then.
    pub default: Option<String>,
    /// What it may be; empty for anything.
    pub allowed: Vec<String>,
}

/// What a template declares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Template {
    /// By name.
    pub parameters: BTreeMap<String, Declared>,
    /// The names of its outputs; `None` where they are not known before the stack is made.
    pub outputs: Option<BTreeSet<String>>,
}

impl Template {
    /// Reads a template's text.
    ///
    /// # Errors
    /// One sentence: what is wrong, where, and the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| format!("is not valid JSON ({e}); correct it"))?
        } else {
            yaml(text)?
        };
        let Value::Object(root) = document else {
            return Err("is not a template; it must be a mapping with a section Resources".into());
        };
        if root.get("Resources").and_then(Value::as_object).is_none_or(Map::is_empty) {
            return Err("has no resources; a template needs a section Resources with at least one".into());
        }
        let parameters = match root.get("Parameters") {
            None | Some(Value::Null) => &Map::new(),
            Some(Value::Object(parameters)) => parameters,
            Some(_) => return Err("has a section Parameters that is not a mapping; correct it".into()),
        };
        let mut declared = BTreeMap::new();
        for (name, body) in parameters {
            let Value::Object(body) = body else {
                return Err(format!("declares the parameter {name} without a mapping; give it a Type"));
            };
            if !body.contains_key("Type") {
                return Err(format!("declares the parameter {name} without a Type; add one"));
            }
            let allowed = body.get("AllowedValues").and_then(Value::as_array);
            let allowed = allowed.into_iter().flatten().map(text_of).collect();
            let default = body.get("Default").map(text_of);
            let has_default = default.is_some();
            declared.insert(name.clone(), Declared { has_default, default, allowed });
        }
        let outputs = match root.get("Outputs") {
            None | Some(Value::Null) => Some(BTreeSet::new()),
            // A loop makes names that only its transform knows.
            Some(Value::Object(outputs)) if outputs.keys().any(|name| name.starts_with("Fn::")) => None,
            Some(Value::Object(outputs)) => Some(outputs.keys().cloned().collect()),
            Some(_) => return Err("has a section Outputs that is not a mapping; correct it".into()),
        };
        Ok(Self { parameters: declared, outputs })
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A collection that is being read.
enum Open {
    List(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

/// The first document of a YAML text; scalars stay texts, tags and anchors are read over.
fn yaml(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = vec![];
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|e| format!("is not valid YAML ({e}); correct it"))?;
        let done = match event {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            // CloudFormation does not resolve aliases in the section that is read here.
            Event::Alias(_) => Value::Null,
            Event::SequenceStart(..) => {
                push(&mut open, Open::List(vec![]))?;
                continue;
            }
            Event::MappingStart(..) => {
                push(&mut open, Open::Mapping(Map::new(), None))?;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Value::Array(list),
                Some(Open::Mapping(mapping, _)) => Value::Object(mapping),
                None => continue,
            },
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => continue,
        };
        match open.last_mut() {
            None => return Ok(done),
            Some(Open::List(list)) => list.push(done),
            Some(Open::Mapping(mapping, key)) => match key.take() {
                None => *key = Some(text_of(&done)),
                Some(key) => {
                    mapping.insert(key, done);
                }
            },
        }
    }
    Ok(Value::Null)
}

fn push(open: &mut Vec<Open>, collection: Open) -> Result<(), String> {
    if open.len() >= DEEPEST {
        return Err(format!("is nested deeper than {DEEPEST} levels; make it flatter"));
    }
    open.push(collection);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const YAML: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  TenantId: { Type: String }
  Stage:
    Type: String
    AllowedValues: [dev, prod]
    Default: prod
  Empty:
    Type: String
    Default: ''
Conditions:
  IsPool: !Equals [!Ref TenantId, pooled]
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub '${AWS::StackName}-q'
      Tags:
        - Key: a
          Value: !If
            - IsPool
            - !GetAtt Other.Arn
            - !Ref AWS::NoValue
Outputs:
  Url: { Value: !Ref Queue }
";

    #[test]
    fn yaml_with_short_forms_is_read() {
        let template = Template::parse(YAML).unwrap();
        let names: Vec<_> = template.parameters.keys().map(String::as_str).collect();
        assert_eq!(names, ["Empty", "Stage", "TenantId"]);
        assert!(!template.parameters["TenantId"].has_default);
        assert!(template.parameters["Empty"].has_default);
        let stage = &template.parameters["Stage"];
        assert!(stage.has_default && stage.allowed == ["dev", "prod"]);
        assert_eq!(template.outputs, Some(["Url".to_owned()].into()));
    }

    #[test]
    fn json_is_read() {
        let text = r#"{"Parameters":{"N":{"Type":"Number","Default":3,"AllowedValues":[3,4]}},"Resources":{"A":{}}}"#;
        let template = Template::parse(text).unwrap();
        assert_eq!(
            template.parameters["N"],
            Declared { has_default: true, default: Some("3".into()), allowed: vec!["3".into(), "4".into()] }
        );
    }

    #[test]
    fn outputs_that_a_loop_makes_are_not_known() {
        let text = "Resources: {A: {}}\nOutputs: {'Fn::ForEach::Each': [X, [a], {}]}";
        assert_eq!(Template::parse(text).unwrap().outputs, None);
        assert_eq!(Template::parse("Resources: {A: {}}").unwrap().outputs, Some(BTreeSet::new()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("{\"Resources\":", "not valid JSON"),
            ("a: [", "not valid YAML"),
            ("just a text", "must be a mapping"),
            ("Parameters: {}", "no resources"),
            ("Resources: {A: {}}\nParameters: [a]", "not a mapping"),
            ("Resources: {A: {}}\nOutputs: [a]", "Outputs that is not a mapping"),
            ("Resources: {A: {}}\nParameters: {A: {Default: 1}}", "without a Type"),
        ] {
            let wrong = Template::parse(text).unwrap_err();
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_deep_template_is_refused_and_not_followed() {
        let wrong = Template::parse(&format!("Resources: {}", "[".repeat(50_000))).unwrap_err();
        assert!(wrong.contains("nested") || wrong.contains("YAML"), "{wrong}");
    }
}
