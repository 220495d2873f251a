//! The operator's callers file: its format and its validation. Every problem is
//! reported at once; no message quotes a token.

use std::{collections::HashSet, fmt};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::{Caller, Digest, Directory, MAX_TOKEN_BYTES, digest};
use crate::{file_watcher::Contents, secrets::Grant};

/// Shorter tokens are guessable.
const MIN_TOKEN_BYTES: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallersFile {
    callers: Vec<CallerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerEntry {
    name: String,
    tenant: Option<String>,
    #[serde(default)]
    tokens: Vec<Token>,
    #[serde(default)]
    tokens_sha256: Vec<String>,
    #[serde(default)]
    certificates: Vec<String>,
    #[serde(default)]
    secrets: SecretNames,
}

/// A token in plain text, zeroed when dropped.
struct Token(Zeroizing<String>);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
        String::deserialize(deserializer).map(|text| Token(Zeroizing::new(text)))
    }
}

/// `"*"` for every secret, or a list of secret names.
#[derive(Default)]
struct SecretNames(Grant);

/// Parses a callers file.
///
/// # Errors
///
/// Returns every problem of the file in one message.
pub(super) fn parse(contents: &[Contents]) -> Result<Directory, String> {
    // The parser's own message is dropped: it may quote a token.
    let file: CallersFile = serde_json::from_slice(&contents[0]).map_err(|error| {
        format!(
            "the callers file is not valid at line {}, column {}: {{\"callers\": \
             [{{\"name\", \"tenant\", \"tokens\", \"tokens_sha256\", \"certificates\", \
             \"secrets\"}}]}}, of which only \"name\" must be there",
            error.line(),
            error.column()
        )
    })?;
    let mut reading = CallersReader::default();
    for entry in file.callers {
        reading.entry(entry);
    }
    reading.close()
}

#[derive(Default)]
struct CallersReader {
    directory: Directory,
    names: HashSet<String>,
    problems: Vec<String>,
}

impl CallersReader {
    fn entry(&mut self, entry: CallerEntry) {
        let owner = self.directory.callers.len();
        let CallerEntry { name, tenant, tokens, tokens_sha256, certificates, secrets } = entry;
        if name.is_empty() || !self.names.insert(name.clone()) {
            self.problem(&name, "is empty or named twice");
        }
        if tenant.as_ref().is_some_and(String::is_empty) {
            self.problem(&name, "has an empty tenant: leave it out");
        }
        if tokens.is_empty() && tokens_sha256.is_empty() && certificates.is_empty() {
            self.problem(&name, "has no token and no certificate to be known by");
        }
        for Token(text) in tokens {
            self.token(&name, owner, &text);
        }
        for text in tokens_sha256 {
            match hexadecimal(&text) {
                Some(digest) => self.digest(&name, owner, digest),
                None => self.problem(&name, "has a tokens_sha256 that is not 64 hex digits"),
            }
        }
        for certificate in certificates {
            self.certificate(&name, owner, certificate);
        }
        self.directory.callers.push(Caller { name: Some(name), tenant, secrets: secrets.0 });
    }

    fn token(&mut self, name: &str, owner: usize, text: &str) {
        let fits = (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&text.len());
        // The token must survive the trip through a header unchanged.
        let can_be_sent = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits && can_be_sent && text.trim_ascii() == text {
            self.digest(name, owner, digest(text.as_bytes()));
        } else {
            self.problem(
                name,
                "has a token that is not 16 to 4096 characters of printable ASCII, such as from \
                 `openssl rand -base64 32`",
            );
        }
    }

    fn digest(&mut self, name: &str, owner: usize, digest: Digest) {
        if self.directory.tokens.insert(digest, owner).is_some() {
            self.problem(name, "has a token that is there twice");
        }
    }

    fn certificate(&mut self, name: &str, owner: usize, certificate: String) {
        // URIs are case-sensitive. DNS names are not, and contain no colon.
        let certificate = if certificate.contains(':') {
            certificate
        } else if certificate.is_empty() || certificate.contains('/') {
            return self.problem(name, "has a certificate name that is neither a URI nor DNS");
        } else {
            certificate.to_ascii_lowercase()
        };
        if self.directory.certificates.insert(certificate, owner).is_some() {
            self.problem(name, "has a certificate name that is there twice");
        }
    }

    fn problem(&mut self, name: &str, problem: &str) {
        self.problems.push(format!("the caller {name:?} of the callers file {problem}"));
    }

