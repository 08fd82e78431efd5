//! tonic as client and as server: its calls pass, and it sees each fault as what gRPC calls it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::stream::{self, BoxStream, StreamExt};
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming, server};
use tower::{Service, service_fn};

use super::world::{PATIENCE, Program};

/// Messages are bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

type Messages = BoxStream<'static, Result<Bytes, Status>>;

/// A service, and the paths that it was called by.
#[derive(Debug, Default, Clone)]
struct Orders {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        self.seen.lock().unwrap().push(path.clone());
        Box::pin(async move {
            let mut grpc = server::Grpc::new(Raw);
            Ok(match path.rsplit('/').next() {
                Some("Download") => grpc.server_streaming(service_fn(download), request).await,
                Some("Upload") => grpc.client_streaming(service_fn(upload), request).await,
                Some("Chat") => grpc.streaming(service_fn(chat), request).await,
                _ => grpc.unary(service_fn(echo), request).await,
            })
        })
    }
}

/// Answers with the request and its metadata, or fails if it says so.
async fn echo(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let metadata = request.metadata().clone();
    let message = request.into_inner();
    if let Some(why) = message.strip_prefix(b"fail: ") {
        return Err(Status::with_metadata(Code::DataLoss, str::from_utf8(why).unwrap(), metadata));
    }
    let mut response = Response::new(message);
    *response.metadata_mut() = metadata;
    Ok(response)
}

/// As many messages of 100 bytes as the request has.
async fn download(request: Request<Bytes>) -> Result<Response<Messages>, Status> {
    let messages = (0..request.into_inner().len()).map(|number| Ok(message(number)));
    Ok(Response::new(stream::iter(messages.collect::<Vec<_>>()).boxed()))
}

/// The message of this number.
fn message(number: usize) -> Bytes {
    vec![number.to_le_bytes()[0]; 100].into()
}

async fn upload(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let sizes = request.into_inner().map(|message| message.unwrap().len()).collect::<Vec<_>>().await;
    Ok(Response::new(format!("{} {}", sizes.len(), sizes.iter().sum::<usize>()).into()))
}

async fn chat(request: Request<Streaming<Bytes>>) -> Result<Response<Messages>, Status> {
    Ok(Response::new(request.into_inner().boxed()))
}

/// A backend, vaurien in front of it, and a client.
struct World {
    orders: Orders,
    vaurien: Program,
    client: Grpc<Channel>,
}

impl World {
    /// With these arguments.
    async fn with(arguments: &[&str]) -> Self {
        let orders = Orders::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(Server::builder().serve_with_incoming(orders.clone(), TcpIncoming::from(listener)));
        let mut command = Program::command("--proxy 127.0.0.1:0 --protocol grpc --backend");
        let vaurien = Program::spawn(command.arg(address).args(arguments));
        let endpoint = Endpoint::from_shared(format!("http://{}", vaurien.address())).unwrap();
        Self { orders, vaurien, client: Grpc::new(endpoint.connect_lazy()) }
    }

    /// How often a method was called.
    fn calls(&self, method: &str) -> usize {
        self.orders.seen.lock().unwrap().iter().filter(|path| path.ends_with(method)).count()
    }

    async fn call(&mut self, method: &str, message: &[u8]) -> Result<Bytes, Status> {
        self.ask(method, Request::new(Bytes::copy_from_slice(message))).await.map(Response::into_inner)
    }

    async fn ask(&mut self, method: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        patient(self.client.ready()).await.unwrap();
        patient(self.client.unary(request, path(method), Raw)).await
    }

    /// The messages of 100 bytes that arrive of so many, and how their stream ends.
    async fn download(&mut self, number: usize) -> (usize, Result<(), Code>) {
        patient(self.client.ready()).await.unwrap();
        let request = Request::new(vec![0; number].into());
        let mut arrived = 0;
        let end: Result<(), Status> = patient(async {
            let mut replies = self.client.server_streaming(request, path("Download"), Raw).await?.into_inner();
            while let Some(reply) = replies.message().await? {
                assert_eq!(reply, message(arrived));
                arrived += 1;
            }
            Ok(())
        })
        .await;
        (arrived, end.map_err(|status| status.code()))
    }

    async fn chat(&mut self) -> (mpsc::UnboundedSender<Bytes>, Streaming<Bytes>) {
        let (say, mut said) = mpsc::unbounded_channel();
        let requests = stream::poll_fn(move |cx| said.poll_recv(cx));
        patient(self.client.ready()).await.unwrap();
        let replies = patient(self.client.streaming(Request::new(requests), path("Chat"), Raw)).await.unwrap();
        (say, replies.into_inner())
    }
}

fn path(method: &str) -> PathAndQuery {
    format!("/shop.v1.Orders/{method}").parse().unwrap()
}

async fn patient<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

