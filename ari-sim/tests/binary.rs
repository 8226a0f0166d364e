//! The program: it says where it listens, and stops on SIGTERM.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use program::{LIMIT, Running, fails};

#[test]
fn it_listens_feeds_callers_and_stops() {
    let arguments = ["--port", "0", "--app", "demo", "--calls-per-second", "100"];
    let running = Running::start(&arguments);
    let mut stream = TcpStream::connect(running.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
        .write_all(b"GET /sim/totals HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"placed\":"), "{answer}");

    running.signal("-TERM");
    running.ended();
}

#[test]
fn what_it_cannot_do_it_says_in_a_sentence() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = fails(&["--port", &port]);
    assert!(message.contains("choose another --port"), "{message}");
}
