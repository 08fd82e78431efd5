//! A client and a backend that speak HTTP/2 by the library `h2`.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream, client};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::world::PATIENCE;

/// A backend on a free port, as long as the test's runtime.
pub(crate) struct Backend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    /// Runs `serve` for each stream, in a task of its own.
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::with(server::Builder::new().initial_window_size(1 << 20), serve)
    }

    /// The same with these settings.
    pub(crate) fn with<F: Future<Output = ()> + Send + 'static>(
        builder: &server::Builder,
        serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (builder, serve, count) = (builder.clone(), Arc::new(serve), connections.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let (builder, serve) = (builder.clone(), serve.clone());
                tokio::spawn(async move {
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(serve(request, respond));
                    }
                });
            }
        });
        Self { address, connections }
    }

    /// Answers with the request's body, and with its trailers.
    pub(crate) fn echo() -> Self {
        Self::new(echo)
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Sends back what comes, as it comes.
pub(crate) async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut from = request.into_body();
    let Ok(mut to) = respond.send_response(Response::new(()), from.is_end_stream()) else { return };
    if from.is_end_stream() {
        return;
    }
    while let Some(Ok(data)) = from.data().await {
        let len = data.len();
        if send(&mut to, data).await.is_err() {
            return;
        }
        let _ = from.flow_control().release_capacity(len);
    }
    let _ = match from.trailers().await {
        Ok(Some(trailers)) => to.send_trailers(trailers),
        Ok(None) => to.send_data(Bytes::new(), true),
        Err(_) => return,
    };
}

/// Answers a request without a body.
pub(crate) fn answer(mut respond: SendResponse<Bytes>, status: u16) {
    let response = Response::builder().status(status).body(()).unwrap();
    let _ = respond.send_response(response, true);
}

/// Sends `data` as fast as the other side takes it.
pub(crate) async fn send(to: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        while to.capacity() == 0 {
            let room = poll_fn(|cx| {
                if let std::task::Poll::Ready(reset) = to.poll_reset(cx) {
                    return std::task::Poll::Ready(Some(reset.and_then(|reason| Err(reason.into()))));
                }
                to.poll_capacity(cx)
            });
            room.await.unwrap_or_else(|| Err(h2::Reason::CANCEL.into()))?;
        }
        let piece = data.split_to(to.capacity().min(data.len()));
        to.send_data(piece, false)?;
    }
    Ok(())
}

/// A body and its trailers.
pub(crate) async fn read(from: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = from.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        let _ = from.flow_control().release_capacity(data.len());
    }
    Ok((body, from.trailers().await?))
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The statuses of the responses before it.
    pub(crate) interim: Vec<u16>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) requests: SendRequest<Bytes>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(client::Builder::new().initial_window_size(1 << 20).initial_connection_window_size(1 << 20), address)
            .await
    }

    /// The same with these settings.
    pub(crate) async fn with(builder: &client::Builder, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { requests }
    }

    /// Begins a request.
    pub(crate) async fn begin(&self, request: Request<()>, is_over: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request, is_over).unwrap()
    }

    /// Asks for this path, and reads the reply to its end.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, h2::Error> {
        self.ask(request(Method::GET, path), Bytes::new(), None).await
    }

    /// Sends a request with its body and its trailers, while it reads the reply to its end.
    pub(crate) async fn ask(
        &self,
        request: Request<()>,
        body: Bytes,
        trailers: Option<HeaderMap>,
    ) -> Result<Reply, h2::Error> {
        let is_over = body.is_empty() && trailers.is_none();
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut to) = requests.send_request(request, is_over)?;
        let sent = async {
            if !is_over && send(&mut to, body).await.is_ok() {
                let _ = match trailers {
                    Some(trailers) => to.send_trailers(trailers),
                    None => to.send_data(Bytes::new(), true),
                };
            }
        };
        let (reply, ()) = patient(async { tokio::join!(reply(response), sent) }).await;
        reply
    }
}

/// Reads a reply to its end.
pub(crate) async fn reply(mut response: ResponseFuture) -> Result<Reply, h2::Error> {
    let mut interim = Vec::new();
    let response = poll_fn(|cx| {
        while let std::task::Poll::Ready(Some(Ok(response))) = response.poll_informational(cx) {
            interim.push(response.status().as_u16());
        }
        Pin::new(&mut response).poll(cx)
    })
    .await?;
    let (head, mut body) = response.into_parts();
    let (body, trailers) = read(&mut body).await?;
    Ok(Reply { interim, status: head.status.as_u16(), headers: head.headers, body, trailers })
}

/// A request for this path at `here.example`.
pub(crate) fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://here.example{path}")).body(()).unwrap()
}

/// Waits no longer than a failing test may.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it never happened")
}

/// Trailers or fields with these names and values.
pub(crate) fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}