    /// Finishes the parse. An empty list is legal: then nobody may call.
    fn close(self) -> Result<Directory, String> {
        if self.problems.is_empty() { Ok(self.directory) } else { Err(self.problems.join("; ")) }
    }
}

fn hexadecimal(text: &str) -> Option<Digest> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = Digest::default();
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

impl<'de> Deserialize<'de> for SecretNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretNames, D::Error> {
        deserializer.deserialize_any(SecretsVisitor)
    }
}

struct SecretsVisitor;

impl<'de> de::Visitor<'de> for SecretsVisitor {
    type Value = SecretNames;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"*\" or a list of names")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretNames, E> {
        match text {
            "*" => Ok(SecretNames(Grant::Every)),
            _ => Err(E::custom("neither \"*\" nor a list")),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<SecretNames, A::Error> {
        let mut granted = Vec::new();
        while let Some(name) = names.next_element::<String>()? {
            granted.push(name);
        }
        Ok(SecretNames(Grant::Named(granted.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn problem(text: &str) -> String {
        parse(&[text.as_bytes().to_vec().into()]).expect_err("wrong")
    }

    #[test]
    fn every_problem_is_reported_at_once_without_any_token() {
        let problem = problem(
            r#"{"callers": [
                {"name": "a", "tokens": ["canary"]},
                {"name": "a", "tokens_sha256": ["canary"], "tenant": ""},
                {"name": "b"},
                {"name": "c", "certificates": ["X.y"], "tokens": ["0123456789abcdef"]},
                {"name": "d", "certificates": ["x.Y"], "tokens": ["0123456789abcdef"]}
            ]}"#,
        );
        for word in ["4096", "twice", "64 hex", "tenant", "no token", "certificate name"] {
            assert!(problem.contains(word), "{word} is missing in: {problem}");
        }
        assert!(!problem.contains("canary") && !problem.contains("0123456789abcdef"));
    }

    #[test]
    fn a_file_of_another_format_is_refused_without_quoting_it() {
        for text in [
            "",
            "[]",
            r#"{"callers": [{"name": "a", "tokens": "canary"}]}"#,
            r#"{"callers": [{"name": "a", "secrets": "canary"}]}"#,
            r#"{"callers": [{"name": "a", "token": "canary"}]}"#,
        ] {
            let problem = problem(text);
            assert!(problem.contains("line") && !problem.contains("canary"), "{problem}");
        }
    }

    #[test]
    fn an_empty_list_is_legal_and_means_nobody() {
        let directory = parse(&[br#"{"callers": []}"#.to_vec().into()]).expect("legal");
        assert_eq!(directory.by_token(b"a token of the flows"), None);
    }

    #[test]
    fn certificate_names_are_uris_or_dns_names() {
        let problem = problem(
            r#"{"callers": [{"name": "a", "certificates": ["ns/a/sa/b"]},
                {"name": "b", "certificates": [""]}]}"#,
        );
        assert_eq!(problem.matches("neither a URI nor DNS").count(), 2, "{problem}");
    }

    #[test]
    fn fifty_thousand_callers_are_read_and_found_quickly() {
        let entries: Vec<String> = (0..50_000)
            .map(|n| {
                let digest: String = super::digest(format!("a token of caller {n}").as_bytes())
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                format!(
                    r#"{{"name": "c{n}", "tenant": "t{n}", "tokens_sha256": ["{digest}"],
                        "certificates": ["spiffe://cluster.local/ns/{n}"]}}"#
                )
            })
            .collect();
        let text = format!(r#"{{"callers": [{}]}}"#, entries.join(","));
        let began = std::time::Instant::now();
        let directory = parse(&[text.into_bytes().into()]).expect("callers");
        let read = began.elapsed();
        let began = std::time::Instant::now();
        for n in (0..50_000).step_by(50) {
            let caller = directory.by_token(format!("a token of caller {n}").as_bytes());
            assert_eq!(caller.and_then(|caller| caller.name.clone()), Some(format!("c{n}")));
        }
        // Linear in the number of callers: no caller is compared with all the
        // others.
        assert!(read < Duration::from_secs(10) && began.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_token_may_be_given_by_its_hash_alone() {
        // printf 'a token of the flows' | sha256sum
        let text = r#"{"callers": [{"name": "a", "tokens_sha256":
            ["BF97C4FF62d0ab2a946d156237f58acc77530cdd24388c8867e2828e60ccdd4f"]}]}"#;
        let directory = parse(&[text.as_bytes().to_vec().into()]).expect("callers");
        let caller = directory.by_token(b"a token of the flows").expect("known");
        assert_eq!(caller.secrets, Grant::Named([].into()));
    }
}
