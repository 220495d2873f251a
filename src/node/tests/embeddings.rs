//! The plan of embeddings, for all texts and for some of them.

use super::*;

fn texts(texts: &[&str]) -> Input {
    Input::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn embed(fields: Value, input: &[&str]) -> Plan {
    planned("fireworksEmbeddings", fields, texts(input), &OutputFormat::Text).expect("right")
}

#[test]
fn a_text_has_the_same_identity_wherever_it_stands() {
    let alone = embed(json!({}), &["b"]);
    let among = embed(json!({"batchSize": 2}), &["a", "b", "b"]);
    for position in [1, 2] {
        let selected = among.select(&[position]).expect("a plan");
        assert!(selected.identity == alone.identity);
    }
    assert!(among.select(&[0]).expect("a plan").identity != alone.identity);
    assert!(among.select(&[1, 2]).expect("a plan").identity != alone.identity);
    assert!(among.select(&[3]).is_none(), "there is no such text");
    assert!(plan("chatFireworks", json!({})).select(&[0]).is_none());
}

#[test]
fn plans_of_equal_settings_can_be_run_as_one() {
    let without = |plan: &Plan| plan.with_texts(Arc::from([])).expect("a plan").identity;
    let one = embed(json!({"batchSize": 2}), &["a"]);
    let other = embed(json!({"batchSize": 3}), &["b", "c"]);
    assert!(without(&one) == without(&other));
    let together = one.with_texts(["a", "b", "c"].map(Arc::from).into()).expect("a plan");
    assert!(together.identity == embed(json!({}), &["a", "b", "c"]).identity);
    for fields in [json!({"dimensions": 8}), json!({"promptTemplate": "query: {text}"})] {
        assert!(without(&embed(fields.clone(), &["a"])) != without(&one), "{fields}");
    }
    assert!(plan("chatFireworks", json!({})).with_texts(Arc::from([])).is_none());
}

#[test]
fn every_field_but_the_batch_size_decides_a_vector() {
    let plain = embed(json!({}), &["a"]);
    for fields in [
        json!({"dimensions": 8}),
        json!({"normalize": true}),
        json!({"promptTemplate": "query: {text}"}),
    ] {
        assert!(embed(fields.clone(), &["a"]).identity != plain.identity, "{fields}");
    }
    assert!(embed(json!({"batchSize": 1}), &["a"]).identity == plain.identity);
    assert!(embed(json!({"normalize": "false"}), &["a"]).identity == plain.identity);
    assert_eq!(
        canonical(&embed(json!({"dimensions": "8", "normalize": true}), &["a", "\n"])),
        json!({"model": "m", "dimensions": 8, "normalize": true, "input": ["a", "\n"]})
    );
}

#[test]
fn texts_and_batches_are_what_was_given() {
    let plan = embed(json!({"batchSize": "7"}), &["a", "b"]);
    let texts = plan.texts.expect("texts");
    assert_eq!((texts.list.len(), texts.batch), (2, 7));
    assert_eq!(format!("{texts:?}"), "Texts { count: 2, .. }");
    let usual = embed(json!({}), &["a"]).texts.expect("texts");
    assert_eq!(usual.batch, 256);
}
