//! With `--rewrite-host`, requests reach the backend under its own name.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request};

use super::peer::{Backend, Client, answer, request};
use super::world::Program;

#[tokio::test]
async fn the_backend_reads_its_own_name() {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let saw = seen.clone();
    let backend = Backend::new(move |request, respond| {
        let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
        saw.lock().unwrap().push((request.uri().to_string(), host));
        async { answer(respond, 200) }
    });
    let (own, name) = (backend.address(), backend.address().replace("127.0.0.1", "localhost"));
    for (backend, handler) in [(&own, "dummy"), (&name, "delay(sleep=0)"), (&name, "0.001:hang")] {
        let rule = "* header.host=wrong.example => error(status=503)";
        let mut command = Program::command("--proxy 127.0.0.1:0 --protocol http --rewrite-host --backend");
        let vaurien = Program::spawn(command.args([backend, "--rule", rule, "--handler", handler]));
        let client = Client::connect(vaurien.address()).await;
        client.get("/a?b=here.example").await.unwrap();
        let mut with_field = request(Method::POST, "/c");
        with_field.headers_mut().insert("host", "here.example".parse().unwrap());
        client.ask(with_field, Bytes::new(), None).await.unwrap();
        // Rules see what the client has sent.
        let refused = Request::builder().uri("http://wrong.example/").body(()).unwrap();
        assert_eq!(client.ask(refused, Bytes::new(), None).await.unwrap().status, 503);
        let expected = [
            (format!("http://{backend}/a?b=here.example"), None),
            (format!("http://{backend}/c"), Some(backend.clone())),
        ];
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected, "{handler}");
    }
}
