//! Names on both sides: a step's id and its hash, the engine's own events and the SDKs' names for them.

use std::borrow::Cow;
use std::fmt::Write as _;

use durable_core::{FunctionRecord, FunctionSpec};
use sha1::{Digest, Sha1};

/// What the engine's own events begin with, here and there.
const OURS: &str = "durable/";
const THEIRS: &str = "inngest/";
/// Events that begin runs of durable endpoints: behind it the function.
pub(crate) const HTTP_REQUEST: &str = "http.request/";
/// There is one environment only.
pub(crate) const ENVIRONMENT: &str = "00000000-0000-4000-b000-000000000000";
/// A step's id is looked for up to so many uses of it.
const MOST_USES: u32 = 100;

/// The 40 hexadecimal digits that stand for a step's id.
pub(crate) fn hash_of(id: &str) -> String {
    hex(&Sha1::digest(id.as_bytes()))
}

/// The step's hash, whose name the engine has.
pub(crate) fn hash_of_step(name: &str) -> Cow<'_, str> {
    if is_hash(name) { Cow::Borrowed(name) } else { Cow::Owned(hash_of(name)) }
}

/// The name that the engine gives a step with this hash: its id as the user wrote it, with its counter from the second
/// use on, where one of these is it; else the hash itself.
pub(crate) fn name_of_step(hash: &str, ids: &[&str]) -> String {
    let mut written = String::new();
    for id in ids.iter().copied().filter(|id| !id.is_empty() && !is_hash(id)) {
        if hash_of(id) == hash {
            return id.to_owned();
        }
        for use_of_it in 1..MOST_USES {
            written.clear();
            // Writing into a text always succeeds.
            let _written = write!(written, "{id}:{use_of_it}").is_ok();
            if hash_of(&written) == hash {
                return written;
            }
        }
    }
    hash.to_owned()
}

fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 40 && text.bytes().all(is_digit)
}

/// A name that is always the same for the same text, in the form of a UUID.
pub(crate) fn uuid_of(text: &str) -> String {
    let digits = hash_of(text);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-5{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// What SDKs know an application by.
pub(crate) fn app_id(app: &str) -> String {
    uuid_of(&format!("app {app}"))
}

/// What its own application calls a function: SDKs put the application's name in front.
pub(crate) fn own_id(spec: &FunctionSpec) -> &str {
    let behind = spec.name.strip_prefix(spec.app.as_str()).and_then(|rest| rest.strip_prefix('-'));
    behind.filter(|id| !id.is_empty()).unwrap_or(&spec.name)
}

/// Whether a function is meant by this: its own id, the one with its application's name in front, or the UUID.
pub(crate) fn is_named(spec: &FunctionSpec, name: &str) -> bool {
    name == spec.name || name == own_id(spec) || name == uuid_of(&spec.name)
}

/// The function that an application calls so.
pub(crate) fn function_of<'a>(
    functions: &'a [FunctionRecord],
    app: &str,
    name: &str,
) -> Option<&'a FunctionRecord> {
    let of = || functions.iter().filter(|record| record.spec.app == app);
    let is_whole = |record: &&FunctionRecord| record.spec.name == name;
    of().find(is_whole).or_else(|| of().find(|record| is_named(&record.spec, name)))
}

/// An event's name as the engine has it.
pub(crate) fn event_from_sdk(name: &str) -> Cow<'_, str> {
    match name.strip_prefix(THEIRS) {
        Some(rest) => Cow::Owned(format!("{OURS}{rest}")),
        None => Cow::Borrowed(name),
    }
}

/// An event's name as SDKs have it.
pub(crate) fn event_for_sdk(name: &str) -> Cow<'_, str> {
    match name.strip_prefix(OURS) {
        Some(rest) => Cow::Owned(format!("{THEIRS}{rest}")),
        None if begins_endpoint(name) => Cow::Borrowed("inngest/http.request"),
        None => Cow::Borrowed(name),
    }
}

/// Whether an event of this name begins runs of durable endpoints.
pub(crate) fn begins_endpoint(event: &str) -> bool {
    event.starts_with(HTTP_REQUEST)
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _written = write!(text, "{byte:02x}").is_ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_as_its_author_did() {
        assert_eq!(hash_of("a"), "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        let hashes = ["a", "a:1", "a:7", "other"].map(hash_of);
        let names = hashes.each_ref().map(|hash| name_of_step(hash, &["shown", "a"]));
        assert_eq!(names, ["a".to_owned(), "a:1".to_owned(), "a:7".to_owned(), hashes[3].clone()]);
        for (name, hash) in names.iter().zip(&hashes) {
            assert_eq!(hash_of_step(name), *hash);
        }
    }

    #[test]
    fn an_id_that_looks_like_a_hash_is_not_taken_for_one() {
        let id = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
        let hash = hash_of(id);
        assert_eq!(hash_of_step(&name_of_step(&hash, &[id])), hash);
    }

    #[test]
    fn an_application_has_the_same_id_always() {
        assert_eq!(app_id("shop"), "6fd1889e-2688-5ce2-a615-403d973d1e62");
    }

    #[test]
    fn a_function_is_found_by_each_of_its_names() {
        let all = ["shop-f", "f", "shop-shop-f"]
            .map(|name| FunctionRecord::new(FunctionSpec::new("shop", name)));
        let found = |app: &str, name: &str| {
            function_of(&all, app, name).map(|record| record.spec.name.clone())
        };
        assert_eq!(found("shop", "shop-f").as_deref(), Some("shop-f"));
        assert_eq!(found("shop", "f").as_deref(), Some("f"));
        assert_eq!(found("shop", &uuid_of("shop-shop-f")).as_deref(), Some("shop-shop-f"));
        assert_eq!((found("shop", "g"), found("other", "f")), (None, None));
        assert_eq!(own_id(&all[0].spec), "f");
    }

    #[test]
    fn the_engines_events_have_a_name_on_each_side() {
        assert_eq!(event_from_sdk("inngest/function.failed"), "durable/function.failed");
        assert_eq!(event_for_sdk("durable/function.failed"), "inngest/function.failed");
        assert_eq!(event_for_sdk(&event_from_sdk("shop/order")), "shop/order");
    }
}
