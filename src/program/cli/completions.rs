//! `--completions`: what a shell has to know to complete a command line.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::program::config::options::Options;

/// The script for `shell`, for a program that is called `name` and has the flags of `command`.
///
/// # Errors
///
/// There is none for this shell.
pub(crate) fn script(shell: &str, name: &str, command: &Command, options: &Options<'_>) -> Result<String, Diagnostics> {
    let Ok(generator) = <Shell as ValueEnum>::from_str(shell, false) else {
        let known = shells();
        let hint = did_you_mean(shell, known.iter().map(String::as_str));
        let what = format!("unknown shell `{shell}` (known: {}){hint}", known.join(", "));
        return Err(Diagnostic::new("--completions", what).into());
    };
    let args = command.get_arguments().filter(|arg| is_of_use(arg, options));
    let mut completed = Command::new(name.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(args.map(|arg| with_values(arg.clone(), options)));
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut completed, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(if generator == Shell::Bash { script + &behind_dashes(name) } else { script })
}

/// For bash, which is told of no argument but the flags': behind `--` commands are completed, and files behind those.
fn behind_dashes(name: &str) -> String {
    let function = format!("_{}", name.replace('-', "__"));
    format!(
        r#"
{function}_or_command() {{
    local at
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ "${{COMP_WORDS[at]}}" == -- ]]; then
            COMPREPLY=()
            if ((at + 1 == COMP_CWORD)); then
                COMPREPLY=( $(compgen -c -- "${{COMP_WORDS[COMP_CWORD]}}") )
            fi
            # Where there is nothing, bash completes files.
            return 0
        fi
    done
    {function} "$@"
}}

complete -F {function}_or_command -o bashdefault -o default {name}
"#
    )
}

fn shells() -> Vec<String> {
    Shell::value_variants().iter().map(ToString::to_string).collect()
}

/// Options of the connection are not in the help for each handler, but can be set; and a command can be given.
fn is_of_use(arg: &Arg, options: &Options<'_>) -> bool {
    let inherited = || options.all().any(|setting| setting.inherited && setting.flag() == arg.get_id().as_str());
    !arg.is_hide_set() || arg.get_id() == "command" || inherited()
}

/// With what can be completed of its value: a parser that refused all else would have other words for it than the settings.
fn with_values(arg: Arg, options: &Options<'_>) -> Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    // zsh takes a colon for the end of the name.
    let name = arg.get_value_names().and_then(|names| names.first()).map(|name| name.replace(':', " "));
    let arg = arg.value_name(name.unwrap_or_default());
    let flag = arg.get_id().to_string();
    let arg = match flag.strip_prefix("handler") {
        Some(rest) => arg.visible_alias(format!("behavior{rest}")),
        None if flag == "command" => return arg.value_hint(ValueHint::CommandWithArguments),
        None => arg,
    };
    let setting = options.all().find(|setting| setting.flag() == flag);
    let (values, is_file) = match (flag.as_str(), setting) {
        ("handler", _) => (options.registry.names().map(str::to_owned).collect(), false),
        ("completions", _) => (shells(), false),
        ("config", _) => (Vec::new(), true),
        (_, Some(setting)) => (setting.field.values(), setting.field.is_file()),
        (_, None) => (Vec::new(), false),
    };
    if !values.is_empty() {
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    arg.value_hint(if is_file { ValueHint::FilePath } else { ValueHint::Other })
}
