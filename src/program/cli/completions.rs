//! `--completions`: scripts that complete command lines in shells.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::diagnostic::{Diagnostic, Diagnostics, did_you_mean};
use crate::handler::Registry;
use crate::program::config::schema::Schema;
use crate::program::ctl;

/// The script for `shell`, for a program that is called `name` and has the flags of `command`.
/// Fails if there is none for this shell.
pub(crate) fn script(shell: &str, name: &str, command: &Command, schema: &Schema<'_>) -> Result<String, Diagnostics> {
    let Ok(generator) = <Shell as ValueEnum>::from_str(shell, false) else {
        let known = shells();
        let hint = did_you_mean(shell, known.iter().map(String::as_str));
        let what = format!("unknown shell `{shell}` (known: {}){hint}", known.join(", "));
        return Err(Diagnostic::new("--completions", what).into());
    };
    let args = command.get_arguments().filter(|arg| is_of_use(arg, schema));
    let mut completed = Command::new(name.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(args.map(|arg| with_values(arg.clone(), schema)))
        .subcommand(ctl::command());
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut completed, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(match generator {
        Shell::Bash => script + &bash(name, schema.registry),
        Shell::Zsh => zsh(name, &script),
        _ => script,
    })
}

/// The generated script for zsh, which takes the word behind `ctl` for its first: what can follow depends on whether it is there.
fn zsh(name: &str, script: &str) -> String {
    let begin = format!("_{name}() {{\n");
    let (ctl, state) = (format!("\":: :_{name}_commands\""), format!("\"*::: :->{name}\""));
    let both = format!("'::command:_cmdambivalent' \\\n{ctl} \\\n{state} \\\n");
    if !script.contains(&begin) || !script.contains(&both) {
        return script.to_owned();
    }
    let rest = format!(
        "{begin}    local rest=(\n'*::command:_cmdambivalent'\n    )\n    \
         if (( CURRENT == 2 )) || [[ \"$words[2]\" == ctl ]]; then\n        rest=({ctl} {state})\n    fi\n"
    );
    script.replacen(&both, "\"${rest[@]}\" \\\n", 1).replacen(&begin, &rest, 1).replace("$line[2]", "$line[1]")
}

/// What the generated script for bash lacks: handlers within a mix, commands after `--`, and files after those. Bash splits words at colons.
fn bash(name: &str, registry: &Registry) -> String {
    let function = format!("_{}", name.replace('-', "__"));
    let handlers = registry.names().collect::<Vec<_>>().join(" ");
    include_str!("completions.bash")
        .replace("FUNCTION", &function)
        .replace("HANDLERS", &handlers)
        .replace("PROGRAM", name)
}

fn shells() -> Vec<String> {
    Shell::value_variants().iter().map(ToString::to_string).collect()
}

/// Whether to complete it. Of the hidden flags, these are the connection's options for handlers, and the command.
fn is_of_use(arg: &Arg, schema: &Schema<'_>) -> bool {
    let inherited = || schema.all().any(|setting| setting.inherited && setting.flag() == arg.get_id().as_str());
    !arg.is_hide_set() || arg.get_id() == "command" || inherited()
}

/// The flag with what can be completed of its value.
fn with_values(arg: Arg, schema: &Schema<'_>) -> Arg {
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
    let setting = schema.all().find(|setting| setting.flag() == flag);
    let values = match (flag.as_str(), setting) {
        ("tls", _) => vec!["auto".to_owned()],
        ("handler", _) => schema.registry.names().map(str::to_owned).collect(),
        ("completions", _) => shells(),
        (_, Some(setting)) => setting.field.values(),
        (_, None) => Vec::new(),
    };
    if !values.is_empty() {
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    arg.value_hint(match setting.map(|setting| setting.field) {
        Some(field) if field.is_file() => ValueHint::FilePath,
        Some(field) if field.is_folder() => ValueHint::DirPath,
        None if flag == "config" => ValueHint::FilePath,
        _ => ValueHint::Other,
    })
}
