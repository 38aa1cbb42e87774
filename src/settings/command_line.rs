//! Reading a command line and the environment, and saying in one line what is wrong with them.

use super::{Settings, SettingsError};
use clap::{
    Command, CommandFactory, Parser,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    any::TypeId,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Reads a command line and the environment, where an empty variable counts as not set: that is what
/// `${X:-}` in a compose file leaves of one.
///
/// # Errors
/// See [`SettingsError`].
pub fn parse<P: Parser, T: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
) -> Result<P, SettingsError> {
    parse_as(&P::command(), arguments)
}

/// Reads what `command` knows.
fn parse_as<P: Parser, T: Into<OsString> + Clone>(
    command: &Command,
    arguments: impl IntoIterator<Item = T>,
) -> Result<P, SettingsError> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let is_empty = |variable: &OsStr| env::var_os(variable).is_some_and(|value| value.is_empty());
    let asked = without_variables(command.clone(), is_empty).try_get_matches_from(&arguments);
    asked.and_then(|asked| P::from_arg_matches(&asked)).map_err(|error| {
        let whole = || command.clone().try_get_matches_from(&arguments).err();
        // The help speaks of every variable.
        let help = (error.kind() == ErrorKind::DisplayHelp).then(whole).flatten();
        SettingsError::of(&help.unwrap_or(error), command)
    })
}

/// The same command, for which the variables that are `not_read` are not there.
fn without_variables(command: Command, not_read: fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|known| {
            if known.get_env().is_some_and(not_read) { known.env(Resettable::Reset) } else { known }
        })
        .mut_subcommands(|command| without_variables(command, not_read))
}

impl Settings {
    /// Reads a command line, of which the first is the name of the program, and, for what that leaves
    /// out, the environment: `DATABASE_URL`, `ADMIN_KEY`, and all the others. A program that has more
    /// to do than to serve may have variables of these names for something else; for that there is
    /// [`Self::from_args_alone`].
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn from_args<I, T>(args: I) -> Result<Self, SettingsError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        parse(args)
    }

    /// Reads a command line, of which the first is the name of the program, and no variable of the
    /// environment: what the command line leaves out has its default. Only with the feature `otel` a
    /// start still reads the environment, for where traces go (`OTEL_…`).
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn from_args_alone<I, T>(args: I) -> Result<Self, SettingsError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        parse_as(&without_variables(Self::command(), |_| true), args)
    }
}

impl SettingsError {
    /// What is wrong with a command line of `command`.
    pub fn of(error: &clap::Error, command: &Command) -> Self {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            Self::Help(error.render().to_string())
        } else {
            Self::Invalid(one_line(error, command))
        }
    }
}

/// What is said of a number that is none, in the words of whoever parses it and in ours.
const OF_NUMBERS: [(&str, &str); 3] = [
    ("invalid digit found in string", "wanted a whole number"),
    ("cannot parse integer from empty string", "wanted a whole number"),
    ("number too large to fit in target type", "that is too much"),
];

/// clap's message without its usage text, naming the variable next to the flag.
fn one_line(error: &clap::Error, command: &Command) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing; see octostore help".to_owned();
    }
    let help = if command.has_subcommands() { "octostore help" } else { "octostore --help" };
    if error.kind() == ErrorKind::InvalidUtf8 {
        let variables = not_utf_8(command);
        if !variables.is_empty() {
            return format!("{}: not UTF-8; see {help}", variables.join(", "));
        }
    }
    let rendered = error.render().to_string();
    let first = rendered.lines().next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = OF_NUMBERS
        .iter()
        .fold(message.to_owned(), |message, (said, meant)| message.replace(said, meant));
    let more = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg)) => {
            let long = arg.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default();
            variable(command, long).map(|variable| format!(" (variable {variable})"))
        }
        Some(ContextValue::Strings(missing)) => Some(format!(" {}", missing.join(" "))),
        _ => None,
    };
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!(": give one of {}", values.join(", "))
        }
        _ => String::new(),
    };
    format!("{message}{}{possible}; see {help}", more.unwrap_or_default())
}

/// The variables that are not UTF-8 though they must be. clap does not say which it has found, and
/// speaks of arguments.
fn not_utf_8(command: &Command) -> Vec<String> {
    let is_not = |variable: &&OsStr| env::var_os(variable).is_some_and(|v| v.to_str().is_none());
    let of_this = command
        .get_arguments()
        .filter(|known| known.get_value_parser().type_id() != TypeId::of::<PathBuf>())
        .filter_map(|known| known.get_env().filter(is_not))
        .map(|variable| variable.to_string_lossy().into_owned());
    of_this.chain(command.get_subcommands().flat_map(not_utf_8)).collect()
}

/// The variable of a flag, of whichever command.
fn variable(command: &Command, long: &str) -> Option<String> {
    let of_this = command.get_arguments().find(|known| known.get_long() == Some(long));
    match of_this.and_then(|known| known.get_env()) {
        Some(variable) => Some(variable.to_string_lossy().into_owned()),
        None => command.get_subcommands().find_map(|command| variable(command, long)),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn a_number_that_is_none_is_called_that() {
        for (value, meant) in [
            ("abc", "wanted a whole number"),
            ("", "wanted a whole number"),
            ("99999999999999999999999", "that is too much"),
        ] {
            let refused = Settings::from_args(["octostore", "--max-connections", value])
                .unwrap_err()
                .to_string();
            assert!(refused.contains(meant), "{refused}");
        }
    }
}
