//! The host that a request asks for, replaced by another.

use std::ops::Range;

use memchr::{memchr, memmem};

/// `head`, a whole one that was framed, with `host` where it names its host: in its field `Host`, and in a target that is
/// absolute, where it wins over the field (RFC 9112, section 3.2.2).
///
/// Nothing is added to a head without either. A head with several such fields stays as it is: the backend is to refuse it (RFC
/// 9112, section 3.2), as it does without a proxy. So does one of CONNECT, whose host is the tunnel's other end.
pub(crate) fn with_host(head: &[u8], host: &str) -> Vec<u8> {
    let (mut rewritten, mut at) = (Vec::with_capacity(head.len() + 2 * host.len()), 0);
    for place in places(head).into_iter().flatten() {
        rewritten.extend_from_slice(&head[at..place.start]);
        rewritten.extend_from_slice(host.as_bytes());
        at = place.end;
    }
    rewritten.extend_from_slice(&head[at..]);
    rewritten
}

/// Where the head names its host, in the target and in the field.
fn places(head: &[u8]) -> [Option<Range<usize>>; 2] {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let line = lines.next().unwrap_or_default();
    let (mut field, mut begin) = (None, line.len());
    if line.starts_with(b"CONNECT ") {
        return [None, None];
    }
    for line in lines {
        if let Some(value) = value(line) {
            if field.is_some() {
                return [None, None];
            }
            field = Some(begin + value.start..begin + value.end);
        }
        begin += line.len();
    }
    [authority(line), field]
}

/// The value of this field if it is `Host`, without the blanks around it.
fn value(line: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = b"host:";
    let (name, rest) = line.split_at_checked(NAME.len())?;
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let begin = NAME.len() + blanks;
    name.eq_ignore_ascii_case(NAME).then(|| begin..begin + rest[blanks..].trim_ascii_end().len())
}

/// The host and the port in an absolute target: `a:80` in `GET http://me@a:80/x HTTP/1.1`.
fn authority(line: &[u8]) -> Option<Range<usize>> {
    let target = memchr(b' ', line)? + 1;
    let scheme = target + memmem::find(&line[target..], b"://")?;
    let begin = scheme + b"://".len();
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b' ');
    let end = begin + line[begin..].iter().position(is_end)?;
    let is_scheme = matches!(&line[target..scheme], [first, rest @ ..] if first.is_ascii_alphabetic()
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')));
    // Behind the user's name and password.
    let begin = line[begin..end].iter().rposition(|byte| *byte == b'@').map_or(begin, |at| begin + at + 1);
    (is_scheme && begin < end).then_some(begin..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::protocol::{Step, http::Requests};

    /// `head` with its host replaced by `new:8080`. It is one that is framed.
    fn rewritten(head: &str) -> String {
        let step = Requests::default().step(head.as_bytes(), false);
        assert!(matches!(step, Step::Call { head: len, .. } if len == head.len()), "{head:?}: {step:?}");
        String::from_utf8(with_host(head.as_bytes(), "new:8080")).unwrap()
    }

    #[test]
    fn the_host_is_replaced_where_the_head_names_it() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: new:8080\r\n\r\n"),
            ("GET / HTTP/1.1\nhost:a:1\nX: y\n\n", "GET / HTTP/1.1\nhost:new:8080\nX: y\n\n"),
            (
                "GET / HTTP/1.1\r\nX: y\r\nHOST:\t [::1]:1 \t\r\n\r\n",
                "GET / HTTP/1.1\r\nX: y\r\nHOST:\t new:8080 \t\r\n\r\n",
            ),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost:new:8080\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET / HTTP/1.1\r\nHost: new:8080\r\n\r\n"),
            ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\nHost: new:8080\r\n\r\n"),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: new:8080\r\n\r\n"),
            ("GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://new:8080/x HTTP/1.1\r\nHost: new:8080\r\n\r\n"),
            ("GET HTTPS://[::1]:1?x HTTP/1.1\nHost: b\n\n", "GET HTTPS://new:8080?x HTTP/1.1\nHost: new:8080\n\n"),
            ("GET http://a HTTP/1.0\r\n\r\n", "GET http://new:8080 HTTP/1.0\r\n\r\n"),
            ("GET ws://u:p@q@a:1#@b HTTP/1.0\r\n\r\n", "GET ws://u:p@q@new:8080#@b HTTP/1.0\r\n\r\n"),
        ] {
            assert_eq!(rewritten(head), expected);
        }
    }

    #[test]
    fn other_heads_stay_as_they_are() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: b\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            "GET /?to=http://a/ HTTP/1.1\r\nX-Host: a\r\nHosts: b\r\nX: host: c\r\nX:\r\n\r\n",
            "GET x?to=http://a/ HTTP/1.1\r\n\r\n",
            "GET ://a/ HTTP/1.1\r\n\r\n",
            "GET http:///x HTTP/1.1\r\n\r\n",
            "GET http://me@/x HTTP/1.1\r\n\r\n",
            "GET host:a HTTP/1.1\r\nh: b\r\n\r\n",
        ] {
            assert_eq!(rewritten(head), head);
        }
    }

    /// A head with `host` in its target or not, and in its field or not, among other fields.
    fn head(host: &str, [target, field]: [bool; 2], path: &str, line_end: &str, others: &[String]) -> String {
        let target = if target { format!("http://{host}{path}") } else { path.to_owned() };
        let mut lines = others.to_vec();
        if field {
            lines.insert(others.len() / 2, format!("Host: {host}"));
        }
        let lines = [vec![format!("PUT {target} HTTP/1.1")], lines, vec![String::new(); 2]].concat();
        lines.join(line_end)
    }

    proptest! {
        /// Nothing but the host changes, whatever stands around it.
        #[test]
        fn a_head_differs_in_its_host_alone(
            host in "[a-z]{1,9}(:[0-9]{1,4})?",
            named in any::<[bool; 2]>(),
            path in "/[a-z/?:@]{0,20}",
            line_end in select(vec!["\n", "\r\n"]),
            others in prop::collection::vec("(X-[a-z]{0,5}|Hos|Hostt|Origin|Referer):[ -~\u{e9}]{0,30}", 0..5),
        ) {
            let [before, after] = [&host, "new:8080"].map(|host| head(host, named, &path, line_end, &others));
            prop_assert_eq!(rewritten(&before), after);
        }
    }
}