fn failure<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn calls_of_all_kinds_pass() {
    for handler in ["dummy", "delay(sleep=0)"] {
        let mut world = World::with(&["--handler", handler]).await;
        let mut request = Request::new(Bytes::from_static(b"hello"));
        request.metadata_mut().insert("x-tenant", "acme".parse().unwrap());
        request.metadata_mut().insert_bin("x-raw-bin", tonic::metadata::MetadataValue::from_bytes(b"\0\xff"));
        let reply = world.ask("Get", request).await.unwrap();
        assert_eq!(reply.metadata().get("x-tenant").unwrap(), "acme");
        assert_eq!(reply.metadata().get_bin("x-raw-bin").unwrap().to_bytes().unwrap(), &b"\0\xff"[..]);
        assert_eq!(reply.into_inner(), "hello");

        let large = vec![7; 3_000_000];
        assert_eq!(world.call("Get", &large).await.unwrap(), large);
        let failed = failure(world.call("Get", "fail: 100% Zürich".as_bytes()).await);
        assert_eq!(failed, (Code::DataLoss, "100% Zürich".to_owned()));

        assert_eq!(world.download(200).await, (200, Ok(())));
        let requests = stream::iter((0..100).map(|size| Bytes::from(vec![0; size])).collect::<Vec<_>>());
        world.client.ready().await.unwrap();
        let reply = patient(world.client.client_streaming(Request::new(requests), path("Upload"), Raw)).await.unwrap();
        assert_eq!(reply.into_inner(), "100 4950");

        let (say, mut replies) = world.chat().await;
        for number in 0..100 {
            say.send(number.to_string().into()).unwrap();
            assert_eq!(patient(replies.message()).await.unwrap().unwrap(), number.to_string());
        }
        drop(say);
        assert_eq!(patient(replies.message()).await.unwrap(), None);
        let counts = world.vaurien.stop();
        assert_eq!(counts.calls(handler.split('(').next().unwrap()), 6);
        assert_eq!(counts.of("connections"), 1);
    }
}

#[tokio::test]
async fn a_client_sees_the_status_that_was_asked_for() {
    let rules = [
        r#"--rule=/*/A => error(grpc=RESOURCE_EXHAUSTED, message="50% of Zürich")"#,
        "--rule=/*/B => error",
        r#"--rule=/*/C => error(status=503, body="")"#,
        "--rule=/*/D => miss",
        "--rule=/*/E => blackout",
        "--rule=/*/F => abort",
        "--rule=/*/G => reset",
        "--rule=/*/H => reset(code=ENHANCE_YOUR_CALM)",
    ];
    let mut world = World::with(&rules).await;
    let (say, mut replies) = world.chat().await;
    let exhausted = failure(world.call("A", b"").await);
    assert_eq!(exhausted, (Code::ResourceExhausted, "50% of Zürich".to_owned()));
    for (method, code) in [
        ("B", Code::Unavailable),
        ("C", Code::Unavailable),
        ("D", Code::NotFound),
        ("E", Code::Cancelled),
        ("F", Code::Cancelled),
        ("G", Code::Internal),
        ("H", Code::ResourceExhausted),
    ] {
        assert_eq!(failure(world.call(method, b"").await).0, code, "{method}");
        assert_eq!(world.calls(method), usize::from(method == "F"), "{method}");
    }
    // A stream beside them goes on.
    say.send("x".into()).unwrap();
    assert_eq!(patient(replies.message()).await.unwrap().unwrap(), "x");
    drop(say);
    assert_eq!(patient(replies.message()).await.unwrap(), None);
    assert_eq!(world.vaurien.stop().of("connections"), 1);
}

#[tokio::test]
async fn a_stream_of_messages_is_cut_where_it_was_asked_to_be() {
    for (how, code) in [("close", Code::Unavailable), ("reset", Code::Internal)] {
        // Two of its messages, each with five bytes in front, and a part of the third.
        let mut world = World::with(&[&format!("--rule=/*/Download times=1 => cut(after=250, how={how})")]).await;
        assert_eq!(world.download(5).await, (2, Err(code)), "{how}");
        assert_eq!(world.download(5).await, (5, Ok(())));
    }
}

#[tokio::test]
async fn a_deadline_passes() {
    let mut world = World::with(&["--rule=/*/Pay => hang"]).await;
    let mut request = Request::new(Bytes::new());
    request.set_timeout(Duration::from_millis(200));
    let late = failure(world.ask("Pay", request).await).0;
    // tonic's clients call it one or the other, with the version.
    assert!(matches!(late, Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    assert_eq!(world.call("Get", b"x").await.unwrap(), "x");
    assert_eq!(world.vaurien.stop().of("connections"), 1);
}

#[tokio::test]
async fn a_client_that_tries_again_succeeds() {
    let mut world = World::with(&["--rule=/*/Pay times=2 => error(grpc=UNAVAILABLE)"]).await;
    let mut attempts = 1;
    while let Err(status) = world.call("Pay", b"x").await {
        assert_eq!(status.code(), Code::Unavailable);
        attempts += 1;
    }
    assert_eq!((attempts, world.calls("Pay")), (3, 1));
    assert_eq!(world.vaurien.stop().faults("rule-1.error"), 2);
}

#[tokio::test]
async fn a_channel_connects_anew() {
    let rules = ["--rule=/*/Pay times=1 => goaway", "--rule=/*/Buy times=1 => reset(connection=true)"];
    let mut world = World::with(&rules).await;
    let (say, mut replies) = world.chat().await;
    assert_eq!(world.call("Pay", b"x").await.unwrap(), "x");
    // A call that tonic has in hand for the old connection when it reads GOAWAY fails before it is sent.
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(world.call("Get", b"x").await.is_err_and(|status| status.code() == Code::Cancelled));
    }
    assert!(failed <= 1, "{failed}");
    assert_eq!(world.calls("Get"), 20 - failed);
    // What is open goes on.
    say.send("x".into()).unwrap();
    assert_eq!(patient(replies.message()).await.unwrap().unwrap(), "x");
    drop(say);
    assert_eq!(patient(replies.message()).await.unwrap(), None);

    let lost = failure(world.call("Buy", b"x").await).0;
    assert!(matches!(lost, Code::Unavailable | Code::Unknown), "{lost:?}");
    assert_eq!(world.call("Buy", b"x").await.unwrap(), "x");
    assert_eq!(world.vaurien.stop().of("connections"), 3);
}
