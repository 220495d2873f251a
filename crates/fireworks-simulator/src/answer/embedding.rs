//! A validated request for embeddings, and its answer: a vector for each text that
//! depends on nothing but the text, the model and the fields that decide it.

use serde_json::{Map, Value, json};

use crate::{
    answer::{prompt, tokens},
    endpoint::Endpoint,
    model::Model,
    refusal::Refusal,
    script::effects::ScriptedUsage,
};

/// Maximum texts of a request.
const MAX_TEXTS: usize = 2048;

/// A validated request.
#[derive(Debug)]
pub(crate) struct Embedding {
    pub(crate) model: Model,
    texts: Vec<String>,
    /// The template that each text is put into; empty for none.
    template: String,
    dimensions: usize,
    normalize: bool,
    base64: bool,
}

impl Embedding {
    pub(crate) fn read(model: Model, body: &Map<String, Value>) -> Result<Embedding, Refusal> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let full = model.dimensions.unwrap_or_default();
        let embedding = Embedding {
            texts: prompt::texts(Endpoint::Embeddings, body),
            template: text("prompt_template").to_owned(),
            dimensions: dimensions(body, full)? as usize,
            normalize: body.get("normalize") == Some(&Value::Bool(true)),
            base64: text("encoding_format") == "base64",
            model,
        };
        embedding.check()?;
        Ok(embedding)
    }

    fn check(&self) -> Result<(), Refusal> {
        let count = self.texts.len();
        if !(1..=MAX_TEXTS).contains(&count) {
            let words = "Input should have 1 to 2048 items, field: 'input'";
            return Err(Refusal::invalid(format!("{words}, value: {count} items")));
        }
        if let Some(empty) = self.texts.iter().position(String::is_empty) {
            let words = "Input should not be empty, field: ";
            return Err(Refusal::invalid(format!("{words}'input[{empty}]'")));
        }
        let window = self.model.context_length;
        let longest = self.texts.iter().map(|text| tokens::count(text)).max().unwrap_or(0);
        if longest > window {
            return Err(Refusal::invalid(format!(
                "The prompt is too long: {longest}, model maximum context length: {window}"
            )));
        }
        Ok(())
    }

    /// Returns the tokens of all texts.
    pub(crate) fn prompt_tokens(&self) -> u32 {
        self.texts.iter().map(|text| tokens::count(text)).sum()
    }

    /// Returns a hash of each text with everything else that decides its vector.
    pub(crate) fn hashes(&self) -> Vec<blake3::Hash> {
        self.texts.iter().map(|text| self.hash(text)).collect()
    }

    fn hash(&self, text: &str) -> blake3::Hash {
        let decisive = [&self.model.name, &self.template, text].map(str::to_owned);
        let shape = format!("{} {}", self.dimensions, self.normalize);
        blake3::hash(json!([decisive, shape]).to_string().as_bytes())
    }

    /// Returns the reply, in the shape of OpenAI's.
    pub(crate) fn reply(&self, script: &ScriptedUsage) -> Value {
        let data: Vec<Value> = (0..)
            .zip(&self.texts)
            .map(|(index, text)| {
                let embedding = self.encoded(&self.vector(text));
                json!({"object": "embedding", "index": index, "embedding": embedding})
            })
            .collect();
        let mut reply = json!({"object": "list", "data": data, "model": self.model.name});
        let tokens = self.prompt_tokens();
        match script {
            ScriptedUsage::Absent => {}
            ScriptedUsage::Given(usage) => reply["usage"] = usage.clone(),
            ScriptedUsage::Counted => {
                reply["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
            }
        }
        reply
    }

    /// Returns the vector of a text. A shorter one is the beginning of the full one.
    fn vector(&self, text: &str) -> Vec<f32> {
        let seed = json!([self.model.name, self.template, text]).to_string();
        let mut bytes = vec![0; self.dimensions * 4];
        blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
        let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes) as f32 / u32::MAX as f32 - 0.5;
        let mut vector: Vec<f32> = bytes.as_chunks().0.iter().map(number).collect();
        if self.normalize {
            let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|number| *number /= length);
        }
        vector
    }

    fn encoded(&self, vector: &[f32]) -> Value {
        if self.base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(base64(&bytes))
        } else {
            json!(vector)
        }
    }
}

fn dimensions(body: &Map<String, Value>, full: u32) -> Result<u32, Refusal> {
    let Some(wanted) = body.get("dimensions").and_then(Value::as_u64) else {
        return Ok(full);
    };
    u32::try_from(wanted).ok().filter(|wanted| *wanted <= full).ok_or_else(|| {
        let words = "Input should be at most the model's dimensions";
        Refusal::invalid(format!("{words} ({full}), field: 'dimensions', value: {wanted}"))
    })
}

/// Encodes bytes in the standard alphabet, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64_with_padding() {
        for (bytes, text) in [
            ("", ""),
            ("a", "YQ=="),
            ("ab", "YWI="),
            ("abc", "YWJj"),
            ("abcd", "YWJjZA=="),
            ("\u{3ff}~?", "z79+Pw=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
