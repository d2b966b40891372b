//! What an application says of its functions, in the engine's own words.

mod flow;
mod json;

use std::collections::BTreeMap;

use durable_core::{Backoff, CatchUp, CronTrigger, FunctionSpec, Policies};
use serde_json::Value;

use crate::length::length_ms;
use crate::names::event_from_sdk;
use json::Fields;

pub(crate) use json::has_too_many_values;

/// An application and all of its functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Its name.
    pub(crate) app: String,
    /// Where it is.
    pub(crate) url: String,
    /// All that it has.
    pub(crate) functions: Vec<FunctionSpec>,
}

/// Tries beyond the first where an application does not say.
const RETRIES: u64 = 4;

/// Reads the body of a registration; `Err` says what is wrong, and where.
pub(crate) fn read(body: &[u8], backoff: &Backoff) -> Result<Registration, String> {
    if has_too_many_values(body) {
        return Err("it has more values than are read: say less of each function".to_owned());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    let fields = Fields::of(&value, "the registration")?;
    let app =
        fields.text("appname")?.ok_or("it has no appName: the id of the application's client")?;
    let url = fields.text("url")?.ok_or("it has no url: where the application is")?;
    let functions = fields.list("functions")?;
    let read = |one: &Value| function(one, app, backoff);
    Ok(Registration {
        app: app.to_owned(),
        url: url.to_owned(),
        functions: functions.iter().map(read).collect::<Result<_, _>>()?,
    })
}

fn function(value: &Value, app: &str, backoff: &Backoff) -> Result<FunctionSpec, String> {
    let fields = Fields::of(value, "a function")?;
    let id = fields.text("id")?.filter(|id| !id.is_empty()).ok_or("a function has no id")?;
    let within = |why: String| format!("function '{id}': {why}");
    let (endpoint, retries) = step(&fields).map_err(within)?;
    let (triggers, crons, conditions) = triggers(&fields).map_err(within)?;
    let policies = Policies { conditions, ..flow::policies(&fields).map_err(within)? };
    Ok(FunctionSpec {
        triggers,
        crons,
        retries,
        backoff: backoff.clone(),
        policies,
        endpoint: Some(endpoint),
        ..FunctionSpec::new(app, id)
    })
}

/// Where it is called, and how often it is tried again.
fn step(fields: &Fields<'_>) -> Result<(String, u8), String> {
    let steps =
        fields.object("steps")?.ok_or("it has no steps, so nobody knows where it is called")?;
    let step = steps.first().ok_or("its steps are empty")?;
    let runtime = step.object("runtime")?.ok_or("its step has no runtime")?;
    let url = runtime.text("url")?.ok_or("its runtime has no url")?;
    let attempts = match step.object("retries")? {
        Some(retries) => retries.number("attempts")?.unwrap_or(RETRIES),
        None => RETRIES,
    };
    let most = u64::from(FunctionSpec::MAX_RETRIES);
    let retries = u8::try_from(attempts).ok().filter(|_| attempts <= most);
    let retries = retries.ok_or_else(|| format!("retries is {attempts}; it may be 0 to {most}"))?;
    Ok((url.to_owned(), retries))
}

type Triggers = (Vec<String>, Vec<CronTrigger>, BTreeMap<String, String>);

fn triggers(fields: &Fields<'_>) -> Result<Triggers, String> {
    let mut found = Triggers::default();
    for value in fields.list("triggers")? {
        let trigger = Fields::of(value, "a trigger")?;
        if let Some(event) = trigger.text("event")? {
            let event = event_from_sdk(event).into_owned();
            let condition = trigger.text("expression")?.filter(|text| !text.is_empty());
            if found.0.contains(&event) {
                either(&mut found.2, event, condition);
                continue;
            }
            if let Some(condition) = condition {
                found.2.insert(event.clone(), condition.to_owned());
            }
            found.0.push(event);
        } else if let Some(text) = trigger.text("cron")? {
            found.1.push(cron(text, trigger.text("jitter")?)?);
        } else {
            return Err("a trigger has neither event nor cron".to_owned());
        }
    }
    Ok(found)
}

/// Where a function has several triggers of one event, each lets through what it would by itself.
fn either(conditions: &mut BTreeMap<String, String>, event: String, condition: Option<&str>) {
    let Some(before) = conditions.remove(&event) else { return }; // that one lets all through
    if let Some(condition) = condition {
        conditions.insert(event, format!("({before}) || ({condition})"));
    }
}

/// A cron, with its time zone in front: `TZ=Europe/Paris 0 9 * * *`.
fn cron(text: &str, jitter: Option<&str>) -> Result<CronTrigger, String> {
    let (tz, text) = match text.trim().strip_prefix("TZ=").and_then(|rest| rest.split_once(' ')) {
        Some((tz, rest)) => (tz, rest.trim()),
        None => ("UTC", text.trim()),
    };
    let jitter_ms = match jitter.filter(|jitter| !jitter.is_empty()) {
        Some(jitter) => length_ms(jitter)
            .ok_or_else(|| format!("cron '{text}': its jitter '{jitter}' is no length of time"))?,
        None => 0,
    };
    let catch_up = CatchUp::default();
    Ok(CronTrigger { text: text.to_owned(), tz: tz.to_owned(), jitter_ms, catch_up })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_triggers_of_one_event_let_through_what_each_would() {
        let read = |list: &str| {
            let value = serde_json::from_str(&format!(r#"{{"triggers":{list}}}"#)).unwrap();
            triggers(&Fields::of(&value, "a function").unwrap()).unwrap()
        };
        let both = read(r#"[{"event":"a","expression":"x"},{"event":"a","expression":"y"}]"#);
        assert_eq!((both.0.len(), both.2["a"].as_str()), (1, "(x) || (y)"));
        for all in [
            r#"[{"event":"a","expression":"x"},{"event":"a"}]"#,
            r#"[{"event":"a"},{"event":"a","expression":"x"}]"#,
        ] {
            assert!(read(all).2.is_empty(), "{all}");
        }
    }

    /// As the TypeScript SDK 4.24 sends it.
    const SEEN: &[u8] = br#"{"url":"http://127.0.0.1:9789/api/inngest","deployType":"ping","framework":"nodejs",
        "appName":"tscap","functions":[{"id":"tscap-seq","name":"seq",
        "triggers":[{"event":"ts/seq"},{"cron":"TZ=Europe/Paris 0 9 * * *","jitter":"2s"},
            {"event":"inngest/function.failed","expression":"event.data.function_id == 'x'"}],
        "steps":{"step":{"id":"step","name":"step","runtime":{"type":"http",
            "url":"http://127.0.0.1:9789/api/inngest?fnId=tscap-seq&stepId=step"},"retries":{"attempts":1}}}}],
        "sdk":"js:v4.24.0","v":"0.1","appVersion":null}"#;

    #[test]
    fn what_an_sdk_sends_is_understood() {
        let read = read(SEEN, &Backoff::default()).unwrap();
        assert_eq!((read.app.as_str(), read.functions.len()), ("tscap", 1));
        let seq = &read.functions[0];
        assert_eq!(seq.name, "tscap-seq");
        assert_eq!(seq.triggers, ["ts/seq", "durable/function.failed"]);
        assert_eq!(
            seq.policies.conditions["durable/function.failed"],
            "event.data.function_id == 'x'"
        );
        assert_eq!((seq.crons[0].tz.as_str(), seq.crons[0].jitter_ms), ("Europe/Paris", 2_000));
        assert_eq!(seq.crons[0].text, "0 9 * * *");
        assert_eq!(seq.retries, 1);
        let url = "http://127.0.0.1:9789/api/inngest?fnId=tscap-seq&stepId=step";
        assert_eq!(seq.endpoint.as_deref(), Some(url));
    }

    #[test]
    fn names_are_read_in_any_letter_case_as_the_reference_does() {
        let text = String::from_utf8_lossy(SEEN).replace("appName", "appname");
        let text = text.replace(r#","retries":{"attempts":1}"#, "");
        let read = read(text.as_bytes(), &Backoff::default()).unwrap();
        assert_eq!((read.app.as_str(), read.functions[0].retries), ("tscap", 4));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = |from: &str, to: &str| {
            let text = String::from_utf8_lossy(SEEN).replace(from, to);
            read(text.as_bytes(), &Backoff::default()).unwrap_err()
        };
        assert!(
            wrong(r#""attempts":1"#, r#""attempts":21"#).contains("'tscap-seq': retries is 21")
        );
        assert!(wrong(r#""event":"ts/seq""#, r#""x":1"#).contains("neither event nor cron"));
        assert!(wrong(r#""2s""#, r#""soon""#).contains("'soon' is no length"));
        assert!(wrong(r#""appName""#, r#""app""#).contains("appName"));
        assert!(wrong("{\"url\"", "[{\"url\"").contains("JSON"));
    }
}
