use super::*;
use crate::protocol::Expect;

fn first(bytes: &[u8]) -> Step {
    Requests::default().step(bytes, false)
}

fn call(len: usize, head: usize, left: Option<u64>) -> Step {
    Step::Call { len, head, left, expect: Expect::Reply }
}

fn opaque(bytes: &[u8]) -> bool {
    matches!(first(bytes), Step::Opaque(_))
}

#[test]
fn a_small_command_is_one_step() {
    assert_eq!(first(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), call(22, 22, Some(0)));
    assert_eq!(first(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1\r\nv\r\n*1\r\n$4"), call(29, 22, Some(0)));
    assert_eq!(first(b"*1\r\n$4\r\nPING\r\n"), call(14, 14, Some(0)));
    assert_eq!(first(b"PING\r\nPING\r\n"), call(6, 6, Some(0)));
    assert_eq!(first(b"PING\n"), call(5, 5, Some(0)));
}

#[test]
fn an_unfinished_head_needs_more() {
    let get = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";
    for end in 0..get.len() {
        assert_eq!(first(&get[..end]), Step::More);
    }
    assert_eq!(first(b"PING\r"), Step::More);
}

#[test]
fn a_body_streams_and_says_what_is_left() {
    let mut requests = Requests::default();
    let set = b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$2";
    assert_eq!(requests.step(set, false), call(22, 20, None));
    assert_eq!(requests.step(b"0", false), Step::Part { len: 1, left: None });
    assert_eq!(requests.step(b"\r\n01234567890123456789\r\n$1000000", false), Step::Part { len: 32, left: None });
    assert_eq!(requests.step(b"\r\n*1\r\n", false), Step::Part { len: 6, left: Some(999_998) });
    assert_eq!(requests.step(&vec![b'*'; 2_000_000], false), Step::Part { len: 999_998, left: Some(0) });
    assert_eq!(requests.step(b"PING\r\n", false), call(6, 6, Some(0)));
}

#[test]
fn a_huge_word_is_body() {
    assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$1073741824\r\nab"), call(29, 14, Some(1_073_741_824)));
    assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$9223372036854775807\r\n"), call(36, 14, Some(9_223_372_036_854_775_809)));
    assert_eq!(first(b"*1\r\n$1073741824\r\nab"), call(19, 4, Some(1_073_741_824)));
    // The longest word in a head, and one byte more.
    assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$4096\r\n"), Step::More);
    assert_eq!(first(b"*2\r\n$4\r\nECHO\r\n$4097\r\n"), call(21, 14, Some(4099)));
}

#[test]
fn blank_lines_and_empty_arrays_are_no_calls() {
    for blank in ["\r\n", "\n", " \t \r\n", "*0\r\n", "*-1\r\n", "*-7\r\n"] {
        assert_eq!(first(blank.as_bytes()), Step::Pass(blank.len()), "{blank:?}");
    }
}

#[test]
fn malformed_commands_are_opaque() {
    for bytes in
        ["*abc", "*2147483648\r\n", "*9223372036854775808", "*?\r\n", "*1\r\n+", "*1\r\n$-5\r\n", "*1\r\n$x", "*01"]
    {
        assert!(opaque(bytes.as_bytes()), "{bytes:?}");
    }
    assert!(opaque(b"GET \"a\r\n"));
    assert!(opaque(b"GE\0T"));
}

#[test]
fn a_broken_body_keeps_what_came_before() {
    for (body, at) in [("$-5\r\nPING\r\n", 5), ("+PING\r\n", 0), ("$1x\r\n", 2), ("$?\r\n", 4)] {
        let mut requests = Requests::default();
        let bytes = format!("*3\r\n$1\r\na\r\n$1\r\nb\r\n{body}");
        assert_eq!(requests.step(bytes.as_bytes(), false), call(18 + at, 18, None), "{body}");
        assert!(matches!(requests.step(b"PING\r\n", false), Step::Opaque(_)), "{body}");
        assert!(matches!(requests.step(b"PING\r\n", false), Step::Opaque(_)), "{body}");
    }
}

#[test]
fn the_longest_inline_command() {
    let mut line = vec![b'a'; MAX_HEAD - 1];
    assert_eq!(first(&line), Step::More);
    line.push(b'\n');
    assert_eq!(first(&line), call(MAX_HEAD, MAX_HEAD, Some(0)));
    line.insert(0, b'a');
    assert!(opaque(&line));
    assert!(opaque(&line[..MAX_HEAD]));
}

#[test]
fn words_are_found_where_they_were_read() {
    let long = format!("*3\r\n$4\r\nECHO\r\n$4097\r\n{}\r\n$1\r\na\r\n", "x".repeat(4097));
    for bytes in
        ["*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "*1\r\n$4\r\nPING\r\n", "*3\r\n$0\r\n\r\n$3\r\nkey\r\n$1\r\n", &long]
    {
        let mut requests = Requests::default();
        let Step::Call { head, .. } = requests.step(bytes.as_bytes(), false) else { panic!("no call: {bytes}") };
        let head = &bytes.as_bytes()[..head];
        assert_eq!(requests.words(head), Some(words(head)), "{bytes}");
    }
    let mut requests = Requests::default();
    requests.step(b"*1\r\n$4\r\nPING\r\n", false);
    requests.step(b"PING\r\n", false);
    assert_eq!(requests.words(b"PING\r\n"), None);
}

#[test]
fn words_of_heads() {
    let pair = |command: &'static str, key: &'static str| (command.as_bytes(), key.as_bytes());
    assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"), pair("GET", "key"));
    assert_eq!(words(b"*2\r\n$4\r\nECHO\r\n"), pair("ECHO", ""));
    assert_eq!(words(b"*2\r\n"), pair("", ""));
    assert_eq!(words(b"get \"a b\" c\r\n"), pair("get", "\"a b\""));
    assert_eq!(words(b"PING\r\n"), pair("PING", ""));
    assert_eq!(words(b""), pair("", ""));
}
