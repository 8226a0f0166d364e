//! How things end, and that nothing is left.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ari_core::{
    Ari, AriClient, ConnectionState, End, Error, Metadata, Request, operations::channels,
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
};
use tokio::{runtime, time::Instant};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::{
    connected, next,
    server::{Reply, Server},
    to, until,
};
use crate::{
    address::Peer,
    connector::{BoxIo, Connector, DialError},
};

fn tasks() -> usize {
    runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn closing_says_goodbye_and_leaves_nothing() {
    let before = tasks();
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let channel = ari.channels().handle("c1");
    let goodbye = async {
        let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
            panic!("no close frame")
        };
        assert_eq!(frame.code, CloseCode::Normal);
        assert!(socket.next().await.is_none());
    };
    let start = Instant::now();
    let (closed, ()) = tokio::join!(ari.close(), goodbye);
    closed.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "a goodbye that is answered ends it"
    );
    assert_eq!(ari.state(), ConnectionState::Closed);
    assert_eq!(
        next(&mut events).await,
        format!("end {:?}", Some(End::Closed))
    );
    assert!(matches!(channel.answer().await, Err(Error::Closed)));
    assert!(matches!(ari.channels().list().await, Err(Error::Closed)));
    until("the server has no connection", || server.open() == 0).await;
    assert_eq!(tasks(), before);
    ari.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_goodbye_is_left() {
    let (ari, mut server) = connected().await;
    let _silent = server.socket().await;
    let start = Instant::now();
    ari.close().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_what_is_under_way() {
    let before = tasks();
    let mut server = Server::new();
    let client: Arc<dyn AriClient> = to(&server).build_client().await.unwrap();
    let ari = Ari::new(Arc::clone(&client));
    server.on("GET /channels", Reply::Silence);
    let mut call = ari.channels().list().into_future();
    assert!((&mut call).now_or_never().is_none());
    server.saw(1).await;
    drop(server.socket().await);
    server.refuse(usize::MAX);
    until("the loss is seen", || {
        client.state() == ConnectionState::Connecting
    })
    .await;
    client.close().await.unwrap();
    assert!(matches!(call.await, Err(Error::Closed)));
    assert_eq!(client.state(), ConnectionState::Closed);
    until("the server has no connection", || server.open() == 0).await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn dropping_everything_leaves_no_task() {
    let before = tasks();
    let (ari, mut server) = connected().await;
    let socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let handle = ari.channels().handle("c1");
    let child = ari.child();
    drop(ari);
    until("the client's and the server's tasks are gone", || {
        tasks() == before
    })
    .await;
    assert_eq!(
        next(&mut events).await,
        format!("end {:?}", Some(End::Closed))
    );
    assert!(matches!(handle.answer().await, Err(Error::Closed)));
    assert!(matches!(child.channels().list().await, Err(Error::Closed)));
    drop(socket);

    let client = to(&server).build_client().await.unwrap();
    assert!(tasks() > before);
    drop(client);
    until("no task is left of a transport without a front", || {
        tasks() == before
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_leaves_no_task() {
    let before = tasks();
    let server = Server::new();
    for request in ["GET /asterisk/info", "GET /events"] {
        server.on(request, Reply::Silence);
        let connecting = to(&server).connect();
        assert!(
            tokio::time::timeout(Duration::from_secs(1), connecting)
                .await
                .is_err()
        );
        until("no task is left", || tasks() == before).await;
    }
    assert!(to(server.refuse(1)).connect().await.is_err());
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn closing_that_is_given_up_ends_at_once() {
    let before = tasks();
    let (ari, mut server) = connected().await;
    let _silent = server.socket().await;
    assert!(ari.close().now_or_never().is_none());
    until("no task is left", || tasks() == before).await;
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[test]
fn the_last_owner_may_go_without_a_runtime() {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (ari, server) = runtime.block_on(connected());
    drop(runtime);
    drop(ari);
    drop(server);
    let (ari, server) = {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let pair = runtime.block_on(connected());
        drop(pair.0.child());
        pair
    };
    assert_eq!(
        ari.state(),
        ConnectionState::Closed,
        "streams and calls must not wait for tasks that are gone"
    );
    drop((ari, server));
}

#[test]
fn connecting_without_a_runtime_is_an_error() {
    let connecting = crate::connect("http://pbx/ari", "demo", "user", "secret");
    let error = connecting.now_or_never().unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no tokio runtime is running here"),
        "{error}"
    );
}

fn answer() -> Request {
    Request::new(&channels::ANSWER, Metadata::default()).with("channelId", "c1")
}

/// Nothing goes out any more, so the outcome is known.
#[tokio::test(start_paused = true)]
async fn a_call_through_a_client_that_is_closed_was_not_sent() {
    let mut server = Server::new();
    let client = to(&server).build_client().await.unwrap();
    drop(server.socket().await);
    client.close().await.unwrap();
    let error = client.call(answer()).await.unwrap_err();
    assert!(server.seen().is_empty());
    assert!(matches!(error, Error::Closed), "{error}");
}

/// Who is still waiting for a connection when the client is closed has sent nothing.
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_when_the_client_is_closed_was_not_sent() {
    let mut server = Server::new();
    let client = to(&server).max_connections(1).build_client().await.unwrap();
    let _socket = server.socket().await;
    server.on("GET /channels", Reply::Silence);
    let list = Request::new(&channels::LIST, Metadata::default());
    let mut first = client.call(list);
    assert!((&mut first).now_or_never().is_none());
    server.saw(1).await;
    let mut waits = client.call(answer());
    assert!((&mut waits).now_or_never().is_none());
    client.close().await.unwrap();
    let error = waits.await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(error, Error::Closed), "{error}");
}

/// A way that leads to the server so often, and then nowhere.
struct Vanishing(Arc<dyn Connector>, Arc<Mutex<usize>>);

impl Connector for Vanishing {
    fn connect(&self, peer: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        let mut left = self.1.lock().unwrap();
        if *left == 0 {
            return pending().boxed();
        }
        *left -= 1;
        self.0.connect(peer)
    }
}

/// A request is sent once there is a connection.
#[tokio::test(start_paused = true)]
async fn a_call_whose_connection_is_being_made_when_the_client_is_closed_was_not_sent() {
    let mut server = Server::new();
    let way = Vanishing(server.connector(), Arc::new(Mutex::new(2)));
    let builder = to(&server).connector(Arc::new(way));
    let client = builder.build_client().await.unwrap();
    let _socket = server.socket().await;
    server.on("GET /channels", Reply::Silence);
    let mut first = client.call(Request::new(&channels::LIST, Metadata::default()));
    assert!((&mut first).now_or_never().is_none());
    server.saw(1).await;
    let mut dials = client.call(answer());
    assert!((&mut dials).now_or_never().is_none());
    client.close().await.unwrap();
    let error = dials.await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
    assert!(matches!(error, Error::Closed), "{error}");
}
