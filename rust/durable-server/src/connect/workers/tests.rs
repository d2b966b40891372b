//! Who is given what, and what becomes of it.

use std::sync::Arc;

use super::*;
use prost::Message as _;

fn asked() -> Asked {
    Asked {
        app: "shop".to_owned(),
        function: "shop-f".to_owned(),
        step: "step".to_owned(),
        run: "R".to_owned(),
        job: "R.1".to_owned(),
        body: b"{}".to_vec(),
    }
}

fn worker(workers: &Workers, room: i64) -> (Ulid, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (frames, taken) = mpsc::unbounded_channel();
    let id = chance_id();
    workers.add(id, vec!["shop".to_owned()], Some(room), frames);
    workers.set_ready(id, true);
    (id, taken)
}

async fn called(workers: Arc<Workers>) -> Said {
    workers.call(&asked(), &|| true).await.unwrap()
}

async fn request_of(taken: &mut mpsc::UnboundedReceiver<Vec<u8>>) -> String {
    let frame =
        super::super::messages::Frame::decode(taken.recv().await.unwrap().as_slice()).unwrap();
    Request::decode(frame.payload.as_slice()).unwrap().id
}

#[tokio::test]
async fn a_worker_has_no_more_than_its_room_and_the_next_waits() {
    let workers = Arc::new(Workers::default());
    let (_, mut taken) = worker(&workers, 1);
    let both = [(); 2].map(|()| tokio::spawn(called(Arc::clone(&workers))));
    for body in ["1", "2"] {
        let request_id = request_of(&mut taken).await;
        assert!(taken.try_recv().is_err(), "one at a time");
        let body = body.as_bytes().to_vec();
        workers.answer(Response { request_id, status: 1, body, ..Response::default() });
    }
    for call in both {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
}

#[tokio::test]
async fn what_a_worker_has_not_begun_is_given_to_another() {
    let workers = Arc::new(Workers::default());
    let (first, mut taken) = worker(&workers, 9);
    let call = tokio::spawn(called(Arc::clone(&workers)));
    let lost = request_of(&mut taken).await;
    assert_eq!(workers.remove(first), ["shop"]);
    assert!(!workers.is_at(first, &lost));
    let (second, mut taken) = worker(&workers, 9);
    let request_id = request_of(&mut taken).await;
    assert!(workers.is_at(second, &request_id) && request_id != lost);
    workers.answer(Response { request_id: lost, status: 2, ..Response::default() });
    workers.answer(Response { request_id, status: 0, ..Response::default() });
    assert_eq!(call.await.unwrap().unwrap().status, 206);
}

/// A worker that has begun a request, and whoever waits for the answer.
async fn at_work(
    workers: &Arc<Workers>,
) -> (Ulid, String, tokio::task::JoinHandle<Said>, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (id, mut taken) = worker(workers, 1);
    let call = tokio::spawn(called(Arc::clone(workers)));
    let request = request_of(&mut taken).await;
    assert!(workers.is_at(id, &request));
    (id, request, call, taken)
}

fn done(request_id: &str) -> Response {
    Response { request_id: request_id.to_owned(), status: 1, ..Response::default() }
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_though_the_connection_of_its_worker_is_lost() {
    let workers = Arc::new(Workers::default());
    let (id, request, call, _taken) = at_work(&workers).await;
    workers.remove(id);
    let (_, mut other) = worker(&workers, 9);
    tokio::time::sleep(LEASE_ALONE / 2).await;
    assert!(other.try_recv().is_err(), "it is not made again meanwhile");
    workers.answer(done(&request));
    assert_eq!(call.await.unwrap().unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_keeps_what_it_is_at() {
    let workers = Arc::new(Workers::default());
    let (id, request, call, _taken) = at_work(&workers).await;
    workers.remove(id);
    let (again, mut taken) = worker(&workers, 1);
    for _ in 0..9 {
        tokio::time::sleep(LEASE_ALONE / 2).await;
        assert!(workers.is_at(again, &request));
    }
    let next = tokio::spawn(called(Arc::clone(&workers)));
    tokio::time::sleep(LEASE_ALONE).await;
    assert!(taken.try_recv().is_err(), "it has no room beside");
    workers.answer(done(&request));
    assert_eq!(call.await.unwrap().unwrap().status, 200);
    workers.answer(done(&request_of(&mut taken).await));
    assert_eq!(next.await.unwrap().unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_says_nothing_of_is_taken_back() {
    let workers = Arc::new(Workers::default());
    let start = Instant::now();
    let (id, request, call, mut taken) = at_work(&workers).await;
    let again = request_of(&mut taken).await; // its lease has run out
    assert_eq!(start.elapsed().as_secs(), LEASE.as_secs());
    assert!(!workers.is_at(id, &request), "it hears so");
    let third = request_of(&mut taken).await; // it has never begun
    assert_eq!(start.elapsed().as_secs(), (LEASE + TO_BEGIN).as_secs());
    workers.set_ready(id, false);
    let lost = call.await.unwrap().unwrap_err(); // nor will it
    assert_eq!(start.elapsed().as_secs(), (LEASE + TO_BEGIN + TO_BEGIN_LAST).as_secs());
    assert!(lost.starts_with("connect_worker_stopped_responding"), "{lost}");
    assert!(!workers.is_at(id, &again) && !workers.is_at(id, &third));
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_given_to_nobody() {
    let workers = Arc::new(Workers::default());
    let is_wanted = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (waits, wanted) = (Arc::clone(&workers), Arc::clone(&is_wanted));
    let call = tokio::spawn(async move {
        waits.call(&asked(), &|| wanted.load(std::sync::atomic::Ordering::Relaxed)).await
    });
    tokio::task::yield_now().await;
    is_wanted.store(false, std::sync::atomic::Ordering::Relaxed);
    let (_, mut taken) = worker(&workers, 9);
    assert!(call.await.unwrap().is_none());
    assert!(taken.try_recv().is_err());
}

#[test]
fn what_is_not_to_be_tried_again_has_not_returned() {
    let status = |status, no_retry| {
        reply_of(Response { status, no_retry, ..Response::default() }).unwrap().status
    };
    assert_eq!([0, 1, 2].map(|said| status(said, false)), [206, 200, 500]);
    assert_eq!([0, 1, 2].map(|said| status(said, true)), [206, 400, 500]);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_none() {
    let workers = Arc::new(Workers::default());
    let (_, request, call, _taken) = at_work(&workers).await;
    workers.answer(Response { body: vec![b' '; MOST_BYTES + 1], ..done(&request) });
    let why = call.await.unwrap().unwrap_err();
    assert!(why.starts_with("output_too_large"), "{why}");
}

#[test]
fn who_was_not_expected_is_not_admitted() {
    let workers = Workers::default();
    let id = chance_id();
    workers.expect("token".to_owned(), id);
    assert!(workers.expects_somebody());
    assert_eq!(workers.admit("other"), None);
    assert_eq!((workers.admit("token"), workers.admit("token")), (Some(id), None));
    assert!(!workers.expects_somebody());
}
