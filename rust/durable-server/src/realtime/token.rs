//! What lets somebody listen: a list of topics, signed, for a minute.
//!
//! A token is a JWT that only this server signs and only this server reads, so there is one header that it may have:
//! no other algorithm can be asked for. Its key is made by chance when the server starts, and is not among those that
//! requests are signed with.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{ACCOUNT, STREAM};
use crate::clock;
use crate::keys::chance_id;
use crate::names::ENVIRONMENT;

const ISSUER: &str = "rt.inngest.com";
/// Within so long it is used, s.
const LIFE_S: u64 = 60;
/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// The most topics of one token, and of one who listens.
pub(super) const MOST_TOPICS: usize = 100;
/// The most bytes of a name.
const MOST_NAME_BYTES: usize = 256;

/// What somebody may listen to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) channel: String,
    pub(crate) name: String,
    #[serde(default = "of_runs")]
    kind: String,
}

/// Signs tokens, and reads its own again.
pub(crate) struct Tokens {
    key: [u8; 32],
}

#[derive(Deserialize, Serialize)]
struct Claims {
    iss: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    env: String,
    topics: Vec<Topic>,
    publish: bool,
}

impl Tokens {
    /// With a new key; `Err`: there is no chance to be had.
    pub(crate) fn new() -> Result<Self, String> {
        let mut key = [0; 32];
        let source = rustls::crypto::ring::default_provider().secure_random;
        source.fill(&mut key).map_err(|_none| "the system gives no random bytes".to_owned())?;
        Ok(Self { key })
    }

    /// A token for these topics.
    pub(crate) fn issue(&self, topics: Vec<Topic>) -> Option<String> {
        self.sign(topics, now_s())
    }

    /// The topics of a token that is this server's and not too old.
    pub(crate) fn read(&self, token: &str) -> Option<Vec<Topic>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(signed)?.verify_slice(&signature).ok()?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let is_fresh = claims.exp > now_s();
        (header == HEADER && claims.iss == ISSUER && is_fresh).then_some(claims.topics)
    }

    fn sign(&self, topics: Vec<Topic>, at_s: u64) -> Option<String> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: ACCOUNT.to_owned(),
            iat: at_s,
            exp: at_s.saturating_add(LIFE_S),
            jti: chance_id().to_string(),
            env: ENVIRONMENT.to_owned(),
            topics,
            publish: false,
        };
        let claims = serde_json::to_vec(&claims).ok()?;
        let signed = format!("{HEADER}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = self.mac(&signed)?.finalize().into_bytes();
        Some(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    fn mac(&self, signed: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(signed.as_bytes());
        Some(mac)
    }
}

/// Never the key.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Topic {
    /// What is copied as it comes on a channel.
    pub(crate) fn stream(channel: &str) -> Self {
        Self { channel: channel.to_owned(), name: STREAM.to_owned(), kind: of_runs() }
    }

    /// Why this list cannot be listened to, in words for whoever asks.
    pub(crate) fn refusal(topics: &[Self]) -> Option<String> {
        if topics.is_empty() || topics.len() > MOST_TOPICS {
            return Some(format!("{} topics: 1 to {MOST_TOPICS} are accepted", topics.len()));
        }
        topics.iter().find_map(|topic| {
            let is_run = topic.kind == of_runs();
            let wrong_kind = || {
                let kind = &topic.kind;
                format!("topics of the kind '{kind}' are not there: ask for \"run\"")
            };
            let wrong_name = name_refusal("channel", &topic.channel);
            let wrong_name = wrong_name.or_else(|| name_refusal("topic", &topic.name));
            wrong_name.or_else(|| (!is_run).then(wrong_kind))
        })
    }
}

/// Why no channel or topic can have this name.
pub(crate) fn name_refusal(what: &str, name: &str) -> Option<String> {
    let is_wrong = name.is_empty() || name.len() > MOST_NAME_BYTES;
    is_wrong.then(|| format!("a {what}'s name has 1 to {MOST_NAME_BYTES} bytes: '{name}'"))
}

fn now_s() -> u64 {
    clock::now().as_millis() / 1000
}

fn of_runs() -> String {
    "run".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Vec<Topic> {
        serde_json::from_str(r#"[{"channel":"c","name":"t"}]"#).unwrap()
    }

    fn encoded(text: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_token_says_what_it_lets_listen_to_for_a_minute() {
        let tokens = Tokens::new().unwrap();
        let token = tokens.issue(topics()).unwrap();
        assert_eq!(tokens.read(&token), Some(topics()));
        let payload = token.split('.').nth(1).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], "rt.inngest.com");
        let (issued, ends) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert_eq!(ends, issued + 60);
        assert_eq!(claims["topics"][0]["kind"], "run");
        assert_eq!(tokens.read(&tokens.sign(topics(), now_s() - 59).unwrap()), Some(topics()));
        assert_eq!(tokens.read(&tokens.sign(topics(), now_s() - 60).unwrap()), None, "too old");
    }

    #[test]
    fn nothing_that_another_has_made_is_a_token() {
        let tokens = Tokens::new().unwrap();
        let token = tokens.issue(topics()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let none = encoded(r#"{"alg":"none","typ":"JWT"}"#);
        let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let others = String::from_utf8(claims).unwrap().replace("\"t\"", "\"*\"");
        let wrong = [
            String::new(),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], encoded(&others), parts[2]),
            format!("{token}="),
            format!("{token}.{}", parts[2]),
            Tokens::new().unwrap().issue(topics()).unwrap(),
        ];
        for token in wrong {
            assert_eq!(tokens.read(&token), None, "{token}");
        }
        assert!(!format!("{tokens:?}").contains("key"));
    }

    /// Signed with the right key, and still not what this server issues.
    #[test]
    fn no_other_algorithm_can_be_asked_for() {
        let tokens = Tokens::new().unwrap();
        let token = tokens.issue(topics()).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let signed = format!("{}.{payload}", encoded(r#"{"alg":"HS512","typ":"JWT"}"#));
        let signature = tokens.mac(&signed).unwrap().finalize().into_bytes();
        let token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(tokens.read(&token), None);
    }

    #[test]
    fn topics_have_names_and_are_not_too_many() {
        let of = |json: &str| serde_json::from_str::<Vec<Topic>>(json).unwrap();
        assert_eq!(Topic::refusal(&topics()), None);
        for (wrong, word) in [
            (Vec::new(), "0 topics"),
            (vec![topics()[0].clone(); 101], "101 topics"),
            (of(r#"[{"channel":"","name":"t"}]"#), "channel"),
            (of(r#"[{"channel":"c","name":""}]"#), "topic"),
            (of(r#"[{"channel":"c","name":"t","kind":"event"}]"#), "'event'"),
        ] {
            assert!(Topic::refusal(&wrong).is_some_and(|why| why.contains(word)), "{word}");
        }
    }
}
