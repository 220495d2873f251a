//! Forms and JSON Schemas.

use super::*;

fn drawn(form: &Form) -> String {
    let mut drawn = String::new();
    for field in form.fields() {
        let (minimum, maximum) = field.shape.bounds();
        drawn.push_str(&format!(
            "{}{} {:?}: {}{}{}{}{} in {}\n  {} / {}\n  {}\n  {}\n",
            field.name,
            if field.required { "*" } else { "" },
            field.spellings().skip(1).collect::<Vec<_>>(),
            field.shape.form_type(),
            minimum.map(|bound| format!(" >= {bound}")).unwrap_or_default(),
            maximum.map(|bound| format!(" <= {bound}")).unwrap_or_default(),
            field.default.map(|value| format!(" = {}", value.value())).unwrap_or_default(),
            if field.advanced { " (advanced)" } else { "" },
            field.group.as_str(),
            field.label.en,
            field.label.ko,
            field.help.en,
            field.help.ko,
        ));
    }
    drawn
}

#[test]
fn the_forms_are_as_published() {
    let names: Vec<&str> = REGISTRY.forms().map(Form::name).collect();
    assert_eq!(names, ["chatFireworks", "fireworks", "fireworksEmbeddings"]);
    for form in REGISTRY.forms() {
        insta::assert_snapshot!(format!("{}_form", form.name()), drawn(form));
    }
}

#[test]
fn the_schemas_are_as_published_and_are_schemas() {
    for form in REGISTRY.forms() {
        let schema: Value = serde_json::from_str(form.config_schema()).expect("JSON");
        assert!(jsonschema::draft202012::meta::is_valid(&schema));
        insta::assert_snapshot!(format!("{}_schema", form.name()), format!("{schema:#}"));
    }
}

#[test]
fn every_group_has_both_languages_and_fields_in_one_piece() {
    for form in REGISTRY.forms() {
        let groups: Vec<Group> = form.groups().collect();
        for group in &groups {
            let LocalizedText { en, ko } = group.label();
            assert!(!en.is_empty() && ko.contains(|letter: char| ('가'..='힣').contains(&letter)));
        }
        let advanced = form.fields().iter().filter(|field| field.advanced);
        let mut drawn: Vec<Group> = advanced.map(|field| field.group).collect();
        drawn.dedup();
        let order: Vec<Group> = groups.into_iter().filter(|group| drawn.contains(group)).collect();
        assert_eq!(drawn, order, "{}", form.name());
    }
}

#[test]
fn every_field_has_both_languages_and_its_own_spellings() {
    for form in REGISTRY.forms() {
        let mut spellings = std::collections::HashSet::new();
        for field in form.fields() {
            for text in [field.label.en, field.label.ko, field.help.en, field.help.ko] {
                assert!(!text.is_empty(), "{}", field.name);
            }
            assert!(
                field.help.ko.contains(|letter: char| ('가'..='힣').contains(&letter)),
                "{}",
                field.name
            );
            for spelling in field.spellings() {
                assert!(spellings.insert(spelling), "{spelling} is two fields");
            }
            if let Some(default) = field.default {
                let read = field.shape.read_form(
                    default.value(),
                    problems::Path::Root("default"),
                    &mut Problems::default(),
                );
                assert!(matches!(read, Ok(Some(_))), "{}", field.name);
            }
        }
    }
}

#[test]
fn the_schema_and_the_node_agree_on_plain_configurations() {
    let node = REGISTRY.find("chatFireworks").expect("the node");
    let schema: Value = serde_json::from_str(node.form().config_schema()).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    for (name, samples) in super::samples::samples() {
        for sample in samples {
            let fields = json!({"modelName": "m", name: sample});
            assert!(validator.is_valid(&fields), "{fields}");
            assert!(node.check(config(fields.clone())).is_ok(), "{fields}");
        }
    }
    for fields in [
        json!({}),
        json!({"modelName": ""}),
        json!({"modelName": "m", "temperature": 3}),
        json!({"modelName": "m", "nonsense": 3}),
        json!({"modelName": "m", "stop": ["1", "2", "3", "4", "5"]}),
        json!({"modelName": "m", "logitBias": {"x": 1}}),
        json!({"modelName": "m", "thinking": {"type": "enabled", "more": 1}}),
    ] {
        assert!(!validator.is_valid(&fields), "{fields}");
        assert!(node.check(config(fields.clone())).is_err(), "{fields}");
    }
}
