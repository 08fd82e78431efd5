//! Answers of our own, which are written in the form of HTTP/1.1.

use ::http::Response;
use bytes::Bytes;
use httparse::Header;

use crate::protocol::http::read_response;

/// Fields that are about a connection of HTTP/1, which HTTP/2 has in another form (RFC 9113, section 8.2.2).
const OF_CONNECTION: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The head and the body of a response that was written as one of HTTP/1.1; none if it is no complete final response, or has
/// chunks.
pub(crate) fn of_http1(written: &Bytes) -> Option<(Response<()>, Bytes)> {
    let (head, (status, is_chunked, fields)) = read_response(written, |response| {
        let is_chunked = response.headers.iter().any(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
        let fields = response.headers.iter().filter(|field| is_of_http2(field));
        let fields: Vec<_> = fields.map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        (response.code.unwrap_or_default(), is_chunked, fields)
    })?;
    let body = written.slice(head..);
    // What has no body in gRPC consists of trailers alone, of which nothing says how long they are.
    let is_grpc = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("grpc-status"));
    let is_kept = |name: &str| !(is_grpc && body.is_empty() && name.eq_ignore_ascii_case("content-length"));
    let response = fields
        .iter()
        .filter(|(name, _)| is_kept(name))
        .fold(Response::builder().status(status), |response, (name, value)| {
            response.header(name.as_str(), value.as_slice())
        });
    let response = response.body(()).ok().filter(|response| !response.status().is_informational() && !is_chunked)?;
    Some((response, body))
}

fn is_of_http2(field: &Header<'_>) -> bool {
    !OF_CONNECTION.iter().any(|name| field.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = Vec<(String, String)>;

    fn converted(written: &str) -> Option<(u16, Fields, String)> {
        let (response, body) = of_http1(&Bytes::copy_from_slice(written.as_bytes()))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields = response.headers().iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        Some((response.status().as_u16(), fields.collect(), text(&body)))
    }

    fn fields(fields: &[(&str, &str)]) -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_about_the_connection_stays_behind() {
        let written = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno";
        let expected = (503, fields(&[("retry-after", "2"), ("content-length", "2")]), "no".to_owned());
        assert_eq!(converted(written), Some(expected));
    }

    #[test]
    fn trailers_alone_have_no_length() {
        let written =
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 14\r\nContent-Length: 0\r\n\r\n";
        let expected = (200, fields(&[("content-type", "application/grpc"), ("grpc-status", "14")]), String::new());
        assert_eq!(converted(written), Some(expected));
    }

    #[test]
    fn what_is_no_complete_response_cannot_be_sent() {
        for written in [
            "",
            "+OK\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 99 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(converted(written), None, "{written:?}");
        }
    }
}
