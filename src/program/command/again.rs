//! The command line that repeats a run.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Flags that mean nothing for one run of several.
const OF_MANY_RUNS: [&str; 3] = ["--seed", "--repeat", SWITCH];

/// What all runs together have to meet; of several runs, one need not.
const TOTAL: &str = "--expect-total";

/// Takes the place of totals that a variable or the file asks for.
const ANY_TOTAL: &str = "--expect-total 'faults>=0'";

/// The one of them that may have no value.
const SWITCH: &str = "--keep-going";

/// A command line and its variables, without the seed and the number of runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Again {
    /// Variables that set options. Secrets have no value here.
    variables: Vec<(String, Option<String>)>,
    /// The program and its options.
    program: Vec<OsString>,
    /// The options that expect something of all runs together.
    totals: Vec<OsString>,
    command: Vec<OsString>,
    /// Whether a variable or the file asks for several runs.
    pub(crate) repeats: bool,
    /// Whether a variable or the file expects something of all runs together.
    pub(crate) expects_totals: bool,
}

impl Again {
    /// `args` are the program's own; those after the first `--` are the command. `secrets` has the flag and the variable of
    /// each secret option: the line takes these from the variable, wherever they were set.
    pub(crate) fn new(
        args: &[OsString],
        secrets: &[(String, String)],
        mut variables: Vec<(String, Option<String>)>,
    ) -> Self {
        let dashes = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
        let (program, command) = args.split_at(dashes);
        let mut program = program.iter().peekable();
        let mut kept: Vec<OsString> = program.next().into_iter().cloned().collect();
        let mut totals = Vec::new();
        while let Some(arg) = program.next() {
            let text = arg.to_string_lossy();
            let (flag, value) = text.split_once('=').map_or((&*text, None), |(flag, value)| (flag, Some(value)));
            let secret = secrets.iter().find(|(secret, _)| flag.strip_prefix("--") == Some(secret));
            if flag == TOTAL {
                totals.push(arg.clone());
                totals.extend(program.next_if(|_| value.is_none()).cloned());
                continue;
            }
            if secret.is_none() && !OF_MANY_RUNS.contains(&flag) {
                kept.push(arg.clone());
                continue;
            }
            // The value of a switch is optional.
            let has_value = |next: &&OsString| flag != SWITCH || matches!(next.to_str(), Some("true" | "false"));
            if value.is_none() && program.clone().next().is_some_and(|next| has_value(&next)) {
                program.next();
            }
            if let Some((_, variable)) = secret
                && variables.iter().all(|(known, _)| known != variable)
            {
                variables.push((variable.clone(), None));
            }
        }
        let command = command.iter().skip(1).cloned().collect();
        Self { variables, program: kept, totals, command, repeats: false, expects_totals: false }
    }

    /// The line for a shell: one run with this seed, of which there were `times`.
    pub(crate) fn line(&self, seed: u64, times: u64) -> String {
        let variable = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}={}", quoted(value.as_ref())),
            None => format!("{name}=\"${name}\""),
        };
        let mut words: Vec<String> = self.variables.iter().map(variable).collect();
        words.extend(self.program.iter().map(|word| quoted(word)));
        if times == 1 {
            words.extend(self.totals.iter().map(|word| quoted(word)));
        } else if self.expects_totals {
            words.push(ANY_TOTAL.to_owned());
        }
        words.push(format!("--seed {seed}"));
        if self.repeats {
            words.push("--repeat 1".to_owned());
        }
        if !self.command.is_empty() {
            words.push("--".to_owned());
            words.extend(self.command.iter().map(|word| quoted(word)));
        }
        words.join(" ")
    }
}

