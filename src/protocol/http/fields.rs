//! Single fields of a request's head, found where it lies.

/// The values of the header fields called `name`, without the blanks around them.
pub(in crate::protocol) fn header<'h>(head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
    // The first line is the request's.
    head.split(|byte| *byte == b'\n').skip(1).filter_map(move |line| {
        let colon = name.len();
        let is_field = line.get(colon) == Some(&b':') && line[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_field.then(|| line[colon + 1..].trim_ascii())
    })
}

/// The values of the parameters called `name` in the query, as they are written: escapes stay.
pub(in crate::protocol) fn query<'h>(head: &'h [u8], name: &str) -> impl Iterator<Item = &'h [u8]> {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let query = memchr::memchr(b'?', target).map_or(&[][..], |mark| &target[mark + 1..]);
    query.split(|byte| *byte == b'&').filter_map(move |parameter| {
        let rest = parameter.strip_prefix(name.as_bytes())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"=") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'h>(values: impl Iterator<Item = &'h [u8]>) -> Vec<&'h str> {
        values.map(|value| str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn header_fields_are_found_by_name() {
        let head = b"GET /?x-a:b HTTP/1.1\r\nX-A:  one \r\nX-AB: no\r\nx-a:two\r\nX-Empty:\r\nHost: x-a: no\n\r\n";
        assert_eq!(texts(header(head, "x-a")), ["one", "two"]);
        assert_eq!(texts(header(head, "x-empty")), [""]);
        assert_eq!(texts(header(head, "x-none")), [""; 0]);
        assert_eq!(texts(header(b"", "host")), [""; 0]);
    }

    #[test]
    fn parameters_are_found_by_name() {
        let head = b"GET /a?id=7&idx=8&id=%20&flag&id#id=9 HTTP/1.1\r\nHost: ?id=1\r\n\r\n";
        assert_eq!(texts(query(head, "id")), ["7", "%20", ""]);
        assert_eq!(texts(query(head, "flag")), [""]);
        assert_eq!(texts(query(head, "i")), [""; 0]);
        assert_eq!(texts(query(b"GET /a HTTP/1.1\r\n\r\n", "id")), [""; 0]);
        assert_eq!(texts(query(b"", "id")), [""; 0]);
    }
}
