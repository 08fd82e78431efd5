//! Words that people bring from other tools, and what to write here.

struct Hint {
    words: &'static [&'static str],
    /// The hint for a flag.
    flag: &'static str,
    /// The hint for a key, in the file and in JSON.
    key: &'static str,
}

const HINTS: &[Hint] = &[
    Hint {
        words: &["listen", "port", "host", "bind", "address", "addr"],
        flag: "did you mean `--proxy HOST:PORT`?",
        key: "did you mean `proxy`?",
    },
    Hint {
        words: &["upstream", "target", "server", "remote", "destination", "dest", "forward", "to"],
        flag: "did you mean `--backend HOST:PORT`?",
        key: "did you mean `backend`?",
    },
    Hint {
        words: &["latency", "jitter", "sleep", "wait"],
        flag: "did you mean `--handler delay --handler-delay-sleep 250ms`?",
        key: "did you mean the handler `delay` and its `sleep`?",
    },
    Hint {
        words: &["percent", "percentage", "probability", "toxicity"],
        flag: "did you mean `--handler 20:delay`?",
        key: "percentages are in the mix: `20:delay`",
    },
    Hint {
        words: &["ssl", "https"],
        flag: "did you mean `--tls auto`, or `--backend-tls` towards the backend?",
        key: "did you mean `tls`, or `backend_tls` towards the backend?",
    },
    Hint {
        words: &["cert", "certificate"],
        flag: "did you mean `--tls-cert FILE`, or `--backend-cert FILE` towards the backend?",
        key: "did you mean `tls.cert`, or `backend_tls.cert` towards the backend?",
    },
    Hint {
        words: &["ca", "cacert", "ca-cert", "ca_cert"],
        flag: "did you mean `--backend-ca FILE`?",
        key: "did you mean `backend_tls.ca`?",
    },
    Hint {
        words: &["insecure", "k", "skip-verify", "skip_verify"],
        flag: "did you mean `--backend-insecure`?",
        key: "did you mean `backend_tls.insecure`?",
    },
    Hint {
        words: &["sni", "servername", "server-name", "server_name"],
        flag: "did you mean `--backend-name NAME`?",
        key: "did you mean `backend_tls.name`?",
    },
    Hint {
        words: &["verbose", "debug", "quiet", "v", "q"],
        flag: "did you mean `--log-level`?",
        key: "did you mean `log_level`?",
    },
];

fn find(word: &str) -> Option<&'static Hint> {
    HINTS.iter().find(|hint| hint.words.contains(&word))
}

/// The hint for an unknown flag, given without its dashes.
pub(crate) fn of_flag(flag: &str) -> Option<&'static str> {
    find(flag).map(|hint| hint.flag)
}

/// The hint for an unknown key.
pub(super) fn of_key(key: &str) -> Option<&'static str> {
    find(key).map(|hint| hint.key)
}