/// `words`, quoted for a shell. They hold no zero byte: arguments cannot.
pub(crate) fn typed(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// A word, quoted for a shell on one line: control characters and bytes that are not UTF-8 are escaped as bash reads them.
fn quoted(word: &OsStr) -> String {
    let shown = word.to_str().filter(|text| !text.contains(char::is_control));
    if let Some(quoted) = shown.and_then(|text| shlex::try_quote(text).ok()) {
        return quoted.into_owned();
    }
    let escaped = word.as_bytes().iter().map(|byte| match byte {
        b'\n' => "\\n".to_owned(),
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    });
    format!("$'{}'", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(line: &str) -> String {
        let args: Vec<OsString> = shlex::split(line).unwrap().into_iter().map(OsString::from).collect();
        let secrets = [("http-token".to_owned(), "VAURIEN_HTTP_TOKEN".to_owned())];
        Again::new(&args, &secrets, Vec::new()).line(7, 2)
    }

    #[test]
    fn the_seed_is_that_of_the_run_and_it_is_run_once() {
        let line = again("vaurien --seed 42 --backend a:1 --repeat=20 --handler 10:error -- pytest --seed 5 -x");
        assert_eq!(line, "vaurien --backend a:1 --handler 10:error --seed 7 -- pytest --seed 5 -x");
        assert_eq!(again("/bin/vaurien --repeat 3 --seed=1"), "/bin/vaurien --seed 7");
    }

    #[test]
    fn what_is_about_several_runs_is_left_out() {
        let line = "vaurien --repeat 3 --keep-going --expect-total 'error>=1' --keep-going=true --backend a:1 -- true";
        assert_eq!(again(line), "vaurien --backend a:1 --seed 7 -- true");
        assert_eq!(again("vaurien --keep-going false --keep-going"), "vaurien --seed 7");
    }

    #[test]
    fn totals_of_one_run_stay_and_those_of_several_go() {
        let args = ["vaurien", "--expect-total", "error>=1", "--expect-total=calls>=2", "--http"].map(OsString::from);
        let mut again = Again::new(&args, &[], Vec::new());
        let line = "vaurien --http --expect-total 'error>=1' '--expect-total=calls>=2' --seed 7";
        assert_eq!(again.line(7, 1), line);
        assert_eq!(again.line(7, 2), "vaurien --http --seed 7");
        // Those of the file would be back in force.
        again.expects_totals = true;
        assert_eq!(again.line(7, 2), "vaurien --http --expect-total 'faults>=0' --seed 7");
        assert_eq!(again.line(7, 1), line);
    }

    #[test]
    fn it_can_be_pasted_into_a_shell() {
        let line = again("vaurien --expect 'error>=1' -- sh -c 'echo \"$VAURIEN_PROXY\"' ''");
        assert_eq!(line, "vaurien --expect 'error>=1' --seed 7 -- sh -c 'echo \"$VAURIEN_PROXY\"' ''");
        let words = shlex::split(&line).unwrap();
        assert_eq!(words[6..], ["sh", "-c", "echo \"$VAURIEN_PROXY\"", ""]);
    }

    #[test]
    fn it_is_one_line() {
        let script = "echo '1'\n\techo \\2";
        let args = ["vaurien", "--", "sh", "-c", script].map(OsString::from);
        let line = Again::new(&args, &[], Vec::new()).line(7, 1);
        assert_eq!(line, r"vaurien --seed 7 -- sh -c $'echo \'1\'\n\x09echo \\2'");
        let args = [OsString::from("vaurien"), "--".into(), OsStr::from_bytes(b"\xff\xfe").to_owned()];
        assert_eq!(Again::new(&args, &[], Vec::new()).line(7, 1), r"vaurien --seed 7 -- $'\xff\xfe'");
    }

    #[test]
    fn secrets_stay_secret() {
        for given in ["--http-token hush", "--http-token=hush", "--http-token --seed"] {
            let line = again(&format!("vaurien {given} --http"));
            assert_eq!(line, "VAURIEN_HTTP_TOKEN=\"$VAURIEN_HTTP_TOKEN\" vaurien --http --seed 7");
        }
    }

    #[test]
    fn variables_come_first() {
        let mut again =
            Again::new(&["vaurien".into()], &[], vec![("VAURIEN_BACKEND".to_owned(), Some("a b".to_owned()))]);
        again.repeats = true;
        assert_eq!(again.line(1, 2), "VAURIEN_BACKEND='a b' vaurien --seed 1 --repeat 1");
    }
}
