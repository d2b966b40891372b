//! No text and no event makes an evaluation deep, long or large: each bomb on a small stack, its memory counted.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::thread;

use durable_core::{EventView, Expression, Given, Scope, Timestamp};

use crate::bombs::bombs;

/// What a thread may be sure to have.
const STACK_BYTES: usize = 256 * 1024;
const MEMORY_BYTES: isize = 1024 * 1024;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Counts what the thread holds.
struct Counting;

fn count(bytes: usize, sign: isize) {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    HELD.set(HELD.get() + sign * bytes);
    MOST.set(MOST.get().max(HELD.get()));
}

// SAFETY: all is handed on to the system's allocator, and `count` allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `work` held at once.
fn held(work: impl FnOnce()) -> isize {
    let before = HELD.get();
    MOST.set(before);
    work();
    MOST.get() - before
}

/// Runs `work` where there is little room for deep calls.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread =
        thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread starts");
    thread.join().expect("it does not overflow");
}

#[test]
fn no_bomb_takes_more_than_its_share_of_memory_and_stack() {
    on_a_small_stack(|| {
        for bomb in bombs() {
            let expression = match Expression::compile(&bomb.text, Scope::EventAndAsync) {
                Ok(expression) => expression,
                Err(mistake) => panic!("{}: {mistake}", bomb.name),
            };
            let data = bomb.data.as_bytes();
            let event = EventView { id: "", name: "", data, ts_ms: 0, user: None, version: None };
            let given = Given { event, other: Some(event), now: Timestamp::default() };
            for evaluate in [
                |expression: &Expression, given: &Given<'_>| {
                    black_box(expression.number(given));
                },
                |expression: &Expression, given: &Given<'_>| drop(black_box(expression.key(given))),
            ] {
                let held = held(|| evaluate(&expression, &given));
                assert!(held <= MEMORY_BYTES, "{} holds {held} bytes", bomb.name);
            }
        }
    });
}

#[test]
fn texts_that_go_as_deep_as_they_may_fit_a_small_stack() {
    on_a_small_stack(|| {
        let deepest = [
            format!("{}1{}", "(".repeat(31), ")".repeat(31)),
            format!("{}event.data.yes", "!".repeat(31)),
            format!("{}1{} == event.data.l", "[".repeat(29), "]".repeat(29)),
            "1 + ".repeat(31) + "1",
            "1 || (".repeat(15) + "1" + &")".repeat(15),
            "event.data.x || (event.data.x && (event.data.x == (1 + (1 * (".repeat(2)
                + "1"
                + &")".repeat(10),
            "true ? 1 : ".repeat(20) + "1",
            "lowercase(".repeat(30) + "event.data.x" + &")".repeat(30),
            (0..14).fold("true".to_owned(), |body, depth| format!("[1].exists(x{depth}, {body})")),
            "{'a':".repeat(30) + "1" + &"}".repeat(30),
        ];
        for text in deepest {
            let data = format!("{{\"l\":{}1{}}}", "[".repeat(33), "]".repeat(33));
            let event = EventView {
                id: "",
                name: "",
                data: data.as_bytes(),
                ts_ms: 0,
                user: None,
                version: None,
            };
            let given = Given { event, other: None, now: Timestamp::default() };
            match Expression::compile(&text, Scope::Event) {
                Ok(expression) => {
                    drop(black_box((expression.matches(&given), expression.key(&given))));
                }
                Err(mistake) => drop(black_box(mistake.to_string())),
            }
        }
    });
}
