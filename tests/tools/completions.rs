//! `--completions` prints what a shell has to know, and the shell makes use of it.

use std::process::Command;

use crate::{assert_complains, printed};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// What bash completes the words with, of which the last is being typed.
fn completed(words: &str) -> Vec<String> {
    let script = printed("--completions bash");
    let try_it = format!(
        "{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         compopt() {{ :; }}\n\
         completer=$(complete -p vaurien); completer=${{completer##*-F }}; ${{completer%% *}} vaurien \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["--norc", "-c", &try_it]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_and_values() {
    assert_eq!(completed("vaurien --handler-delay-s"), ["--handler-delay-sleep"]);
    assert_eq!(completed("vaurien --backend a:1 --handler-dummy-k"), ["--handler-dummy-keep-alive"]);
    assert_eq!(completed("vaurien --protocol ''"), ["tcp", "redis", "memcache", "http", "grpc"]);
    assert_eq!(completed("vaurien --keep-alive ''"), ["true", "false"]);
    assert_eq!(completed("vaurien --handler d"), ["delay", "dummy"]);
    assert_eq!(completed("vaurien --log-level w"), ["warn"]);
    assert_eq!(completed("vaurien --completions ''"), SHELLS);
    assert_eq!(completed("vaurien --config Cargo.t"), ["Cargo.toml"]);
    assert_eq!(completed("vaurien --events README"), ["README.md"]);
    assert_eq!(completed("vaurien --enab"), [""], "of use in the file alone");
    assert_eq!(completed("vaurien --tls ''"), ["auto"]);
    assert_eq!(completed("vaurien --backend-i"), ["--backend-insecure"]);
    assert_eq!(completed("vaurien --tls-cert Cargo.t"), ["Cargo.toml"]);
    assert_eq!(completed("vaurien --behavior-delay-s"), ["--behavior-delay-sleep"]);
    assert_eq!(completed("vaurien --behavior d"), ["delay", "dummy"]);
}

#[test]
fn bash_completes_the_commands_of_ctl() {
    assert_eq!(completed("vaurien ct"), ["ctl"]);
    assert_eq!(completed("vaurien ctl ev"), ["events"]);
    assert_eq!(completed("vaurien ctl rule ''").last().map(String::as_str), Some("remove"));
    assert_eq!(completed("vaurien ctl toxic ad"), ["add"]);
    assert_eq!(completed("vaurien ctl rule add --bef"), ["--before"]);
    assert_eq!(completed("vaurien ctl list --http-token-f"), ["--http-token-file"]);
}

#[test]
fn every_shell_knows_the_commands_of_ctl() {
    for shell in SHELLS {
        let script = printed(&format!("--completions {shell}"));
        for word in ["ctl", "connections", "remove", "--since"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_handlers_within_a_mix() {
    // Bash splits words at colons, unless it is told not to.
    for (split, whole) in [
        ("vaurien --handler 20 : de", "vaurien --handler 20:de"),
        ("vaurien --handler 20 : delay,5 : de", "vaurien --handler 20:delay,5:de"),
        ("vaurien --behavior = 20 : delay,5.5 : de", "vaurien --behavior = 20:delay,5.5:de"),
    ] {
        assert_eq!(completed(split), ["delay"], "{split}");
        let before = whole.rsplit(' ').next().unwrap().trim_end_matches("de");
        assert_eq!(completed(whole), [format!("{before}delay")], "{whole}");
    }
    let handlers = [
        "abort",
        "blackout",
        "corrupt",
        "cut",
        "delay",
        "dummy",
        "error",
        "goaway",
        "hang",
        "miss",
        "reply",
        "reset",
        "slow",
        "tls",
        "transient",
    ];
    assert_eq!(completed("vaurien --handler 20 :"), handlers);
    assert_eq!(completed("vaurien --handler 20:"), handlers.map(|handler| format!("20:{handler}")));
    assert_eq!(completed("vaurien --handler 20 : delay,"), [""], "a percentage is missing");
    assert_eq!(completed("vaurien --handler 20 : delay --proto"), ["--protocol"]);
    assert_eq!(completed("vaurien --handler 20 : delay --protocol h"), ["http"]);
}

#[test]
fn behind_dashes_bash_completes_commands_and_files() {
    let commands = completed("vaurien --backend a:1 -- bas");
    assert!(commands.contains(&"bash".to_owned()) && commands.contains(&"basename".to_owned()), "{commands:?}");
    // Of what is left to bash itself, there are files.
    for words in ["vaurien -- cat Cargo.t", "vaurien -- cat --pro", "vaurien -- cat --protocol ''"] {
        assert_eq!(completed(words), [""], "{words}");
    }
    let script = printed("--completions bash");
    let registered = script.lines().rfind(|line| line.starts_with("complete -F")).unwrap();
    assert_eq!(registered, "complete -F _vaurien_or_command -o bashdefault -o default vaurien");
    assert_eq!(
        completed("vaurien --backend a:1 --pro"),
        ["--proxy", "--profile", "--protocol"],
        "before them all is as it was"
    );
}

#[test]
fn zsh_is_told_of_a_command() {
    let script = printed("--completions zsh");
    assert!(script.lines().any(|line| line.starts_with("'*::command:_cmdambivalent'")), "{script}");
}

/// How this shell writes that there is a flag, in a line of its script.
fn tells_of(shell: &str, line: &str, flag: &str) -> bool {
    let line = line.trim();
    match shell {
        "bash" => line.starts_with("opts=") && line.split([' ', '"']).any(|word| word == format!("--{flag}")),
        "elvish" => line.starts_with(&format!("cand --{flag} '")),
        "fish" => format!("{line} ").contains(&format!(" -l {flag} ")),
        "powershell" => line.starts_with(&format!("[CompletionResult]::new('--{flag}', ")),
        _ => ["[", "=["].iter().any(|end| line.contains(&format!("--{flag}{end}"))),
    }
}

#[test]
fn every_shell_is_told_of_every_flag() {
    let help = printed("--help");
    let (flags, _) = help.split_once("What handlers do:\n").unwrap();
    let flags = flags.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let flags: Vec<_> = flags.filter_map(|line| line.split_once("--")?.1.split(' ').next()).collect();
    assert!(flags.len() > 30);
    for shell in SHELLS {
        let script = printed(&format!("--completions {shell}"));
        for flag in flags.iter().chain(&["behavior", "behavior-delay-sleep"]) {
            assert!(script.lines().any(|line| tells_of(shell, line, flag)), "{shell}: {flag}");
        }
        for part in ["ma", "htt", "demonstration"] {
            assert!(!script.lines().any(|line| tells_of(shell, line, part)), "{shell}: {part}");
        }
    }
}

#[test]
fn other_shells_are_a_mistake_that_lists_them() {
    let known = "(known: bash, elvish, fish, powershell, zsh)";
    assert_complains("--completions tcsh", 2, &[&format!("--completions: unknown shell `tcsh` {known}")]);
    let line = format!("--completions: unknown shell `bsh` {known}, did you mean `bash`?");
    assert_complains("--completions bsh", 2, &[&line]);
    assert_complains("--completions", 2, &["`--completions` needs a value, see --help"]);
}
