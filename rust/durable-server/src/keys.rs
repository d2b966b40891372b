//! Keys: what requests are signed with, and who may come in.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use rustls::crypto::SecureRandom;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock;
use crate::names::hex;

/// How old a signature may be, and how far ahead, s.
const TOLERANCE_S: u64 = 300;
/// How long a ticket holds, s.
const TICKET_S: u64 = 3600;

/// What a server's keys are kept as.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    /// Signing keys without their prefix, the first first.
    signing: Vec<String>,
    /// What opens the API with them: hashes, never the keys.
    bearers: Vec<[u8; 32]>,
    /// Event keys, hashed.
    events: Vec<[u8; 32]>,
}

/// Never the keys.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(signing: &[String], events: &[String]) -> Self {
        let bare: Vec<String> = signing.iter().map(|key| without_prefix(key).to_owned()).collect();
        let ways = |(key, bare): (&String, &String)| {
            let decoded = decode(bare).unwrap_or_default();
            let hashed = hex(&Sha256::digest(decoded));
            let prefix = key.strip_suffix(bare.as_str()).unwrap_or_default();
            [key.clone(), bare.clone(), format!("{prefix}{hashed}"), hashed]
        };
        let bearers = signing.iter().zip(&bare).flat_map(ways).map(|text| digest(&text)).collect();
        Self { signing: bare, bearers, events: events.iter().map(|key| digest(key)).collect() }
    }

    /// Why this cannot be a signing key.
    pub(crate) fn refusal(key: &str) -> Option<String> {
        let is_hex = decode(without_prefix(key)).is_some_and(|bytes| !bytes.is_empty());
        (!is_hex).then(|| {
            "a signing key is an even number of hexadecimal digits, behind signkey-ENV- if you like: make one with \
             `openssl rand -hex 32`"
                .to_owned()
        })
    }

    /// Whether events may be sent with this key.
    pub(crate) fn lets_send(&self, key: &str) -> bool {
        self.events.is_empty() || is_among(&self.events, key)
    }

    /// Whether what is not the event API may be asked with this `Authorization`.
    pub(crate) fn lets_ask(&self, authorization: Option<&str>) -> bool {
        if self.bearers.is_empty() {
            return true; // whatever it says: SDKs in dev mode send all kinds of it
        }
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| is_among(&self.bearers, token.trim()))
    }

    /// Whether there is a key to sign with.
    pub(crate) fn can_sign(&self) -> bool {
        !self.signing.is_empty()
    }

    /// The header that signs a body, in its canonical form where it is JSON.
    pub(crate) fn sign(&self, canonical: &[u8]) -> Option<String> {
        let at = now_s();
        let signature = hex(&mac(self.signing.first()?, canonical, &at.to_string())?);
        Some(format!("t={at}&s={signature}"))
    }

    /// What lets its bearer ask for this and nothing else, for an hour: no text that an address cannot have.
    pub(crate) fn ticket(&self, what: &str) -> String {
        let until = now_s().saturating_add(TICKET_S);
        format!("{until}.{}", self.ticket_mac(what, until).map(|mac| hex(&mac)).unwrap_or_default())
    }

    /// Whether this is such a ticket, and still holds.
    pub(crate) fn is_ticket(&self, what: &str, ticket: &str) -> bool {
        let Some((until, mac)) = ticket.split_once('.') else { return false };
        let Some((until, mac)) = until.parse().ok().zip(decode(mac)) else { return false };
        let own = self.ticket_mac(what, until);
        until >= now_s() && own.is_some_and(|own| bool::from(own.as_slice().ct_eq(&mac)))
    }

    /// Without a key whoever reaches the server may ask for anything.
    fn ticket_mac(&self, what: &str, until: u64) -> Option<Vec<u8>> {
        let key = self.signing.first().map_or("", String::as_str);
        mac(key, format!("ticket {what} ").as_bytes(), &until.to_string())
    }

    /// Whether whoever answered has one of the keys and has just signed this body.
    pub(crate) fn is_signed(&self, body: &[u8], header: Option<&str>) -> bool {
        if !self.can_sign() {
            return true;
        }
        let Some((at, signature)) = header.and_then(parts_of) else { return false };
        let is_fresh = at.parse::<u64>().is_ok_and(|at| now_s().abs_diff(at) <= TOLERANCE_S);
        let is_by = |key: &String| {
            let own = mac(key, body, at).map(|own| hex(&own));
            own.is_some_and(|own| bool::from(own.as_bytes().ct_eq(signature.as_bytes())))
        };
        is_fresh && self.signing.iter().any(is_by)
    }
}

