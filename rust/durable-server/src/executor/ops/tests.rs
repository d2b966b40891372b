//! What follows from each reply.

use std::time::Duration;

use durable_core::{Epoch, ExecutorId, FunctionId, RunId, Timestamp};

use super::*;

/// A call of the code between steps.
pub(crate) fn discovery() -> Offer {
    Offer {
        executor: ExecutorId(1),
        run: RunId::default(),
        epoch: Epoch(1),
        function: FunctionId(0),
        step: None,
        attempt: 0,
        failure_count: 0,
        step_attempt: 0,
        memo_count: 0,
        events: Vec::new(),
        memos: Vec::new(),
        pending: Vec::new(),
    }
}

fn said(status: u16, body: &str) -> Reply {
    Reply { status, is_sdk: true, body: Bytes::from(body.to_owned()), ..Reply::default() }
}

fn planned(status: u16, body: &str) -> Plan {
    plan(&discovery(), Ok(said(status, body)), 0)
}

/// `sha1("a")`
const A: &str = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";

fn one(rest: &str) -> Op {
    let body = format!(r#"[{{"id":"{A}","displayName":"a",{rest}}}]"#);
    let plan = planned(206, &body);
    assert!(!plan.waits_for_all);
    plan.ops.into_iter().next().unwrap()
}

#[test]
fn what_a_function_returned_is_kept_as_it_is() {
    let plan = planned(200, "{\"b\": 1.50}");
    assert_eq!(plan.ops, [Op::RunComplete { data: Bytes::from_static(b"{\"b\": 1.50}") }]);
    assert!(plan.is_over());
}

#[test]
fn each_op_has_its_counterpart() {
    let name = || "a".to_owned();
    assert_eq!(
        one(r#""op":"StepRun","data":[1]"#),
        Op::StepRun { name: name(), data: Bytes::from_static(b"[1]") }
    );
    assert_eq!(
        one(r#""op":"StepRun""#),
        Op::StepRun { name: name(), data: Bytes::from_static(b"null") }
    );
    assert_eq!(one(r#""op":"StepPlanned","opts":null"#), Op::StepPlanned { name: name() });
    let until = Until::For(Duration::from_secs(1));
    assert_eq!(one(r#""op":"Sleep","opts":{},"name":"1s""#), Op::Sleep { name: name(), until });
    let until = Until::At(Timestamp::from_millis(1_000_000_000_000));
    let sleep = one(r#""op":"Sleep","name":"2001-09-09T01:46:40Z""#);
    assert_eq!(sleep, Op::Sleep { name: name(), until });
    let wait = one(
        r#""op":"WaitForEvent","opts":{"event":"inngest/function.failed","timeout":"1d","if":"a == b"}"#,
    );
    let Op::WaitForEvent { event, expression, until, .. } = wait else { panic!("{wait:?}") };
    assert_eq!(
        (event.as_str(), expression.as_deref()),
        ("durable/function.failed", Some("a == b"))
    );
    assert_eq!(until, Until::For(Duration::from_hours(24)));
    let wait =
        one(r#""op":"WaitForSignal","opts":{"signal":"s","timeout":"1s","conflict":"replace"}"#);
    assert!(matches!(wait, Op::WaitForSignal { on_conflict: OnConflict::Replace, .. }));
    let invoke =
        one(r#""op":"InvokeFunction","opts":{"function_id":"app-g","payload":{"data":{"x":1}}}"#);
    let Op::InvokeFunction { function, data, .. } = invoke else { panic!("{invoke:?}") };
    assert_eq!((function.as_str(), &*data), ("app-g", &b"{\"x\":1}"[..]));
    assert_eq!(
        one(r#""op":"RunComplete","data":7"#),
        Op::RunComplete { data: Bytes::from_static(b"7") }
    );
}

#[test]
fn a_step_that_failed_says_whether_it_is_tried_again() {
    let retry = |rest: &str| {
        let Op::StepError { retry, .. } = one(rest) else { panic!("{rest}") };
        retry
    };
    assert_eq!(retry(r#""op":"StepError","error":{"name":"E"}"#), Retry::Backoff);
    assert_eq!(retry(r#""op":"StepError","error":{"noRetry":true}"#), Retry::Never);
    assert_eq!(retry(r#""op":"StepFailed","error":{"name":"E"}"#), Retry::Never);
    let body = format!(r#"[{{"id":"{A}","op":"StepError","error":{{}}}}]"#);
    let reply = Reply { no_retry: true, ..said(206, &body) };
    let plan = plan(&discovery(), Ok(reply), 0);
    assert!(matches!(&plan.ops[..], [Op::StepError { retry: Retry::Never, .. }]));
}

#[test]
fn a_group_is_waited_for_as_a_whole_unless_it_races() {
    let group = |opts: &str| {
        let op = format!(r#"{{"id":"{A}","displayName":"a","op":"StepPlanned","opts":{opts}}}"#);
        planned(206, &format!("[{op},{op}]")).waits_for_all
    };
    assert!(group("{}"));
    assert!(!group(r#"{"parallelMode":"race"}"#));
}

#[test]
fn who_is_no_sdk_completes_nothing() {
    let page = Reply { status: 200, body: Bytes::from_static(b"<html>"), ..Reply::default() };
    let plan = plan(&discovery(), Ok(page), 0);
    let [Op::RunError { error, retry: Retry::Backoff, .. }] = &plan.ops[..] else {
        panic!("{plan:?}")
    };
    assert!(String::from_utf8_lossy(error).contains("not_sdk"));
}

#[test]
fn an_error_is_tried_again_unless_it_says_not_to() {
    let plan = planned(500, r#"{"name":"E","message":"m","stack":null}"#);
    let error = Bytes::from_static(br#"{"name":"E","message":"m","stack":null}"#);
    assert_eq!(plan.ops, [Op::RunError { error, retry: Retry::Backoff, has_left_step: false }]);
    let plan = super::plan(&discovery(), Err("nobody answers".to_owned()), 0);
    assert!(matches!(&plan.ops[..], [Op::RunError { retry: Retry::Backoff, .. }]));
}

#[test]
fn what_is_not_known_is_said() {
    let plan = planned(206, r#"[{"id":"x","op":"Dance"}]"#);
    let [Op::RunError { error, .. }] = &plan.ops[..] else { panic!("{plan:?}") };
    assert!(String::from_utf8_lossy(error).contains("'Dance'"));
}
