//! Errors that send a client to another node.

/// The redirection in words, if the reply is one (Redis cluster specification, "Redirection and resharding").
pub(in crate::protocol) fn detour(reply: &[u8]) -> Option<String> {
    let line = reply.split(|byte| *byte == b'\r').next()?;
    let mut words = line.split(|byte| *byte == b' ');
    let code = match words.next()? {
        b"-MOVED" => "MOVED",
        b"-ASK" => "ASK",
        _ => return None,
    };
    let address = words.nth(1)?;
    Some(format!("{code} to {}", address.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_told_with_their_address() {
        for (reply, told) in [
            ("-MOVED 3999 127.0.0.1:6381\r\n", Some("MOVED to 127.0.0.1:6381")),
            ("-ASK 3999 [::1]:6381\r\n+OK\r\n", Some("ASK to [::1]:6381")),
            ("-MOVED 3999", None),
            ("-ERR MOVED 1 a:1\r\n", None),
            ("+OK\r\n", None),
        ] {
            assert_eq!(detour(reply.as_bytes()).as_deref(), told, "{reply}");
        }
    }
}