/// All of them are looked at: how long it takes says nothing.
fn is_among(known: &[[u8; 32]], text: &str) -> bool {
    let given = digest(text);
    let found = known.iter().fold(0_u8, |found, one| found | one.ct_eq(&given).unwrap_u8());
    found == 1
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn mac(key: &str, body: &[u8], at: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(body);
    mac.update(at.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

/// The moment and the signature of a header in the one form that there is: what can be written in two ways is read in two.
fn parts_of(header: &str) -> Option<(&str, &str)> {
    let (at, signature) = header.strip_prefix("t=")?.split_once("&s=")?;
    let is_number = !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((at, signature))
}

fn without_prefix(key: &str) -> &str {
    let behind = key.strip_prefix("signkey-").and_then(|rest| rest.split_once('-'));
    behind.map_or(key, |(_, bare)| bare)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(high)? << 4) | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// An id that nobody guesses: the first ones of a second sort before those of the next.
pub(crate) fn chance_id() -> ulid::Ulid {
    ulid::Ulid::from_parts(now_s().saturating_mul(1000), chance())
}

/// Bits that nobody guesses.
pub(crate) fn chance() -> u128 {
    static SOURCE: LazyLock<&dyn SecureRandom> =
        LazyLock::new(|| rustls::crypto::ring::default_provider().secure_random);
    let mut bytes = [0; 16];
    if SOURCE.fill(&mut bytes).is_err() {
        // A system without chance has other cares: each hasher has keys of its own.
        let half = || RandomState::new().build_hasher().finish();
        return (u128::from(half()) << 64) | u128::from(half());
    }
    u128::from_ne_bytes(bytes)
}

fn now_s() -> u64 {
    clock::now().as_millis() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "signkey-test-00ff10";

    #[test]
    fn a_key_opens_as_it_is_and_hashed() {
        let keys = Keys::new(&[KEY.to_owned()], &["e1".to_owned()]);
        let hashed = hex(&Sha256::digest([0x00, 0xff, 0x10]));
        for token in [KEY, "00ff10", hashed.as_str(), &format!("signkey-test-{hashed}")] {
            assert!(keys.lets_ask(Some(&format!("Bearer {token}"))), "{token}");
        }
        for wrong in [None, Some("Bearer "), Some("Bearer 00ff11"), Some(KEY)] {
            assert!(!keys.lets_ask(wrong), "{wrong:?}");
        }
        assert!(keys.lets_send("e1") && !keys.lets_send("e2"));
        let open = Keys::new(&[], &[]);
        assert!(
            open.lets_ask(Some("Bearer undefined")) && open.lets_ask(None) && open.lets_send("any")
        );
    }

    #[test]
    fn a_signature_holds_for_its_body_and_its_moment() {
        let keys = Keys::new(&[KEY.to_owned()], &[]);
        let header = keys.sign(b"{}").unwrap();
        assert!(keys.is_signed(b"{}", Some(&header)));
        assert!(!keys.is_signed(b"[]", Some(&header)));
        assert!(!keys.is_signed(b"{}", None));
        let (at, signature) = parts_of(&header).unwrap();
        for other in [
            format!("s={signature}&t={at}"),
            format!("t=+{at}&s={signature}"),
            format!("{header}&x=1"),
            format!("t=1&{header}"),
            format!("t={at}&s={}", signature.to_uppercase()),
        ] {
            assert!(!keys.is_signed(b"{}", Some(&other)), "{other}");
        }
        let old = now_s() - TOLERANCE_S - 1;
        let late = hex(&mac("00ff10", b"{}", &old.to_string()).unwrap());
        assert!(!keys.is_signed(b"{}", Some(&format!("t={old}&s={late}"))));
        let rotated = Keys::new(&["signkey-test-aa".to_owned(), KEY.to_owned()], &[]);
        assert!(rotated.is_signed(b"{}", Some(&header)), "by the key of before");
    }

    #[test]
    fn a_ticket_is_for_one_thing_and_an_hour() {
        let keys = Keys::new(&[KEY.to_owned()], &[]);
        let ticket = keys.ticket("run");
        assert!(keys.is_ticket("run", &ticket));
        let other = Keys::new(&["signkey-test-aa".to_owned()], &[]);
        assert!(!keys.is_ticket("other", &ticket) && !other.is_ticket("run", &ticket));
        let (until, mac) = ticket.split_once('.').unwrap();
        let later = until.parse::<u64>().unwrap() + 1;
        for wrong in ["", ".", until, &format!("{later}.{mac}"), &format!("{until}.")] {
            assert!(!keys.is_ticket("run", wrong), "{wrong}");
        }
        let past = now_s() - 1;
        let old = hex(&keys.ticket_mac("run", past).unwrap());
        assert!(!keys.is_ticket("run", &format!("{past}.{old}")));
    }

    #[test]
    fn a_signing_key_is_hexadecimal() {
        assert_eq!(Keys::refusal(KEY), None);
        assert!(Keys::refusal("signkey-test-").is_some() && Keys::refusal("secret").is_some());
    }
}
